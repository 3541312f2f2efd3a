//! What happens to a folder is not told of what is in it.

use loadtest::fake_google::{FileDraft, PermissionRole, World};
use shared::{
    job::{JobId, Verdict},
    store::PgPool,
};

use crate::{
    drives::{BEN, Drives},
    rig::ANNA,
};

/// `outer/inner/deep`, `outer/flat`, and `other`.
fn fill(world: &mut World) -> anyhow::Result<()> {
    world.put_file(ANNA, FileDraft::folder("outer").with_id("outer"))?;
    world.put_file(ANNA, FileDraft::folder("inner").with_id("inner").within("outer"))?;
    world.put_file(ANNA, FileDraft::text("deep", "1").with_id("deep").within("inner"))?;
    world.put_file(ANNA, FileDraft::text("flat", "1").with_id("flat").within("outer"))?;
    world.put_file(ANNA, FileDraft::folder("other").with_id("other"))?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_42_a_folder_that_moves_takes_all_paths_along_at_once(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    drives.swept_long_ago().await?;
    let rig = &drives.rig;
    assert_eq!(drives.path("deep").await?, ("/outer/inner/deep".to_owned(), true));
    rig.fake.world().move_file(ANNA, "outer", Some("other"))?;
    let job = drives.job(None).await?;
    rig.want(job).await?;
    let step = rig.step(job).await?;
    assert_eq!((step.verdict, step.changed), (Verdict::Complete, 1));
    assert_eq!(drives.path("deep").await?, ("/other/outer/inner/deep".to_owned(), true));
    rig.fake.world().edit_file("other", Some("new name"), None)?;
    drives.sync().await?;
    assert_eq!(drives.path("deep").await?, ("/new name/outer/inner/deep".to_owned(), true));
    assert_eq!((drives.sweeps(), drives.looks()), (1, 0));
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_42_a_folder_in_the_trash_takes_all_that_is_in_it_along(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let rig = &drives.rig;
    rig.fake.world().trash_file("deep")?;
    drives.sync().await?;
    rig.fake.world().trash_file("outer")?;
    drives.sync().await?;
    for id in ["outer", "inner", "deep", "flat"] {
        assert!(drives.row(id).await?.trashed, "{id}");
    }
    assert!(!drives.row("other").await?.trashed);
    drives.assert_mirrors().await?;
    rig.fake.world().untrash_file("outer")?;
    drives.sync().await?;
    for id in ["outer", "inner", "flat"] {
        assert!(!drives.row(id).await?.trashed, "{id}");
    }
    assert!(drives.row("deep").await?.trashed, "it was put there itself");
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 1);
    // A folder within one that is in the trash already, and both at once.
    rig.fake.world().trash_file("outer")?;
    rig.fake.world().trash_file("inner")?;
    drives.sync().await?;
    rig.fake.world().untrash_file("outer")?;
    drives.sync().await?;
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_43_a_permission_of_a_folder_has_the_drive_swept(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    let rig = &drives.rig;
    let before = drives.row("deep").await?.raw["permissionIds"].clone();
    rig.fake.world().share_file("outer", BEN, PermissionRole::Reader)?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_ne!(drives.row("deep").await?.raw["permissionIds"], before);
    assert_eq!(drives.sweeps(), 2);
    let words: Vec<String> =
        sqlx::query_scalar("select unnest(permissions) from files where file_id = 'deep'")
            .fetch_all(&rig.db)
            .await?;
    assert_eq!(words, ["owner user:anna@example.com", "reader user:ben@example.com"]);
    // An empty folder, and a file, concern nobody else.
    rig.fake.world().share_file("other", BEN, PermissionRole::Reader)?;
    rig.fake.world().share_file("flat", BEN, PermissionRole::Writer)?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 2);
    rig.fake.world().unshare_file("outer", BEN)?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 3);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_43_a_permission_that_changes_during_a_sweep_has_another_one_follow(
    db: PgPool,
) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    let rig = &drives.rig;
    let job = drives.job(None).await?;
    sqlx::query("update drives set sweep_at = clock()").execute(&rig.db).await?;
    rig.want(job).await?;
    // Past `deep` and `flat`, whose permissions are listed as they were.
    rig.step(job).await?;
    rig.fake.world().share_file("outer", BEN, PermissionRole::Reader)?;
    sqlx::query("update drives set read_at = clock() - interval '11 seconds'").execute(&rig.db).await?;
    rig.step(job).await?;
    rig.complete(job).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 3);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_that_is_deleted_takes_all_that_was_in_it_along(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    drives.rig.fake.world().delete_file("outer")?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.rows().await?.len(), 1);
    drives.rig.fake.world().delete_file("other")?;
    drives.sync().await?;
    assert_eq!((drives.rows().await?.len(), drives.sweeps()), (0, 2), "an empty folder needs no sweep");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_new_folder_and_its_files_need_no_sweep(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    let rig = &drives.rig;
    rig.fake.world().put_file(ANNA, FileDraft::folder("new").with_id("new").within("outer"))?;
    rig.fake.world().put_file(ANNA, FileDraft::text("in it", "1").with_id("in").within("new"))?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.path("in").await?.0, "/outer/new/in it");
    assert_eq!(drives.sweeps(), 1);
    Ok(())
}

/// A first sweep that has listed `deep` and `flat`, and not yet the folders that they are in.
async fn half_swept(db: PgPool) -> anyhow::Result<(Drives, JobId)> {
    let drives = Drives::new(db, 2).await?;
    fill(&mut drives.rig.fake.world())?;
    drives.rig.complete(drives.list).await?;
    let job = drives.job(None).await?;
    drives.rig.step(job).await?;
    let listed: Vec<String> = drives.rows().await?.into_iter().map(|row| row.file_id).collect();
    assert_eq!(listed, ["deep", "flat"]);
    Ok((drives, job))
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_43_a_folder_that_is_shared_during_the_first_sweep_has_another_one_follow(
    db: PgPool,
) -> anyhow::Result<()> {
    let (drives, job) = half_swept(db).await?;
    let rig = &drives.rig;
    // More than is looked into.
    for n in 0..20 {
        rig.fake.world().put_file(ANNA, FileDraft::document(&format!("file {n}")).within("outer"))?;
    }
    rig.fake.world().share_file("outer", BEN, PermissionRole::Reader)?;
    rig.complete(job).await?;
    assert_eq!(drives.sweeps(), 1, "it may be right as it is");
    sqlx::query("update drives set sweep_at = sweep_at - interval '1 hour'").execute(&rig.db).await?;
    rig.want(job).await?;
    rig.complete(job).await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.sweeps(), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_43_a_small_folder_that_is_shared_during_the_first_sweep_is_looked_into(
    db: PgPool,
) -> anyhow::Result<()> {
    let (drives, job) = half_swept(db).await?;
    drives.rig.fake.world().share_file("outer", BEN, PermissionRole::Reader)?;
    drives.rig.complete(job).await?;
    drives.assert_mirrors().await?;
    let again: bool = sqlx::query_scalar("select sweep_at < clock() + interval '2 hours' from drives")
        .fetch_one(&drives.rig.db)
        .await?;
    assert_eq!((drives.sweeps(), again), (1, false));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_43_a_folder_that_is_deleted_during_the_first_sweep_leaves_nothing(
    db: PgPool,
) -> anyhow::Result<()> {
    let (drives, job) = half_swept(db).await?;
    drives.rig.fake.world().delete_file("outer")?;
    drives.rig.complete(job).await?;
    drives.assert_mirrors().await?;
    assert_eq!((drives.rows().await?.len(), drives.sweeps()), (1, 2));
    Ok(())
}
