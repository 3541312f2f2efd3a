//! All addresses change at once, and all names follow.
//!
//! The change is that of routers: each calls `/nic/update`, at most `--connections` at a time. Counted from the first call. BIND itself is
//! asked: its counter of updates says when it has done as many as there are records, a transfer of the zone whether each
//! name is right then, and some names are asked for from the moment before their router's call.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use loadtest::bind::{Bind, ask};
use rand::{SeedableRng, rngs::StdRng, seq::index};
use serde::Serialize;
use sqlx::Row;
use tokio::task::JoinSet;

use super::{Args, Used, statistics};
use crate::stage::{
    Stage,
    fleet::{Fleet, Ingress},
    homes::{Homes, Names, Routers},
    stats::{ms, percentile, rate},
    until,
    usage::{self, Memory},
};

/// How often a watched name is asked for: its figures are exact to this.
const PAUSE: Duration = Duration::from_millis(500);

/// The figures of the change.
#[derive(Debug, Serialize)]
pub struct Changed {
    /// From the first call until BIND answered right for all names.
    pub seconds: f64,
    pub updates_per_second: f64,
    /// Until the last call was answered.
    pub calls_seconds: f64,
    /// Until the fleet had looked at all names and had nothing left to do.
    pub settled_seconds: f64,
    /// From before a call to the right answer, of the watched names.
    pub watched: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// The fleet's own look at the zone's server after an update, as it has noted it.
    pub verify_p50_ms: f64,
    pub verify_p99_ms: f64,
    /// Updates that BIND has got: one for each record.
    pub updates: u64,
    /// What the history tells of, with how often.
    pub history: BTreeMap<String, i64>,
    /// CPU seconds, until the fleet had nothing left to do.
    pub cpu: Used,
    pub worker_mib: Memory,
}

/// Has all addresses told, and waits until all names are right and the fleet knows it.
pub async fn measure(
    stage: &Stage,
    fleet: &Fleet,
    ingress: &Ingress,
    bind: &Bind,
    homes: &Homes,
    args: &Args,
) -> anyhow::Result<Changed> {
    let (names, limit) = (homes.names, Duration::from_secs(args.limit));
    let routers = Routers::new(ingress.public, homes)?;
    let mut rng = StdRng::seed_from_u64(args.place.seed);
    let mut watched: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for record in index::sample(&mut rng, names.records as usize, args.sample.min(names.records) as usize) {
        let record = u32::try_from(record)?;
        watched.entry(names.address_of(record)).or_default().push(record);
    }
    let counted = statistics::read(bind).await?;
    let cpu = Used::by_now(stage, fleet, ingress, bind).await?;
    let began = Instant::now();

    let mut watches = JoinSet::new();
    stream::iter(0..names.addresses)
        .map(|home| {
            let address = Names::after(home);
            for record in watched.get(&home).into_iter().flatten() {
                watches.spawn(watch(bind.server, Names::host(*record, homes.zone), address.into(), limit));
            }
            let routers = routers.clone();
            async move {
                let answer = routers.tell_until_heard(home, address).await?;
                ensure!(answer == "good", "the call for home {home} was answered with {answer:?}");
                Ok(())
            }
        })
        .buffer_unordered(args.connections as usize)
        .try_collect::<()>()
        .await?;
    let calls = began.elapsed();
    let expected = counted.updates + u64::from(names.records);
    let right = until("all names are right at BIND", limit, Duration::from_millis(100), async || {
        if statistics::read(bind).await?.updates < expected {
            return Ok(None);
        }
        let at = began.elapsed();
        Ok((names.wrong(bind, homes.zone).await? == 0).then_some(at))
    })
    .await?;
    until("the fleet has nothing left to do", limit, Duration::from_millis(200), async || {
        Ok((stage.unanswered().await? == 0).then_some(()))
    })
    .await?;
    let settled = began.elapsed();
    let cpu = Used::by_now(stage, fleet, ingress, bind).await? - cpu;
    let updates = statistics::read(bind).await?.received - counted.received;
    ensure!(
        updates == u64::from(names.records),
        "BIND has got {updates} updates for {} records: each is to be sent once",
        names.records
    );
    let mut took = Vec::new();
    while let Some(watch) = watches.join_next().await {
        took.push(watch.context("a watch panicked")??);
    }
    let noted = noted(stage, homes).await?;
    Ok(Changed {
        seconds: right.as_secs_f64(),
        updates_per_second: rate(names.records as usize, right),
        calls_seconds: calls.as_secs_f64(),
        settled_seconds: settled.as_secs_f64(),
        watched: took.len(),
        p50_ms: ms(percentile(&took, 50)),
        p99_ms: ms(percentile(&took, 99)),
        max_ms: ms(percentile(&took, 100)),
        verify_p50_ms: noted.verify[0],
        verify_p99_ms: noted.verify[1],
        updates,
        history: noted.history,
        cpu,
        worker_mib: usage::memory(fleet.worker.pid()?)?,
    })
}

/// Asks for a name until its answer is right. Gives how long that took.
async fn watch(
    server: SocketAddr,
    host: String,
    address: IpAddr,
    limit: Duration,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        // What gets lost is asked for again.
        let found = ask(server, &host).await.unwrap_or_default();
        let took = began.elapsed();
        if found == [address] {
            return Ok(took);
        }
        if took > limit {
            bail!("{host} is {found:?} at BIND and not {address}, after {limit:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the fleet has noted.
struct Noted {
    /// p50 and p99 of its looks, in milliseconds.
    verify: [f64; 2],
    history: BTreeMap<String, i64>,
}

/// Each record must be noted as sent and seen, with one line of history for the update.
async fn noted(stage: &Stage, homes: &Homes) -> anyhow::Result<Noted> {
    let row = sqlx::query(
        "select count(*),
            count(*) filter (where f.sent = a.address and f.verified_at >= f.sent_at and f.sending is null),
            coalesce(percentile_disc(0.5) within group (order by f.verify_ms), 0)::float8,
            coalesce(percentile_disc(0.99) within group (order by f.verify_ms), 0)::float8
        from dns_records r
        join dns_record_families f on f.record_id = r.id
        join dns_address_families a using (address_id, family)",
    )
    .fetch_one(&stage.db)
    .await?;
    let (families, noted): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    ensure!(noted == families, "{noted} of {families} records are noted as sent and seen");
    let history: BTreeMap<String, i64> =
        sqlx::query_as("select what, count(*) from dns_history group by what")
            .fetch_all(&stage.db)
            .await?
            .into_iter()
            .collect();
    let good = history.get("good").copied().unwrap_or_default();
    ensure!(good == i64::from(homes.names.records), "the history has {good} updates: {history:?}");
    Ok(Noted { verify: [row.try_get(2)?, row.try_get(3)?], history })
}
