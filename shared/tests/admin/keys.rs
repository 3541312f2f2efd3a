use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use shared::{
    admin::{
        keys::{self, Key},
        tenant,
    },
    secrets::{KeyRing, OpenError, Owner, generate_key},
    store::{
        PgPool,
        accounts::{self, NewAccount},
        secrets, tenants,
    },
};

use crate::fixture::{actor, audited};

fn key(id: &str) -> String {
    generate_key(id).unwrap().expose_secret().to_owned()
}

fn ring(keys: &[&String]) -> KeyRing {
    let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    keys.join(",").parse().unwrap()
}

async fn put(db: &PgPool, ring: &KeyRing, account: i64, value: &str) {
    let owner = Owner::account(account, "refresh_token");
    let lifetime = (account % 2 == 0).then_some(Duration::from_hours(1));
    let mut conn = db.acquire().await.unwrap();
    secrets::put(&mut conn, ring, owner, &SecretString::from(value), lifetime).await.unwrap();
}

async fn value(db: &PgPool, ring: &KeyRing, account: i64) -> String {
    let owner = Owner::account(account, "refresh_token");
    let stored = secrets::get(&mut db.acquire().await.unwrap(), ring, owner).await.unwrap().unwrap();
    stored.value.expose_secret().to_owned()
}

/// Everything that a rotation must leave alone.
async fn times(db: &PgPool) -> Vec<(i64, String, Option<String>)> {
    sqlx::query_as("select owner_id, updated_at::text, expires_at::text from secrets order by owner_id")
        .fetch_all(db)
        .await
        .unwrap()
}

async fn under(db: &PgPool, ring: &KeyRing) -> Vec<(String, i64)> {
    let keys = keys::ls(&mut db.acquire().await.unwrap(), ring).await.unwrap();
    keys.into_iter().map(|key| (key.id, key.secrets)).collect()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_rotation_seals_everything_anew_and_changes_nothing_else(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let before = ring(&[&old]);
    let count = keys::BATCH + 3;
    for account in 1..=count {
        put(&db, &before, account, &format!("token-{account}")).await;
    }
    let times_before = times(&db).await;
    let after = ring(&[&new, &old]);
    assert_eq!(keys::begin(&db, &actor(), &after).await.unwrap().secrets, count);
    let first = keys::batch(&db, &after, None).await.unwrap();
    assert_eq!(first.resealed, keys::BATCH);
    let second = keys::batch(&db, &after, first.next.as_ref()).await.unwrap();
    assert_eq!((second.resealed, second.unopened.len()), (3, 0));
    assert!(keys::batch(&db, &after, second.next.as_ref()).await.unwrap().next.is_none());

    assert_eq!(under(&db, &after).await, [("new".to_owned(), count), ("old".to_owned(), 0)]);
    let without_old = ring(&[&new]);
    assert_eq!(value(&db, &without_old, 1).await, "token-1");
    assert_eq!(value(&db, &without_old, count).await, format!("token-{count}"));
    assert_eq!(times(&db).await, times_before);
    // Nothing is left to do, and nothing is written down.
    assert_eq!(keys::begin(&db, &actor(), &after).await.unwrap().secrets, 0);
    assert_eq!(audited(&db).await, [("keys.rotate".to_owned(), "new".to_owned())]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_stored_while_it_is_sealed_anew_stays(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let (before, after) = (ring(&[&old, &new]), ring(&[&new, &old]));
    for account in [1, 2] {
        put(&db, &before, account, "stale").await;
    }
    let mut conn = db.acquire().await.unwrap();
    let rows = secrets::sealed_otherwise(&mut conn, "new", None, 10).await.unwrap();
    let anew: Vec<_> =
        rows.into_iter().map(|row| (row.clone(), after.reseal(row.owner(), &row.sealed).unwrap())).collect();
    // A worker comes in between.
    put(&db, &before, 1, "fresh").await;
    assert_eq!(secrets::reseal(&mut conn, &anew).await.unwrap(), 1);
    assert_eq!(value(&db, &after, 1).await, "fresh");
    assert_eq!(value(&db, &after, 2).await, "stale");
    assert_eq!(under(&db, &after).await, [("new".to_owned(), 1), ("old".to_owned(), 1)]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_waiting_rotation_sees_what_was_stored_before_it(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let (before, after) = (ring(&[&old, &new]), ring(&[&new, &old]));
    put(&db, &before, 1, "stale").await;
    let mut worker = db.begin().await.unwrap();
    let owner = Owner::account(1, "refresh_token");
    secrets::put(&mut worker, &before, owner, &"fresh".into(), None).await.unwrap();
    // The rotation has read the old row, and waits for the worker's lock.
    let rotation = keys::batch(&db, &after, None);
    let (batch, ()) = tokio::join!(rotation, async {
        // Not on the worker's connection: a transaction sees one state of it for ever.
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        for tries in 0.. {
            let waits: i64 = sqlx::query_scalar(waiting).fetch_one(&db).await.unwrap();
            if waits == 1 {
                break;
            }
            assert!(tries < 1_000, "the rotation does not wait");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker.commit().await.unwrap();
    });
    assert_eq!(batch.unwrap().resealed, 0);
    assert_eq!(value(&db, &after, 1).await, "fresh");
    assert_eq!(keys::batch(&db, &after, None).await.unwrap().resealed, 1);
    assert_eq!(value(&db, &ring(&[&new]), 1).await, "fresh");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_cannot_be_opened_is_told_and_holds_nothing_else_up(db: PgPool) {
    let (old, lost, new) = (key("old"), key("lost"), key("new"));
    put(&db, &ring(&[&lost]), 1, "gone").await;
    put(&db, &ring(&[&old]), 2, "kept").await;
    put(&db, &ring(&[&key("old")]), 3, "under a namesake").await;
    let after = ring(&[&new, &old]);
    let batch = keys::batch(&db, &after, None).await.unwrap();
    assert_eq!(batch.resealed, 1);
    assert!(
        matches!(&batch.unopened[..], [OpenError::MissingKey { key_id, .. }, OpenError::WrongKey { .. }] if key_id == "lost"),
        "{:?}",
        batch.unopened
    );
    assert_eq!(value(&db, &after, 2).await, "kept");

    let keys = keys::ls(&mut db.acquire().await.unwrap(), &after).await.unwrap();
    let lacking: Vec<_> = keys.iter().filter(|key| key.is_lacking()).map(|key| key.id.as_str()).collect();
    assert_eq!(lacking, ["old", "lost"]);
    let opens: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.opens)).collect();
    assert_eq!(opens, [("new", Some(true)), ("old", Some(false)), ("lost", None)]);
    assert!(matches!(&keys[2], Key { in_ring: false, current: false, secrets: 1, .. }));
}

/// Whoever locks secrets begins with the first one, however they stand in the table.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_removal_locks_secrets_in_their_order(db: PgPool) {
    let ring = ring(&[&key("k")]);
    let mut conn = db.acquire().await.unwrap();
    let tenant = tenants::ensure(&mut conn, "acme").await.unwrap();
    let mut accounts = Vec::new();
    for email in ["a@example.com", "b@example.com"] {
        let new = NewAccount { tenant, provider: "google", subject: None, email };
        accounts.push(accounts::insert(&mut conn, &new).await.unwrap().unwrap());
    }
    drop(conn);
    for account in accounts.iter().rev() {
        put(&db, &ring, *account, "token").await;
    }
    let lock = "select from secrets where owner_id = $1 for update nowait";
    let mut rotation = db.begin().await.unwrap();
    sqlx::query(lock).bind(accounts[0]).execute(&mut *rotation).await.unwrap();
    let actor = actor();
    let removal = tenant::rm(&db, None, &actor, "acme");
    let rotating = async {
        let waits = "select exists (select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&db).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The removal waits for the first one, and holds no other yet.
        sqlx::query(lock).bind(accounts[1]).execute(&mut *rotation).await.unwrap();
        rotation.commit().await.unwrap();
    };
    let (removed, ()) = tokio::join!(removal, rotating);
    removed.unwrap();
}
