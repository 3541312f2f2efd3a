//! `keys`: the keys that seal tokens.

use clap::Subcommand;
use serde::Serialize;
use shared::{
    admin::{
        keys::{self, Key},
        words::count,
    },
    config,
    secrets::KeyRing,
    store::PgPool,
};

use super::Access;
use crate::{
    exit::Exit,
    output::{Output, say, yes},
    progress::Progress,
};

/// Rounds of a rotation. A second one finds what workers have stored meanwhile; more find workers that still seal under an
/// old key.
const ROUNDS: u32 = 5;

/// Secrets of a batch that cannot be opened are told one by one, up to so many.
const TOLD: usize = 10;

/// The keys that seal tokens
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The first key of the ring is the current one: it seals. All of them open. Rotating seals everything under
the current key while the fleet runs; it may be stopped and run again at any time. docs/keys.md says how a key is rolled.

Examples:
  syncfleet keys ls
  syncfleet keys rotate"
)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    keys: config::Keys,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the keys of the ring and those that secrets need; exit code 1 if secrets need one that the ring lacks
    Ls,
    /// Seal everything under the current key
    Rotate,
}

/// What a rotation came to.
#[derive(Debug, Default, Serialize)]
struct Rotated {
    /// The current key.
    to: String,
    /// Secrets that were sealed anew.
    resealed: i64,
    /// Secrets that are still sealed under other keys.
    left: i64,
    /// Of those, how many cannot be opened.
    unopened: i64,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let ring = args.keys.key_ring()?;
    let db = args.access.open().await?;
    match args.verb {
        Verb::Ls => ls(&db, &ring, out).await,
        Verb::Rotate => rotate(&args.access, &db, &ring, out).await,
    }
}

async fn ls(db: &PgPool, ring: &KeyRing, out: Output) -> anyhow::Result<Exit> {
    let keys = keys::ls(&mut *db.acquire().await?, ring).await?;
    out.list(&keys, "no keys", &["KEY", "CURRENT", "IN RING", "SECRETS", "OPENS"], |key| {
        let opens = match key.opens {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        vec![key.id.clone(), yes(key.current), yes(key.in_ring), key.secrets.to_string(), opens.to_owned()]
    })?;
    let mut lacking = keys.iter().filter(|key| key.is_lacking()).peekable();
    let exit = if lacking.peek().is_some() { Exit::Failed } else { Exit::Done };
    lacking.try_for_each(|key| say(&lack(key)))?;
    Ok(exit)
}

fn lack(key: &Key) -> String {
    let Key { id, secrets, .. } = key;
    let secrets = count(*secrets, "secret");
    if key.in_ring {
        format!("{secrets} cannot be opened with the key {id}: the ring has another key under this id")
    } else {
        format!("the ring lacks the key {id}, which {secrets} cannot be opened without")
    }
}

async fn rotate(access: &Access, db: &PgPool, ring: &KeyRing, out: Output) -> anyhow::Result<Exit> {
    let plan = keys::begin(db, &access.actor(), ring).await?;
    let mut rotated = Rotated { to: plan.to, left: plan.secrets, ..Rotated::default() };
    let mut progress = Progress::new()?;
    for _ in 0..ROUNDS {
        round(db, ring, &mut rotated, &mut progress).await?;
        rotated.left = keys::plan(&mut *db.acquire().await?, ring).await?.secrets;
        if rotated.left <= rotated.unopened {
            break;
        }
    }
    drop(progress);
    out.result(&rotated, &sentence(&rotated))?;
    Ok(if rotated.left == 0 { Exit::Done } else { Exit::Failed })
}

/// Once through all secrets.
async fn round(
    db: &PgPool,
    ring: &KeyRing,
    rotated: &mut Rotated,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let all = rotated.resealed + rotated.left;
    let mut after = None;
    rotated.unopened = 0;
    loop {
        let batch = keys::batch(db, ring, after.as_ref()).await?;
        for error in batch.unopened.iter().take(TOLD) {
            progress.say(&error.to_string())?;
        }
        rotated.resealed += batch.resealed;
        rotated.unopened += i64::try_from(batch.unopened.len()).unwrap_or(i64::MAX);
        let done = rotated.resealed;
        match batch.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
        progress.show(done, all, &format!("{done} of {} sealed anew", count(all, "secret")))?;
    }
}

fn sentence(rotated: &Rotated) -> String {
    let Rotated { to, resealed, left, unopened } = rotated;
    let done = count(*resealed, "secret");
    if *left == 0 {
        return format!("{done} sealed anew; all are under the key {to}");
    }
    let why = if *unopened > 0 {
        format!("{unopened} of them cannot be opened, `syncfleet keys ls` shows their keys")
    } else {
        "workers still seal under another key: restart them with this ring, then run this again".to_owned()
    };
    format!("{done} sealed anew under the key {to}; {} left under others: {why}", count(*left, "secret"))
}
