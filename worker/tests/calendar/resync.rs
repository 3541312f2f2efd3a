//! Refused tokens, full passes, and steps that are done twice.

use std::time::Duration;

use loadtest::fake_google::{Api, EventDraft, FaultBody, FaultKind, FaultRule};
use shared::{
    job::{JobId, Verdict},
    store::PgPool,
};

use crate::rig::{ANNA, Rig, draft};

fn gone() -> FaultRule {
    FaultRule::new(FaultKind::Status {
        status: 410,
        reason: None,
        retry_after_s: None,
        body: FaultBody::Json,
    })
    .on(Api::Events)
}

async fn with_events(db: PgPool, page_size: usize, events: usize) -> anyhow::Result<(Rig, i64, Vec<String>)> {
    let (rig, job) = Rig::anna(db, page_size).await?;
    let mut ids = Vec::new();
    for n in 0..events {
        ids.push(rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?);
    }
    rig.complete(job).await?;
    Ok((rig, job, ids))
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_18_a_token_refused_at_once_leads_to_a_full_pass_that_sweeps(db: PgPool) -> anyhow::Result<()> {
    let (rig, job, ids) = with_events(db, 10, 5).await?;
    rig.fake.world().delete_event(ANNA, &ids[2])?;
    rig.fake.world().invalidate_event_tokens(Some(ANNA))?;
    rig.want(job).await?;
    let Verdict::Wait { after, .. } = rig.step(job).await?.verdict else { anyhow::bail!("no wait") };
    assert!(after <= Duration::from_secs(20), "{after:?}");
    assert_eq!(rig.mirrored().await?.len(), 5, "nothing is lost before the full pass ends");
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.mirrored().await?.len(), 4);
    rig.again(job).await?;
    assert_eq!(rig.fake.stats().events.full, 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_18_a_token_refused_on_the_second_page_too(db: PgPool) -> anyhow::Result<()> {
    let (rig, job, ids) = with_events(db, 2, 6).await?;
    for id in &ids {
        rig.fake.world().put_event(ANNA, EventDraft { id: Some(id.clone()), ..draft("changed")? })?;
    }
    rig.want(job).await?;
    assert_eq!(rig.step(job).await?.verdict, Verdict::Continue { lane: None });
    rig.fake.world().delete_event(ANNA, &ids[0])?;
    rig.fake.world().invalidate_event_tokens(None)?;
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.mirrored().await?.len(), 5);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_18_a_full_pass_that_is_refused_half_way_begins_anew(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..5 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    rig.step(job).await?;
    rig.fake.add_fault(gone().times(1))?;
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.fake.stats().events.full, 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_18_tokens_that_are_refused_again_and_again_do_not_run_hot(db: PgPool) -> anyhow::Result<()> {
    let (rig, job, _) = with_events(db, 10, 3).await?;
    rig.fake.world().invalidate_event_tokens(None)?;
    rig.again(job).await?;
    rig.fake.world().invalidate_event_tokens(None)?;
    rig.want(job).await?;
    let Verdict::Wait { after, .. } = rig.step(job).await?.verdict else { anyhow::bail!("no wait") };
    assert!(after.as_secs() >= 300, "{after:?}");
    // A want does not shorten it: no call is made.
    let asked = rig.fake.stats().requests;
    rig.want(job).await?;
    let Verdict::Wait { after: left, .. } = rig.step(job).await?.verdict else { anyhow::bail!("no wait") };
    assert!(left <= after);
    assert_eq!(rig.fake.stats().requests, asked);
    // When the time has passed it goes on, and a good incremental pass forgets the trouble.
    sqlx::query("update calendars set resync_at = clock()").execute(&rig.db).await?;
    rig.complete(job).await?;
    rig.again(job).await?;
    rig.assert_mirrors().await?;
    let resyncs: i32 = sqlx::query_scalar("select resyncs from calendars").fetch_one(&rig.db).await?;
    assert_eq!(resyncs, 0);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_18_many_calendars_that_are_refused_at_once_begin_apart(db: PgPool) -> anyhow::Result<()> {
    let (rig, _) = Rig::anna(db, 10).await?;
    for n in 0..40 {
        rig.fake.world().add_calendar(ANNA, None, &format!("calendar {n}"))?;
    }
    rig.again(rig.job_of("calendar_list").await?).await?;
    let jobs: Vec<JobId> =
        sqlx::query_scalar("select id from jobs where kind = 'calendar_events' order by id")
            .fetch_all(&rig.db)
            .await?;
    for job in &jobs {
        rig.again(*job).await?;
    }
    let full = rig.fake.stats().events.full;
    assert_eq!((full, jobs.len()), (41, 41));
    // An access rule changes.
    rig.fake.world().invalidate_event_tokens(None)?;
    let mut waits = Vec::new();
    for job in &jobs {
        rig.want(*job).await?;
        let Verdict::Wait { after, .. } = rig.step(*job).await?.verdict else { anyhow::bail!("no wait") };
        waits.push(after.as_secs_f64());
    }
    assert_eq!(rig.fake.stats().events.full, full, "no full pass begins at that moment");
    waits.sort_by(f64::total_cmp);
    assert!(waits[40] <= 20.0 && waits[40] - waits[0] > 10.0, "{waits:?}");
    let densest = waits.windows(12).map(|some| some[11] - some[0]).fold(f64::MAX, f64::min);
    assert!(densest > 1.0, "no second has a quarter of them: {waits:?}");
    for job in &jobs {
        rig.complete(*job).await?;
    }
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_19_a_full_pass_removes_what_vanished_and_keeps_ids(db: PgPool) -> anyhow::Result<()> {
    let (rig, job, ids) = with_events(db, 2, 6).await?;
    let calendars = "select id from calendars";
    let calendar: i64 = sqlx::query_scalar(calendars).fetch_one(&rig.db).await?;
    sqlx::raw_sql(
        "create table gone (event_id text);
        create function note() returns trigger language plpgsql as $$
        begin insert into gone values (old.event_id); return null; end $$;
        create trigger note after delete on events for each row execute function note();",
    )
    .execute(&rig.db)
    .await?;
    // Their tombstones are never told: the token is refused.
    for id in &ids[..2] {
        rig.fake.world().delete_event(ANNA, id)?;
    }
    rig.fake.world().invalidate_event_tokens(None)?;
    rig.again(job).await?;
    rig.assert_mirrors().await?;
    let mut gone: Vec<String> = sqlx::query_scalar("select event_id from gone").fetch_all(&rig.db).await?;
    gone.sort();
    let mut vanished = ids[..2].to_vec();
    vanished.sort();
    assert_eq!(gone, vanished, "no other row was taken away on the way");
    assert_eq!(sqlx::query_scalar::<_, i64>(calendars).fetch_one(&rig.db).await?, calendar);
    assert_eq!(rig.events_job(ANNA).await?, job);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_35_a_page_that_two_workers_do_counts_once(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..5 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    // Two workers are at the same page; the slower one has read its cursor before the faster one commits.
    let run = rig.claim(job).await?;
    let kind = worker::jobs::KINDS.iter().find(|kind| kind.policy.kind == "calendar_events").unwrap();
    rig.fake.add_fault(FaultRule::new(FaultKind::Delay { ms: 300 }).on(Api::Events).times(1))?;
    let (slow, fast) = tokio::join!((kind.step)(&rig.context, &run), async {
        rig.until(|stats| stats.events.full == 1).await?;
        let step = (kind.step)(&rig.context, &run).await?;
        step.tx.unwrap().commit().await?;
        anyhow::Ok(step.changed)
    });
    assert_eq!(fast?, 2);
    let failure = slow.unwrap_err();
    assert!(failure.to_string().contains("moved meanwhile"), "{failure}");
    assert_eq!(rig.mirrored().await?.len(), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_35_an_older_page_does_not_overwrite_rows_of_a_newer_generation(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job, ids) = with_events(db, 10, 1).await?;
    let token = rig.context.google.as_ref().unwrap();
    let (calendar, account): (i64, i64) =
        sqlx::query_as("select id, account_id from calendars").fetch_one(&rig.db).await?;
    let old = token.events(&rig.db, account, ANNA, shared::google::calendar::Place::default()).await.unwrap();
    rig.fake.world().put_event(ANNA, EventDraft { id: Some(ids[0].clone()), ..draft("new")? })?;
    rig.fake.world().invalidate_event_tokens(None)?;
    rig.again(job).await?;
    let mirror = shared::store::events::Mirror { account, calendar };
    let mut connection = rig.db.acquire().await?;
    let changed = shared::store::events::apply(&mut connection, mirror, 1, &old.items).await?;
    assert_eq!(changed, 0);
    assert_eq!(rig.event(ANNA, ANNA, &ids[0]).await?.summary.as_deref(), Some("new"));
    Ok(())
}
