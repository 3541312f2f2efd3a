use shared::{
    admin::account::{self, AccountRef, Disconnected},
    config,
    google::Google,
    store::PgPool,
};

use crate::{
    admin::{Access, channel::stopped, confirm::confirm, tenant::told},
    output::Output,
};

#[derive(Debug, clap::Args)]
pub struct Disconnect {
    /// Its number or address
    #[arg(long)]
    account: AccountRef,
    /// Delete what is mirrored of it, too; the account stays, and may sign in again
    #[arg(long)]
    delete_data: bool,
    /// Forget the tokens even if Google cannot be asked to revoke them
    #[arg(long)]
    force: bool,
    /// Do not ask before data is deleted
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
}

/// Revokes the grant, and forgets it.
pub async fn disconnect(
    access: &Access,
    db: &PgPool,
    wanted: &Disconnect,
    out: Output,
) -> anyhow::Result<()> {
    let google = wanted.google.required("the grant is given back to Google in the OAuth client's name")?;
    let google = Google::new(google, wanted.keys.key_ring()?)?;
    let (account, holdings) = {
        let mut conn = db.acquire().await?;
        let account = account::show(&mut conn, &wanted.account).await?.account;
        let holdings = account::holdings(&mut conn, account.id).await?;
        (account, holdings)
    };
    if wanted.delete_data {
        confirm("the data of account", &account.email, &told(&holdings), wanted.yes)?;
    }
    let how = (wanted.delete_data, wanted.force);
    let done = account::disconnect(db, &access.actor(), &google, account.id, how).await?;
    out.result(&done, &sentence(&done))
}

fn sentence(done: &Disconnected) -> String {
    let Disconnected { id, email, grant, channels, deleted } = done;
    let grant = match *grant {
        "revoked" => "its access is revoked and its tokens are forgotten",
        "revoked_before" => "its access had been revoked before; its tokens are forgotten",
        "no_token" => "it had no tokens",
        "delegated" => "its tenant's service account acts for it no more",
        _ => {
            "its tokens are forgotten, but Google was not reached: its owner may revoke the access at myaccount.google.com/connections"
        }
    };
    let data = match deleted {
        Some(held) => format!("deleted: {}", told(held)),
        None => "what was mirrored stays".to_owned(),
    };
    format!("account {id} ({email}) is disconnected: {grant}; {data}{}", stopped(channels))
}
