use std::time::Duration;

use shared::{
    admin::{
        job::explain::{Answer, explain},
        lane, tenant,
    },
    job::{Lane, Lanes, Parked},
    store::{
        PgPool,
        gates::{self, Gate, Reason},
        job_state::{self, PutBack},
    },
};

use crate::fixture::{
    actor, claim, complete, due, explained, finished, job, park, put_back, worker, worker_that_knows,
};

const HOUR: Duration = Duration::from_hours(1);

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_that_nobody_wanted(db: PgPool) {
    let job = job(&db, "acme", "a", None).await;
    let explained = explained(&db, job).await;
    assert_eq!(explained.answer, Answer::Unwanted { last: None });
    assert!(explained.text.contains("syncfleet enqueue thing --key a"), "{}", explained.text);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_that_is_done(db: PgPool) {
    let job = due(&db).await;
    complete(&db, job, None, Duration::ZERO).await;
    let explained = explained(&db, job).await;
    assert!(matches!(explained.answer, Answer::Unwanted { last: Some(_) }), "{explained:?}");
    assert_eq!(explained.runs[0].outcome, "complete");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_whose_time_has_not_come(db: PgPool) {
    let job = job(&db, "acme", "a", Some(HOUR)).await;
    let explained = explained(&db, job).await;
    assert!(matches!(explained.answer, Answer::NotYet { at } if at > explained.facts.now));
    assert!(explained.text.contains("in 59 m"), "{}", explained.text);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_that_waits_for_its_turn_counts_those_before_it(db: PgPool) {
    worker(&db, Lanes::default()).await;
    job(&db, "acme", "first", Some(Duration::ZERO)).await;
    job(&db, "other", "second", Some(Duration::ZERO)).await;
    let third = job(&db, "acme", "third", Some(Duration::ZERO)).await;
    job(&db, "acme", "fourth", Some(Duration::ZERO)).await;
    let explained = explained(&db, third).await;
    let Answer::Due { before_of_tenant, before_in_lane, .. } = explained.answer else {
        panic!("{explained:?}")
    };
    assert_eq!((before_of_tenant, before_in_lane), (1, 2));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_due_job_without_workers(db: PgPool) {
    let job = due(&db).await;
    let no_worker = |workers| Answer::NoWorker { lane: Lane::Normal, workers };
    assert_eq!(explained(&db, job).await.answer, no_worker(0));
    worker(&db, Lanes { interactive: 1, normal: 0, bulk: 0 }).await;
    let explained_again = explained(&db, job).await;
    assert_eq!(explained_again.answer, no_worker(1));
    assert!(explained_again.text.contains("--lanes normal=N"), "{}", explained_again.text);
    worker(&db, Lanes::default()).await;
    assert!(matches!(explained(&db, job).await.answer, Answer::Due { .. }));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_due_job_of_a_kind_that_is_not_known(db: PgPool) {
    worker_that_knows(&db, "other", Lanes::default()).await;
    let job = due(&db).await;
    let unknown = Answer::UnknownKind { kind: "thing".to_owned(), workers: 1 };
    assert_eq!(explained(&db, job).await.answer, unknown);
    worker(&db, Lanes::default()).await;
    assert!(matches!(explained(&db, job).await.answer, Answer::Due { .. }));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_paused_job(db: PgPool) {
    let job = due(&db).await;
    job_state::pause(&mut db.acquire().await.unwrap(), &[job], true).await.unwrap();
    assert_eq!(explained(&db, job).await.answer, Answer::Paused);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_behind_gates(db: PgPool) {
    let job = due(&db).await;
    tenant::pause(&db, &actor(), "acme", "unpaid").await.unwrap();
    lane::pause(&db, &actor(), Lane::Normal, "").await.unwrap();
    lane::pause(&db, &actor(), Lane::Bulk, "").await.unwrap();
    let closed = explained(&db, job).await;
    let Answer::Gated { gates, parked: false } = &closed.answer else { panic!("{closed:?}") };
    assert_eq!(gates.len(), 2, "the gate of another lane is not before it");
    assert!(closed.text.contains("tenant acme is paused (unpaid)"), "{}", closed.text);

    let mut conn = db.acquire().await.unwrap();
    assert_eq!(job_state::park_gated(&mut conn, 10).await.unwrap(), 1);
    let parked = explained(&db, job).await;
    assert!(matches!(&parked.answer, Answer::Gated { gates, parked: true } if gates.len() == 2));

    tenant::resume(&db, &actor(), "acme").await.unwrap();
    lane::resume(&db, &actor(), Lane::Normal).await.unwrap();
    let opened = explained(&db, job).await;
    assert_eq!(opened.answer, Answer::Gated { gates: Vec::new(), parked: true });
    assert!(opened.text.contains("in a moment"), "{}", opened.text);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_that_waits_for_the_budget_says_until_when(db: PgPool) {
    let job = due(&db).await;
    let mut conn = db.acquire().await.unwrap();
    let gate = Gate::Kind("thing".to_owned());
    for step_closed_it in [false, true] {
        if step_closed_it {
            gates::open(&mut conn, &gate, Reason::Budget).await.unwrap();
            put_back(&db, job, "throttled", HOUR, 0).await;
        }
        gates::close(&mut conn, &gate, Reason::Budget, Some(HOUR), "it is used up").await.unwrap();
        let waits = explained(&db, job).await;
        assert!(
            matches!(&waits.answer, Answer::Gated { gates, parked: false } if gates.len() == 1),
            "{waits:?}"
        );
        assert!(waits.text.starts_with("waiting for budget until "), "{}", waits.text);
        assert!(waits.text.contains(" UTC, in 59 m"), "{}", waits.text);
        assert!(waits.text.ends_with("(it is used up)"), "{}", waits.text);
    }
    gates::close(&mut conn, &gate, Reason::Paused, None, "").await.unwrap();
    let text = explained(&db, job).await.text;
    assert!(text.starts_with("behind a gate: waiting for budget"), "{text}");
    assert!(text.contains("kind thing is paused"), "{text}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_parked_job_says_why_and_what_to_do(db: PgPool) {
    for (parked, remedy) in [
        (Parked::SignIn, "syncfleet account add"),
        (Parked::Scope, "syncfleet account connect"),
        (Parked::Failed, "syncfleet job retry"),
        (Parked::Gone, "syncfleet job retry"),
        (Parked::Crashed, "look into the workers' logs"),
    ] {
        let job = job(&db, "acme", parked.as_str(), Some(Duration::ZERO)).await;
        park(&db, job, parked).await;
        let explained = explained(&db, job).await;
        let note = Some("the cause".to_owned());
        assert_eq!(explained.answer, Answer::Parked { reason: Some(parked), note });
        assert!(explained.text.contains(remedy), "{}", explained.text);
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_that_failed(db: PgPool) {
    let job = due(&db).await;
    put_back(&db, job, "retry", HOUR, 3).await;
    let explained = explained(&db, job).await;
    let Answer::Backoff { attempts, note, until } = &explained.answer else { panic!("{explained:?}") };
    assert_eq!((*attempts, note.as_deref()), (3, Some("note of retry")));
    assert!(*until > explained.facts.now);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_that_crashed_twice(db: PgPool) {
    let job = due(&db).await;
    for _ in 0..2 {
        claim(&db, uuid::Uuid::now_v7(), job).await;
        assert_eq!(job_state::reap(&db, Duration::from_secs(10), 10).await.unwrap().len(), 1);
    }
    let explained = explained(&db, job).await;
    assert!(matches!(explained.answer, Answer::Backoff { attempts: 2, .. }), "{explained:?}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_under_the_minimum_interval(db: PgPool) {
    let job = due(&db).await;
    complete(&db, job, None, HOUR).await;
    job_state::want(&mut db.acquire().await.unwrap(), &[job], None, None).await.unwrap();
    let explained = explained(&db, job).await;
    assert!(matches!(explained.answer, Answer::Floor { note: None, .. }), "{explained:?}");
    assert!(explained.facts.dirty_since.is_some());
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_step_that_waits_for_the_minimum_interval_is_not_hurried(db: PgPool) {
    let job = due(&db).await;
    let worker = worker(&db, Lanes::default()).await;
    let run = claim(&db, worker, job).await;
    let back = PutBack {
        outcome: "wait",
        after: Duration::ZERO,
        backoff: false,
        floor: Some(HOUR),
        wanted: None,
        attempt: 0,
        good: true,
        lane: None,
        note: Some("it has the last one".to_owned()),
    };
    let mut conn = db.acquire().await.unwrap();
    let is_due = job_state::put_back(&mut conn, &finished(&run, worker), &back).await.unwrap();
    assert!(is_due.is_none(), "the floor goes before the time");
    // Neither a want nor an operator's retry.
    job_state::want(&mut conn, &[job], None, Some(Lane::Interactive)).await.unwrap();
    job_state::release(&mut conn, &[job]).await.unwrap();
    let explained = explained(&db, job).await;
    let Answer::Floor { until, note: Some(note) } = &explained.answer else { panic!("{explained:?}") };
    assert!(*until > explained.facts.now + HOUR / 2 && note == "it has the last one");
    assert!(
        explained.text.starts_with("waits for the provider's minimum interval until ")
            && explained.text.contains(" UTC, in 59 m")
            && explained.text.ends_with("(it has the last one)"),
        "{}",
        explained.text
    );
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_job_that_waits_for_an_answer(db: PgPool) {
    let job = due(&db).await;
    put_back(&db, job, "wait", HOUR, 0).await;
    let explained = explained(&db, job).await;
    let Answer::Waiting { note, .. } = explained.answer else { panic!("{explained:?}") };
    assert_eq!(note.as_deref(), Some("note of wait"));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_running_job_names_its_worker_and_step(db: PgPool) {
    let job = due(&db).await;
    put_back(&db, job, "continue", Duration::ZERO, 0).await;
    let worker = worker(&db, Lanes::default()).await;
    let run = claim(&db, worker, job).await;
    let running = explained(&db, job).await;
    let Answer::Running { under, lane, step } = &running.answer else { panic!("{running:?}") };
    assert_eq!((under.run, under.worker, under.alive, *step), (run.id, worker, true, 2));
    assert_eq!(*lane, Lane::Normal);
    assert!(running.text.starts_with("running on worker host:1"), "{}", running.text);

    sqlx::query("update workers set beat_at = clock() - interval '1 minute'").execute(&db).await.unwrap();
    let silent = explained(&db, job).await;
    assert!(silent.text.contains("has not been heard of for 1 m"), "{}", silent.text);

    sqlx::query("delete from workers").execute(&db).await.unwrap();
    let gone = explained(&db, job).await;
    assert!(gone.text.contains("has no row any more"), "{}", gone.text);

    // The lease still stands, so the run can end.
    let back = PutBack {
        outcome: "handed_back",
        after: Duration::ZERO,
        backoff: false,
        floor: None,
        wanted: None,
        attempt: 0,
        good: true,
        lane: None,
        note: None,
    };
    let mut conn = db.acquire().await.unwrap();
    job_state::put_back(&mut conn, &finished(&run, worker), &back).await.unwrap();
    assert!(matches!(explained(&db, job).await.answer, Answer::NoWorker { .. }));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_answer_is_json_with_a_tag(db: PgPool) {
    let job = due(&db).await;
    let explained = explain(&db, &"thing/a".parse().unwrap()).await.unwrap();
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["answer"]["is"], "no_worker");
    assert_eq!(json["job"]["id"], job);
    assert!(json["facts"]["now"].as_str().is_some_and(|now| now.ends_with('Z')));
}
