//! Sweeps, and the log after them.

use loadtest::fake_google::{Api, Content, FaultBody, FaultKind, FaultRule, FileDraft};
use shared::{
    job::{Lane, Verdict},
    store::PgPool,
};

use crate::{
    drives::Drives,
    rig::{ANNA, Rig},
};

async fn swept_at(rig: &Rig) -> anyhow::Result<bool> {
    Ok(sqlx::query_scalar("select full_at > '-infinity' from drives where is_mine")
        .fetch_one(&rig.db)
        .await?)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_36_what_changes_during_the_sweep_is_in_the_log_after_it(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::new(db, 2).await?;
    let rig = &drives.rig;
    let mut ids = Vec::new();
    for n in 0..7 {
        let text = format!("content {n}");
        ids.push(rig.fake.world().put_file(ANNA, FileDraft::text(&format!("file {n}"), &text))?);
    }
    ids.sort();
    rig.complete(drives.list).await?;
    let job = drives.job(None).await?;
    let first = rig.step(job).await?;
    assert_eq!((first.verdict, first.changed), (Verdict::Continue { lane: Some(Lane::Bulk) }, 2));
    assert_eq!(drives.rows().await?.len(), 2, "a page is there before the sweep ends");
    {
        let mut world = rig.fake.world();
        // Both sides of the page: what was listed already, and what was not.
        world.edit_file(&ids[0], Some("renamed"), None)?;
        world.edit_file(&ids[6], None, Some(Content::Text("other".to_owned())))?;
        world.delete_file(&ids[1])?;
        world.delete_file(&ids[5])?;
        world.trash_file(&ids[2])?;
        world.put_file(ANNA, FileDraft::text("before all", "x").with_id("0"))?;
        world.put_file(ANNA, FileDraft::text("after all", "x").with_id("z"))?;
    }
    assert!(!swept_at(rig).await?);
    rig.complete(job).await?;
    assert!(swept_at(rig).await?);
    drives.assert_mirrors().await?;
    assert_eq!((drives.sweeps(), rig.fake.stats().changes.incremental), (1, 4));
    // A quiet pass asks once and writes nothing.
    rig.want(job).await?;
    let quiet = rig.step(job).await?;
    assert_eq!((quiet.verdict, quiet.changed), (Verdict::Complete, 0));
    assert_eq!(rig.fake.stats().changes.incremental, 5);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_sweep_that_is_cut_off_at_any_page_loses_nothing_and_doubles_nothing(
    db: PgPool,
) -> anyhow::Result<()> {
    let drives = Drives::new(db, 2).await?;
    let rig = &drives.rig;
    for n in 0..5 {
        rig.fake.world().put_file(ANNA, FileDraft::document(&format!("file {n}")))?;
    }
    rig.complete(drives.list).await?;
    let job = drives.job(None).await?;
    loop {
        // A worker dies with the page in its hands, then another one does it.
        let run = rig.claim(job).await?;
        drop(rig.uncommitted(&run).await?);
        rig.reap().await?;
        if rig.step(job).await?.verdict == Verdict::Complete {
            break;
        }
    }
    drives.assert_mirrors().await?;
    assert_eq!(drives.rows().await?.len(), 5);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_page_that_two_workers_do_counts_once(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::new(db, 2).await?;
    let rig = &drives.rig;
    for n in 0..5 {
        rig.fake.world().put_file(ANNA, FileDraft::document(&format!("file {n}")))?;
    }
    rig.complete(drives.list).await?;
    let run = rig.claim(drives.job(None).await?).await?;
    rig.fake.add_fault(FaultRule::new(FaultKind::Delay { ms: 300 }).on(Api::Files).times(1))?;
    let (slow, fast) = tokio::join!(rig.uncommitted(&run), async {
        rig.until(|stats| stats.files.full == 1).await?;
        let step = rig.uncommitted(&run).await?;
        anyhow::Context::context(step.tx, "nothing was written")?.commit().await?;
        anyhow::Ok(step.changed)
    });
    assert_eq!(fast?, 2);
    let Err(failure) = slow else { anyhow::bail!("the slow one wrote, too") };
    assert!(failure.to_string().contains("moved meanwhile"), "{failure}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_37_a_file_that_comes_twice_counts_once(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 1000, |_| Ok(())).await?;
    let rig = &drives.rig;
    let id = rig.fake.world().put_file(ANNA, FileDraft::text("first", "1"))?;
    for n in 0..6 {
        rig.fake.world().edit_file(&id, Some(&format!("name {n}")), None)?;
    }
    let job = drives.job(None).await?;
    rig.want(job).await?;
    let step = rig.step(job).await?;
    assert_eq!((step.verdict, step.changed), (Verdict::Complete, 1));
    assert_eq!(drives.row(&id).await?.name, "name 5");
    // And on two pages.
    let deleted = rig.fake.world().put_file(ANNA, FileDraft::text("second", "1"))?;
    rig.fake.world().edit_file(&deleted, Some("third"), None)?;
    rig.fake.world().delete_file(&deleted)?;
    rig.again(job).await?;
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_38_removed_trashed_and_restored_are_different_things(db: PgPool) -> anyhow::Result<()> {
    let mut id = String::new();
    let drives = Drives::mirrored(db, 1000, |world| {
        id = world.put_file(ANNA, FileDraft::text("file", "1"))?;
        Ok(())
    })
    .await?;
    let rig = &drives.rig;
    let modified = async || -> anyhow::Result<Option<chrono::DateTime<chrono::Utc>>> {
        let at = sqlx::query_scalar("select modified_at from files where file_id = $1");
        Ok(at.bind(&id).fetch_one(&rig.db).await?)
    };
    let before = modified().await?;
    rig.fake.world().trash_file(&id)?;
    drives.sync().await?;
    assert!(drives.row(&id).await?.trashed);
    rig.fake.world().untrash_file(&id)?;
    drives.sync().await?;
    assert!(!drives.row(&id).await?.trashed);
    assert_eq!(modified().await?, before, "which tells nothing of the trash");
    drives.assert_mirrors().await?;
    rig.fake.world().delete_file(&id)?;
    drives.sync().await?;
    assert!(drives.rows().await?.is_empty());
    assert_eq!(drives.sweeps(), 1, "all of this was in the log");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_45_a_refused_token_of_the_log_leads_to_a_sweep(db: PgPool) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    let drives = Drives::mirrored(db, 2, |world| {
        for n in 0..5 {
            ids.push(world.put_file(ANNA, FileDraft::document(&format!("file {n}")))?);
        }
        Ok(())
    })
    .await?;
    let rig = &drives.rig;
    let job = drives.job(None).await?;
    rig.fake.world().delete_file(&ids[0])?;
    sqlx::query("update drives set log_token = 'bogus'").execute(&rig.db).await?;
    rig.want(job).await?;
    let Verdict::Wait { after, .. } = rig.step(job).await?.verdict else { anyhow::bail!("no wait") };
    assert!(after.as_secs() <= 20, "{after:?}");
    assert_eq!(drives.rows().await?.len(), 5, "nothing is lost before the sweep ends");
    rig.complete(job).await?;
    drives.assert_mirrors().await?;
    assert_eq!((drives.sweeps(), rig.refused("400")), (2, 1));

    // A sweep whose own page token is refused begins anew.
    sqlx::query("update drives set sweep_at = clock()").execute(&rig.db).await?;
    rig.want(job).await?;
    rig.step(job).await?;
    sqlx::query("update drives set page_token = 'bogus'").execute(&rig.db).await?;
    rig.fake.world().delete_file(&ids[1])?;
    rig.complete(job).await?;
    drives.assert_mirrors().await?;
    assert_eq!((drives.sweeps(), rig.refused("400")), (4, 2));

    // Again and again: it does not run hot.
    let bad = FaultKind::Status {
        status: 400,
        reason: Some("invalid".to_owned()),
        retry_after_s: None,
        body: FaultBody::Json,
    };
    rig.fake.add_fault(FaultRule::new(bad).on(Api::Changes))?;
    rig.want(job).await?;
    let (verdict, _) = rig.pass(job).await?;
    let Verdict::Wait { after, .. } = verdict else { anyhow::bail!("{verdict:?}") };
    assert!(after.as_secs() >= 300, "{after:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_46_a_list_that_is_not_whole_sweeps_nothing(db: PgPool) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    let drives = Drives::mirrored(db, 4, |world| {
        for n in 0..8 {
            ids.push(world.put_file(ANNA, FileDraft::document(&format!("file {n}")))?);
        }
        Ok(())
    })
    .await?;
    let rig = &drives.rig;
    let full = "select full_at::text from drives";
    let before: String = sqlx::query_scalar(full).fetch_one(&rig.db).await?;
    let job = drives.job(None).await?;
    sqlx::query("update drives set sweep_at = clock()").execute(&rig.db).await?;
    rig.fake.add_fault(FaultRule::new(FaultKind::IncompleteSearch).on(Api::Files).times(1))?;
    rig.again(job).await?;
    drives.assert_mirrors().await?;
    assert_eq!(sqlx::query_scalar::<_, String>(full).fetch_one(&rig.db).await?, before);
    assert_eq!(drives.sweeps(), 2, "the next one comes later");
    let due: bool = sqlx::query_scalar("select sweep_at < clock() + interval '2 hours' from drives")
        .fetch_one(&rig.db)
        .await?;
    assert!(due, "but not in a week only");
    sqlx::query("update drives set sweep_at = clock()").execute(&rig.db).await?;
    rig.again(job).await?;
    assert_ne!(sqlx::query_scalar::<_, String>(full).fetch_one(&rig.db).await?, before);
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_later_sweep_does_not_hold_up_changes(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::mirrored(db, 2, |world| {
        for n in 0..9 {
            world.put_file(ANNA, FileDraft::document(&format!("file {n}")))?;
        }
        Ok(())
    })
    .await?;
    let rig = &drives.rig;
    let job = drives.job(None).await?;
    sqlx::query("update drives set sweep_at = clock()").execute(&rig.db).await?;
    rig.want(job).await?;
    rig.step(job).await?;
    let new = rig.fake.world().put_file(ANNA, FileDraft::document("new").with_id("z"))?;
    sqlx::query("update drives set read_at = clock() - interval '11 seconds'").execute(&rig.db).await?;
    assert_eq!(rig.step(job).await?.verdict, Verdict::Continue { lane: None });
    assert_eq!(drives.row(&new).await?.name, "new", "the log was read in the middle of the sweep");
    rig.fake.world().delete_file(&new)?;
    rig.complete(job).await?;
    drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_malformed_item_does_not_cost_the_others(db: PgPool) -> anyhow::Result<()> {
    let drives = Drives::new(db, 1000).await?;
    let rig = &drives.rig;
    rig.fake.world().seed_files(ANNA, None, 30)?;
    rig.fake.add_fault(FaultRule::new(FaultKind::Malformed).on(Api::Files).times(1))?;
    rig.fake.add_fault(FaultRule::new(FaultKind::Malformed).on(Api::Changes).times(1))?;
    rig.settle().await?;
    drives.assert_mirrors().await?;
    rig.fake.world().seed_files(ANNA, None, 5)?;
    drives.sync().await?;
    drives.assert_mirrors().await?;
    assert_eq!(rig.fake.stats().files.full, 1, "an item that cannot be read begins no sweep");
    Ok(())
}
