use std::time::Duration;

use anyhow::anyhow;
use futures_util::{FutureExt, future::BoxFuture};
use shared::job::{
    Failure, GateScope, Lane, Parked, Policy, Retry, Run, Step, StepResult, ThrottledBy, Verdict,
};
use worker::jobs::{Context, Kind};

const POLICY: Policy = Policy {
    kind: "probe",
    about: "does what its key says",
    lane: Lane::Normal,
    interval: None,
    min_interval: Duration::ZERO,
    limit: Duration::from_mins(1),
    retry: Retry { base: Duration::from_hours(1), cap: Duration::from_hours(2), attempts: Some(3) },
    per_account: None,
    api: Some("probes"),
};

pub const PROBE: Kind = Kind { policy: POLICY, step };

/// The same with little patience.
pub const HASTY: Kind =
    Kind { policy: Policy { kind: "hasty", limit: Duration::from_millis(100), ..POLICY }, step };

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    act(context, run).boxed()
}

async fn act(context: &Context, run: &Run) -> StepResult {
    let what = run.key.split('#').next().unwrap_or_default();
    match what {
        "complete" => Ok(Step::quiet(Verdict::Complete)),
        "three-steps" => {
            let (tx, steps) = write(context, run).await?;
            let verdict = if steps % 3 == 0 { Verdict::Complete } else { Verdict::Continue { lane: None } };
            Ok(Step::wrote(verdict, tx, 1))
        }
        "until-told" => {
            write(context, run).await?.0.commit().await?;
            wait_to_be_told(context, run).await?;
            Ok(Step::quiet(Verdict::Complete))
        }
        "wait-when-told" => {
            let (tx, steps) = write(context, run).await?;
            if steps > 1 {
                return Ok(Step::wrote(Verdict::Complete, tx, 1));
            }
            wait_to_be_told(context, run).await?;
            let verdict = Verdict::Wait { after: Duration::from_hours(1), why: "an answer".to_owned() };
            Ok(Step::wrote(verdict, tx, 1))
        }
        "bulk-when-told" => {
            let (tx, steps) = write(context, run).await?;
            if steps > 1 {
                return Ok(Step::wrote(Verdict::Complete, tx, 1));
            }
            wait_to_be_told(context, run).await?;
            Ok(Step::wrote(Verdict::Continue { lane: Some(Lane::Bulk) }, tx, 1))
        }
        "write-when-told" => {
            wait_to_be_told(context, run).await?;
            Ok(Step::wrote(Verdict::Complete, write(context, run).await?.0, 1))
        }
        "panic" => panic!("the probe panics"),
        "fail" => Err(anyhow!("the probe fails").into()),
        "throttle" => Err(Failure::throttled(
            anyhow!("too much"),
            GateScope::Provider,
            ThrottledBy::Provider,
            Duration::from_hours(1),
        )),
        "sign-in" => Err(Failure::park(anyhow!("invalid_grant"), Parked::SignIn)),
        other => Err(Failure::park(anyhow!("the probe does not know {other:?}"), Parked::Failed)),
    }
}

async fn write(context: &Context, run: &Run) -> Result<(shared::store::Tx, i64), sqlx::Error> {
    let mut tx = context.db.begin().await?;
    let steps = sqlx::query_scalar(
        "insert into probes (job_id, steps) values ($1, 1)
        on conflict (job_id) do update set steps = probes.steps + 1 returning steps",
    )
    .bind(run.job)
    .fetch_one(&mut *tx)
    .await?;
    Ok((tx, steps))
}

async fn wait_to_be_told(context: &Context, run: &Run) -> Result<(), sqlx::Error> {
    loop {
        let told: bool = sqlx::query_scalar("select exists (select from told where job_id = $1)")
            .bind(run.job)
            .fetch_one(&context.db)
            .await?;
        if told {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
