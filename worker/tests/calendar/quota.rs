//! The budget of calls, and Google's own word on limits.

#[path = "quota/fleet.rs"]
mod fleet;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use loadtest::fake_google::{Api, FaultBody, FaultKind, FaultRule, Options, QuotaLimits};
use shared::{
    config::google::{GoogleConfig, Limits},
    google::{
        Google,
        calendar::Place,
        errors::{CallError, Class},
        quota::QuotaError,
    },
    job::{AccountId, GateScope, ThrottledBy, Verdict},
    store::PgPool,
};
use worker::jobs::Context;

use crate::rig::{ANNA, PLENTY, Rig, config, draft};

fn status(status: u16, reason: Option<&str>, retry_after_s: Option<u32>, body: FaultBody) -> FaultKind {
    FaultKind::Status { status, reason: reason.map(str::to_owned), retry_after_s, body }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_67_each_refusal_closes_the_right_gate_for_as_long_as_it_should(
    db: PgPool,
) -> anyhow::Result<()> {
    use FaultBody::{Json, Rpc};
    let (rig, job) = Rig::anna(db, 10).await?;
    let (account, project) = (GateScope::Account, GateScope::Provider);
    let minutes = |minutes: u64| minutes * 60;
    for (fault, scope, least) in [
        (status(403, Some("rateLimitExceeded"), None, Json), account, 30),
        (status(403, Some("userRateLimitExceeded"), None, Json), account, 30),
        (status(403, Some("userRateLimitExceeded"), Some(90), Json), account, 90),
        (status(403, Some("quotaExceeded"), None, Json), account, minutes(10)),
        (status(403, Some("calendarUsageLimitsExceeded"), None, Json), account, minutes(10)),
        (status(403, Some("dailyLimitExceeded"), None, Json), project, minutes(60)),
        (status(429, None, None, Json), account, 30),
        (status(429, None, Some(7), Json), account, 7),
        (status(429, None, Some(0), Json), account, 1),
        (status(429, None, Some(1_000_000), Json), account, minutes(60)),
        (status(429, None, None, Rpc), account, 30),
        (status(403, None, Some(5), Rpc), account, 5),
    ] {
        let what = format!("{fault:?}");
        rig.fake.add_fault(FaultRule::new(fault).on(Api::Events).times(1))?;
        let Verdict::Throttled { scope: closed, by, after, .. } = rig.step(job).await?.verdict else {
            anyhow::bail!("{what} does not throttle")
        };
        assert_eq!((closed, by), (scope, ThrottledBy::Provider), "{what}");
        let time = Duration::from_secs(least);
        assert!(after >= time && after <= time.mul_f64(1.25), "{what}: {after:?}");
    }
    rig.complete(job).await?;
    Ok(())
}

/// A process with these limits.
fn process(rig: &Rig, calendar_limits: Limits) -> anyhow::Result<Google> {
    Google::new(GoogleConfig { calendar_limits, ..config(&rig.fake)? }, rig.keys.clone())
}

/// Calls from three processes at once. Says how many were made, and the errors.
async fn storm(rig: &Rig, account: AccountId, limits: Limits) -> anyhow::Result<(usize, Vec<CallError>)> {
    let processes = [process(rig, limits)?, process(rig, limits)?, process(rig, limits)?];
    let calls = (0..180).map(|n| processes[n % 3].calendar_list(&rig.db, account, Place::default()));
    let (made, failed): (Vec<_>, Vec<_>) = join_all(calls).await.into_iter().partition(Result::is_ok);
    Ok((made.len(), failed.into_iter().filter_map(Result::err).collect()))
}

async fn one_account(db: PgPool) -> anyhow::Result<(Rig, AccountId)> {
    let rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    rig.fake.world().add_calendar(ANNA, None, "Anna")?;
    let account = rig.connect(ANNA, "refresh-anna").await?;
    Ok((rig, account))
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_69_google_refuses_no_call_of_a_fleet_that_keeps_its_budget(db: PgPool) -> anyhow::Result<()> {
    let (rig, account) = one_account(db).await?;
    rig.fake.limit(QuotaLimits { per_project: Some(100), per_user: None });
    let (made, refused) = storm(&rig, account, Limits { per_minute: 100, ..PLENTY }).await?;
    assert!(made >= 5 && made + refused.len() == 180, "{made}");
    for error in &refused {
        assert!(matches!(error, CallError::Quota(QuotaError::Spent { account: None, .. })), "{error}");
    }
    let counts = rig.fake.quota();
    assert_eq!(
        (counts.most, counts.refused_to_project),
        (made + 1, 0),
        "no other call came but the one that told whose the account is"
    );
    let (drawn, calls): (i64, i64) =
        sqlx::query_as("select sum(today) filter (where account_id = 0)::bigint, count(*) from quotas")
            .fetch_one(&rig.db)
            .await?;
    assert!(usize::try_from(drawn)? >= made, "{drawn} drawn, {made} made");
    assert_eq!(calls, 2);

    // Without the budget the same storm is refused, and the rate in use is halved, once for all three processes.
    let (_, refused) = storm(&rig, account, PLENTY).await?;
    assert!(rig.fake.quota().refused_to_project > 10);
    let rates: Vec<(AccountId, f64)> =
        sqlx::query_as("select account_id, rate from quotas order by 1").fetch_all(&rig.db).await?;
    assert_eq!(rates, [(0, 0.5), (account, 1.0)]);
    for error in &refused {
        let Some(Class::SlowDown { scope, .. }) = error.class() else { anyhow::bail!("{error}") };
        assert_eq!(scope, GateScope::Provider, "{error}");
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_empty_budget_ends_the_step_and_makes_no_call(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 1).await?;
    for n in 0..10 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    for (limits, closed, scope) in [
        (Limits { user_per_minute: 10, ..PLENTY }, GateScope::Account, "account"),
        (Limits { per_minute: 10, ..PLENTY }, GateScope::Provider, "project"),
    ] {
        let context = Context { google: Some(process(&rig, limits)?), ..rig.context.clone() };
        // Other processes have left next to nothing.
        let began = Instant::now();
        sqlx::query("update quotas set units = 1, drawn_at = clock()").execute(&rig.db).await?;
        let run = rig.claim(job).await?;
        let verdict = rig.step_of(&context, &run).await?.verdict;
        assert!(matches!(verdict, Verdict::Continue { .. }), "{verdict:?}");
        let calls = rig.fake.quota().most;
        let run = rig.claim(job).await?;
        let verdict = rig.step_of(&context, &run).await?.verdict;
        let Verdict::Throttled { scope: throttled, by: ThrottledBy::Share, after, why } = verdict else {
            anyhow::bail!("{verdict:?}")
        };
        assert_eq!((throttled, rig.fake.quota().most), (closed, calls));
        assert!(why.contains(&format!("the {scope}'s budget of calendar calls is used up")), "{why}");
        // A bucket of one unit fills in 68/9 seconds, and began to since.
        let whole = after + began.elapsed();
        assert!(after.as_secs_f64() < 7.6 && whole.as_secs_f64() > 7.5, "{after:?}, {whole:?}");
    }
    rig.complete(job).await?;
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_token_endpoint_costs_nothing_and_a_second_try_does(db: PgPool) -> anyhow::Result<()> {
    let (rig, account) = one_account(db).await?;
    // A full bucket of six units: more than the four calls need, so that none waits, and so few that nothing is drawn ahead.
    let google = process(&rig, Limits { user_per_minute: 120, ..PLENTY })?;
    google.calendar_list(&rig.db, account, Place::default()).await?;
    rig.fake.world().expire_access_tokens(None)?;
    google.calendar_list(&rig.db, account, Place::default()).await?;
    let drawn: i64 =
        sqlx::query_scalar("select today from quotas where account_id <> 0").fetch_one(&rig.db).await?;
    let tokens = rig.fake.stats().refreshes[ANNA];
    assert_eq!(
        (drawn, rig.fake.quota().most, tokens),
        (4, 4, 2),
        "whose it is, one, one that is refused, and one again"
    );
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_67_what_google_refuses_is_asked_for_at_half_the_rate(db: PgPool) -> anyhow::Result<()> {
    use FaultBody::{Json, Rpc};
    let (rig, job) = Rig::anna(db, 10).await?;
    let (account,): (AccountId,) = sqlx::query_as("select id from accounts").fetch_one(&rig.db).await?;
    for (fault, slowed) in [
        (status(403, Some("rateLimitExceeded"), None, Json), true),
        (status(403, Some("userRateLimitExceeded"), None, Json), true),
        (status(429, None, None, Json), true),
        (status(429, None, Some(7), Rpc), true),
        (status(403, Some("quotaExceeded"), None, Json), false),
        (status(403, Some("dailyLimitExceeded"), None, Json), false),
        (status(503, None, None, Json), false),
    ] {
        let what = format!("{fault:?}");
        sqlx::query("update quotas set rate = 1, slowed_at = null").execute(&rig.db).await?;
        rig.fake.add_fault(FaultRule::new(fault).on(Api::Events).times(1))?;
        rig.step(job).await?;
        let rates: Vec<(AccountId, f64)> =
            sqlx::query_as("select account_id, rate from quotas order by 1").fetch_all(&rig.db).await?;
        assert_eq!(rates, [(0, 1.0), (account, if slowed { 0.5 } else { 1.0 })], "{what}");
    }
    rig.complete(job).await?;
    Ok(())
}
