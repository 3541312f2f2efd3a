//! Stored contents as files of a folder.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use loadtest::fake_google::{Content, FileDraft};
use shared::{
    admin::pull::{self, Pulled},
    store::PgPool,
};

use crate::{mirror::Contents, rig::ANNA};

async fn pulled(mirror: &Contents, to: &Path, delete: bool) -> anyhow::Result<Pulled> {
    let root = mirror.rig.fake.world().root_folder(ANNA)?;
    let account = mirror.account.to_string().parse().map_err(|error| anyhow::anyhow!("{error}"))?;
    pull::pull(&mirror.rig.db, &mirror.objects, &account, &root, to, delete).await
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
    let blocked = pulled(&mirror, &to, false).await?.blocked;
    assert!(blocked.len() == 1 && blocked[0].why.contains("is in the way"), "{blocked:?}");
    assert_eq!(fs::read_dir(&outside)?.count(), 0);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_folder_becomes_a_file_and_a_file_a_folder(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db).await?;
    let folder = mirror.put(FileDraft::folder("one"))?;
    mirror.put(FileDraft::text("a", "in a folder").within(&folder))?;
    let file = mirror.put(FileDraft::text("two", "a file"))?;
    mirror.put(FileDraft::text("other", "first"))?;
    mirror.pass().await?;
    let to = tempfile::tempdir()?;
    assert_eq!(pulled(&mirror, to.path(), false).await?.written, 3);
    mirror.rig.fake.world().delete_file(&folder)?;
    mirror.rig.fake.world().delete_file(&file)?;
    mirror.put(FileDraft::text("one", "a file"))?;
    let folder = mirror.put(FileDraft::folder("two"))?;
    mirror.put(FileDraft::text("a", "in a folder").within(&folder))?;
    mirror.pass().await?;
    let kept = pulled(&mirror, to.path(), false).await?;
    assert_eq!((kept.left, kept.unchanged, kept.blocked.len()), (2, 1, 2), "{kept:?}");
    assert_eq!(fs::read_to_string(to.path().join("two"))?, "a file", "nothing was touched");
    let now = pulled(&mirror, to.path(), true).await?;
    assert_eq!((now.removed, now.written, now.blocked.len()), (2, 2, 0), "{now:?}");
    assert_eq!(fs::read_to_string(to.path().join("one"))?, "a file");
    assert_eq!(fs::read_to_string(to.path().join("two/a"))?, "in a folder");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn one_that_was_killed_is_gone_on_with_and_two_do_not_meet(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db).await?;
    let first = mirror.put(FileDraft::text("0", "text 0"))?;
    for n in 1..5 {
        mirror.put(FileDraft::text(&format!("{n}"), &format!("text {n}")))?;
    }
    mirror.pass().await?;
    let to = tempfile::tempdir()?;
    assert_eq!(pulled(&mirror, to.path(), false).await?.written, 5);
    // As a kill leaves it: files that the journal alone tells, one that was not moved to its place, one half written, a cut line.
    let manifest: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&fs::read(to.path().join(".syncfleet-manifest.json"))?)?;
    let lines: Vec<String> = manifest.iter().map(|(path, entry)| format!("[\"{path}\",{entry}]\n")).collect();
    let journal = lines.concat();
    fs::write(to.path().join(".syncfleet-journal"), journal + "[\"5\",{\"sha")?;
    fs::remove_file(to.path().join(".syncfleet-manifest.json"))?;
    fs::remove_file(to.path().join("4"))?;
    fs::write(to.path().join(".syncfleet-staging/half"), "hal")?;
    // And one that somebody else wrote, whose line came and whose file did not.
    fs::write(to.path().join("3"), "text X")?;
    let again = pulled(&mirror, to.path(), false).await?;
    assert_eq!((again.unchanged, again.written, again.blocked.len()), (3, 1, 1), "{again:?}");
    assert_eq!(fs::read_dir(to.path().join(".syncfleet-staging"))?.count(), 0);
    assert_eq!(fs::metadata(to.path().join(".syncfleet-journal"))?.len(), 0);
    assert_eq!(fs::read_to_string(to.path().join("3"))?, "text X");
    // What the journal told is this one's own: it goes with its source.
    mirror.rig.fake.world().delete_file(&first)?;
    mirror.pass().await?;
    assert_eq!(pulled(&mirror, to.path(), true).await?.removed, 1);
    assert!(!to.path().join("0").exists());
    let modes =
        |name: &str| fs::metadata(to.path().join(name)).map(|found| found.permissions().mode() & 0o777);
    assert_eq!((modes("4")?, modes(".syncfleet-staging")?), (0o600, 0o700));

    let lock = fs::File::open(to.path().join(".syncfleet-lock"))?;
    lock.try_lock()?;
    let error = pulled(&mirror, to.path(), false).await.unwrap_err().to_string();
    assert!(error.contains("somebody else pulls into"), "{error}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_somebody_else_wrote_is_not_touched(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db).await?;
    let same = mirror.put(FileDraft::text("same", "equal"))?;
    let edited = mirror.put(FileDraft::text("edited", "as it came"))?;
    for name in [".bashrc", "link", "plain"] {
        mirror.put(FileDraft::text(name, "from Drive"))?;
    }
    mirror.pass().await?;
    let place = tempfile::tempdir()?;
    let to = place.path();
    fs::write(to.join(".bashrc"), "the operator's")?;
    fs::write(to.join("same"), "equal")?;
    std::os::unix::fs::symlink("/nowhere", to.join("link"))?;
    let date = fs::metadata(to.join("same"))?.modified()?;
    for written in [2, 0] {
        let first = pulled(&mirror, to, true).await?;
        assert_eq!(
            (first.written, first.unchanged, first.blocked.len()),
            (written, 3 - written, 2),
            "{first:?}"
        );
        assert!(first.blocked.iter().all(|blocked| blocked.why.contains("is in the way")), "{first:?}");
    }
    assert_eq!(fs::read_to_string(to.join(".bashrc"))?, "the operator's");
    assert_eq!(fs::read_link(to.join("link"))?, Path::new("/nowhere"));
    assert_eq!(fs::metadata(to.join("same"))?.modified()?, date);

    // Gone at the source: what was theirs, or was changed since, stays.
    fs::write(to.join("edited"), "changed here")?;
    for file in [&same, &edited] {
        mirror.rig.fake.world().delete_file(file)?;
    }
    mirror.pass().await?;
    let gone = pulled(&mirror, to, true).await?;
    let left: Vec<&str> = gone.blocked.iter().map(|blocked| blocked.path.as_str()).collect();
    assert!(gone.removed == 0 && left.len() == 3 && left.contains(&"edited"), "{gone:?}");
    assert_eq!(fs::read_to_string(to.join("edited"))?, "changed here");
    assert_eq!(fs::read_to_string(to.join("same"))?, "equal");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_file_that_fails_stops_no_other_one(db: PgPool) -> anyhow::Result<()> {
    let mirror = Contents::new(db).await?;
    for name in ["a", "b", "c", "d"] {
        mirror.put(FileDraft::text(name, &format!("text {name}")))?;
    }
    mirror.pass().await?;
    let key = async |text: &str| {
        sqlx::query_scalar::<_, uuid::Uuid>("select key from objects where sha256 = sha256($1)")
            .bind(text.as_bytes())
            .fetch_one(&mirror.rig.db)
            .await
    };
    mirror.objects.remove(key("text a").await?, None).await?;
    let other = key("text b").await?;
    mirror.objects.remove(other, None).await?;
    mirror.objects.put(other, b"text X".to_vec()).await?;
    let to = tempfile::tempdir()?;
    let pulled = pulled(&mirror, to.path(), false).await?;
    assert_eq!((pulled.written, pulled.blocked.len()), (2, 2), "{pulled:?}");
    let why = |path: &str| pulled.blocked.iter().find(|blocked| blocked.path == path).map(|found| &found.why);
    assert!(why("a").is_some(), "{pulled:?}");
    assert!(why("b").is_some_and(|why| why.contains("other bytes")), "{pulled:?}");
    assert!(!to.path().join("b").exists());
    assert_eq!(fs::read_to_string(to.path().join("d"))?, "text d");
    assert_eq!(fs::read_dir(to.path().join(".syncfleet-staging"))?.count(), 0);
    Ok(())
}
