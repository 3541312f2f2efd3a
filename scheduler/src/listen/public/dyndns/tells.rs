//! What routers tell, written together for all calls of some milliseconds: addresses, the wants of their records, what fails by what they
//! tell, and who called.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::counter;
use shared::{
    job::Lane,
    shutdown::Tasks,
    store::{
        changes,
        dns_hosts::{self, Changed, Told, Useless},
        dns_logins::{self, LoginId, Use},
        job_state::Wanted,
        limited,
    },
};

use crate::listen::{
    gather::{Gather, Words, despite_deadlocks},
    public::Ingress,
};

/// Calls of one write, at the most. Each may want many records.
const BATCH: usize = 200;

/// How long the database may take.
const LIMIT: Duration = Duration::from_secs(5);

const WORDS: Words = Words {
    away: "routers' calls cannot be taken, they are to come again",
    back: "routers' calls are taken again",
};

/// What a call has to write.
#[derive(Debug, Clone)]
pub(super) struct Tell {
    pub(super) told: Vec<Told>,
    /// What cannot be used, as far as that is to be noted.
    pub(super) useless: Vec<Useless>,
    /// Who called, if that is to be noted.
    pub(super) used: Option<Use>,
}

/// Where calls are brought. The answer says of each word whether it was news; then what follows from it is durable.
pub(super) fn start(ingress: &Ingress, tasks: &Tasks) -> Gather<Tell, Vec<bool>> {
    count(0);
    let ingress = Arc::new(ingress.clone());
    Gather::start(tasks, WORDS, BATCH, move |tells| {
        let ingress = Arc::clone(&ingress);
        async move { write(&ingress, &tells).await }
    })
}

async fn write(ingress: &Ingress, tells: &[Tell]) -> Result<Vec<Vec<bool>>, sqlx::Error> {
    let told: Vec<Told> = tells.iter().flat_map(|tell| tell.told.iter().cloned()).collect();
    let useless: Vec<Useless> = tells.iter().flat_map(|tell| tell.useless.iter().cloned()).collect();
    let uses: BTreeMap<LoginId, &Use> =
        tells.iter().filter_map(|tell| tell.used.as_ref()).map(|used| (used.login, used)).collect();
    let uses: Vec<Use> = uses.into_values().cloned().collect();
    let changed = despite_deadlocks(|| limited(LIMIT, commit(ingress, &told, &useless, &uses))).await?;
    count(changed.wanted.len() as u64);
    ingress.bell.offer(changed.wanted.iter().filter_map(Wanted::ring), Instant::now()).await;
    for tenant in &changed.turned {
        changes::tell(&ingress.db, *tenant).await;
    }
    Ok(tells.iter().map(|tell| tell.told.iter().map(|one| changed.has(one)).collect()).collect())
}

async fn commit(
    ingress: &Ingress,
    told: &[Told],
    useless: &[Useless],
    uses: &[Use],
) -> Result<Changed, sqlx::Error> {
    let mut tx = ingress.db.begin().await?;
    let changed = dns_hosts::tell(&mut tx, told, useless).await?;
    dns_logins::used(&mut tx, uses).await?;
    tx.commit().await?;
    Ok(changed)
}

fn count(jobs: u64) {
    let lane = Lane::Interactive.as_str();
    counter!("syncfleet_jobs_enqueued_total", "kind" => "dns_record", "lane" => lane, "source" => "router")
        .increment(jobs);
}
