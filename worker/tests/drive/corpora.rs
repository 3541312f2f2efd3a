//! Shared drives beside My Drive.

use loadtest::fake_google::{FileDraft, PermissionRole, World};
use shared::{job::JobId, store::PgPool};

use crate::{
    drives::{BEN, Drives},
    rig::ANNA,
};

fn fill(world: &mut World) -> anyhow::Result<()> {
    world.add_drive(ANNA, Some("team"), "Team")?;
    world.put_file(ANNA, FileDraft::folder("shared folder").with_id("there").within("team"))?;
    world.put_file(ANNA, FileDraft::folder("folder").with_id("folder"))?;
    world.put_file(ANNA, FileDraft::text("in it", "1").with_id("in").within("folder"))?;
    world.put_file(ANNA, FileDraft::text("file", "1").with_id("file"))?;
    Ok(())
}

/// Reads one log, and only that.
async fn read(drives: &Drives, job: JobId) -> anyhow::Result<()> {
    drives.rig.again(job).await.map(drop)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_40_a_file_that_moves_between_drives_is_one_row_whichever_log_tells_first(
    db: PgPool,
) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let rig = &drives.rig;
    let (mine, team) = (drives.job(None).await?, drives.job(Some("team")).await?);
    for (first, second) in [(mine, team), (team, mine)] {
        rig.fake.world().move_file(ANNA, "file", Some("there"))?;
        read(&drives, first).await?;
        assert_eq!(drives.row("file").await?.name, "file", "it is never missed");
        read(&drives, second).await?;
        drives.assert_mirrors().await?;
        assert_eq!(drives.row("file").await?.shared_drive.as_deref(), Some("team"));
        assert_eq!(drives.path("file").await?, ("/shared folder/file".to_owned(), true));
        rig.fake.world().move_file(ANNA, "file", None)?;
        read(&drives, first).await?;
        read(&drives, second).await?;
        drives.assert_mirrors().await?;
        assert_eq!(drives.row("file").await?.shared_drive, None);
    }
    assert_eq!(drives.sweeps(), 2, "one for each drive, at first");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_40_a_log_that_tells_of_another_drive_wants_its_job(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let rig = &drives.rig;
    let (mine, team) = (drives.job(None).await?, drives.job(Some("team")).await?);
    rig.fake.world().move_file(ANNA, "file", Some("team"))?;
    rig.want(mine).await?;
    assert_eq!(rig.step(mine).await?.wanted, [team]);
    rig.settle().await?;
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_40_a_folder_that_moves_to_another_drive_takes_its_files_along(
    db: PgPool,
) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    let rig = &drives.rig;
    rig.fake.world().move_file(ANNA, "folder", Some("team"))?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.row("in").await?.shared_drive.as_deref(), Some("team"));
    rig.fake.world().move_file(ANNA, "folder", None)?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.row("in").await?.shared_drive, None);
    assert_eq!(drives.sweeps(), 2, "one for each drive, at first");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_41_a_shared_drive_comes_is_renamed_goes_and_comes_back(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    let rig = &drives.rig;
    {
        let mut world = rig.fake.world();
        world.add_drive(BEN, Some("bens"), "Ben's")?;
        for n in 0..5 {
            world.put_file(BEN, FileDraft::document(&format!("his {n}")).within("bens"))?;
        }
        world.add_member("bens", ANNA, PermissionRole::Reader)?;
    }
    drives.sync().await?;
    drives.assert_mirrors().await?;
    let known = async || -> anyhow::Result<(i64, Option<String>, bool)> {
        let row = sqlx::query_as("select id, name, deleted from drives where google_id = 'bens'");
        Ok(row.fetch_one(&rig.db).await?)
    };
    let (id, name, deleted) = known().await?;
    assert_eq!((name.as_deref(), deleted), (Some("Ben's"), false));
    rig.fake.world().rename_drive("bens", "Ben & Co")?;
    drives.sync().await?;
    assert_eq!(known().await?, (id, Some("Ben & Co".to_owned()), false));
    for _ in 0..2 {
        rig.fake.world().remove_member("bens", ANNA)?;
        drives.sync().await?;
        drives.assert_mirrors().await?;
        assert_eq!(known().await?, (id, Some("Ben & Co".to_owned()), true));
        assert!(drives.job(Some("bens")).await.is_err(), "it has no job any more");
        rig.fake.world().add_member("bens", ANNA, PermissionRole::Reader)?;
        drives.sync().await?;
        drives.assert_mirrors().await?;
        assert_eq!(known().await?.0, id);
    }
    rig.fake.world().delete_drive("bens")?;
    drives.sync().await?;
    drives.assert_mirrors().await
}

/// A file of a shared drive that was given to somebody who is no member.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_41_a_single_file_of_a_drive_counts_to_my_drive_until_all_of_it_is_there(
    db: PgPool,
) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, |world| {
        world.add_drive(BEN, Some("bens"), "Ben's")?;
        world.put_file(BEN, FileDraft::text("given", "1").with_id("given").within("bens"))?;
        world.put_file(BEN, FileDraft::text("kept", "1").with_id("kept").within("bens"))?;
        Ok(())
    })
    .await?;
    let rig = &drives.rig;
    rig.fake.world().share_file("given", ANNA, PermissionRole::Reader)?;
    drives.sync().await?;
    assert_eq!(drives.row("given").await?.shared_drive, None);
    assert_eq!(drives.rows().await?.len(), 1);
    rig.fake.world().add_member("bens", ANNA, PermissionRole::Reader)?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(drives.rows().await?.len(), 2);
    rig.fake.world().remove_member("bens", ANNA)?;
    drives.sync().await?;
    let rows = drives.rows().await?;
    assert_eq!(rows.len(), 1, "the file is still given");
    assert_eq!((rows[0].file_id.as_str(), &rows[0].shared_drive), ("given", &None));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_44_an_entry_without_a_change_changes_nothing(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let rig = &drives.rig;
    let before = drives.rows().await?;
    let mine = drives.job(None).await?;
    // Looked at: told in the log of My Drive, though the file is in the shared drive.
    rig.fake.world().view_file(ANNA, "there")?;
    read(&drives, mine).await?;
    assert_eq!(drives.rows().await?, before);
    rig.settle().await?;
    // Deleted there, and then told here as removed.
    rig.fake.world().view_file(ANNA, "there")?;
    rig.fake.world().delete_file("there")?;
    read(&drives, mine).await?;
    assert_eq!(drives.rows().await?, before, "the log of the drive that it is in counts");
    drives.sync().await?;
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_47_every_call_says_that_it_knows_of_shared_drives(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1, fill).await?;
    let rig = &drives.rig;
    rig.fake.world().put_file(ANNA, FileDraft::text("new", "1").within("team"))?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!((rig.refused("404"), rig.refused("400")), (0, 0));
    let asked = rig.fake.stats();
    assert!(asked.by_drive["anna@example.com/team"].full == 1, "{asked:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_47_a_drive_that_is_not_found_has_the_list_looked_at(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let rig = &drives.rig;
    let team = drives.job(Some("team")).await?;
    rig.fake.world().remove_member("team", ANNA)?;
    rig.want(team).await?;
    assert_eq!(rig.step(team).await?.wanted, [drives.list]);
    rig.settle().await?;
    drives.assert_mirrors().await?;
    assert!(drives.job(Some("team")).await.is_err());
    Ok(())
}
