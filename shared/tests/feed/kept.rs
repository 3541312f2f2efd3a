//! What is kept, and what readers are told who come too late.

use std::time::Duration;

use shared::store::{
    PgPool,
    changes::{self, After, Position, Resource, Subject},
};

use crate::fixture::{account, keys, read, until, write};

const KEEP: Duration = Duration::from_hours(7 * 24);

/// Writes a change as it was ten days ago, with its day's partition or without.
async fn long_ago(db: &PgPool, account: i64, key: &str, partition: bool) {
    let mut tx = db.begin().await.unwrap();
    sqlx::raw_sql("set local syncfleet.clock_shift = '-10 days'").execute(&mut *tx).await.unwrap();
    if partition {
        sqlx::query("select changes_make_partitions(0)").execute(&mut *tx).await.unwrap();
    }
    write(&mut tx, account, &[key]).await;
    tx.commit().await.unwrap();
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_was_dropped_is_told_to_those_who_missed_it_and_to_nobody_else(db: PgPool) {
    for partition in [false, true] {
        let (of, first) = account(&db, &format!("acme-{partition}")).await;
        let (quiet, _) = account(&db, &format!("quiet-{partition}")).await;
        let start = changes::now(&mut db.acquire().await.unwrap()).await.unwrap();
        long_ago(&db, first, "one", partition).await;
        long_ago(&db, first, "two", partition).await;
        let old = until(&db, &of, start, 2).await;
        write(&mut db.acquire().await.unwrap(), first, &["new"]).await;

        let retained = changes::retain(&db, KEEP).await.unwrap();
        assert_eq!(!retained.dropped.is_empty(), partition, "{retained:?}");
        assert!(read(&db, &of, start, 10).await.gone);
        assert!(read(&db, &of, old[0].id, 10).await.gone);
        assert!(!read(&db, &of, old[1].id, 10).await.gone, "who has read all misses nothing");
        assert!(!read(&db, &quiet, start, 10).await.gone, "nothing of theirs was dropped");
        let oldest =
            changes::begin(&mut db.acquire().await.unwrap(), of.tenant, After::Oldest).await.unwrap();
        assert_eq!(keys(&until(&db, &of, oldest, 1).await), ["new"]);
        assert_eq!(keys(&until(&db, &of, old[1].id, 1).await), ["new"]);
        // Nothing is left to do.
        assert!(changes::retain(&db, KEEP).await.unwrap().dropped.is_empty());
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_position_of_the_future_is_none(db: PgPool) {
    let (of, _) = account(&db, "acme").await;
    let now = changes::now(&mut db.acquire().await.unwrap()).await.unwrap();
    assert!(!read(&db, &of, now, 10).await.gone);
    for ahead in [Position { xid: now.xid + 1_000_000, ..now }, Position { epoch: now.epoch + 1, ..now }] {
        assert!(read(&db, &of, ahead, 10).await.gone, "{ahead}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_filter_passes_over_what_is_not_asked_for_and_goes_on(db: PgPool) {
    let (of, first) = account(&db, "acme").await;
    let second: i64 = sqlx::query_scalar(
        "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'ben@example.com') returning id",
    )
    .bind(of.tenant)
    .fetch_one(&db)
    .await
    .unwrap();
    write(&mut db.acquire().await.unwrap(), first, &["a"]).await;
    write(&mut db.acquire().await.unwrap(), second, &["b"]).await;
    let all = until(&db, &of, Position::START, 2).await;
    let only =
        |account, resources: &[Resource]| Subject { account, resources: resources.to_vec(), ..of.clone() };
    for (subject, found) in [
        (only(Some(second), &[]), vec!["b"]),
        (only(None, &[Resource::Event]), vec!["a", "b"]),
        (only(None, &[Resource::Calendar]), vec![]),
        (only(Some(first), &[Resource::Calendar, Resource::Event]), vec!["a"]),
    ] {
        let batch = read(&db, &subject, Position::START, 10).await;
        assert_eq!(keys(&batch.entries), found);
        assert!(batch.upto >= all[1].id, "it has read to the end");
    }
    // Cut off in the middle, it goes on with the next.
    let batch = read(&db, &of, Position::START, 1).await;
    assert_eq!((keys(&batch.entries), batch.more, batch.upto), (vec!["a"], true, all[0].id));
}
