//! What nothing refers to is taken out of the store, and nothing else.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use loadtest::fake_google::{Api, Content, FaultKind, FaultRule, FileDraft};
use shared::{
    objects::{Objects, PART, Removed},
    store::{
        PgPool, contents,
        objects::{self, Forgotten},
    },
};
use uuid::Uuid;

use crate::mirror::Contents;

/// Lets what is named for removal be due.
async fn an_hour_later(db: &PgPool) -> anyhow::Result<()> {
    sqlx::query("update object_removals set due_at = clock()").execute(db).await?;
    Ok(())
}

/// Makes all objects old.
async fn a_minute_later(db: &PgPool) -> anyhow::Result<()> {
    sqlx::query("update objects set put_at = clock() - interval '2 minutes'").execute(db).await?;
    Ok(())
}

/// So many, and there are no more.
const fn forgotten(objects: i64) -> Forgotten {
    Forgotten { objects, more_after: None }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_nothing_refers_to_goes_after_its_time(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db.clone()).await?;
    let file = mirror.put(FileDraft::text("a", "first"))?;
    mirror.pass().await?;
    mirror.rig.fake.world().edit_file(&file, None, Some(Content::Text("second".to_owned())))?;
    mirror.pass().await?;
    let given_up = mirror.put_drawn("given up", 1, PART as u64 * 3 / 2)?;
    mirror.rig.fake.add_fault(FaultRule::new(FaultKind::Truncated).on(Api::Media).times(1))?;
    mirror.mirror_and_step().await?;
    mirror.rig.fake.world().delete_file(&given_up)?;
    mirror.pass().await?;
    assert_eq!((mirror.files_in("objects")?, mirror.files_in("staging")?), (2, 1));

    let mut conn = db.acquire().await?;
    assert_eq!(objects::forget_unused(&mut conn, 0, 100).await?, forgotten(0), "it was put just now");
    a_minute_later(&db).await?;
    assert_eq!(objects::forget_unused(&mut conn, 0, 100).await?, forgotten(1));
    assert_eq!(objects::due(&mut conn, 100).await?, [], "a reader may still have it");
    an_hour_later(&db).await?;
    for (objects, is_all) in [(1, false), (1, false), (0, true)] {
        let removed = mirror.objects.remove_due(&db, 1).await?;
        assert_eq!(removed, Removed { objects, is_all }, "whoever clears goes on until nothing is due");
    }
    assert_eq!((mirror.files_in("objects")?, mirror.files_in("staging")?), (1, 0));
    mirror.assert_stored(&file).await?;
    Ok(())
}

/// Whoever clears goes on after the last row that was found, and does not walk the rows before it again.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_nothing_refers_to_is_found_row_after_row(db: PgPool) -> anyhow::Result<()> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "insert into objects (sha256, size, key, put_at)
        select sha256(n::text::bytea), 1, gen_random_uuid(), clock() - interval '2 minutes'
        from generate_series(1, 5) n
        returning id",
    )
    .fetch_all(&db)
    .await?;
    let mut conn = db.acquire().await?;
    let first = objects::forget_unused(&mut conn, ids[0], 2).await?;
    assert_eq!(first, Forgotten { objects: 2, more_after: Some(ids[2]) });
    assert_eq!(objects::forget_unused(&mut conn, ids[2], 3).await?, forgotten(2));
    let left: Vec<i64> = sqlx::query_scalar("select id from objects").fetch_all(&db).await?;
    assert_eq!(left, ids[..1], "it stands before the row that was named");
    Ok(())
}

/// One that cannot be removed waits for an hour, and those after it are removed meanwhile.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_cannot_be_removed_holds_up_nothing_else(db: PgPool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Objects::in_folder(folder.path())?;
    let (stuck, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    store.put(other, b"other".to_vec()).await?;
    // A folder in the place of the object: there is something, and no file to remove.
    store.put(stuck, b"stuck".to_vec()).await?;
    let place = find(folder.path(), &stuck)?.context("it was put")?;
    std::fs::remove_file(&place)?;
    std::fs::create_dir(&place)?;
    sqlx::query(
        "insert into object_removals (key, due_at)
        values ($1, clock() - interval '2 minutes'), ($2, clock() - interval '1 minute')",
    )
    .bind(stuck)
    .bind(other)
    .execute(&db)
    .await?;

    let refused = store.remove_due(&db, 1).await.err().context("a folder was removed as an object")?;
    assert!(format!("{refused:#}").contains(&stuck.to_string()), "{refused:#}");
    assert_eq!(store.remove_due(&db, 1).await?, Removed { objects: 1, is_all: false });
    assert_eq!(store.remove_due(&db, 1).await?, Removed { objects: 0, is_all: true });
    assert_eq!(find(folder.path(), &other)?, None);
    let mut conn = db.acquire().await?;
    assert_eq!(
        objects::postpone(&mut conn, &[stuck, other]).await?,
        0,
        "one waits already, the other is gone"
    );

    std::fs::remove_dir(&place)?;
    an_hour_later(&db).await?;
    assert_eq!(store.remove_due(&db, 1).await?.objects, 1, "it is tried again");
    Ok(())
}

/// Where this object stands under a folder.
fn find(folder: &Path, key: &Uuid) -> anyhow::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_it = path.file_name().is_some_and(|name| name.to_string_lossy() == key.to_string());
        let found = if is_it {
            Some(path)
        } else if path.is_dir() {
            find(&path, key)?
        } else {
            None
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// A put of the same content begins before the removal, and commits after it has looked.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_put_that_comes_first_keeps_the_object(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db.clone()).await?;
    let file = mirror.put(FileDraft::text("a", "same"))?;
    mirror.pass().await?;
    mirror.rig.fake.world().delete_file(&file)?;
    mirror.pass().await?;
    a_minute_later(&db).await?;
    let again = mirror.put(FileDraft::text("b", "same"))?;
    mirror.mirror().await?;
    let mut put = db.begin().await?;
    contents::compare(&mut put, mirror.account).await?;
    let wanted = contents::next(&mut put, mirror.account, 10).await?;
    let key = contents::begin(&mut put, &wanted[0]).await?.context("somebody else has begun")?.key;
    let sha256 = stored_sum(&db).await?;
    mirror.objects.put(key, b"same".to_vec()).await?;
    let outcome = contents::Outcome::Stored { sha256, size: 4 };
    assert!(contents::end(&mut put, &wanted[0], key, &outcome).await?);
    let removal = async { anyhow::Ok(objects::forget_unused(&mut *db.acquire().await?, 0, 100).await?) };
    let commit = async {
        until_somebody_waits(&db).await?;
        anyhow::Ok(put.commit().await?)
    };
    let (removed, committed) = tokio::join!(removal, commit);
    committed?;
    assert_eq!(removed?, forgotten(0));
    mirror.assert_stored(&again).await?;
    Ok(())
}

/// The removal has deleted the row, and commits while the put waits: the put makes its own.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_put_that_comes_second_has_an_object_of_its_own(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db.clone()).await?;
    let file = mirror.put(FileDraft::text("a", "same"))?;
    mirror.pass().await?;
    mirror.rig.fake.world().delete_file(&file)?;
    mirror.pass().await?;
    a_minute_later(&db).await?;
    let again = mirror.put(FileDraft::text("b", "same"))?;
    mirror.mirror().await?;
    let mut removal = db.begin().await?;
    assert_eq!(objects::forget_unused(&mut removal, 0, 100).await?, forgotten(1));
    mirror.rig.want(mirror.job).await?;
    let put = mirror.rig.step(mirror.job);
    let commit = async {
        until_somebody_waits(&db).await?;
        removal.commit().await?;
        anyhow::Ok(())
    };
    let (put, committed) = tokio::join!(put, commit);
    put?;
    committed?;
    an_hour_later(&db).await?;
    assert_eq!(mirror.objects.remove_due(&db, 100).await?.objects, 1);
    mirror.assert_stored(&again).await?;
    Ok(())
}

async fn stored_sum(db: &PgPool) -> anyhow::Result<Vec<u8>> {
    Ok(sqlx::query_scalar("select sha256 from objects").fetch_one(db).await?)
}

async fn until_somebody_waits(db: &PgPool) -> anyhow::Result<()> {
    for _ in 0..2000 {
        let waits: bool = sqlx::query_scalar("select exists (select from pg_locks where not granted)")
            .fetch_one(db)
            .await?;
        if waits {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("nobody waits for a lock")
}
