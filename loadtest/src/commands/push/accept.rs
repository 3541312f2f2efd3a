//! How many notifications are taken durably.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use shared::{
    google::channels::token::{Named, Tokens},
    secrets::KeyRing,
    store::{
        PgPool,
        accounts::{self, NewAccount},
        channels::{self, NewChannel},
        tenants,
    },
};

use super::{
    load::{self, Channel},
    peer,
};
use crate::stage::{
    Stage,
    fleet::free,
    metrics,
    stats::{ms, percentile, rate},
};

/// A round before the one that counts: connections and caches are cold.
const WARM: Duration = Duration::from_secs(1);

/// What a listener took.
#[derive(Debug, Serialize)]
pub struct Taken {
    pub notifications: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Rows that say so afterwards.
    pub written: i64,
}

/// Jobs of one account with a live channel each. Nobody runs them.
pub async fn channels(db: &PgPool, keys: &KeyRing, count: u32, seed: u64) -> anyhow::Result<Vec<Channel>> {
    let mut tx = db.begin().await?;
    let tenant = tenants::ensure(&mut tx, "pushed").await?;
    let new = NewAccount { tenant, provider: "google", subject: None, email: "pushed@example.com" };
    let account = accounts::insert(&mut tx, &new).await?.context("the account is there already")?;
    let jobs: Vec<i64> = sqlx::query_scalar(
        "with made as (
            insert into jobs (kind, key, tenant_id, account_id)
            select 'calendar_events', 'pushed-' || n, $1, $2 from generate_series(1, $3) n
            returning id, kind, tenant_id, account_id
        )
        insert into job_state (job_id, kind, tenant_id, account_id, lane, run_at)
        select id, kind, tenant_id, account_id, 'normal', 'infinity' from made order by id
        returning job_id",
    )
    .bind(tenant)
    .bind(account)
    .bind(i32::try_from(count)?)
    .fetch_all(&mut *tx)
    .await?;
    let tokens = Tokens::new(keys)?;
    let new: Vec<NewChannel> = jobs
        .iter()
        .map(|job| NewChannel {
            id: format!("{seed:016x}{job:016x}"),
            job: *job,
            api: "calendar",
            address: String::new(),
        })
        .collect();
    channels::ask(&mut tx, account, Duration::from_hours(24), &new).await?;
    sqlx::query("update channels set state = 'live', resource_id = 'r' || job_id").execute(&mut *tx).await?;
    tx.commit().await?;
    sqlx::query("vacuum analyze jobs, job_state, channels").execute(db).await?;
    Ok(new
        .into_iter()
        .map(|channel| Channel {
            token: tokens.make(&channel.id, Named { account, job: channel.job }),
            resource_id: format!("r{}", channel.job),
            id: channel.id,
        })
        .collect())
}

/// Takes it all away again.
pub async fn clear(db: &PgPool) -> anyhow::Result<()> {
    sqlx::query("delete from tenants where name = 'pushed'").execute(db).await?;
    Ok(())
}

/// One ingress of the fleet.
pub async fn ingress(
    stage: &Stage,
    settings: &[(&str, String)],
    channels: &[Channel],
    at_once: usize,
    time: Duration,
) -> anyhow::Result<Taken> {
    let ingress = stage.ingress(free().await?, settings).await?;
    let url = format!("http://{}/webhooks/google/calendar", ingress.public);
    let warm = load::send(&url, channels, at_once, WARM).await?.len();
    let (took, rate) = timed(&url, channels, at_once, time).await?;
    let text = ingress.role.metrics().await?;
    let counted = metrics::sum(&text, "syncfleet_push_requests_total", &[("result", "wanted")]);
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    let sent = (warm + took.len()) as f64;
    ensure!((counted - sent).abs() < 0.5, "{sent} notifications were sent, and {counted} were taken");
    ingress.stop().await?;
    let written = sqlx::query_scalar("select count(*) from job_state where wanted > done");
    let written: i64 = written.fetch_one(&stage.db).await?;
    ensure!(
        usize::try_from(written)? == channels.len() || took.len() < 10 * channels.len(),
        "{written} of {} jobs are wanted",
        channels.len()
    );
    Ok(taken(&took, rate, written))
}

/// A listener of the same shape, with one INSERT for each notification.
pub async fn insert(
    stage: &Stage,
    channels: &[Channel],
    key: &SecretString,
    at_once: usize,
    time: Duration,
) -> anyhow::Result<Taken> {
    sqlx::query(peer::TABLE).execute(&stage.db).await?;
    let peer = peer::start(stage.database_url(), key.expose_secret()).await?;
    load::send(&peer.url, channels, at_once, WARM).await?;
    let (took, rate) = timed(&peer.url, channels, at_once, time).await?;
    drop(peer);
    let written: i64 = sqlx::query_scalar("select count(*) from push_peer").fetch_one(&stage.db).await?;
    ensure!(usize::try_from(written)? >= took.len(), "{} were answered, {written} are written", took.len());
    Ok(taken(&took, rate, written))
}

async fn timed(
    url: &str,
    channels: &[Channel],
    at_once: usize,
    time: Duration,
) -> anyhow::Result<(Vec<Duration>, f64)> {
    let began = Instant::now();
    let took = load::send(url, channels, at_once, time).await?;
    let rate = rate(took.len(), began.elapsed());
    Ok((took, rate))
}

fn taken(took: &[Duration], per_second: f64, written: i64) -> Taken {
    Taken {
        notifications: took.len(),
        per_second,
        p50_ms: ms(percentile(took, 50)),
        p99_ms: ms(percentile(took, 99)),
        written,
    }
}
