//! What operators see of drives and files.

use loadtest::fake_google::{FileDraft, World};
use shared::{
    admin::{
        account::AccountRef,
        drive::{self, Branch},
        file::{self, Filter},
    },
    store::PgPool,
};

use crate::{drives::Drives, rig::ANNA};

fn fill(world: &mut World) -> anyhow::Result<()> {
    world.put_file(ANNA, FileDraft::folder("Plans").with_id("plans"))?;
    world.put_file(ANNA, FileDraft::folder("Plans").with_id("twin"))?;
    world.put_file(ANNA, FileDraft::text("Roof.pdf", "12345").with_id("roof").within("plans"))?;
    world.put_file(ANNA, FileDraft::text("roof_2.pdf", "1").with_id("roof2").within("twin"))?;
    world.put_file(ANNA, FileDraft::text("old", "1").with_id("old"))?;
    world.trash_file("old")?;
    world.add_drive(ANNA, Some("team"), "Team")?;
    world.put_file(ANNA, FileDraft::text("in team", "1").with_id("there").within("team"))?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn files_are_found_by_path_name_folder_and_trash(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let mut conn = drives.rig.db.acquire().await?;
    let all = Filter { account: Some(AccountRef::Id(drives.account)), limit: 100, ..Filter::default() };
    let mut ids = async |filter: Filter| -> Result<Vec<String>, String> {
        let files = file::ls(&mut conn, &filter).await.map_err(|error| error.to_string())?;
        Ok(files.into_iter().map(|file| file.file_id).collect())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(ids(all.clone()).await.unwrap(), ["plans", "twin", "there", "roof", "roof2"]);
    assert_eq!(ids(Filter { trashed: true, ..all.clone() }).await.unwrap(), ["old"]);
    assert_eq!(ids(Filter { path: some("/"), ..all.clone() }).await.unwrap(), ["plans", "twin"]);
    assert_eq!(ids(Filter { path: some("Plans"), ..all.clone() }).await.unwrap(), ["roof", "roof2"]);
    assert_eq!(ids(Filter { folder: some("twin"), ..all.clone() }).await.unwrap(), ["roof2"]);
    assert_eq!(ids(Filter { name: some("ROOF*"), ..all.clone() }).await.unwrap(), ["roof", "roof2"]);
    assert_eq!(ids(Filter { name: some("roof_*"), ..all.clone() }).await.unwrap(), ["roof2"]);
    assert_eq!(ids(Filter { name: some("roof"), ..all.clone() }).await.unwrap(), [""; 0]);
    let lost = ids(Filter { path: some("/Plans/Roof/x"), ..all }).await.unwrap_err();
    assert!(lost.contains("there is no path /Plans/Roof/x"), "{lost}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn drives_are_listed_and_shown_as_trees(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let mut conn = drives.rig.db.acquire().await?;
    let listed = drive::ls(&mut conn, &drive::Filter { limit: 10, ..drive::Filter::default() }).await?;
    let told: Vec<_> = listed.iter().map(|d| (d.name.as_deref(), d.is_mine, d.files, d.bytes)).collect();
    assert_eq!(told, [(Some("My Drive"), true, 5, 7), (Some("Team"), false, 1, 1)]);
    let branch = Branch { drive: listed[0].id, depth: 20, limit: 100, ..Branch::default() };
    let tree = drive::tree(&mut conn, &branch).await?;
    let names: Vec<_> = tree.iter().map(|row| row.names.join("/")).collect();
    assert_eq!(names, ["Plans", "Plans", "Plans/Roof.pdf", "Plans/roof_2.pdf"]);
    let top = drive::tree(&mut conn, &Branch { depth: 1, trashed: true, ..branch }).await?;
    assert_eq!(top.len(), 3);
    let missing = drive::tree(&mut conn, &Branch { drive: 999, ..Branch::default() }).await.unwrap_err();
    assert!(missing.to_string().contains("there is no drive 999"), "{missing}");
    Ok(())
}
