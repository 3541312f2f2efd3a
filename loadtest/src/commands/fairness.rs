//! `loadtest fairness`: whether one tenant's backlog delays another one's single job.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    job::JobId,
    store::{PgPool, job_state},
};
use tokio::task::JoinSet;

use super::engine::Form;
use crate::stage::{
    Place, Stage,
    fleet::Fleet,
    jobs::passes_of,
    on_stage,
    stats::{ms, percentile, rate},
    until,
};

/// The most jobs of one want of the backlog.
const BATCH: usize = 1_000;

/// How often the backlog is filled up again.
const FILL: Duration = Duration::from_millis(50);

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Due jobs of the first tenant, all the time
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    backlog: u32,
    /// Jobs of the second tenant: one falls due by its timer each second
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3_600))]
    seconds: u32,
    /// The worker's slots
    #[arg(long, default_value = "interactive=8,normal=32,bulk=4")]
    lanes: String,
    /// How the figures are printed
    #[arg(long, value_enum, default_value_t = Form::Table)]
    report: Form,
}

#[derive(Debug, Serialize)]
struct Report {
    backlog_wanted: u32,
    /// The fewest due jobs of the first tenant at any look.
    backlog_least: i64,
    lanes: String,
    backlog_jobs_per_second: f64,
    others: usize,
    /// From the time that the timer named to the claim.
    start_p50_ms: f64,
    start_p99_ms: f64,
    start_max_ms: f64,
}

/// Measures, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let report = on_stage(&args.place, async |stage| measure(stage, &args).await).await?;
    let text = match args.report {
        Form::Json => serde_json::to_string(&report)?,
        Form::Table => format!(
            "| fairness | value |\n|---|---:|\n\
             | due jobs of one tenant, at least | {} |\n\
             | of them done, jobs/s ({}) | {:.0} |\n\
             | the other's jobs, one a second by timer | {} |\n\
             | their start delay, p50 / p99 / max, ms | {:.0} / {:.0} / {:.0} |",
            report.backlog_least,
            report.lanes,
            report.backlog_jobs_per_second,
            report.others,
            report.start_p50_ms,
            report.start_p99_ms,
            report.start_max_ms,
        ),
    };
    writeln!(std::io::stdout(), "{text}").context("cannot print the figures")
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Report> {
    let backlog = args.backlog as usize;
    // Some more than are to be due at a time: those that are done are wanted again.
    let many = stage.make_jobs("many", 1, backlog + backlog / 5, None, args.place.seed).await?;
    let few = stage.make_jobs("few", 1, args.seconds as usize, None, args.place.seed).await?;
    want(&stage.db, &many[..backlog]).await?;
    let fleet = stage.fleet(&args.lanes).await?;

    let due = timers(&stage.db, &few).await?;
    let began = Instant::now();
    let before = passes_of(&fleet).await?;
    let mut looks = JoinSet::new();
    looks.spawn(least_backlog(stage.db.clone(), many.clone(), Duration::from_secs(args.seconds.into())));
    let starts = {
        let filling = fill(stage, &fleet, &many, backlog);
        let starting = starts(&stage.db, &few, Duration::from_secs(u64::from(args.seconds) + 60));
        tokio::select! {
            starts = starting => starts?,
            failed = filling => return Err(failed.err().context("the backlog was not filled up any more")?),
        }
    };
    let took = began.elapsed();
    let done = passes_of(&fleet).await? - before;
    let least = looks.join_next().await.context("nobody looked at the backlog")???;
    fleet.stop().await?;

    let delays: Vec<Duration> = starts
        .iter()
        .map(|(job, started)| {
            let due = due.iter().find(|(id, _)| id == job).context("a run of another job")?.1;
            Ok((*started - due).to_std().unwrap_or_default())
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Report {
        backlog_wanted: args.backlog,
        backlog_least: least,
        lanes: args.lanes.clone(),
        backlog_jobs_per_second: rate(done, took),
        others: delays.len(),
        start_p50_ms: ms(percentile(&delays, 50)),
        start_p99_ms: ms(percentile(&delays, 99)),
        start_max_ms: ms(percentile(&delays, 100)),
    })
}

/// Wants jobs without the bell: the dispatcher alone decides.
async fn want(db: &PgPool, jobs: &[JobId]) -> anyhow::Result<()> {
    let mut connection = db.acquire().await?;
    for batch in jobs.chunks(BATCH) {
        job_state::want(&mut connection, batch, None, None).await?;
    }
    Ok(())
}

/// Wants again what was done, for ever.
async fn fill(stage: &Stage, fleet: &Fleet, jobs: &[JobId], backlog: usize) -> anyhow::Result<()> {
    let before = passes_of(fleet).await?;
    let mut again = jobs.iter().copied().cycle().skip(backlog);
    let mut wanted = 0;
    let mut ticks = tokio::time::interval(FILL);
    loop {
        ticks.tick().await;
        let done = passes_of(fleet).await? - before;
        let missing: Vec<JobId> = again.by_ref().take(done - wanted).collect();
        wanted = done;
        want(&stage.db, &missing).await?;
    }
}

/// Sets one job after the other to fall due, a second apart, from a second from now on.
async fn timers(db: &PgPool, jobs: &[JobId]) -> anyhow::Result<Vec<(JobId, DateTime<Utc>)>> {
    let set = sqlx::query!(
        r#"update job_state s set run_at = clock() + make_interval(secs => j.place)
        from unnest($1::bigint[]) with ordinality as j (job_id, place)
        where s.job_id = j.job_id
        returning s.job_id, s.run_at"#,
        jobs,
    )
    .fetch_all(db)
    .await?;
    Ok(set.into_iter().map(|row| (row.job_id, row.run_at)).collect())
}

/// When each of the jobs was started, once all of them were.
async fn starts(db: &PgPool, jobs: &[JobId], limit: Duration) -> anyhow::Result<Vec<(JobId, DateTime<Utc>)>> {
    until("the other tenant's jobs have run", limit, Duration::from_millis(500), async || {
        let runs = sqlx::query!(
            r#"select job_id, min(started_at) as "started_at!" from runs where job_id = any($1) group by 1"#,
            jobs,
        )
        .fetch_all(db)
        .await?;
        Ok((runs.len() == jobs.len())
            .then(|| runs.into_iter().map(|run| (run.job_id, run.started_at)).collect()))
    })
    .await
}

/// Looks at the backlog every five seconds.
async fn least_backlog(db: PgPool, jobs: Vec<JobId>, time: Duration) -> anyhow::Result<i64> {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    let began = Instant::now();
    let mut least = i64::MAX;
    while began.elapsed() < time {
        ticks.tick().await;
        let due = sqlx::query_scalar!(
            r#"select count(*) as "due!" from job_state where job_id = any($1) and run_at <= clock()"#,
            &jobs,
        )
        .fetch_one(&db)
        .await?;
        least = least.min(due);
    }
    Ok(least)
}
