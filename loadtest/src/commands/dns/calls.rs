//! Calls of routers: how many one ingress takes durably.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;
use shared::store::PgPool;
use tokio::task::JoinSet;

use super::Args;
use crate::stage::{
    Stage,
    fleet::Ingress,
    homes::{Homes, Names, Routers},
    stats::{ms, percentile, rate},
    usage,
};

/// Calls of one login that change nothing, at the most: after 120 at once it is told to stop.
const AT_ONCE: usize = 100;

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// One of each login, as the address is: the first that this ingress hears of it.
    First,
    /// Each with another address than the one before.
    Good,
    /// Each with the address as it is.
    NoChange,
}

/// The figures of one sort.
#[derive(Debug, Serialize)]
pub struct Called {
    pub calls: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// CPU seconds.
    pub ingress_cpu: f64,
    pub postgres_cpu: f64,
}

/// Calls for as long as `--seconds`, or once for each login; those that change nothing as often as a login may. Each answer must be the expected one, and what was acknowledged must be
/// in the database afterwards.
pub async fn measure(
    stage: &Stage,
    ingress: &Ingress,
    homes: &Homes,
    sort: Sort,
    args: &Args,
) -> anyhow::Result<Called> {
    let routers = Routers::new(ingress.public, homes)?;
    let stand: Arc<[Ipv4Addr]> = stand(&stage.db, homes).await?.into();
    let callers = args.connections.min(homes.names.addresses);
    let cpu = || anyhow::Ok((usage::process_cpu(ingress.role.pid()?)?, stage.postgres_cpu()?));
    let (before, began) = (cpu()?, Instant::now());
    let until = began + Duration::from_secs(args.seconds);
    let mut calling = JoinSet::new();
    for first in 0..callers {
        // Each caller has homes of its own, so that it knows how they stand.
        let own: Vec<_> = (first..homes.names.addresses)
            .step_by(callers as usize)
            .map(|home| (home, stand[home as usize]))
            .collect();
        calling.spawn(caller(routers.clone(), own, sort, until));
    }
    let (mut took, mut told) = (Vec::new(), Vec::new());
    while let Some(called) = calling.join_next().await {
        let (of_caller, ends) = called.context("a caller panicked")??;
        took.extend(of_caller);
        told.extend(ends);
    }
    let (all, after) = (began.elapsed(), cpu()?);
    let stand = self::stand(&stage.db, homes).await?;
    let lost = told.iter().filter(|(home, address)| stand[*home as usize] != *address).count();
    ensure!(lost == 0, "{lost} addresses were acknowledged and are not in the database");
    Ok(Called {
        calls: took.len(),
        per_second: rate(took.len(), all),
        p50_ms: ms(percentile(&took, 50)),
        p99_ms: ms(percentile(&took, 99)),
        ingress_cpu: after.0 - before.0,
        postgres_cpu: after.1 - before.1,
    })
}

/// Calls for its homes in turn. Gives how long each call took, and the last address of each home.
async fn caller(
    routers: Routers,
    mut homes: Vec<(u32, Ipv4Addr)>,
    sort: Sort,
    until: Instant,
) -> anyhow::Result<(Vec<Duration>, Vec<(u32, Ipv4Addr)>)> {
    let mut took = Vec::new();
    let turns = match sort {
        Sort::First => homes.len(),
        Sort::Good => usize::MAX,
        Sort::NoChange => homes.len() * AT_ONCE,
    };
    for turn in 0..turns {
        if sort != Sort::First && Instant::now() >= until {
            break;
        }
        let place = turn % homes.len();
        let (home, address) = &mut homes[place];
        let expected = if sort == Sort::Good {
            *address =
                if *address == Names::after(*home) { Names::before(*home) } else { Names::after(*home) };
            "good"
        } else {
            "nochg"
        };
        let began = Instant::now();
        let answer = routers.tell_until_heard(*home, *address).await?;
        took.push(began.elapsed());
        ensure!(answer == expected, "a call was answered with {answer:?} in place of {expected:?}");
    }
    Ok((took, homes))
}

/// The homes' addresses by the database.
async fn stand(db: &PgPool, homes: &Homes) -> anyhow::Result<Vec<Ipv4Addr>> {
    let found: Vec<String> = sqlx::query_scalar(
        "select host(f.address)
        from generate_series(0, $2 - 1) n
        join dns_hosts h on h.hostname = 'home-' || n || '.' || $1
        join dns_address_families f on f.address_id = h.address_id and f.family = 'ipv4'
        order by n",
    )
    .bind(homes.zone)
    .bind(i32::try_from(homes.names.addresses)?)
    .fetch_all(db)
    .await?;
    ensure!(found.len() == homes.names.addresses as usize, "{} homes are there", found.len());
    found.iter().map(|address| address.parse().context("an address that is none")).collect()
}
