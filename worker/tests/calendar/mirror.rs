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
    store::PgPool,
};

use crate::rig::{ANNA, Rig, draft, moment};

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
