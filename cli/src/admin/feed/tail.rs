//! `feed tail`: follows the feed from the database.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use shared::{
    admin::{account::AccountRef, feed},
    shutdown::{Signals, Tasks},
    store::{
        PgPool,
        changes::{self, After, Position, Resource, Subject, What},
        limited,
    },
};
use tokio::sync::Notify;

use crate::{
    admin::Access,
    exit::{Exit, Usage},
    output::say,
};

/// A look without having heard anything, and while an open transaction holds changes back.
const LOOK: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_millis(250);

/// How long the database may take to answer.
const ANSWER: Duration = Duration::from_secs(15);

/// Changes read at once.
const BATCH: i64 = 500;

#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Of this tenant
    #[arg(long, required_unless_present = "account")]
    tenant: Option<String>,
    /// Of this account only: its number or address
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountRef>,
    /// Of this resource only: calendar, event, drive, file, `dns_record` or `dns_address`; may be repeated
    #[arg(long = "resource", value_name = "RESOURCE", value_delimiter = ',')]
    resources: Vec<Resource>,
    /// Only where this became of it: created, updated, deleted, failing or recovered; may be repeated
    #[arg(long = "what", value_name = "WHAT", value_delimiter = ',')]
    whats: Vec<What>,
    /// Begin after the change of this id, with the `oldest` kept, or with what comes from `now` on
    #[arg(long, value_name = "ID", default_value = "now")]
    after: After,
    /// End when all that is there is printed
    #[arg(long)]
    no_follow: bool,
}

pub async fn tail(access: &Access, tail: &Tail) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let db = access.open().await?;
    let (subject, at) = {
        let mut conn = db.acquire().await?;
        let (tenant, account) = (tail.tenant.as_deref(), tail.account.as_ref());
        let subject = feed::subject(&mut conn, tenant, account, &tail.resources, &tail.whats).await?;
        let at = changes::begin(&mut conn, subject.tenant, tail.after).await?;
        (subject, at)
    };
    let tasks = Tasks::new();
    let wake = Arc::new(Notify::new());
    if !tail.no_follow {
        let (heard, of) = (Arc::clone(&wake), subject.tenant);
        tasks.spawn(changes::listen(db.clone(), tasks.soft().clone(), move |tenant| {
            if tenant == of {
                heard.notify_one();
            }
        }));
    }
    let ended = tokio::select! {
        ended = follow(&db, &subject, at, &wake, tail.no_follow) => ended,
        _ = signals.first() => Ok(Exit::Done),
    };
    tasks.finish(Duration::from_secs(2)).await;
    ended
}

async fn follow(
    db: &PgPool,
    subject: &Subject,
    mut at: Position,
    wake: &Notify,
    to_the_end: bool,
) -> anyhow::Result<Exit> {
    loop {
        let batch = limited(ANSWER, async {
            let mut conn = db.acquire().await?;
            changes::read(&mut conn, subject, at, None, BATCH).await
        })
        .await?;
        if batch.gone {
            let why = "changes after this position were dropped, or the position is none of this feed";
            return Err(Usage(format!("{why}: begin with --after oldest, or with --after now")).into());
        }
        let mut stdout = io::stdout().lock();
        for entry in &batch.entries {
            writeln!(stdout, "{}", serde_json::to_string(entry)?)?;
        }
        stdout.flush()?;
        drop(stdout);
        at = batch.upto;
        if batch.more {
            continue;
        }
        if to_the_end {
            say(&format!("go on with --after {at}"))?;
            return Ok(Exit::Done);
        }
        let pause = if batch.held_back { SOON } else { LOOK };
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
