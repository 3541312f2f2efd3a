//! What nothing refers to is taken out of the store, and nothing else.

use std::time::Duration;

use anyhow::Context as _;
use loadtest::fake_google::{Api, Content, FaultKind, FaultRule, FileDraft};
use shared::{
    objects::{PART, Removed},
    store::{PgPool, contents, objects},
};

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
    assert_eq!(objects::forget_unused(&mut conn, 100).await?, 0, "it was put just now");
    a_minute_later(&db).await?;
    assert_eq!(objects::forget_unused(&mut conn, 100).await?, 1);
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
    let removal = async { anyhow::Ok(objects::forget_unused(&mut *db.acquire().await?, 100).await?) };
    let commit = async {
        until_somebody_waits(&db).await?;
        anyhow::Ok(put.commit().await?)
    };
    let (removed, committed) = tokio::join!(removal, commit);
    committed?;
    assert_eq!(removed?, 0);
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
    assert_eq!(objects::forget_unused(&mut removal, 100).await?, 1);
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
