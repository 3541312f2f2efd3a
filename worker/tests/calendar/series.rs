//! Deleted events, and series with their exceptions.

use loadtest::fake_google::EventDraft;
use shared::store::PgPool;

use crate::rig::{ANNA, Rig, draft, moment, series};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_20_a_bare_tombstone_takes_its_event_away(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let id = rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    rig.fake.world().put_event(ANNA, draft("dinner")?)?;
    rig.complete(job).await?;
    rig.fake.world().delete_event(ANNA, &id)?;
    rig.again(job).await?;
    assert_eq!(rig.mirrored().await?.len(), 1);
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_21_a_tombstone_of_an_unknown_event_leaves_nothing(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.complete(job).await?;
    let unknown = rig.fake.world().put_event(ANNA, draft("short")?)?;
    rig.fake.world().delete_event(ANNA, &unknown)?;
    rig.want(job).await?;
    assert_eq!(rig.step(job).await?.changed, 0);
    assert!(rig.mirrored().await?.is_empty());
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_22_a_deleted_event_that_is_restored_comes_back(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let single = rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    let master = rig.fake.world().put_event(ANNA, series("standup")?)?;
    rig.fake.world().cancel_occurrence(ANNA, &master, &moment("2026-03-02T10:00:00Z")?)?;
    rig.complete(job).await?;
    for id in [&single, &master] {
        rig.fake.world().delete_event(ANNA, id)?;
    }
    rig.again(job).await?;
    assert!(rig.mirrored().await?.is_empty());
    for id in [&single, &master] {
        rig.fake.world().restore_event(ANNA, id)?;
    }
    rig.again(job).await?;
    assert_eq!(rig.mirrored().await?.len(), 3);
    assert_eq!(rig.event(ANNA, ANNA, &single).await?.status.as_deref(), Some("confirmed"));
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_23_a_cancelled_exception_is_kept_as_long_as_its_series(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let master = rig.fake.world().put_event(ANNA, series("standup")?)?;
    rig.complete(job).await?;
    let (second, third) = (moment("2026-03-02T10:00:00Z")?, moment("2026-03-03T10:00:00Z")?);
    let moved = rig.fake.world().put_exception(ANNA, &master, &second, draft("standup, later")?)?;
    let cancelled = rig.fake.world().cancel_occurrence(ANNA, &master, &third)?;
    rig.again(job).await?;
    rig.assert_mirrors().await?;

    let row = rig.event(ANNA, ANNA, &cancelled).await?;
    assert_eq!(row.status.as_deref(), Some("cancelled"));
    assert_eq!(row.recurring_event_id.as_deref(), Some(master.as_str()));
    assert_eq!(row.original_start_at, Some("2026-03-03T10:00:00Z".parse()?));
    assert_eq!(rig.event(ANNA, ANNA, &moved).await?.summary.as_deref(), Some("standup, later"));
    let master_row = rig.event(ANNA, ANNA, &master).await?;
    assert_eq!(master_row.recurrence, Some(vec!["RRULE:FREQ=DAILY;COUNT=10".to_owned()]));

    rig.fake.world().delete_event(ANNA, &master)?;
    rig.again(job).await?;
    assert!(rig.mirrored().await?.is_empty(), "the exceptions go with their series");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_24_an_exception_may_come_pages_before_its_series(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 1).await?;
    rig.complete(job).await?;
    // In some of these the series stands last, each on a page of its own.
    for n in 0..8 {
        let master = rig.fake.world().put_event(ANNA, series(&format!("series {n}"))?)?;
        rig.fake.world().cancel_occurrence(ANNA, &master, &moment("2026-03-02T10:00:00Z")?)?;
        rig.fake.world().put_event(ANNA, EventDraft { id: Some(master), ..series("renamed")? })?;
    }
    rig.again(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.mirrored().await?.len(), 16);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_24_a_series_may_go_pages_before_its_exceptions(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 1).await?;
    let mut masters = Vec::new();
    for n in 0..8 {
        let master = rig.fake.world().put_event(ANNA, series(&format!("series {n}"))?)?;
        rig.fake.world().cancel_occurrence(ANNA, &master, &moment("2026-03-02T10:00:00Z")?)?;
        let third = moment("2026-03-03T10:00:00Z")?;
        rig.fake.world().put_exception(ANNA, &master, &third, draft("moved")?)?;
        masters.push(master);
    }
    rig.complete(job).await?;
    assert_eq!(rig.mirrored().await?.len(), 24);
    for master in &masters {
        rig.fake.world().delete_event(ANNA, master)?;
    }
    rig.again(job).await?;
    rig.assert_mirrors().await?;
    assert!(rig.mirrored().await?.is_empty());
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_25_a_series_that_is_split_becomes_two(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 1).await?;
    let first = rig.fake.world().put_event(ANNA, series("standup")?)?;
    let early = rig.fake.world().cancel_occurrence(ANNA, &first, &moment("2026-03-02T10:00:00Z")?)?;
    rig.complete(job).await?;
    // "This and all following": the first master ends, and a new one begins.
    let until = "RRULE:FREQ=DAILY;UNTIL=20260304T095959Z";
    let start = moment("2026-03-01T10:00:00Z")?;
    let ended = EventDraft { id: Some(first.clone()), ..EventDraft::series("standup", start, until) };
    rig.fake.world().put_event(ANNA, ended)?;
    let rest = moment("2026-03-04T15:00:00Z")?;
    let rest = EventDraft::series("standup, later", rest, "RRULE:FREQ=DAILY;COUNT=7");
    let second = rig.fake.world().put_event(ANNA, rest)?;
    let moved = moment("2026-03-05T15:00:00Z")?;
    let moved = rig.fake.world().put_exception(ANNA, &second, &moved, draft("once at another time")?)?;
    rig.again(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.event(ANNA, ANNA, &first).await?.recurrence, Some(vec![until.to_owned()]));
    assert_eq!(rig.event(ANNA, ANNA, &early).await?.recurring_event_id.as_deref(), Some(first.as_str()));
    assert_eq!(rig.event(ANNA, ANNA, &moved).await?.recurring_event_id.as_deref(), Some(second.as_str()));
    assert_eq!(rig.mirrored().await?.len(), 4);
    Ok(())
}
