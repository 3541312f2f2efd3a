//! `dns check`.

use shared::{admin::dns::check, config, dns::check::Verdict};

use super::Which;
use crate::{
    admin::Access,
    exit::Exit,
    output::{Output, json},
};

/// Runs the verb.
pub async fn run(
    access: &Access,
    which: &Which,
    (keys, dns): (&config::Keys, &config::Dns),
    out: Output,
) -> anyhow::Result<Exit> {
    let keys = keys.key_ring()?;
    let db = access.open().await?;
    let suspect =
        check::suspect(&mut *db.acquire().await?, &keys, &which.record, which.tenant.as_deref()).await?;
    let checked = check::look(&suspect, dns).await?;
    if out.is_table() {
        out.list(&checked.findings, "nothing to look at", &["", "WHAT", "FOUND"], |finding| {
            let mark = match finding.verdict {
                Verdict::Good => "ok",
                Verdict::Note => "note",
                Verdict::Bad => "BAD",
            };
            vec![mark.to_owned(), finding.what.to_owned(), finding.found.clone()]
        })?;
    } else {
        json(&checked)?;
    }
    Ok(if checked.ok { Exit::Done } else { Exit::Failed })
}
