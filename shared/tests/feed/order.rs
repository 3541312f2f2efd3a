//! Every change once, whatever the order of the commits.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared::store::{
    PgPool,
    changes::{self, Entry, LOOKED_AT, Position, Subject},
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinSet;

use crate::fixture::{LIMIT, account, keys, read, until, write};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_was_drawn_early_and_committed_late_is_not_missed(db: PgPool) {
    let (of, account) = account(&db, "acme").await;
    let (mut early, mut late) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    write(&mut early, account, &["a", "b"]).await;
    write(&mut late, account, &["c"]).await;
    late.commit().await.unwrap();
    // The number of `c` is the highest, and a reader that took it now would never come back for `a`.
    let batch = read(&db, &of, Position::START, 10).await;
    assert!(batch.entries.is_empty() && batch.held_back && !batch.more, "{batch:?}");
    write(&mut early, account, &["d"]).await;
    early.commit().await.unwrap();
    let all = until(&db, &of, batch.upto, 4).await;
    assert_eq!(keys(&all), ["a", "b", "d", "c"]);
    assert!(all.is_sorted_by_key(|entry| entry.id));
    assert!(read(&db, &of, all[3].id, 10).await.entries.is_empty());
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_rolled_back_is_not_told_and_holds_nothing_back(db: PgPool) {
    let (of, account) = account(&db, "acme").await;
    let mut broken = db.begin().await.unwrap();
    write(&mut broken, account, &["a"]).await;
    broken.rollback().await.unwrap();
    write(&mut db.acquire().await.unwrap(), account, &["b"]).await;
    assert_eq!(keys(&until(&db, &of, Position::START, 1).await), ["b"]);
}

/// Commits some transactions with some changes each, some of them late, some not at all. The keys that stand.
async fn writer(db: PgPool, account: i64, number: u64) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(number);
    let mut stand = Vec::new();
    for round in 0..40 {
        let mut tx = db.begin().await.unwrap();
        let mut told = Vec::new();
        for part in 0..rng.random_range(1..4) {
            let some: Vec<String> =
                (0..rng.random_range(1..6)).map(|n| format!("{number}/{round}/{part}/{n}")).collect();
            write(&mut tx, account, &some.iter().map(String::as_str).collect::<Vec<_>>()).await;
            told.extend(some);
            // Others overtake it.
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..8))).await;
        }
        if rng.random_bool(0.8) {
            tx.commit().await.unwrap();
            stand.extend(told);
        } else {
            tx.rollback().await.unwrap();
        }
    }
    stand
}

/// Reads until it has met the key that is written last.
async fn reader(db: PgPool, of: Subject, seed: u64) -> Vec<Entry> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (began, mut at, mut all) = (Instant::now(), Position::START, Vec::<Entry>::new());
    while all.last().is_none_or(|last| last.key != "last") {
        let batch = read(&db, &of, at, rng.random_range(1..50)).await;
        assert!(batch.upto >= at && !batch.gone);
        at = batch.upto;
        all.extend(batch.entries);
        assert!(began.elapsed() < LIMIT, "the last change does not come");
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..5))).await;
    }
    all
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn readers_see_each_change_of_many_writers_once_and_in_one_order(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let db = PgPoolOptions::new().max_connections(12).connect_with(database).await.unwrap();
    let ((of, first), (other, foreign)) = (account(&db, "acme").await, account(&db, "other").await);
    let mut readers = JoinSet::new();
    for seed in 0..3 {
        readers.spawn(reader(db.clone(), of.clone(), seed));
    }
    let mut writers = JoinSet::new();
    for number in 0..6 {
        writers.spawn(writer(db.clone(), first, number));
    }
    let mut aliens = JoinSet::new();
    aliens.spawn(writer(db.clone(), foreign, 100));
    let written: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    write(&mut db.acquire().await.unwrap(), first, &["last"]).await;
    let told = readers.join_all().await;
    for all in &told {
        assert_eq!(all, &told[0], "all readers see one order");
        assert!(all.is_sorted_by(|one, next| one.id < next.id));
        assert_eq!(all.len(), written.len() + 1, "none is missed, none comes twice");
        let keys: BTreeSet<&str> = all.iter().map(|entry| entry.key.as_str()).collect();
        assert!(written.iter().all(|key| keys.contains(key.as_str())));
    }
    let alien = aliens.join_next().await.unwrap().unwrap();
    let theirs = until(&db, &other, Position::START, alien.len()).await;
    assert_eq!(theirs.len(), alien.len());
    assert!(theirs.iter().all(|entry| entry.key.starts_with("100/")));
}

/// As after a restore on a server whose numbers of transactions are lower.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn after_a_restore_elsewhere_readers_go_on(db: PgPool) {
    let (of, account) = account(&db, "acme").await;
    write(&mut db.acquire().await.unwrap(), account, &["before"]).await;
    let before = until(&db, &of, Position::START, 1).await;
    sqlx::query("update feed_epoch set place = 'another server', epoch = 1000").execute(&db).await.unwrap();
    sqlx::query("update changes set xid = 1000000000000000, epoch = 1000").execute(&db).await.unwrap();
    // What is there is final before anything new is written.
    let restored = until(&db, &of, Position::START, 1).await;
    assert_eq!(keys(&restored), ["before"]);
    assert_eq!(restored[0].id.xid, 1_000_000_000_000_000);
    write(&mut db.acquire().await.unwrap(), account, &["after"]).await;
    let after = until(&db, &of, restored[0].id, 1).await;
    assert_eq!(keys(&after), ["after"]);
    assert!(after[0].id.xid < restored[0].id.xid && after[0].id.epoch >= before[0].id.epoch);
    write(&mut db.acquire().await.unwrap(), account, &["again"]).await;
    let again = until(&db, &of, after[0].id, 1).await;
    assert_eq!((again[0].id.epoch, keys(&again)), (after[0].id.epoch, vec!["again"]));
    assert_eq!(keys(&until(&db, &of, Position::START, 3).await), ["before", "after", "again"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_read_for_a_narrow_reader_looks_at_so_much_and_comes_forward(db: PgPool) {
    let (of, crowd) = account(&db, "acme").await;
    let quiet: i64 = sqlx::query_scalar(
        "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'quiet@example.com') returning id",
    )
    .bind(of.tenant)
    .fetch_one(&db)
    .await
    .unwrap();
    let many: Vec<String> = (0..LOOKED_AT * 2 + 10).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut tx = db.begin().await.unwrap();
    write(&mut tx, quiet, &["first"]).await;
    write(&mut tx, crowd, &many).await;
    write(&mut tx, quiet, &["last"]).await;
    tx.commit().await.unwrap();

    let narrow = Subject { account: Some(quiet), ..of.clone() };
    let (began, mut at, mut found, mut partial) = (Instant::now(), Position::START, Vec::new(), 0);
    while found.len() < 2 {
        let batch = read(&db, &narrow, at, 10).await;
        assert!(batch.upto > at || !batch.more, "{batch:?}");
        partial += usize::from(batch.more);
        at = batch.upto;
        found.extend(batch.entries);
        assert!(began.elapsed() < LIMIT, "{found:?}");
    }
    assert_eq!(keys(&found), ["first", "last"]);
    assert_eq!(partial, 2, "no read has looked at more than it should");
    // To a given end all is looked at: a webhook's batch that is sent again is the same.
    let mut conn = db.acquire().await.unwrap();
    let whole = changes::read(&mut conn, &narrow, Position::START, Some(at), 10).await.unwrap();
    assert_eq!((keys(&whole.entries), whole.more), (vec!["first", "last"], false));
}
