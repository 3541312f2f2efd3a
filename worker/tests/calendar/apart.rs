//! One event in several places, and what Google may add to an event one day.

use loadtest::fake_google::{EventDraft, Options, Role};
use serde_json::json;
use shared::{job::JobId, store::PgPool};

use crate::rig::{ANNA, Rig, draft};

const BEN: &str = "ben@example.com";

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_27_the_same_event_in_two_calendars_and_two_accounts(db: PgPool) -> anyhow::Result<()> {
    let rig = Rig::new(db, Options::default()).await?;
    for (email, token) in [(ANNA, "refresh-anna"), (BEN, "refresh-ben")] {
        rig.fake.world().add_account(email, token, None)?;
        rig.fake.world().add_calendar(email, None, email)?;
        rig.fake
            .world()
            .put_event(email, EventDraft { id: Some("meeting".to_owned()), ..draft("meeting")? })?;
    }
    rig.fake.world().list_calendar(ANNA, BEN, Role::Reader)?;
    for (email, token) in [(ANNA, "refresh-anna"), (BEN, "refresh-ben")] {
        let account = rig.connect(email, token).await?;
        rig.list_job(account).await?;
    }
    rig.settle().await?;
    assert_eq!(rig.mirrored().await?.len(), 3, "Anna's, Ben's, and Ben's as Anna sees it");
    rig.assert_mirrors().await?;
    rig.fake.world().delete_event(ANNA, "meeting")?;
    let jobs: Vec<JobId> = sqlx::query_scalar("select id from jobs order by id").fetch_all(&rig.db).await?;
    for job in jobs {
        rig.want(job).await?;
    }
    rig.settle().await?;
    assert_eq!(rig.mirrored().await?.len(), 2);
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_32_the_primary_calendar_is_mirrored_once_under_its_own_id(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    rig.complete(job).await?;
    let rows: Vec<(String, bool)> =
        sqlx::query_as("select google_id, is_primary from calendars").fetch_all(&rig.db).await?;
    assert_eq!(rows, [(ANNA.to_owned(), true)]);
    assert_eq!(rig.mirrored().await?.len(), 1);
    rig.assert_mirrors().await
}

/// An event moves; `first` says which of the two calendars is looked at first.
async fn moved(db: PgPool, first: &str) -> anyhow::Result<()> {
    let (rig, here) = Rig::anna(db, 10).await?;
    rig.fake.world().add_calendar(ANNA, Some("other"), "Other")?;
    rig.again(rig.job_of("calendar_list").await?).await?;
    let there = rig.events_job("other").await?;
    let id = rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    rig.again(here).await?;
    rig.again(there).await?;
    rig.fake.world().move_event(ANNA, "other", &id)?;
    // Between the two it stands in none of them, or in both, as Google says of each.
    let (order, between) = if first == ANNA { ([here, there], 0) } else { ([there, here], 2) };
    rig.again(order[0]).await?;
    assert_eq!(rig.mirrored().await?.len(), between);
    rig.again(order[1]).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.event(ANNA, "other", &id).await?.summary.as_deref(), Some("lunch"));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_33_an_event_that_moves_is_first_missed_where_it_was(db: PgPool) -> anyhow::Result<()> {
    moved(db, ANNA).await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_33_an_event_that_moves_is_first_seen_where_it_is(db: PgPool) -> anyhow::Result<()> {
    moved(db, "other").await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_34_unknown_fields_and_words_are_kept(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let mut event = draft("lunch")?;
    event.event_type = Some("hologram".to_owned());
    let extra = json!({
        "status": "postponed", "futureField": {"deep": [1, 2.5, null]}, "sequence": "seven", "attendees": {"not": "a list"}
    });
    event.extra = extra.as_object().cloned().map(Box::new);
    let id = rig.fake.world().put_event(ANNA, event)?;
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    let row = rig.event(ANNA, ANNA, &id).await?;
    assert_eq!(row.status.as_deref(), Some("postponed"));
    assert_eq!(row.raw["eventType"], "hologram");
    assert_eq!(row.raw["futureField"]["deep"], json!([1, 2.5, null]));
    assert_eq!(row.summary.as_deref(), Some("lunch"));
    Ok(())
}
