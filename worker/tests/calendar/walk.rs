//! The way through the pages of a list.

use loadtest::fake_google::{Api, EventDraft, FaultBody, FaultKind, FaultRule};
use shared::{
    job::{Lane, Verdict},
    store::PgPool,
};

use crate::rig::{ANNA, Rig, draft};

/// Whether the one calendar has a sync token, and a page token.
async fn tokens(rig: &Rig) -> anyhow::Result<(bool, bool)> {
    let query = "select sync_token is not null, page_token is not null from calendars";
    Ok(sqlx::query_as(query).fetch_one(&rig.db).await?)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_13_a_first_pass_goes_page_by_page_and_its_token_comes_last(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for n in 0..25 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    let first = rig.step(job).await?;
    assert_eq!((first.verdict, first.changed), (Verdict::Continue { lane: Some(Lane::Bulk) }, 10));
    assert_eq!(rig.mirrored().await?.len(), 10, "a page is there before the pass ends");
    assert_eq!(tokens(&rig).await?, (false, true));
    assert_eq!(rig.complete(job).await?, 2);
    assert_eq!(tokens(&rig).await?, (true, false));
    rig.assert_mirrors().await?;
    let asked = rig.fake.stats().events;
    assert_eq!((asked.full, asked.pages, asked.incremental), (1, 2, 0));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_14_an_empty_page_with_a_next_one_is_not_the_end(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?);
    }
    ids.sort();
    // Pages are cut before deleted events are left out: the first two are empty.
    for id in &ids[..4] {
        rig.fake.world().delete_event(ANNA, id)?;
    }
    let first = rig.step(job).await?;
    assert_eq!((first.verdict, first.changed), (Verdict::Continue { lane: Some(Lane::Bulk) }, 0));
    rig.complete(job).await?;
    assert_eq!(rig.mirrored().await?.len(), 3);
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_16_a_change_during_the_first_pass_comes_with_the_next(db: PgPool) -> anyhow::Result<()> {
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
async fn case_17_an_incremental_pass_of_many_pages_keeps_its_token(db: PgPool) -> anyhow::Result<()> {
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
    rig.want(job).await?;
    assert_eq!(rig.step(job).await?.verdict, Verdict::Continue { lane: None });
    assert_eq!(tokens(&rig).await?, (true, true), "the next page is asked for with the same sync token");
    assert_eq!(rig.complete(job).await?, 1, "three changes are two pages");
    rig.assert_mirrors().await?;
    assert_eq!(rig.mirrored().await?.len(), 2);

    rig.want(job).await?;
    let quiet = rig.step(job).await?;
    assert_eq!((quiet.verdict, quiet.changed), (Verdict::Complete, 0));
    assert_eq!(rig.refused("400"), 0);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_14_an_empty_page_at_any_place_changes_nothing(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..3 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    // Any page may come after empty ones: of the list, of the full pass, and of an incremental one.
    rig.fake.add_fault(FaultRule::new(FaultKind::EmptyPage).probability(0.5))?;
    rig.again(rig.job_of("calendar_list").await?).await?;
    rig.complete(job).await?;
    rig.fake.world().put_event(ANNA, draft("one more")?)?;
    rig.again(job).await?;
    assert_eq!(rig.mirrored().await?.len(), 4);
    rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_28_a_token_that_google_calls_bad_is_dropped(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    let id = rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    rig.complete(job).await?;
    rig.fake.world().delete_event(ANNA, &id)?;
    let bad = FaultKind::Status {
        status: 400,
        reason: Some("invalid".to_owned()),
        retry_after_s: None,
        body: FaultBody::Json,
    };
    rig.fake.add_fault(FaultRule::new(bad).on(Api::Events).times(1))?;
    rig.again(job).await?;
    assert_eq!(rig.fake.stats().events.full, 2, "the same request is not sent again");
    rig.assert_mirrors().await
}

/// The fake refuses whatever differs from a list's first request.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_29_all_calls_of_a_calendar_carry_the_same_parameters(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?);
    }
    rig.complete(job).await?;
    for round in 0..2 {
        for id in &ids {
            rig.fake.world().put_event(ANNA, EventDraft { id: Some(id.clone()), ..draft("changed")? })?;
        }
        if round == 1 {
            rig.fake.world().expire_access_tokens(None)?;
            rig.fake.world().invalidate_event_tokens(None)?;
        }
        rig.again(job).await?;
    }
    rig.again(job).await?;
    rig.assert_mirrors().await?;
    let asked = rig.fake.stats().events;
    assert!(asked.full == 2 && asked.incremental >= 3 && asked.pages >= 6, "{asked:?}");
    assert_eq!(rig.refused("400"), 0);
    Ok(())
}
