//! What others share, and take back.

use loadtest::fake_google::{FileDraft, PermissionRole, World};
use shared::store::PgPool;

use crate::{
    drives::{BEN, Drives},
    rig::ANNA,
};

fn fill(world: &mut World) -> anyhow::Result<()> {
    world.put_file(BEN, FileDraft::folder("folder").with_id("folder"))?;
    world.put_file(BEN, FileDraft::text("in it", "1").with_id("in").within("folder"))?;
    world.put_file(BEN, FileDraft::text("alone", "1").with_id("alone"))?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_39_access_that_is_lost_and_regained(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    let rig = &drives.rig;
    for round in 0..2 {
        rig.fake.world().share_file("alone", ANNA, PermissionRole::Reader)?;
        rig.fake.world().share_file("folder", ANNA, PermissionRole::Reader)?;
        drives.sync().await?;
        drives.assert_mirrors().await?;
        assert_eq!(drives.rows().await?.len(), 3, "round {round}: what is in the folder is seen, too");
        assert_eq!(
            drives.path("in").await?,
            ("/folder/in it".to_owned(), false),
            "nobody tells what is above"
        );
        rig.fake.world().unshare_file("alone", ANNA)?;
        rig.fake.world().unshare_file("folder", ANNA)?;
        drives.sync().await?;
        drives.assert_mirrors().await?;
        assert!(drives.rows().await?.is_empty(), "round {round}");
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_shared_by_itself_stays_when_its_folder_is_taken_back(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, |world| {
        fill(world)?;
        world.share_file("folder", ANNA, PermissionRole::Reader)?;
        world.share_file("in", ANNA, PermissionRole::Reader)
    })
    .await?;
    drives.rig.fake.world().unshare_file("folder", ANNA)?;
    drives.sync().await?;
    let rows = drives.rows().await?;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].file_id.as_str(), rows[0].parent_id.as_deref()), ("in", None));
    drives.assert_mirrors().await
}
