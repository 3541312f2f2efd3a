//! What stands in the mirror after passes that go well.

use chrono::{DateTime, NaiveDate};
use loadtest::fake_google::{EventDraft, Options, When};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::json;
use shared::{
    calendar::{
        Window,
        occurrences::{self, Filter},
    },
    job::{Lane, Verdict},
    store::PgPool,
};

use crate::rig::{ANNA, Rig, draft, moment, series};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_first_pass_goes_page_by_page_and_lowers_its_lane(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for n in 0..25 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    let first = rig.step(job).await?;
    assert_eq!((first.verdict, first.changed), (Verdict::Continue { lane: Some(Lane::Bulk) }, 10));
    assert_eq!(rig.mirrored().await?.len(), 10, "a page is there before the pass ends");
    assert_eq!(rig.complete(job).await?, 2);
    rig.assert_mirrors().await?;
    let asked = rig.fake.stats().events;
    assert_eq!((asked.full, asked.pages, asked.incremental), (1, 2, 0));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_incremental_pass_brings_what_changed_and_a_quiet_one_writes_nothing(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?);
    }
    rig.complete(job).await?;
    for id in &ids {
        rig.fake.world().put_event(ANNA, EventDraft { id: Some(id.clone()), ..draft("moved")? })?;
    }
    rig.fake.world().delete_event(ANNA, &ids[0])?;
    assert_eq!(rig.again(job).await?, 2, "three changes are two pages");
    rig.assert_mirrors().await?;
    assert_eq!(rig.mirrored().await?.len(), 2);

    rig.want(job).await?;
    let quiet = rig.step(job).await?;
    assert_eq!((quiet.verdict, quiet.changed), (Verdict::Complete, 0));
    assert_eq!(rig.refused("400"), 0);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_change_during_the_first_pass_comes_with_the_next(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?);
    }
    rig.step(job).await?;
    for id in &ids {
        rig.fake.world().put_event(ANNA, EventDraft { id: Some(id.clone()), ..draft("changed")? })?;
    }
    rig.complete(job).await?;
    rig.again(job).await?;
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_deleted_event_goes_and_comes_back(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let id = rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    rig.complete(job).await?;
    rig.fake.world().delete_event(ANNA, &id)?;
    rig.again(job).await?;
    assert!(rig.mirrored().await?.is_empty());
    // A tombstone of an event that was never here.
    let unknown = rig.fake.world().put_event(ANNA, draft("short")?)?;
    rig.fake.world().delete_event(ANNA, &unknown)?;
    rig.again(job).await?;
    assert!(rig.mirrored().await?.is_empty());
    rig.fake.world().restore_event(ANNA, &id)?;
    rig.again(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.mirrored().await?.len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn exceptions_live_as_long_as_their_series(db: PgPool) -> anyhow::Result<()> {
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
async fn an_exception_may_come_pages_before_its_series(db: PgPool) -> anyhow::Result<()> {
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
async fn a_series_may_go_pages_before_its_exceptions(db: PgPool) -> anyhow::Result<()> {
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
async fn times_are_kept_as_given(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let start = DateTime::parse_from_rfc3339("2026-03-28T23:30:00+05:30")?;
    let mut timed = EventDraft::new("call", When::at(start, Some("Asia/Kolkata")));
    timed.end = Some(When::at(DateTime::parse_from_rfc3339("2026-03-29T08:00:00+02:00")?, None));
    timed.attendees = vec!["ben@example.org".to_owned()];
    let timed = rig.fake.world().put_event(ANNA, timed)?;
    let day = NaiveDate::from_ymd_opt(2026, 3, 29).unwrap();
    let all_day = rig.fake.world().put_event(ANNA, EventDraft::new("holiday", When::day(day)))?;
    rig.complete(job).await?;
    rig.assert_mirrors().await?;

    let row = rig.event(ANNA, ANNA, &timed).await?;
    assert_eq!((row.start_at, row.end_at), (Some(start.to_utc()), Some("2026-03-29T06:00:00Z".parse()?)));
    assert_eq!((row.start_zone.as_deref(), row.start_date), (Some("Asia/Kolkata"), None));
    assert_eq!(row.raw["start"]["dateTime"], json!("2026-03-28T23:30:00+05:30"));
    assert_eq!(row.organizer.as_deref(), Some(ANNA));
    assert_eq!(row.attendees.unwrap()[0]["email"], json!("ben@example.org"));
    let row = rig.event(ANNA, ANNA, &all_day).await?;
    assert_eq!((row.start_date, row.start_at, row.end_at), (Some(day), None, None));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn events_between_two_moments(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for (name, start) in
        [("before", "08:00"), ("reaches in", "09:30"), ("within", "10:30"), ("after", "12:00")]
    {
        let start = moment(&format!("2026-03-01T{start}:00Z"))?;
        rig.fake.world().put_event(ANNA, EventDraft::new(name, start))?;
    }
    let day = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
    rig.fake.world().put_event(ANNA, EventDraft::new("all day", When::day(day)))?;
    rig.complete(job).await?;
    let account: i64 = sqlx::query_scalar("select id from accounts").fetch_one(&rig.db).await?;
    let mut connection = rig.db.acquire().await?;
    let window = Window { from: "2026-03-01T10:00:00Z".parse()?, to: "2026-03-01T12:00:00Z".parse()? };
    let filter = Filter { account: Some(account), calendar: None, window, limit: 10 };
    let found = occurrences::between(&mut connection, &filter).await?.occurrences;
    let names: Vec<_> = found.iter().filter_map(|event| event.summary.as_deref()).collect();
    assert_eq!(names, ["all day", "reaches in", "within"]);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn characters_that_jsonb_does_not_take_cost_nothing_else(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let id = rig.fake.world().put_event(ANNA, draft("a\0b \u{1f600}")?)?;
    rig.fake.world().put_event(ANNA, draft("plain")?)?;
    rig.complete(job).await?;
    assert_eq!(rig.mirrored().await?.len(), 2);
    assert_eq!(rig.event(ANNA, ANNA, &id).await?.summary.as_deref(), Some("ab \u{1f600}"));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn after_any_changes_the_mirror_equals_the_truth(db: PgPool) -> anyhow::Result<()> {
    let options = Options { page_size_cap: 7, seed: 11, ..Options::default() };
    let rig = Rig::new(db, options).await?;
    for account in rig.fake.seed_world(3, 2, 40)? {
        let account = rig.connect(&account.email, &account.refresh_token).await?;
        rig.list_job(account).await?;
    }
    rig.settle().await?;
    rig.assert_mirrors().await?;
    let jobs: Vec<i64> = sqlx::query_scalar("select id from jobs order by id").fetch_all(&rig.db).await?;
    let mut rng = StdRng::seed_from_u64(12);
    for round in 0..12 {
        for _ in 0..40 {
            rig.fake.world().churn(&mut rng)?;
        }
        if round % 5 == 4 {
            rig.fake.world().invalidate_event_tokens(None)?;
        }
        for job in &jobs {
            rig.want(*job).await?;
        }
        // Changes between the pages of the passes.
        for job in &jobs {
            rig.step(*job).await?;
            rig.fake.world().churn(&mut rng)?;
        }
        rig.settle().await?;
    }
    for job in &jobs {
        rig.want(*job).await?;
    }
    rig.settle().await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.refused("400"), 0, "no call was malformed");
    Ok(())
}
