//! Answers that are errors, and what becomes of the job.

use std::time::Duration;

use loadtest::fake_google::{Api, FaultBody, FaultKind, FaultRule};
use shared::{
    google::Google,
    job::{GateScope, Parked, Verdict},
    store::PgPool,
};
use tokio::net::TcpListener;
use worker::jobs::Context;

use crate::rig::{ANNA, Rig, config, draft};

fn status(status: u16, reason: Option<&str>, retry_after_s: Option<u32>, body: FaultBody) -> FaultRule {
    let reason = reason.map(str::to_owned);
    FaultRule::new(FaultKind::Status { status, reason, retry_after_s, body }).on(Api::Events).times(1)
}

/// The verdict that a fault brings; after it the pass must go on as if nothing had been.
async fn after(db: PgPool, fault: FaultRule) -> anyhow::Result<Verdict> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..5 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    rig.step(job).await?;
    rig.fake.add_fault(fault)?;
    let verdict = rig.step(job).await?.verdict;
    assert_eq!(rig.mirrored().await?.len(), 2, "a failed step writes nothing");
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.fake.stats().events.full, 1, "the pass went on where it was");
    Ok(verdict)
}

fn throttled(verdict: &Verdict) -> Option<(GateScope, Duration)> {
    match verdict {
        Verdict::Throttled { scope, after, .. } => Some((*scope, *after)),
        _ => None,
    }
}

fn reason_of_retry(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Retry { why, .. } => why,
        _ => "",
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_429_closes_the_accounts_gate_for_as_long_as_google_says(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, status(429, None, Some(7), FaultBody::Json)).await?;
    let (scope, time) = throttled(&verdict).unwrap();
    assert_eq!(scope, GateScope::Account);
    assert!((7.0..9.0).contains(&time.as_secs_f64()), "{time:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_429_of_the_newer_shape_without_retry_after(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, status(429, None, None, FaultBody::Rpc)).await?;
    let (scope, time) = throttled(&verdict).unwrap();
    assert_eq!(scope, GateScope::Account);
    assert!(time >= Duration::from_secs(30), "{time:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_403_for_the_rate_closes_the_accounts_gate(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, status(403, Some("userRateLimitExceeded"), None, FaultBody::Json)).await?;
    assert_eq!(throttled(&verdict).unwrap().0, GateScope::Account);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_used_up_day_closes_the_projects_gate(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, status(403, Some("dailyLimitExceeded"), None, FaultBody::Json)).await?;
    assert_eq!(throttled(&verdict).unwrap().0, GateScope::Provider);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_a_page_of_html_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, status(503, None, None, FaultBody::Html)).await?;
    assert!(reason_of_retry(&verdict).contains("503 without an error object"), "{verdict:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_each_status_of_the_backend_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for code in [500, 502, 503, 504] {
        for body in [FaultBody::Json, FaultBody::Html, FaultBody::Empty] {
            rig.fake.add_fault(status(code, None, None, body))?;
            let verdict = rig.step(job).await?.verdict;
            assert!(reason_of_retry(&verdict).contains(&format!("answered {code}")), "{verdict:?}");
        }
    }
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_a_good_status_with_html_or_nothing_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for (body, words) in [(FaultBody::Html, "not JSON"), (FaultBody::Empty, "broke off")] {
        rig.fake.add_fault(status(200, None, None, body))?;
        let verdict = rig.step(job).await?.verdict;
        assert!(reason_of_retry(&verdict).contains(words), "{verdict:?}");
    }
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_a_reset_connection_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, FaultRule::new(FaultKind::Reset).on(Api::Events).times(1)).await?;
    assert!(reason_of_retry(&verdict).contains("events.list: "), "{verdict:?}");
    Ok(())
}

/// It takes as long as a call may take.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_an_answer_that_drips_is_given_up(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, FaultRule::new(FaultKind::Drip { ms: 100 }).on(Api::Events).times(1)).await?;
    assert!(reason_of_retry(&verdict).contains("no answer within 15 s"), "{verdict:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_a_refused_connection_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let nobody = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let mut elsewhere = config(&rig.fake)?;
    elsewhere.calendar_url = format!("http://{nobody}/calendar/v3/").parse()?;
    let context = Context { google: Some(Google::new(elsewhere, rig.keys.clone())?), ..rig.context.clone() };
    let run = rig.claim(job).await?;
    let verdict = rig.step_of(&context, &run).await?.verdict;
    assert!(reason_of_retry(&verdict).contains("refused"), "{verdict:?}");
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_an_empty_answer_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, status(502, None, None, FaultBody::Empty)).await?;
    assert!(reason_of_retry(&verdict).contains("502"), "{verdict:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_a_body_that_breaks_off_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, FaultRule::new(FaultKind::Truncated).on(Api::Events).times(1)).await?;
    assert!(reason_of_retry(&verdict).contains("broke off"), "{verdict:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_70_a_cut_connection_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let verdict = after(db, FaultRule::new(FaultKind::Cut).on(Api::Events).times(1)).await?;
    assert!(reason_of_retry(&verdict).contains("events.list: "), "{verdict:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_34_a_malformed_item_does_not_cost_the_others(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for n in 0..5 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    rig.fake.add_fault(FaultRule::new(FaultKind::Malformed).on(Api::Events).times(1))?;
    assert_eq!(rig.complete(job).await?, 1);
    assert!(rig.fake.world().truth_rows().len() == 5);
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_71_a_missing_scope_is_not_retried_and_parks_what_needs_it(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.add_fault(status(403, Some("insufficientPermissions"), None, FaultBody::Json))?;
    let refreshed = rig.fake.stats().refreshes;
    let verdict = rig.step(job).await?.verdict;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::Scope, .. }), "{verdict:?}");
    let asked = rig.fake.stats();
    assert_eq!((asked.requests[&Api::Events]["403"], asked.events.full), (1, 1), "it was asked for once");
    assert_eq!(asked.refreshes, refreshed, "no new token can help");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_bad_request_without_a_token_is_not_repeated(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.add_fault(status(400, None, None, FaultBody::Json))?;
    let verdict = rig.step(job).await?.verdict;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::Failed, .. }), "{verdict:?}");
    Ok(())
}
