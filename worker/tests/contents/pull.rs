//! Stored contents as files of a folder.

use std::{fs, path::Path};

use loadtest::fake_google::{Content, FileDraft};
use shared::{
    admin::{
        contents,
        pull::{self, Pulled},
    },
    store::PgPool,
};

use crate::{mirror::Contents, rig::ANNA};

async fn pulled(mirror: &Contents, to: &Path, delete: bool) -> anyhow::Result<Pulled> {
    let mut conn = mirror.rig.db.acquire().await?;
    let root = mirror.rig.fake.world().root_folder(ANNA)?;
    let account = mirror.account.to_string().parse().map_err(|error| anyhow::anyhow!("{error}"))?;
    let files = contents::in_folder(&mut conn, &account, &root).await?;
    pull::pull(&mirror.objects, &files, to, delete).await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_is_written_once_and_kept_in_step(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db).await?;
    let folder = mirror.put(FileDraft::folder("a folder"))?;
    let file = mirror.put(FileDraft::text("a.txt", "first").within(&folder))?;
    let other = mirror.put(FileDraft::text("b.txt", "other"))?;
    mirror.put(FileDraft::document("letter"))?;
    let export = FileDraft { export_length: Some(11 << 20), ..FileDraft::document("too large") };
    mirror.put(export)?;
    mirror.pass().await?;
    let place = tempfile::tempdir()?;
    let to = place.path().join("new");
    let first = pulled(&mirror, &to, false).await?;
    assert_eq!((first.written, first.unchanged, first.missing.len()), (3, 0, 1), "{first:?}");
    assert_eq!(first.missing[0].why, "refused: exportSizeLimitExceeded");
    assert_eq!(fs::read_to_string(to.join("a folder/a.txt"))?, "first");
    assert!(fs::read_to_string(to.join("letter.docx"))?.starts_with("letter as "));
    let modified = fs::metadata(to.join("b.txt"))?.modified()?;
    let again = pulled(&mirror, &to, false).await?;
    assert_eq!((again.written, again.unchanged), (0, 3), "{again:?}");

    mirror.rig.fake.world().edit_file(&file, None, Some(Content::Text("second".to_owned())))?;
    mirror.rig.fake.world().delete_file(&other)?;
    fs::write(to.join("mine.txt"), "not syncfleet's")?;
    mirror.pass().await?;
    let kept = pulled(&mirror, &to, false).await?;
    assert_eq!((kept.written, kept.unchanged, kept.left, kept.removed), (1, 1, 1, 0), "{kept:?}");
    assert_eq!(fs::metadata(to.join("b.txt"))?.modified()?, modified);
    let removed = pulled(&mirror, &to, true).await?;
    assert_eq!((removed.written, removed.removed), (0, 1), "{removed:?}");
    assert!(!to.join("b.txt").exists() && to.join("mine.txt").exists());
    assert_eq!(fs::read_to_string(to.join("a folder/a.txt"))?, "second");
    // What somebody changed here is written anew.
    fs::write(to.join("letter.docx"), "changed")?;
    assert_eq!(pulled(&mirror, &to, true).await?.written, 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn hostile_names_stay_within_the_folder(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db).await?;
    let up = mirror.put(FileDraft::folder(".."))?;
    mirror.put(FileDraft::text("../../escaped", "1").within(&up))?;
    for (n, name) in ["..", ".", "/etc/passwd", "same", "same", "SAME", ".syncfleet-manifest.json", "a\nb"]
        .iter()
        .enumerate()
    {
        mirror.put(FileDraft::text(name, &format!("text {n}")))?;
    }
    mirror.pass().await?;
    let place = tempfile::tempdir()?;
    let to = place.path().join("in/side");
    let first = pulled(&mirror, &to, false).await?;
    assert_eq!((first.written, first.missing.len()), (9, 0), "{first:?}");
    assert_eq!(fs::read_dir(place.path().join("in"))?.count(), 1, "nothing beside the folder");
    assert_eq!(fs::read_dir(place.path())?.count(), 1);
    assert_eq!(pulled(&mirror, &to, false).await?.unchanged, 9);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_link_on_the_way_is_not_followed(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db).await?;
    let folder = mirror.put(FileDraft::folder("folder"))?;
    mirror.put(FileDraft::text("a", "a").within(&folder))?;
    mirror.pass().await?;
    let place = tempfile::tempdir()?;
    let (to, outside) = (place.path().join("to"), place.path().join("outside"));
    fs::create_dir(&to)?;
    fs::create_dir(&outside)?;
    std::os::unix::fs::symlink(&outside, to.join("folder"))?;
    let error = pulled(&mirror, &to, false).await.unwrap_err().to_string();
    assert!(error.contains("is in the way"), "{error}");
    assert_eq!(fs::read_dir(&outside)?.count(), 0);
    Ok(())
}
