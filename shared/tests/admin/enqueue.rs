use std::time::Duration;

use shared::{
    admin::{
        AdminError,
        enqueue::{self, Awaited, Selection},
    },
    job::{Lane, Parked, Policy},
    store::{PgPool, job_state},
};

use crate::fixture::{POLICY, actor, audited, complete, job, park};

fn all() -> Selection {
    Selection { kind: POLICY.kind.to_owned(), ..Selection::default() }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn one_makes_the_job_once_and_raises_it(db: PgPool) {
    let missing = enqueue::one(&db, &actor(), &POLICY, "new", None, None).await.unwrap_err();
    assert!(matches!(missing, AdminError::NotFound { .. }), "{missing}");
    job(&db, "acme", "old", None).await;

    let first = enqueue::one(&db, &actor(), &POLICY, "new", Some("acme"), None).await.unwrap();
    assert!(first.made && first.wanted.due);
    assert_eq!((first.wanted.lane, first.wanted.counter), (Lane::Interactive, 1));
    let second = enqueue::one(&db, &actor(), &POLICY, "new", None, None).await.unwrap();
    assert!(!second.made);
    assert_eq!((second.wanted.job, second.wanted.counter), (first.wanted.job, 2));
    let wants =
        [("enqueue".to_owned(), "thing/new".to_owned()), ("enqueue".to_owned(), "thing/new".to_owned())];
    assert_eq!(audited(&db).await, wants);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn another_tenants_job_is_refused_and_nothing_changes(db: PgPool) {
    job(&db, "acme", "a", None).await;
    job(&db, "other", "b", None).await;
    let refused = enqueue::one(&db, &actor(), &POLICY, "a", Some("other"), None).await.unwrap_err();
    assert!(refused.to_string().contains("another tenant"), "{refused}");
    assert_eq!(audited(&db).await, []);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn jobs_that_come_with_accounts_are_not_made_by_hand(db: PgPool) {
    job(&db, "acme", "a", None).await;
    let policy = Policy { per_account: Some("google"), ..POLICY };
    let refused = enqueue::one(&db, &actor(), &policy, "7", Some("acme"), None).await.unwrap_err();
    assert!(refused.to_string().contains("syncfleet account add"), "{refused}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_want_for_later_is_not_due(db: PgPool) {
    let id = job(&db, "acme", "a", None).await;
    let at =
        shared::admin::now(&mut db.acquire().await.unwrap()).await.unwrap() + chrono::TimeDelta::hours(1);
    let one = enqueue::one(&db, &actor(), &POLICY, "a", None, Some(at)).await.unwrap();
    assert!(!one.wanted.due);
    assert_eq!(one.wanted.job, id);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn many_come_in_batches_in_the_order_of_their_ids(db: PgPool) {
    let more = enqueue::BATCH + 3;
    sqlx::query("insert into tenants (name) values ('acme'), ('other')").execute(&db).await.unwrap();
    sqlx::query(
        "with made as (
            insert into jobs (kind, key, tenant_id)
            select 'thing', n::text, 1 + (n % 2) from generate_series(1, $1) n
            returning id, kind, tenant_id
        )
        insert into job_state (job_id, kind, tenant_id, lane, run_at)
        select id, kind, tenant_id, 'bulk', 'infinity' from made",
    )
    .bind(more)
    .execute(&db)
    .await
    .unwrap();

    assert_eq!(enqueue::begin(&db, &actor(), &all(), None).await.unwrap(), more);
    let first = enqueue::batch(&db, &all(), i64::MIN, None).await.unwrap();
    assert_eq!(i64::try_from(first.len()).unwrap(), enqueue::BATCH);
    assert!(first.is_sorted_by_key(|wanted| wanted.job));
    assert!(first.iter().all(|wanted| wanted.lane == Lane::Bulk), "a bulk want raises nobody");
    let rest = enqueue::batch(&db, &all(), first.last().unwrap().job, None).await.unwrap();
    assert_eq!(rest.len(), 3);
    assert_eq!(enqueue::batch(&db, &all(), rest[2].job, None).await.unwrap(), []);

    let other = Selection { tenant: Some("other".to_owned()), ..all() };
    assert_eq!(enqueue::begin(&db, &actor(), &other, None).await.unwrap(), (more + 1) / 2);
    let nobody = Selection { account: Some(7), ..all() };
    assert_eq!(enqueue::begin(&db, &actor(), &nobody, None).await.unwrap(), 0);
    assert_eq!(audited(&db).await.len(), 2, "nothing wanted, nothing written down");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn waiting_tells_the_done_from_the_parked_and_the_gone(db: PgPool) {
    let mut ids = Vec::new();
    for key in ["done", "parked", "gone", "open"] {
        ids.push(job(&db, "acme", key, None).await);
    }
    let mut conn = db.acquire().await.unwrap();
    let mut awaited = Awaited::default();
    awaited.extend(&job_state::want(&mut conn, &ids, None, None).await.unwrap());
    assert_eq!(awaited.look(&mut conn).await.unwrap().left, 4);

    complete(&db, ids[0], None, Duration::ZERO).await;
    park(&db, ids[1], Parked::Failed).await;
    shared::store::jobs::remove(&mut conn, POLICY.kind, &["gone".to_owned()]).await.unwrap();
    let outcome = awaited.look(&mut conn).await.unwrap();
    assert_eq!((outcome.done, outcome.left), (1, 1));
    assert_eq!(outcome.parked, [ids[1], ids[2]]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_want_is_answered_by_a_pass_that_began_after_it_only(db: PgPool) {
    let id = job(&db, "acme", "a", None).await;
    let mut conn = db.acquire().await.unwrap();
    let first = job_state::want(&mut conn, &[id], None, None).await.unwrap();
    complete(&db, id, None, Duration::ZERO).await;
    let mut awaited = Awaited::default();
    awaited.extend(&first);
    assert_eq!(awaited.look(&mut conn).await.unwrap().done, 1);

    let mut later = Awaited::default();
    later.extend(&job_state::want(&mut conn, &[id], None, None).await.unwrap());
    assert_eq!(later.look(&mut conn).await.unwrap().left, 1);
}
