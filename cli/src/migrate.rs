//! `migrate`: brings the database up to date.

use shared::{
    config,
    store::{
        Session, connect,
        connect::reach,
        schema::{self, Version},
    },
};

use crate::{admin::PATIENCE, exit::Exit, output::Output};

/// Bring the database up to date
///
/// Safe to run at any time and by several at once: they wait for each other. A database of a newer version is refused.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    database: config::Database,
}

/// Migrates.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let url = args.database.required()?;
    reach(&url, PATIENCE).await?;
    let db = connect(&url, &Session::new("syncfleet migrate", 2))?;
    let before = schema::migrate(&db).await?;
    let (from, sentence) = match before {
        Version::Current => (None, "the database was up to date".to_owned()),
        Version::Older(0) => (Some(0), "the database was empty and is up to date now".to_owned()),
        Version::Older(from) => {
            (Some(from), format!("the database was at migration {from} and is up to date now"))
        }
    };
    out.result(&serde_json::json!({ "migrated": from.is_some(), "from": from }), &sentence)?;
    Ok(Exit::Done)
}
