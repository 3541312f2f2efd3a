//! A real worker on a real database: what becomes of steps that finish, fail, panic, hang, lose their lease or are told to
//! stop.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fleet;
mod probe;

use std::time::Duration;

use fleet::{Fleet, Row};
use probe::PROBE;
use shared::job::Policy;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use worker::jobs::Kind;

const MIGRATOR: &sqlx::migrate::Migrator = &shared::store::schema::MIGRATOR;

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_wanted_job_is_done_and_leaves_a_row_of_history(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("complete").await;
    let row = fleet.until(job, |row| row.done == 1).await;
    assert_eq!((row.phase.as_str(), row.seen, row.attempt), ("idle", None, 0));
    assert_eq!(fleet.outcomes(job).await, ["complete"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_long_pass_goes_on_step_by_step(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("three-steps").await;
    fleet.until(job, |row| row.done == 1).await;
    assert_eq!(fleet.outcomes(job).await, ["continue", "continue", "complete"]);
    assert_eq!(fleet.written(job).await, 3);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn wants_during_a_pass_are_answered_by_one_more(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("until-told").await;
    fleet.until(job, |row| row.phase == "running").await;
    for _ in 0..100 {
        fleet.want_again(job).await;
    }
    fleet.tell(job).await;
    let row = fleet.until(job, |row| row.done == row.wanted).await;
    assert_eq!(row.wanted, 101);
    assert_eq!(fleet.outcomes(job).await, ["complete", "complete"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_want_during_a_step_that_waits_is_answered_at_once(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("wait-when-told").await;
    fleet.until(job, |row| row.phase == "running").await;
    fleet.want_again(job).await;
    fleet.tell(job).await;
    // Its first step waits for an hour, its second one completes.
    fleet.until(job, |row| row.done == row.wanted).await;
    assert_eq!(fleet.outcomes(job).await[..2], ["wait", "complete"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_step_that_waits_without_a_new_want_waits(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.job_wanted_twice("wait-when-told").await;
    fleet.until(job, |row| row.phase == "running").await;
    fleet.tell(job).await;
    let row = fleet.until(job, |row| row.phase == "idle").await;
    assert!(!row.due, "{row:?}");
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_push_during_a_step_of_bulk_work_is_answered_in_its_own_lane(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let fleet = Fleet::start(database).await;
    let (alone, pushed) = (fleet.want("bulk-when-told#1").await, fleet.want("bulk-when-told#2").await);
    for job in [alone, pushed] {
        fleet.until(job, |row| row.phase == "running").await;
    }
    fleet.push(pushed).await;
    for job in [alone, pushed] {
        fleet.tell(job).await;
        fleet.until(job, |row| row.done == row.wanted).await;
    }
    assert_eq!(fleet.lanes(alone).await, ["normal", "bulk"]);
    assert_eq!(fleet.lanes(pushed).await[..2], ["normal", "interactive"]);
    fleet.end().await;
}

/// The bell has forgotten them, and those of a kind that nobody knows are due for longer.
#[sqlx::test(migrator = "MIGRATOR")]
async fn jobs_that_the_worker_cannot_claim_do_not_hide_those_that_it_can(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let fleet = Fleet::start(database).await;
    fleet.overdue(&Kind { policy: Policy { kind: "unknown", ..PROBE.policy }, ..PROBE }, 100, 7_200).await;
    let jobs = fleet.overdue(&PROBE, 1, 3_600).await;
    fleet.until(jobs[0], |row| row.seen.is_none() && !row.due).await;
    assert_eq!(fleet.outcomes(jobs[0]).await, ["complete"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_panic_is_a_retry_that_says_so(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("panic").await;
    let row = fleet.until(job, |row| row.attempt == 1 && row.phase == "idle").await;
    assert!(row.note.contains("panicked: the probe panics"), "{row:?}");
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_step_over_its_limit_is_a_retry(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want_of(&probe::HASTY, "until-told").await;
    let row = fleet.until(job, |row| row.attempt == 1 && row.phase == "idle").await;
    assert!(row.note.contains("longer than its limit of 100ms"), "{row:?}");
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn failures_back_off_and_the_last_allowed_one_parks(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("fail").await;
    for attempt in 1..=2 {
        let row = fleet.until(job, |row| row.attempt == attempt && row.phase == "idle").await;
        assert!(row.backs_off, "{row:?}");
        // A want does not shorten a backoff; an operator does.
        fleet.want_again(job).await;
        assert!(fleet.row(job).await.backs_off);
        fleet.lift_backoff(job).await;
    }
    let row = fleet.until(job, |row| row.phase == "parked").await;
    assert_eq!(row.parked.as_deref(), Some("failed"));
    assert!(row.note.contains("the probe fails"), "{row:?}");
    assert_eq!(fleet.outcomes(job).await, ["retry", "retry", "park"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_step_that_lost_its_lease_writes_nothing(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("write-when-told").await;
    fleet.until(job, |row| row.phase == "running").await;
    fleet.take_lease_away(job).await;
    fleet.tell(job).await;
    // The second run finds the lease in order.
    fleet.until(job, |row| row.done == 1).await;
    assert_eq!(fleet.written(job).await, 1);
    assert_eq!(fleet.outcomes(job).await, ["complete"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_throttle_closes_the_gates_of_all_kinds_of_the_provider(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("throttle").await;
    let row = fleet.until(job, |row| row.phase == "idle" && !row.due).await;
    assert_eq!(row.attempt, 0, "being throttled is no failure");
    assert_eq!(fleet.closed_gates().await, ["kind hasty throttled", "kind probe throttled"]);
    // Another kind's job of the same provider waits, too.
    let other = fleet.want_of(&probe::HASTY, "complete").await;
    fleet.until(other, |row| row.due).await;
    assert_eq!(fleet.outcomes(other).await, [""; 0]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn signing_in_again_is_asked_for_by_the_accounts_gate(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want_with_account("sign-in").await;
    let row = fleet.until(job, |row| row.phase == "parked").await;
    assert_eq!(row.parked.as_deref(), Some("sign_in"));
    assert_eq!(fleet.closed_gates().await, ["account 1 sign_in"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_claim_whose_answer_was_lost_is_handed_back_and_run(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.claim_behind_its_back("complete").await;
    fleet.until(job, |row| row.done == 1).await;
    assert_eq!(fleet.outcomes(job).await, ["handed_back", "complete"]);
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_suspect_runs_alone_and_a_good_commit_clears_it(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let (first, second) = fleet.want_two_suspects("until-told").await;
    let is_running = |row: &Row| row.started;
    let running = loop {
        if fleet.written(first).await + fleet.written(second).await > 0 {
            break if fleet.written(first).await > 0 { first } else { second };
        }
        fleet.until_any(&[first, second], is_running).await;
    };
    let waiting = if running == first { second } else { first };
    // Both are claimed, one waits for its turn.
    fleet.until(waiting, |row| row.phase == "running").await;
    assert_eq!(fleet.written(waiting).await, 0);
    fleet.tell(running).await;
    fleet.until(running, |row| row.done == 1 && row.crashes == 0).await;
    fleet.tell(waiting).await;
    fleet.until(waiting, |row| row.done == 1 && row.crashes == 0).await;
    fleet.end().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_soft_word_lets_a_step_finish_and_claims_no_more(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let running = fleet.want("until-told").await;
    fleet.until(running, |row| row.phase == "running").await;
    fleet.tasks.soft().cancel();
    let late = fleet.want("complete").await;
    fleet.tell(running).await;
    let (db, began) = (fleet.db.clone(), std::time::Instant::now());
    assert!(fleet.end().await, "it ends in time");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(fleet::row(&db, running).await.done, 1);
    assert!(fleet::row(&db, late).await.due, "nothing was claimed after the word");
    let workers: i64 = sqlx::query_scalar("select count(*) from workers").fetch_one(&db).await.unwrap();
    assert_eq!(workers, 0, "the worker took its row away");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_does_not_finish_in_the_grace_is_handed_back(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    let job = fleet.want("until-told").await;
    fleet.until(job, |row| row.phase == "running").await;
    let db = fleet.db.clone();
    assert!(fleet.end_within(Duration::from_millis(200)).await, "it heeds the hard word");
    let row = fleet::row(&db, job).await;
    assert!(row.due && row.attempt == 0 && row.crashes == 0, "{row:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_lost_connection_is_waited_out(_: PgPoolOptions, database: PgConnectOptions) {
    let fleet = Fleet::start(database).await;
    for _ in 0..5 {
        let job = fleet.want("three-steps").await;
        fleet.cut_all_connections().await;
        // A step whose own statement was cut off is a retry.
        while fleet.until(job, |row| row.done == row.wanted || row.backs_off).await.backs_off {
            fleet.lift_backoff(job).await;
        }
    }
    fleet.end().await;
}
