//! What the change feed tells of drives and files.

use loadtest::fake_google::{FileDraft, World};
use shared::{admin::Actor, store::PgPool};

use crate::{drives::Drives, rig::ANNA};

type Told = (String, String, String);

/// All changes so far, in the feed's order: resource, what, key.
async fn told(drives: &Drives) -> anyhow::Result<Vec<Told>> {
    Ok(sqlx::query_as("select resource::text, what::text, key from changes order by epoch, xid, id")
        .fetch_all(&drives.rig.db)
        .await?)
}

/// What was told since, sorted.
async fn since(drives: &Drives, before: usize) -> anyhow::Result<Vec<Told>> {
    let mut news = told(drives).await?.split_off(before);
    news.sort();
    Ok(news)
}

fn file(what: &str, id: &str) -> Told {
    ("file".to_owned(), what.to_owned(), id.to_owned())
}

fn drive(what: &str, id: i64) -> Told {
    ("drive".to_owned(), what.to_owned(), id.to_string())
}

/// The number of a drive.
async fn number(drives: &Drives, shared: Option<&str>) -> anyhow::Result<i64> {
    let id = sqlx::query_scalar(
        "select id from drives where case when $1::text is null then is_mine else google_id = $1 end",
    );
    Ok(id.bind(shared).fetch_one(&drives.rig.db).await?)
}

fn fill(world: &mut World) -> anyhow::Result<()> {
    world.add_drive(ANNA, Some("team"), "Team")?;
    world.put_file(ANNA, FileDraft::text("of the team", "1").with_id("there").within("team"))?;
    world.put_file(ANNA, FileDraft::folder("folder").with_id("folder"))?;
    world.put_file(ANNA, FileDraft::text("in it", "1").with_id("in").within("folder"))?;
    world.put_file(ANNA, FileDraft::text("file", "1").with_id("file"))?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn only_what_changed_in_a_drive_is_told(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, fill).await?;
    let (mine, team) = (number(&drives, None).await?, number(&drives, Some("team")).await?);
    let mut first = vec![drive("created", mine), drive("created", team)];
    first.extend(["file", "folder", "in", "there"].map(|id| file("created", id)));
    first.sort();
    assert_eq!(since(&drives, 0).await?, first);
    let parents: Vec<Option<i64>> =
        sqlx::query_scalar("select parent from changes where key in ('file', 'there') order by key")
            .fetch_all(&drives.rig.db)
            .await?;
    assert_eq!(parents, [Some(mine), Some(team)]);

    // Quiet passes, and sweeps and lists that bring everything again.
    let mut before = told(&drives).await?.len();
    drives.sync().await?;
    sqlx::query("update drives set sweep_at = '-infinity'").execute(&drives.rig.db).await?;
    drives.sync().await?;
    drives.rig.again(drives.list).await?;
    assert_eq!(drives.sweeps(), 4);
    assert_eq!(since(&drives, before).await?, []);

    drives.rig.fake.world().edit_file("file", Some("another name"), None)?;
    drives.rig.fake.world().put_file(ANNA, FileDraft::text("new", "1").with_id("new"))?;
    drives.rig.fake.world().delete_file("there")?;
    drives.rig.fake.world().rename_drive("team", "The team")?;
    drives.sync().await?;
    let news =
        [drive("updated", team), file("created", "new"), file("deleted", "there"), file("updated", "file")];
    assert_eq!(since(&drives, before).await?, news);

    // Only the version has grown.
    before = told(&drives).await?.len();
    sqlx::query(
        "update files set version = 1, raw = jsonb_set(raw, '{version}', '\"1\"') where file_id = 'file'",
    )
    .execute(&drives.rig.db)
    .await?;
    sqlx::query("update drives set sweep_at = '-infinity'").execute(&drives.rig.db).await?;
    drives.sync().await?;
    assert_eq!(since(&drives, before).await?, []);
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_in_a_folder_is_told_when_the_folder_goes_into_the_trash(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let mut before = told(&drives).await?.len();
    for trashed in [true, false] {
        if trashed {
            drives.rig.fake.world().trash_file("folder")?;
        } else {
            drives.rig.fake.world().untrash_file("folder")?;
        }
        drives.sync().await?;
        assert_eq!(since(&drives, before).await?, [file("updated", "folder"), file("updated", "in")]);
        before += 2;
    }
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_moves_is_told_and_what_goes_with_its_drive_or_account(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let (mine, team) = (number(&drives, None).await?, number(&drives, Some("team")).await?);
    let before = told(&drives).await?.len();
    drives.rig.fake.world().move_file(ANNA, "file", Some("team"))?;
    drives.sync().await?;
    let news = since(&drives, before).await?;
    assert_eq!(news, [file("updated", "file")]);
    let parent: i64 =
        sqlx::query_scalar("select parent from changes where key = 'file' and what = 'updated'")
            .fetch_one(&drives.rig.db)
            .await?;
    assert_eq!(parent, team);

    let before = told(&drives).await?.len();
    drives.rig.fake.world().remove_member("team", ANNA)?;
    drives.sync().await?;
    let gone = [drive("deleted", team), file("deleted", "file"), file("deleted", "there")];
    assert_eq!(since(&drives, before).await?, gone);
    let parents: Vec<Option<i64>> = sqlx::query_scalar(
        "select distinct c.parent from changes c join accounts a on a.id = c.account_id and a.tenant_id = c.tenant_id
        where c.resource = 'file' and c.what = 'deleted'",
    )
    .fetch_all(&drives.rig.db)
    .await?;
    assert_eq!(parents, [Some(team)]);

    let before = told(&drives).await?.len();
    shared::admin::account::rm(&drives.rig.db, None, &Actor::new("test:ada"), drives.account).await?;
    let gone = [drive("deleted", mine), file("deleted", "folder"), file("deleted", "in")];
    assert_eq!(since(&drives, before).await?, gone);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_page_that_loses_its_lease_tells_nothing(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, fill).await?;
    let (job, before) = (drives.job(None).await?, told(&drives).await?.len());
    drives.rig.fake.world().edit_file("file", Some("another name"), None)?;
    drives.rig.want(job).await?;
    let run = drives.rig.claim(job).await?;
    let step = drives.rig.uncommitted(&run).await?;
    assert_eq!(step.changed, 1);
    drop(step);
    assert_eq!(since(&drives, before).await?, []);
    drives.rig.reap().await?;
    drives.rig.complete(job).await?;
    assert_eq!(since(&drives, before).await?, [file("updated", "file")]);
    Ok(())
}
