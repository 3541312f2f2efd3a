//! Workers that die or sleep in the middle of a page, and databases that fail in the middle of a commit: rows and cursor stand
//! together, or neither does.

use loadtest::fake_google::{Api, EventDraft, FaultKind, FaultRule};
use shared::{job::JobId, store::PgPool};

use crate::rig::{ANNA, Rig, draft};

/// Anna's calendar with events on pages of two; nothing is mirrored yet.
async fn with_events(db: PgPool, events: usize) -> anyhow::Result<(Rig, JobId, Vec<String>)> {
    let (rig, job) = Rig::anna(db, 2).await?;
    let mut ids = Vec::new();
    for n in 0..events {
        ids.push(rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?);
    }
    Ok((rig, job, ids))
}

/// How often the cursor was written, and the rows of the mirror.
async fn written(rig: &Rig) -> anyhow::Result<(i64, usize)> {
    let step = sqlx::query_scalar("select step from calendars").fetch_one(&rig.db).await?;
    Ok((step, rig.mirrored().await?.len()))
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_15_a_crash_at_any_page_loses_nothing_and_doubles_nothing(db: PgPool) -> anyhow::Result<()> {
    let (rig, job, _) = with_events(db, 7).await?;
    for page in 0..4 {
        let before = written(&rig).await?;
        let run = rig.claim(job).await?;
        // The worker dies before it can commit.
        drop(rig.uncommitted(&run).await);
        rig.reap().await?;
        assert_eq!(written(&rig).await?, before, "page {page}");
        rig.step(job).await?;
    }
    rig.assert_mirrors().await?;
    let asked = rig.fake.stats().events;
    assert_eq!((asked.full, asked.pages), (2, 6), "each page was asked for twice, none from the start");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_35_a_stale_page_that_arrives_after_a_newer_one_changes_nothing(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job, ids) = with_events(db, 1).await?;
    rig.complete(job).await?;
    let put = |summary: &str| {
        let event = EventDraft { id: Some(ids[0].clone()), ..draft(summary)? };
        rig.fake.world().put_event(ANNA, event)
    };
    put("old")?;
    rig.want(job).await?;
    let run = rig.claim(job).await?;
    let answered = rig.fake.stats().requests[&Api::Events]["200"];
    rig.fake.add_fault(FaultRule::new(FaultKind::Drip { ms: 1 }).on(Api::Events).times(1))?;
    let (slow, fast) = tokio::join!(rig.uncommitted(&run), async {
        // The first worker's answer is on its way, byte by byte.
        rig.until(|stats| stats.requests[&Api::Events]["200"] > answered).await?;
        put("new")?;
        let step = rig.uncommitted(&run).await?;
        step.tx.unwrap().commit().await?;
        anyhow::Ok(())
    });
    fast?;
    let failure = slow.unwrap_err();
    assert!(failure.to_string().contains("moved meanwhile"), "{failure}");
    assert_eq!(rig.event(ANNA, ANNA, &ids[0]).await?.summary.as_deref(), Some("new"));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_73_what_a_worker_writes_after_its_lease_was_taken_is_refused(db: PgPool) -> anyhow::Result<()> {
    let (rig, job, _) = with_events(db, 5).await?;
    rig.step(job).await?;
    let before = written(&rig).await?;
    let zombie = rig.claim(job).await?;
    // It is stopped for so long that it is taken for dead, and another worker has the job when it wakes.
    rig.reap().await?;
    let heir = rig.claim(job).await?;
    let refused = rig.step_of(&rig.context, &zombie).await.unwrap_err();
    assert!(refused.to_string().contains("has lost its lease"), "{refused:#}");
    assert_eq!(written(&rig).await?, before);
    // The heir's lease stands, and its page counts.
    rig.step_of(&rig.context, &heir).await?;
    assert_eq!(written(&rig).await?.1, 4);
    rig.complete(job).await?;
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_73_the_last_page_of_a_zombie_is_refused_with_its_sync_token(db: PgPool) -> anyhow::Result<()> {
    let (rig, job, _) = with_events(db, 2).await?;
    let zombie = rig.claim(job).await?;
    rig.reap().await?;
    let refused = rig.step_of(&rig.context, &zombie).await.unwrap_err();
    assert!(refused.to_string().contains("the lease was lost"), "{refused:#}");
    let (written, token): (i64, Option<String>) =
        sqlx::query_as("select (select count(*) from events), sync_token from calendars")
            .fetch_one(&rig.db)
            .await?;
    assert_eq!((written, token), (0, None));
    rig.complete(job).await?;
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_74_a_backend_that_is_killed_before_the_commit_leaves_neither_rows_nor_cursor(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job, _) = with_events(db, 3).await?;
    for page in 0..2 {
        let before = written(&rig).await?;
        let run = rig.claim(job).await?;
        let mut tx = rig.uncommitted(&run).await?.tx.unwrap();
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await?;
        let killed: bool =
            sqlx::query_scalar("select pg_terminate_backend($1)").bind(pid).fetch_one(&rig.db).await?;
        assert!(killed);
        assert!(tx.commit().await.is_err());
        assert_eq!(written(&rig).await?, before, "page {page}");
        rig.reap().await?;
        rig.step(job).await?;
    }
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_74_a_backend_that_dies_during_the_commit_leaves_neither_rows_nor_cursor(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job, ids) = with_events(db, 3).await?;
    // It kills its own backend when everything is written and the commit is under way.
    sqlx::raw_sql(
        "create function die() returns trigger language plpgsql as $$
        begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(1); return null; end $$;
        create constraint trigger die after update on calendars deferrable initially deferred
            for each row execute function die();",
    )
    .execute(&rig.db)
    .await?;
    let mut round = 0;
    loop {
        let before = written(&rig).await?;
        assert!(rig.step(job).await.is_err(), "step {round}");
        assert_eq!(written(&rig).await?, before, "step {round}");
        rig.reap().await?;
        sqlx::query("alter table calendars disable trigger die").execute(&rig.db).await?;
        rig.step(job).await?;
        sqlx::query("alter table calendars enable trigger die").execute(&rig.db).await?;
        round += 1;
        match round {
            // The full pass has two pages; then an incremental one follows.
            2 => {
                rig.assert_mirrors().await?;
                rig.fake.world().delete_event(ANNA, &ids[0])?;
                rig.want(job).await?;
            }
            3 => break,
            _ => {}
        }
    }
    assert_eq!(written(&rig).await?, (3 + 1, 2));
    rig.assert_mirrors().await
}
