//! How channels of drives come, are renewed, and go.

use std::time::Duration;

use loadtest::fake_google::{Api, Consent, FaultBody, FaultKind, FaultRule, Options, PushFaults};
use shared::{
    job::Verdict,
    store::{PgPool, channels::State},
};

use super::Pushed;
use crate::{
    drives,
    rig::{ANNA, Rig},
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_shared_drive_that_comes_is_watched_and_one_that_goes_is_not(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let before = pushed.sent();
    pushed.fake().world().add_drive(ANNA, Some("new"), "New")?;
    // Her own log tells.
    pushed.taken(before + 1).await?;
    pushed.drives.rig.settle().await?;
    assert_eq!((pushed.delivering("new").len(), pushed.delivering("team").len()), (1, 1));
    let before = pushed.sent();
    pushed.fake().world().remove_member("new", ANNA)?;
    pushed.taken(before + 1).await?;
    pushed.drives.rig.settle().await?;
    assert_eq!((pushed.delivering("new").len(), pushed.delivering("my drive").len()), (0, 1));
    let stats = pushed.fake().stats();
    assert!(stats.requests.contains_key(&Api::StopDriveChannel), "it ends at its own API: {stats:?}");
    assert!(!stats.requests.contains_key(&Api::StopChannel), "{stats:?}");
    pushed.drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_56_a_channel_of_a_drive_that_is_not_known_is_stopped_at_drive(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let (before, channel) = (pushed.sent(), pushed.live(pushed.team).await?.id);
    // The database was lost, and an older one is in its place.
    pushed.sql("delete from channels where job_id = $1", pushed.team).await?;
    pushed.fake().notify(&channel, 3)?;
    pushed.taken(before + 3).await?;
    assert_eq!(pushed.wants(pushed.team).await?, 0);
    assert_eq!(pushed.rows(pushed.team, State::Stopping).await?[0].api, "drive");
    pushed.drives.rig.settle().await?;
    let delivering = pushed.delivering("team");
    assert!(delivering.len() == 1 && delivering[0].id != channel, "{delivering:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_60_a_renewal_of_a_drives_channel_overlaps(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let old = pushed.live(pushed.team).await?;
    let life = (old.expires_at - old.created_at).num_hours();
    assert!((167..=168).contains(&life), "{life} hours: a week is the most that Drive gives");
    pushed.fake().push_faults(PushFaults { lost_sync: true, ..PushFaults::default() })?;
    pushed.sql("update channels set renew_at = clock() where job_id = $1", pushed.team).await?;
    pushed.watch().await?;
    assert_eq!(pushed.delivering("team").len(), 2, "the new one has not delivered yet: both are there");
    assert_eq!(pushed.wants(pushed.team).await?, 0, "there was no gap to catch up");
    let before = pushed.sent();
    pushed.fake().world().edit_file("there", Some("news"), None)?;
    pushed.taken(before + 2).await?;
    pushed.drives.rig.settle().await?;
    pushed.drives.assert_mirrors().await?;
    pushed.watch().await?;
    let delivering = pushed.delivering("team");
    assert!(delivering.len() == 1 && delivering[0].id != old.id, "{delivering:?}");
    assert_eq!(pushed.rows(pushed.team, State::Stopped).await?[0].id, old.id);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_62_a_drive_that_is_not_pushed_is_polled(db: PgPool) -> anyhow::Result<()> {
    let faults = PushFaults { unsupported: vec!["team".to_owned()], ..PushFaults::default() };
    let pushed = Pushed::with(db, faults, 1).await?;
    let watches = || pushed.fake().stats().requests[&Api::WatchChanges].values().sum::<u64>();
    assert_eq!((watches(), pushed.delivering("team").len(), pushed.delivering("my drive").len()), (2, 0, 1));
    for _ in 0..3 {
        pushed.watch().await?;
    }
    assert_eq!(watches(), 2, "it is asked for again and again");
    pushed.drives.rig.again(pushed.team).await?;
    assert!(pushed.next(pushed.team).await? < Duration::from_mins(20));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_65_channels_of_drives_that_ran_out_are_made_again_and_caught_up(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().end_channels();
    sqlx::query("update channels set expires_at = clock() - interval '1 hour'")
        .execute(&pushed.drives.rig.db)
        .await?;
    pushed.fake().world().edit_file("here", Some("while nobody looked"), None)?;
    let overdue = "update job_state set run_at = clock() - interval '1 hour' where job_id = $1";
    pushed.sql(overdue, pushed.channels).await?;
    // Nobody has told of it, and no poll is due: only the channels are looked at.
    pushed.drives.rig.settle().await?;
    assert_eq!(pushed.delivering("my drive").len(), 1);
    pushed.drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_api_that_is_out_of_budget_holds_up_no_channel_of_the_other(db: PgPool) -> anyhow::Result<()> {
    let mut rig = Rig::new(db, Options { http_callbacks: true, ..Options::default() }).await?;
    rig.context.public_url = Some("http://127.0.0.1:9/".parse()?);
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    rig.fake.world().add_calendar(ANNA, None, "Anna")?;
    let both = [drives::SCOPE, "https://www.googleapis.com/auth/calendar.readonly"];
    rig.fake.world().set_consent(ANNA, Consent::to(&both))?;
    let status = FaultKind::Status {
        status: 403,
        reason: Some("dailyLimitExceeded".to_owned()),
        retry_after_s: None,
        body: FaultBody::Json,
    };
    let rule =
        FaultRule { path_prefix: Some("/drive/v3/changes/watch".to_owned()), ..FaultRule::new(status) };
    rig.fake.add_fault(rule)?;
    let account = rig.connect(ANNA, "refresh-anna").await?;
    for list in [rig.list_job(account).await?, drives::list_job(&rig, account).await?] {
        rig.complete(list).await?;
    }
    let channels = rig.job_of("google_channels").await?;
    let (verdict, _) = rig.pass(channels).await?;
    assert!(matches!(verdict, Verdict::Wait { .. }), "{verdict:?}");
    let live: Vec<(String, String)> = sqlx::query_as(
        "select j.kind, c.state::text from channels c join jobs j on j.id = c.job_id order by 1, 2",
    )
    .fetch_all(&rig.db)
    .await?;
    let of = |kind: &str, state: &str| live.contains(&(kind.to_owned(), state.to_owned()));
    assert!(of("calendar_list", "live") && of("calendar_events", "live"), "{live:?}");
    assert!(!of("drive_changes", "live"), "{live:?}");
    let gated: bool =
        sqlx::query_scalar("select exists (select from gates where target = 'google_channels')")
            .fetch_one(&rig.db)
            .await?;
    assert!(!gated, "other accounts have their channels made");
    Ok(())
}
