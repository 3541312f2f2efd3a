//! Names, shortcuts, and places that are none.

use loadtest::fake_google::{FileDraft, SHORTCUT};
use shared::store::PgPool;

use crate::{drives::Drives, rig::ANNA};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_48_shortcuts_lead_somewhere_or_nowhere(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, |world| {
        world.put_file(ANNA, FileDraft::text("target", "1").with_id("target"))?;
        world.put_file(ANNA, FileDraft::shortcut("good", "target").with_id("good"))?;
        world.put_file(ANNA, FileDraft::shortcut("dangling", "nowhere").with_id("dangling"))?;
        Ok(())
    })
    .await?;
    let found: Vec<(String, String, Option<String>, Option<String>)> = sqlx::query_as(
        "select s.name, s.mime_type, s.shortcut_target, t.name
         from files s left join files t on t.account_id = s.account_id and t.file_id = s.shortcut_target
         where s.shortcut_target is not null order by s.name",
    )
    .fetch_all(&drives.rig.db)
    .await?;
    let text = |text: &str| text.to_owned();
    assert_eq!(
        found,
        [
            (text("dangling"), text(SHORTCUT), Some(text("nowhere")), None),
            (text("good"), text(SHORTCUT), Some(text("target")), Some(text("target"))),
        ]
    );
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_48_cycles_orphans_and_odd_names_have_paths_that_end(db: PgPool) -> anyhow::Result<()> {
    let odd = ["a/b", "", " ", "..", "日本語\u{202e}", "x\\y%_*", "quote\"'", "null\u{1}"];
    let drives = Drives::mirrored(db, 1000, |world| {
        world.put_file(ANNA, FileDraft::folder("one").with_id("one"))?;
        world.put_file(ANNA, FileDraft::folder("two").with_id("two").within("one"))?;
        world.put_file(ANNA, FileDraft::text("in", "1").with_id("in").within("two"))?;
        world.move_file(ANNA, "one", Some("two"))?;
        world
            .put_file(ANNA, FileDraft { orphan: true, ..FileDraft::text("orphan", "1").with_id("orphan") })?;
        world.put_file(ANNA, FileDraft::folder("self").with_id("self"))?;
        world.move_file(ANNA, "self", Some("self"))?;
        for name in odd.iter().chain(&odd) {
            world.put_file(ANNA, FileDraft::text(name, "1"))?;
        }
        Ok(())
    })
    .await?;
    let db = &drives.rig.db;
    let files: i64 = sqlx::query_scalar("select count(*) from file_paths").fetch_one(db).await?;
    assert_eq!(files, 5 + 16);
    let (path, rooted) = drives.path("in").await?;
    assert_eq!((path.as_str(), rooted), ("/one/two/in", false), "round and round, once");
    assert_eq!(drives.path("orphan").await?, ("/orphan".to_owned(), false));
    assert_eq!(drives.path("self").await?, ("/self".to_owned(), false));
    let below: Vec<String> = sqlx::query_scalar("select file_id from file_tree($1, 'one') order by 1")
        .bind(drives.account)
        .fetch_all(db)
        .await?;
    assert_eq!(below, ["in", "two"]);
    for name in odd {
        let rows: i64 =
            sqlx::query_scalar("select count(*) from files where name = $1").bind(name).fetch_one(db).await?;
        assert_eq!(rows, 2, "{name:?}");
    }
    // The trash goes round once, too.
    drives.rig.fake.world().trash_file("one")?;
    drives.sync().await?;
    assert!(drives.row("in").await?.trashed);
    drives.assert_mirrors().await
}
