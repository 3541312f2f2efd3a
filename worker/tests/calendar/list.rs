//! The list of calendars, and the jobs that follow from it.

use loadtest::fake_google::{Api, FaultKind, FaultRule, Options, Role};
use shared::{
    job::{JobId, Parked, Verdict},
    store::PgPool,
};

use crate::rig::{ANNA, Rig, draft};

const BEN: &str = "ben@example.com";

/// Anna's list holds her own calendar, Ben's, and one of which she sees times only.
async fn three(db: PgPool) -> anyhow::Result<(Rig, JobId)> {
    let rig = Rig::new(db, Options { page_size_cap: 2, ..Options::default() }).await?;
    {
        let mut world = rig.fake.world();
        world.add_account(ANNA, "refresh-anna", None)?;
        world.add_account(BEN, "refresh-ben", None)?;
        world.add_calendar(ANNA, None, "Anna")?;
        for id in ["ben", "times"] {
            world.add_calendar(BEN, Some(id), id)?;
            world.put_event(id, draft("his")?)?;
        }
        world.put_event(ANNA, draft("hers")?)?;
        world.list_calendar(ANNA, "ben", Role::Reader)?;
        world.list_calendar(ANNA, "times", Role::FreeBusyReader)?;
    }
    let account = rig.connect(ANNA, "refresh-anna").await?;
    let list = rig.list_job(account).await?;
    Ok((rig, list))
}

/// Ben's own mirror is not made here.
async fn assert_mirrors(rig: &Rig) -> anyhow::Result<()> {
    let mut truth = rig.fake.world().truth_rows();
    truth.retain(|row| row.account == ANNA);
    assert_eq!(rig.mirrored().await?, truth);
    Ok(())
}

async fn jobs(rig: &Rig) -> anyhow::Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "select c.google_id from jobs j join calendars c on c.id::text = j.key
         where j.kind = 'calendar_events' order by 1",
    )
    .fetch_all(&rig.db)
    .await?)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_readable_calendar_gets_a_job_that_is_wanted(db: PgPool) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    let first = rig.step(list).await?;
    assert_eq!((first.verdict, first.wanted.len()), (Verdict::Continue { lane: None }, 2));
    rig.complete(list).await?;
    assert_eq!(jobs(&rig).await?, [ANNA, "ben"]);
    rig.settle().await?;
    assert_mirrors(&rig).await?;
    let account: i64 = sqlx::query_scalar("select id from accounts").fetch_one(&rig.db).await?;
    let mut connection = rig.db.acquire().await?;
    let rows = shared::store::calendars::list(&mut connection, account).await?;
    let seen: Vec<_> =
        rows.iter().map(|row| (row.google_id.as_str(), row.is_primary, row.readable, row.synced)).collect();
    assert_eq!(seen, [(ANNA, true, true, true), ("ben", false, true, true), ("times", false, false, false)]);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_30_a_calendar_that_leaves_the_list_takes_its_events_along_and_may_come_back(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    rig.settle().await?;
    let id: i64 =
        sqlx::query_scalar("select id from calendars where google_id = 'ben'").fetch_one(&rig.db).await?;
    rig.fake.world().remove_calendar(ANNA, "ben")?;
    rig.again(list).await?;
    assert_eq!(jobs(&rig).await?, [ANNA]);
    assert_mirrors(&rig).await?;

    rig.fake.world().list_calendar(ANNA, "ben", Role::Writer)?;
    rig.again(list).await?;
    rig.settle().await?;
    assert_mirrors(&rig).await?;
    let again: i64 =
        sqlx::query_scalar("select id from calendars where google_id = 'ben'").fetch_one(&rig.db).await?;
    assert_eq!(again, id, "its row keeps its id");
    assert_eq!(rig.refused("410"), 0, "tokens of the time before are not used");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_30_a_role_that_falls_and_rises_is_followed(db: PgPool) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    rig.settle().await?;
    rig.fake.world().set_role(ANNA, "ben", Role::FreeBusyReader, true)?;
    rig.fake.world().set_role(ANNA, "times", Role::Reader, true)?;
    rig.again(list).await?;
    rig.settle().await?;
    assert_eq!(jobs(&rig).await?, [ANNA, "times"]);
    assert_mirrors(&rig).await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_30_a_role_that_falls_silently_shows_in_the_events(db: PgPool) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    rig.settle().await?;
    rig.fake.world().set_role(ANNA, "ben", Role::FreeBusyReader, false)?;
    let job = rig.events_job("ben").await?;
    rig.want(job).await?;
    let (verdict, _) = rig.pass(job).await?;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::Gone, .. }), "{verdict:?}");
    assert_mirrors(&rig).await?;
    // The list, which was wanted with it, has no news of it.
    rig.complete(list).await?;
    // It rises again, and a full pass over the list finds it, though its entry looks as before.
    rig.fake.world().set_role(ANNA, "ben", Role::Reader, false)?;
    sqlx::query("update calendars set lost_at = clock() - interval '2 days' where lost_at is not null")
        .execute(&rig.db)
        .await?;
    sqlx::query("update calendar_lists set full_at = clock() - interval '8 days'").execute(&rig.db).await?;
    rig.again(list).await?;
    rig.settle().await?;
    assert_mirrors(&rig).await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_30_a_calendar_that_is_not_found_has_its_list_looked_at(db: PgPool) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    rig.settle().await?;
    rig.fake.world().remove_calendar(ANNA, "ben")?;
    let job = rig.events_job("ben").await?;
    rig.want(job).await?;
    let stepped = rig.step(job).await?;
    assert!(matches!(stepped.verdict, Verdict::Park { parked: Parked::Gone, .. }), "{stepped:?}");
    assert_eq!(stepped.wanted, [list]);
    assert_mirrors(&rig).await?;
    rig.complete(list).await?;
    assert_eq!(jobs(&rig).await?, [ANNA]);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_31_a_refused_token_of_the_list_leads_to_a_full_pass_that_sweeps(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    rig.settle().await?;
    rig.fake.world().remove_calendar(ANNA, "ben")?;
    rig.fake.world().invalidate_list_tokens(None)?;
    rig.again(list).await?;
    assert_eq!(jobs(&rig).await?, [ANNA]);
    assert_mirrors(&rig).await?;
    assert_eq!((rig.fake.stats().calendar_list.full, rig.refused("400")), (2, 0));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_30_a_hidden_calendar_is_mirrored_all_the_same(db: PgPool) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    rig.fake.world().hide_calendar(ANNA, "ben", true)?;
    rig.settle().await?;
    assert_mirrors(&rig).await?;
    rig.again(list).await?;
    let hidden: Vec<String> =
        sqlx::query_scalar("select google_id from calendars where hidden").fetch_all(&rig.db).await?;
    assert_eq!(hidden, ["ben"]);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_34_a_malformed_entry_does_not_cost_the_others(db: PgPool) -> anyhow::Result<()> {
    let (rig, _) = three(db).await?;
    rig.fake.add_fault(FaultRule::new(FaultKind::Malformed).on(Api::CalendarList))?;
    rig.settle().await?;
    assert_mirrors(&rig).await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_list_that_has_not_changed_writes_nothing(db: PgPool) -> anyhow::Result<()> {
    let (rig, list) = three(db).await?;
    rig.settle().await?;
    rig.want(list).await?;
    let quiet = rig.step(list).await?;
    assert_eq!((quiet.verdict, quiet.changed), (Verdict::Complete, 0));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn many_new_calendars_begin_one_after_another(db: PgPool) -> anyhow::Result<()> {
    let rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    for n in 0..50 {
        rig.fake.world().add_calendar(ANNA, None, &format!("calendar {n}"))?;
    }
    let account = rig.connect(ANNA, "refresh-anna").await?;
    let list = rig.list_job(account).await?;
    let stepped = rig.step(list).await?;
    assert!(stepped.wanted.is_empty());
    let (soon, all): (i64, i64) = sqlx::query_as(
        "select count(*) filter (where run_at < clock() + interval '1 s'), count(*)
         from job_state where kind = 'calendar_events' and run_at < clock() + interval '6 s'",
    )
    .fetch_one(&rig.db)
    .await?;
    assert_eq!(all, 50);
    assert!(soon < 30, "{soon} of them begin within a second");
    Ok(())
}
