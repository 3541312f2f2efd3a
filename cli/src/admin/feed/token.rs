//! `feed token`: who may read a tenant's feed.

use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;
use shared::admin::{self, feed};

use crate::{
    admin::Access,
    exit::Exit,
    output::{Output, line, say, when},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token that opens a tenant's feed; it is shown once
    Add {
        /// Whose feed
        #[arg(long)]
        tenant: String,
        /// Who will use it, for those who look later
        #[arg(long)]
        name: String,
    },
    /// List tokens, without themselves
    Ls {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Remove a token; whoever reads with it is cut off within some seconds
    Rm {
        /// Its number
        id: i64,
    },
}

pub async fn run(access: &Access, verb: &Verb, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    match verb {
        Verb::Add { tenant, name } => {
            let made = feed::add_token(&db, &access.actor(), tenant, name).await?;
            if out.is_table() {
                say(&format!(
                    "feed token {} ({name}) opens the feed of {tenant}; it is not shown again:",
                    made.id
                ))?;
                line(made.token.expose_secret())?;
            } else {
                let token = made.token.expose_secret();
                out.result(&json!({ "id": made.id, "tenant": tenant, "name": name, "token": token }), "")?;
            }
        }
        Verb::Ls { tenant } => {
            let mut conn = db.acquire().await?;
            let tokens = feed::tokens(&mut conn, tenant.as_deref()).await?;
            let now = admin::now(&mut conn).await?;
            let columns = ["ID", "TENANT", "NAME", "ADDED", "USED"];
            out.list(&tokens, "no feed tokens; `syncfleet feed token add` makes one", &columns, |token| {
                vec![
                    token.id.to_string(),
                    token.tenant.clone(),
                    token.name.clone(),
                    when(Some(token.created_at), now),
                    when(token.used_at, now),
                ]
            })?;
        }
        Verb::Rm { id } => {
            let removed = feed::remove_token(&db, &access.actor(), *id).await?;
            let sentence = format!("feed token {id} ({}) of {} is removed", removed.name, removed.tenant);
            out.result(&removed, &sentence)?;
        }
    }
    Ok(Exit::Done)
}
