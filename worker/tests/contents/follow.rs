//! What is wanted follows the files and folders.

use loadtest::fake_google::{Content, FileDraft};
use shared::{
    job::{Parked, Verdict},
    store::{
        PgPool,
        drive_mirrors::{self, NewMirror},
    },
};

use crate::{
    mirror::{Contents, whole},
    rig::ANNA,
};

/// Takes the mirror of everything away and puts this one in its place.
async fn only(contents: &Contents, mirror: &NewMirror) -> anyhow::Result<()> {
    sqlx::query("delete from drive_mirrors").execute(&contents.rig.db).await?;
    drive_mirrors::put(&mut *contents.rig.db.acquire().await?, contents.account, mirror).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_new_revision_takes_the_place_of_the_old_one(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let file = contents.put(FileDraft::text("a", "first"))?;
    contents.pass().await?;
    let first = contents.row(&file).await?.revision;
    contents.rig.fake.world().edit_file(&file, None, Some(Content::Text("second".to_owned())))?;
    let log = contents.rig.job_of("drive_changes").await?;
    contents.rig.want(log).await?;
    let step = contents.rig.step(log).await?;
    assert!(step.wanted.contains(&contents.job), "what changes the files wants their contents: {step:?}");
    contents.rig.complete(contents.job).await?;
    contents.assert_stored(&file).await?;
    assert_ne!(contents.row(&file).await?.revision, first);
    // A new name is no new content.
    let calls = contents.rig.fake.stats().media[&file].from.len();
    contents.rig.fake.world().edit_file(&file, Some("b"), None)?;
    contents.pass().await?;
    assert_eq!(contents.rig.fake.stats().media[&file].from.len(), calls);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_that_moves_takes_its_contents_along(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let (mirrored, inner) =
        (contents.put(FileDraft::folder("mirrored"))?, contents.put(FileDraft::folder("inner"))?);
    let file = contents.put(FileDraft::text("a", "a").within(&inner))?;
    only(&contents, &NewMirror { folder: Some(mirrored.clone()), ..whole() }).await?;
    contents.pass().await?;
    assert_eq!(contents.rows().await?, 0, "it is not below the folder");
    contents.rig.fake.world().move_file(ANNA, &inner, Some(&mirrored))?;
    contents.pass().await?;
    contents.assert_stored(&file).await?;
    contents.rig.fake.world().move_file(ANNA, &inner, None)?;
    contents.pass().await?;
    assert_eq!(contents.rows().await?, 0, "it has left");
    // A folder in itself ends no pass, and none for ever.
    contents.rig.fake.world().move_file(ANNA, &inner, Some(&mirrored))?;
    contents.rig.fake.world().move_file(ANNA, &mirrored, Some(&inner))?;
    contents.pass().await?;
    contents.assert_stored(&file).await?;
    contents.rig.fake.world().trash_file(&file)?;
    contents.pass().await?;
    assert_eq!(contents.rows().await?, 0, "the trash is not mirrored");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn types_and_sizes_are_chosen(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    let text = contents.put(FileDraft::text("text", "some text"))?;
    let long = contents.put(FileDraft::text("long", "some text that is too long"))?;
    let binary = contents.put_drawn("binary", 1, 5)?;
    let mime_types = Some(vec!["text/*".to_owned(), "image/png".to_owned()]);
    only(&contents, &NewMirror { mime_types, max_size: Some(10), ..whole() }).await?;
    contents.pass().await?;
    contents.assert_stored(&text).await?;
    for file in [&long, &binary] {
        assert!(contents.row(file).await.is_err(), "it is not wanted");
    }
    // Another mirror wants the rest, and what is stored stays.
    let all = NewMirror { folder: Some(contents.rig.fake.world().root_folder(ANNA)?), ..whole() };
    drive_mirrors::put(&mut *contents.rig.db.acquire().await?, contents.account, &all).await?;
    contents.pass().await?;
    contents.assert_stored(&binary).await?;
    assert_eq!(contents.rig.fake.stats().media[&text].from.len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn without_a_mirror_nothing_is_kept(db: PgPool) -> anyhow::Result<()> {
    let contents = Contents::new(db).await?;
    contents.put(FileDraft::text("a", "a"))?;
    contents.pass().await?;
    sqlx::query("delete from drive_mirrors").execute(&contents.rig.db).await?;
    contents.rig.want(contents.job).await?;
    let step = contents.rig.step(contents.job).await?;
    assert!(matches!(step.verdict, Verdict::Park { parked: Parked::Gone, .. }), "{step:?}");
    assert_eq!(contents.rows().await?, 0);
    Ok(())
}
