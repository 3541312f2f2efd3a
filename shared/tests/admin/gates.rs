use std::time::Duration;

use chrono::DateTime;
use shared::{
    admin::{
        job::{
            JobRef,
            explain::{Answer, explain},
        },
        lane, tenant,
    },
    job::Lane,
    store::{
        PgPool,
        gates::{self, Gate, Reason},
        job_state::{self, park_gated, unpark_opened},
    },
};

use crate::fixture::{actor, due};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_behind_two_gates_comes_back_when_the_last_one_opens(db: PgPool) {
    due(&db).await;
    tenant::pause(&db, &actor(), "acme", "").await.unwrap();
    lane::pause(&db, &actor(), Lane::Normal, "").await.unwrap();
    let mut conn = db.acquire().await.unwrap();
    let gates =
        async || sqlx::query_scalar::<_, i64>("select count(*) from gates").fetch_one(&db).await.unwrap();
    assert_eq!(park_gated(&mut conn, 10).await.unwrap(), 1);

    lane::resume(&db, &actor(), Lane::Normal).await.unwrap();
    assert_eq!(unpark_opened(&mut conn, Duration::ZERO, 10).await.unwrap(), 0, "its tenant's is closed");
    assert_eq!(gates().await, 1, "the gate that opened holds nobody");

    tenant::resume(&db, &actor(), "acme").await.unwrap();
    assert_eq!(unpark_opened(&mut conn, Duration::ZERO, 10).await.unwrap(), 1);
    assert_eq!(unpark_opened(&mut conn, Duration::ZERO, 10).await.unwrap(), 0);
    assert_eq!(gates().await, 0);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_gate_for_want_of_the_open_share_lets_through_what_is_pushed(db: PgPool) {
    let job = due(&db).await;
    let mut conn = db.acquire().await.unwrap();
    let gate = Gate::Kind("thing".to_owned());
    gates::close(&mut conn, &gate, Reason::Share, Some(Duration::from_hours(1)), "").await.unwrap();
    let due_in = async |lane| {
        let mut conn = db.acquire().await.unwrap();
        job_state::due(&mut conn, lane, (DateTime::UNIX_EPOCH, 0), 10).await.unwrap().len()
    };
    assert_eq!(due_in(Lane::Normal).await, 0);
    let waits = explain(&db, &JobRef::Id(job)).await.unwrap();
    assert!(matches!(waits.answer, Answer::Gated { parked: false, .. }), "{waits:?}");
    assert!(waits.text.starts_with("waiting for budget until "), "{}", waits.text);
    assert_eq!(park_gated(&mut conn, 10).await.unwrap(), 0, "a push must find it idle");

    job_state::want(&mut conn, &[job], None, Some(Lane::Interactive)).await.unwrap();
    assert_eq!(due_in(Lane::Interactive).await, 1);
    let waits = explain(&db, &JobRef::Id(job)).await.unwrap();
    assert!(!matches!(waits.answer, Answer::Gated { .. }), "{waits:?}");
    // What another gate had parked goes on although that one is closed.
    tenant::pause(&db, &actor(), "acme", "").await.unwrap();
    assert_eq!(park_gated(&mut conn, 10).await.unwrap(), 1);
    tenant::resume(&db, &actor(), "acme").await.unwrap();
    sqlx::query("update job_state set lane = 'normal'").execute(&db).await.unwrap();
    assert_eq!(unpark_opened(&mut conn, Duration::ZERO, 10).await.unwrap(), 1, "a push must find it idle");
    job_state::want(&mut conn, &[job], None, Some(Lane::Interactive)).await.unwrap();
    assert_eq!(due_in(Lane::Interactive).await, 1);
    // Behind one for want of all of it, it waits.
    gates::close(&mut conn, &gate, Reason::Budget, Some(Duration::from_hours(1)), "").await.unwrap();
    assert_eq!(due_in(Lane::Interactive).await, 0);
}
