//! How soon a change at Google is in the mirror.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use loadtest::fake_google::{EventDraft, Operation, When};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;
use serde_json::Value;
use shared::{secrets::KeyRing, store::job_state};
use tokio::task::JoinSet;

use super::Args;
use crate::stage::{
    Stage, accounts,
    fleet::free,
    google::Google,
    stats::{ms, percentile, rate},
    until,
};

/// Calendars of an account.
const PER_ACCOUNT: u32 = 10;

/// 2030-01-01, when the new events begin.
const START: i64 = 1_893_456_000;

/// Each row's moment, told as its transaction commits.
const ARRIVALS: [&str; 3] = [
    "create table push_arrivals (event_id text primary key, at timestamptz not null)",
    "create function push_arrived() returns trigger language plpgsql as $$
    begin
        insert into push_arrivals values (new.event_id, clock_timestamp()) on conflict do nothing;
        return null;
    end $$",
    "create constraint trigger push_arrived after insert on events deferrable initially deferred
        for each row execute function push_arrived()",
];

/// What was followed.
#[derive(Debug, Serialize)]
pub struct Followed {
    pub changes: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// A whole fleet mirrors and watches the calendars; then they change. No change may be missing at the end.
pub async fn measure(
    stage: &Stage,
    google: &Google,
    keys: &KeyRing,
    settings: &[(&'static str, String)],
    args: &Args,
) -> anyhow::Result<Followed> {
    let limit = Duration::from_secs(args.limit);
    let people = google.seed(args.calendars.div_ceil(PER_ACCOUNT) as usize, PER_ACCOUNT as usize, 3).await?;
    let public = free().await?;
    let mut settings = settings.to_vec();
    settings.push(("SYNCFLEET_PUBLIC_URL", format!("http://{public}/")));
    let ingress = stage.ingress(public, &settings).await?;
    let fleet = stage.fleet_with(&args.lanes.to_string(), &settings).await?;
    let lists = accounts::add(&stage.db, keys, &people, "calendar_list").await?;
    job_state::want(&mut *stage.db.acquire().await?, &lists, None, None).await?;
    let calendars: Vec<&str> =
        people.iter().flat_map(|person| &person.calendars).map(String::as_str).collect();
    let expected = calendars.len() + people.len();
    until("all calendars are watched and in step", limit, Duration::from_millis(500), async || {
        let (heard, unanswered): (i64, i64) = sqlx::query_as(
            "select (select count(*) from channels where state = 'live' and heard_at is not null),
                (select count(*) from job_state where wanted > done)",
        )
        .fetch_one(&stage.db)
        .await?;
        Ok((usize::try_from(heard)? >= expected && unanswered == 0).then_some(()))
    })
    .await?;
    for statement in ARRIVALS {
        sqlx::query(statement).execute(&stage.db).await?;
    }
    let began = Instant::now();
    let made = change(google, &calendars, args).await?;
    let took = began.elapsed();
    let arrived = until("all changes are mirrored", limit, Duration::from_millis(200), async || {
        let rows: Vec<(String, DateTime<Utc>)> =
            sqlx::query_as("select event_id, at from push_arrivals").fetch_all(&stage.db).await?;
        let rows: HashMap<_, _> = rows.into_iter().collect();
        Ok(made.keys().all(|id| rows.contains_key(id)).then_some(rows))
    })
    .await?;
    ensure!(google.push().await?.counts.given_up == 0, "notifications were lost");
    let delays: Vec<Duration> =
        made.iter().map(|(id, at)| (arrived[id] - *at).to_std().unwrap_or_default()).collect();
    ingress.stop().await?;
    fleet.stop().await.context("the fleet does not end")?;
    Ok(Followed {
        changes: delays.len(),
        per_second: rate(delays.len(), took),
        p50_ms: ms(percentile(&delays, 50)),
        p99_ms: ms(percentile(&delays, 99)),
        max_ms: ms(percentile(&delays, 100)),
    })
}

/// Adds events at an even pace, and gives when each one was asked for: Google has it a little later.
async fn change(
    google: &Google,
    calendars: &[&str],
    args: &Args,
) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
    let mut rng = StdRng::seed_from_u64(args.place.seed);
    let start = DateTime::from_timestamp(START, 0).unwrap_or_default().fixed_offset();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / args.changes);
    let mut under_way = JoinSet::new();
    for _ in 0..u64::from(args.changes) * args.seconds {
        ticks.tick().await;
        let calendar = calendars[rng.random_range(0..calendars.len())].to_owned();
        let event = EventDraft::new("New", When::at(start, Some("Europe/Berlin")));
        let apply = google.applying(&Operation::PutEvent { calendar, event });
        under_way.spawn(async move {
            let at = DateTime::<Utc>::from(SystemTime::now());
            let answer: Value = apply.await?;
            let id = answer["id"].as_str().context("the change has no id")?.to_owned();
            anyhow::Ok((id, at))
        });
    }
    let mut made = HashMap::new();
    while let Some(one) = under_way.join_next().await {
        let (id, at) = one.context("a change panicked")??;
        made.insert(id, at);
    }
    Ok(made)
}
