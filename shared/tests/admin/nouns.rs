use std::time::Duration;

use shared::{
    admin::{
        AdminError, account, audit,
        job::{self, Filter, JobRef, State},
        kind, lane, run, tenant, worker,
    },
    job::{Lane, Lanes, Parked},
    store::{
        PgPool, changes,
        job_state::{self, LeaseLost},
        tenants,
    },
};

use crate::fixture::{self, POLICY, actor, audited, claim, complete, due, park, put_back};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_tenant_is_added_once_and_under_a_good_name_only(db: PgPool) {
    let tenant = tenant::add(&db, &actor(), "acme").await.unwrap();
    assert_eq!((tenant.name.as_str(), tenant.jobs, tenant.paused), ("acme", 0, false));
    for name in ["acme", "", "A", "a b", &"a".repeat(64)] {
        let refused = tenant::add(&db, &actor(), name).await.unwrap_err();
        assert!(matches!(refused, AdminError::Refused(_)), "{name:?}: {refused}");
    }
    assert_eq!(tenant::ls(&mut db.acquire().await.unwrap()).await.unwrap(), [tenant]);
    assert_eq!(audited(&db).await, [("tenant.add".to_owned(), "acme".to_owned())]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_pause_holds_until_it_is_ended_and_is_written_down_once(db: PgPool) {
    tenant::add(&db, &actor(), "acme").await.unwrap();
    for changed in [true, false] {
        assert_eq!(tenant::pause(&db, &actor(), "acme", "why").await.unwrap().changed, changed);
    }
    assert!(tenant::show(&mut db.acquire().await.unwrap(), "acme").await.unwrap().paused);
    for changed in [true, false] {
        assert_eq!(tenant::resume(&db, &actor(), "acme").await.unwrap().changed, changed);
    }
    assert!(!tenant::show(&mut db.acquire().await.unwrap(), "acme").await.unwrap().paused);
    let actions: Vec<_> = audited(&db).await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, ["tenant.add", "tenant.pause", "tenant.resume"]);
    assert!(matches!(
        tenant::pause(&db, &actor(), "nobody", "").await,
        Err(AdminError::NotFound { what: "tenant", .. })
    ));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn removing_a_tenant_takes_all_that_is_its_and_nothing_else(db: PgPool) {
    let running = due(&db).await;
    fixture::job(&db, "acme", "b", None).await;
    let kept = fixture::job(&db, "other", "c", None).await;
    for name in ["acme", "other"] {
        tenant::pause(&db, &actor(), name, "").await.unwrap();
        tenant::resume(&db, &actor(), name).await.unwrap();
    }
    sqlx::query(
        "with made as (
            insert into accounts (tenant_id, provider, email)
            select id, 'google', 'ada@example.com' from tenants
            returning id
        )
        insert into secrets (owner_kind, owner_id, name, key_id, sealed)
        select 'account', id, 'refresh', 'k', '' from made",
    )
    .execute(&db)
    .await
    .unwrap();
    let worker = fixture::worker(&db, Lanes::default()).await;
    let run = claim(&db, worker, running).await;

    let mut conn = db.acquire().await.unwrap();
    let before = tenant::holdings(&mut conn, "acme").await.unwrap();
    assert_eq!((before.accounts, before.jobs), (1, 2));
    assert_eq!(tenant::rm(&db, None, &actor(), "acme").await.unwrap().0, before);

    let left: Vec<i64> = sqlx::query_scalar("select job_id from job_state").fetch_all(&db).await.unwrap();
    assert_eq!(left, [kept]);
    for (table, rows) in [("tenants", 1), ("accounts", 1), ("jobs", 1), ("secrets", 1), ("gates", 1)] {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await.unwrap(), rows, "{table}");
    }
    let finished = fixture::finished(&run, worker);
    let late = job_state::park(&mut conn, &finished, Parked::Failed, "").await;
    assert!(matches!(late, Err(LeaseLost::Lost(_))), "the run under way has lost its lease");
    assert_eq!(audited(&db).await.last().unwrap(), &("tenant.rm".to_owned(), "acme".to_owned()));
    assert!(matches!(tenant::rm(&db, None, &actor(), "acme").await, Err(AdminError::NotFound { .. })));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn jobs_are_listed_by_every_filter_and_page(db: PgPool) {
    let mut conn = db.acquire().await.unwrap();
    let idle = fixture::job(&db, "acme", "idle", None).await;
    let due = due(&db).await;
    let running = fixture::job(&db, "acme", "running", Some(Duration::ZERO)).await;
    claim(&db, uuid::Uuid::now_v7(), running).await;
    let parked = fixture::job(&db, "other", "parked", Some(Duration::ZERO)).await;
    park(&db, parked, Parked::Failed).await;
    let paused = fixture::job(&db, "other", "paused", None).await;
    job::pause(&db, &actor(), &JobRef::Id(paused)).await.unwrap();
    job_state::want(&mut conn, &[paused], None, None).await.unwrap();

    let everything = Filter { limit: 100, ..Filter::default() };
    let mut ids = async |filter: Filter| {
        let jobs = job::ls(&mut conn, &[POLICY], &filter).await.unwrap();
        jobs.iter().map(|job| job.id).collect::<Vec<_>>()
    };
    for (state, expected) in [
        ("idle", vec![idle]),
        ("due", vec![due]),
        ("running", vec![running]),
        ("parked", vec![parked]),
        ("paused", vec![paused]),
        ("dirty", vec![paused]),
    ] {
        let filter = Filter { state: Some(state.to_owned()), ..everything.clone() };
        assert_eq!(ids(filter).await, expected, "{state}");
    }
    let of_other = Filter { tenant: Some("other".to_owned()), ..everything.clone() };
    assert_eq!(ids(of_other).await, [parked, paused]);
    assert_eq!(ids(Filter { account: Some(1), ..everything.clone() }).await, [0; 0]);
    assert_eq!(ids(Filter { limit: 2, ..everything.clone() }).await, [idle, due]);
    assert_eq!(ids(Filter { limit: 2, after: due, ..everything.clone() }).await, [running, parked]);
    assert_eq!(ids(Filter { kind: Some("thing".to_owned()), ..everything }).await.len(), 5);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_unknown_kind_is_told_from_one_without_jobs(db: PgPool) {
    let mut conn = db.acquire().await.unwrap();
    let filter = |kind: &str| Filter { kind: Some(kind.to_owned()), limit: 1, ..Filter::default() };
    assert_eq!(job::ls(&mut conn, &[POLICY], &filter("thing")).await.unwrap(), []);
    let unknown = job::ls(&mut conn, &[POLICY], &filter("thign")).await.unwrap_err();
    assert_eq!(unknown.to_string(), "unknown kind \"thign\": the kinds are thing");
    due(&db).await;
    assert_eq!(job::ls(&mut conn, &[], &filter("thing")).await.unwrap().len(), 1, "a kind of old");
    assert!(kind::pause(&db, &actor(), &[], "thing", "").await.is_err());
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_retry_lifts_what_holds_a_job_and_leaves_a_running_one(db: PgPool) {
    let id = due(&db).await;
    put_back(&db, id, "retry", Duration::from_hours(1), 3).await;
    let retried = job::retry(&db, &actor(), &JobRef::Id(id)).await.unwrap();
    assert!(retried.changed && retried.bell.due);
    assert_eq!((retried.job.state, retried.job.attempt), (State::Due, 0));

    park(&db, id, Parked::Failed).await;
    assert_eq!(job::retry(&db, &actor(), &JobRef::Id(id)).await.unwrap().job.state, State::Due);

    claim(&db, uuid::Uuid::now_v7(), id).await;
    let running = job::retry(&db, &actor(), &JobRef::Id(id)).await.unwrap();
    assert!(!running.changed && !running.bell.due);
    assert_eq!(running.job.state, State::Running);
    assert_eq!(audited(&db).await.len(), 2);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn kinds_lanes_and_workers_are_counted(db: PgPool) {
    let running = due(&db).await;
    fixture::job(&db, "acme", "b", Some(Duration::ZERO)).await;
    let worker = fixture::worker(&db, Lanes { interactive: 1, normal: 2, bulk: 0 }).await;
    claim(&db, worker, running).await;
    kind::pause(&db, &actor(), &[POLICY], "thing", "why").await.unwrap();
    lane::pause(&db, &actor(), Lane::Bulk, "").await.unwrap();

    let mut conn = db.acquire().await.unwrap();
    let kinds = kind::ls(&mut conn, &[POLICY]).await.unwrap();
    assert_eq!((kinds[0].jobs, kinds[0].due, kinds[0].running, kinds[0].parked), (2, 1, 1, 0));
    assert_eq!(kinds[0].gates[0].note, "why");
    assert!(kinds[0].policy.is_some());
    assert!(kind::ls(&mut conn, &[]).await.unwrap()[0].policy.is_none());

    let lanes = lane::ls(&mut conn).await.unwrap();
    let told: Vec<_> = lanes.iter().map(|lane| (lane.lane, lane.slots, lane.running, lane.paused)).collect();
    assert_eq!(
        told,
        [(Lane::Interactive, 1, 0, false), (Lane::Normal, 2, 1, false), (Lane::Bulk, 0, 0, true)]
    );
    assert_eq!(lanes[1].due, 0, "its kind is paused");

    let workers = worker::ls(&mut conn).await.unwrap();
    assert_eq!((workers[0].id, workers[0].running, workers[0].alive), (worker, 1, true));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn runs_are_found_by_job_outcome_and_age(db: PgPool) {
    let id = due(&db).await;
    put_back(&db, id, "continue", Duration::ZERO, 0).await;
    complete(&db, id, None, Duration::ZERO).await;
    let mut conn = db.acquire().await.unwrap();
    let everything = run::Filter { limit: 10, ..run::Filter::default() };
    let mut outcomes = async |filter: run::Filter| {
        let runs = run::ls(&mut conn, &[POLICY], &filter).await.unwrap();
        runs.into_iter().map(|run| run.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(everything.clone()).await, ["complete", "continue"]);
    let completed = run::Filter { outcome: Some("complete".to_owned()), ..everything.clone() };
    assert_eq!(outcomes(completed).await, ["complete"]);
    assert_eq!(outcomes(run::Filter { job: Some(id + 1), ..everything.clone() }).await, [""; 0]);
    let recent = run::Filter { since: Some(Duration::from_hours(1)), ..everything.clone() };
    assert_eq!(outcomes(recent).await.len(), 2);

    let shown = job::show(&mut conn, &JobRef::Id(id)).await.unwrap();
    let run = run::show(&mut conn, shown.runs[0].id).await.unwrap();
    assert_eq!((run.key.as_deref(), run.tenant.as_deref()), (Some("a"), Some("acme")));
    let missing = run::show(&mut conn, uuid::Uuid::now_v7()).await.unwrap_err();
    assert!(matches!(missing, AdminError::NotFound { what: "run", .. }));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn changes_are_listed_newest_first(db: PgPool) {
    tenant::add(&db, &actor(), "acme").await.unwrap();
    tenant::pause(&db, &actor(), "acme", "why").await.unwrap();
    let mut conn = db.acquire().await.unwrap();
    let filter = audit::Filter { target: Some("acme".to_owned()), actor: None, since: None, limit: 10 };
    let entries = audit::ls(&mut conn, &filter).await.unwrap();
    assert_eq!(entries[0].action, "tenant.pause");
    assert_eq!(entries[0].detail, serde_json::json!({ "note": "why" }));
    let nobody = audit::Filter { actor: Some("nobody".to_owned()), ..filter };
    assert_eq!(audit::ls(&mut conn, &nobody).await.unwrap(), []);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_account_that_goes_wakes_the_readers_of_the_feed(db: PgPool) {
    let tenant = tenants::ensure(&mut db.acquire().await.unwrap(), "acme").await.unwrap();
    let account: i64 = sqlx::query_scalar(
        "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'a@example.com') returning id",
    )
    .bind(tenant)
    .fetch_one(&db)
    .await
    .unwrap();
    let mut listener = sqlx::postgres::PgListener::connect_with(&db).await.unwrap();
    listener.listen(changes::CHANNEL).await.unwrap();
    account::rm(&db, None, &actor(), account).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(30), listener.recv()).await;
    assert_eq!(heard.expect("nobody was woken").unwrap().payload(), tenant.to_string());
}
