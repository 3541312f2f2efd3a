//! Notifications are written together ([`Gather`]); the same message is written once, however often it came.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::counter;
use shared::{
    job::{AccountId, Lane},
    shutdown::Tasks,
    store::{
        PgConnection,
        channels::{self, Heard, Notified, Orphan, Outcome},
        job_state::{self, Wanted},
        jobs, limited,
    },
};
use sqlx::Connection as _;

use crate::listen::{
    gather::{Gather, Refused, Words, despite_deadlocks},
    public::Ingress,
};

/// Messages of one statement, at the most.
const BATCH: usize = 1_000;

/// How long the database may take.
const WRITE_LIMIT: Duration = Duration::from_secs(3);

/// The job that keeps an account's channels.
const KEEPER: &str = "google_channels";

const WORDS: Words = Words {
    away: "notifications cannot be taken, Google is to send them again",
    back: "notifications are taken again",
};

/// A message, with the API that it came for.
type Message = (&'static str, Heard);

/// Where messages are brought.
pub(super) struct Inbox {
    gather: Gather<Message, Outcome>,
}

impl Inbox {
    /// An inbox, and the tasks behind it, which end when it is dropped.
    pub(super) fn start(ingress: &Ingress, tasks: &Tasks) -> Self {
        for kind in ingress.policies.iter().filter(|policy| policy.api.is_some() || policy.kind == KEEPER) {
            count(kind.kind, 0);
        }
        let ingress = Arc::new(ingress.clone());
        let gather = Gather::start(tasks, WORDS, BATCH, move |messages| {
            let ingress = Arc::clone(&ingress);
            async move { write(&ingress, messages).await }
        });
        Self { gather }
    }

    /// Brings a message. When this returns an outcome, what follows from it is durable.
    pub(super) async fn bring(&self, api: &'static str, heard: Heard) -> Result<Outcome, Refused> {
        self.gather.bring((api, heard)).await
    }
}

async fn write(ingress: &Ingress, messages: Vec<Message>) -> Result<Vec<Outcome>, sqlx::Error> {
    let mut places: HashMap<&Message, usize> = HashMap::with_capacity(messages.len());
    let mut once: Vec<Message> = Vec::new();
    let mut place_of = Vec::with_capacity(messages.len());
    for message in &messages {
        let place = *places.entry(message).or_insert_with(|| {
            once.push(message.clone());
            once.len() - 1
        });
        place_of.push(place);
    }
    let notified = despite_deadlocks(|| limited(WRITE_LIMIT, note(ingress, &once))).await?;
    for wanted in &notified.wanted {
        count(&wanted.kind, 1);
    }
    ingress.bell.offer(notified.wanted.iter().filter_map(Wanted::ring), Instant::now()).await;
    Ok(place_of.into_iter().map(|place| notified.outcomes[place]).collect())
}

async fn note(ingress: &Ingress, messages: &[Message]) -> Result<Notified, sqlx::Error> {
    let heard: Vec<Heard> = messages.iter().map(|(_, heard)| heard.clone()).collect();
    let mut conn = ingress.db.acquire().await?;
    let mut notified = channels::notify(&mut conn, &heard).await?;
    let unknown = orphans(messages, &notified.outcomes);
    if !unknown.is_empty() {
        notified.wanted.extend(adopt(&mut conn, &unknown).await?);
    }
    Ok(notified)
}

fn count(kind: &str, jobs: u64) {
    let (kind, lane) = (kind.to_owned(), Lane::Interactive.as_str());
    counter!("syncfleet_jobs_enqueued_total", "kind" => kind, "lane" => lane, "source" => "push")
        .increment(jobs);
}

/// The channels that are not known, once each.
fn orphans(messages: &[Message], outcomes: &[Outcome]) -> BTreeMap<String, Orphan> {
    let unknown = messages.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Unknown);
    unknown
        .map(|((api, heard), _)| {
            let orphan = Orphan {
                id: heard.channel.clone(),
                account: heard.account,
                job: heard.job,
                api,
                resource_id: heard.resource_id.clone(),
            };
            (heard.channel.clone(), orphan)
        })
        .collect()
}

/// Notes channels that are to be stopped, and wants the jobs that do it: both or neither.
async fn adopt(
    conn: &mut PgConnection,
    unknown: &BTreeMap<String, Orphan>,
) -> Result<Vec<Wanted>, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let mut accounts: Vec<AccountId> = Vec::new();
    for orphan in unknown.values() {
        if channels::adopt(&mut tx, orphan).await? {
            tracing::info!(
                channel = orphan.id,
                account = orphan.account,
                "a channel that is not known has called: it is stopped"
            );
            accounts.push(orphan.account);
        }
    }
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    let keepers = jobs::of_keys(&mut tx, KEEPER, &keys).await?;
    let wanted = job_state::want(&mut tx, &keepers, None, None).await?;
    tx.commit().await?;
    Ok(wanted)
}
