//! How channels come about.

use std::time::Duration;

use loadtest::fake_google::{Api, FaultKind, FaultRule, PushFaults};
use shared::{
    job::Verdict,
    store::{PgPool, channels::State},
};

use super::{
    super::rig::{ANNA, draft},
    Pushed,
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_changes_at_google_is_pushed_and_mirrored(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let before = pushed.fake().push().counts.sent;
    pushed.fake().world().put_event(ANNA, draft("news")?)?;
    pushed.taken(before + 1).await?;
    assert_eq!(pushed.wants().await?.0, 1);
    let stepped = pushed.rig.step(pushed.events).await?;
    assert_eq!((stepped.verdict, stepped.changed), (Verdict::Complete, 1));
    assert!(stepped.told_at.is_some(), "the pass does not know that a notification has caused it");
    pushed.rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_calendar_that_comes_is_watched_and_one_that_goes_is_not(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let before = pushed.fake().push().counts.sent;
    let team = pushed.fake().world().add_calendar(ANNA, Some("team"), "Team")?;
    // The list's own channel tells.
    pushed.taken(before + 1).await?;
    pushed.rig.settle().await?;
    let watched = |id: &str| pushed.delivering().iter().any(|one| one.calendar.as_deref() == Some(id));
    assert!(watched(&team) && watched(ANNA));
    let before = pushed.fake().push().counts.sent;
    pushed.fake().world().remove_calendar(ANNA, &team)?;
    pushed.taken(before + 1).await?;
    pushed.rig.settle().await?;
    assert!(!watched(&team) && watched(ANNA));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn without_a_public_address_nothing_is_watched(db: PgPool) -> anyhow::Result<()> {
    let mut pushed = Pushed::unwatched(db).await?;
    pushed.rig.context.public_url = None;
    pushed.watch().await?;
    assert_eq!(pushed.rows().await?, []);
    assert_eq!(pushed.fake().stats().requests.get(&Api::Watch), None);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_53_the_first_message_may_come_before_the_answer_of_watch(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::unwatched(db).await?;
    pushed.fake().push_faults(PushFaults { sync_first: true, ..PushFaults::default() })?;
    pushed.watch().await?;
    // The fake has waited for the answers before it gave its own.
    let counts = pushed.fake().push().counts;
    assert_eq!((counts.answers.get("204"), counts.given_up), (Some(&2), 0), "{counts:?}");
    for row in pushed.rows().await? {
        assert_eq!(row.state, State::Live);
        assert!(row.heard_at.is_some(), "{row:?}");
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_59_a_channel_that_ends_sooner_than_asked_is_renewed_in_time(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::unwatched(db).await?;
    pushed.fake().push_faults(PushFaults { lifetime_s: Some(3600), ..PushFaults::default() })?;
    pushed.watch().await?;
    let row = pushed.live().await?;
    let life = (row.expires_at - row.created_at).as_seconds_f64();
    assert!((3590.0..3610.0).contains(&life), "{life} s");
    let renewed = (row.renew_at.unwrap() - row.created_at).as_seconds_f64() / life;
    assert!((0.49..=0.76).contains(&renewed), "after {renewed} of its life");
    let rest: f64 = sqlx::query_scalar(
        "select extract(epoch from run_at - clock())::float8 from job_state where job_id = $1",
    )
    .bind(pushed.channels)
    .fetch_one(&pushed.rig.db)
    .await?;
    assert!(rest < 0.76 * life, "the channels are looked at in {rest} s only");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_62_what_is_not_pushed_is_polled_and_not_asked_for_again(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::unwatched(db).await?;
    let unsupported = vec![ANNA.to_owned()];
    pushed.fake().push_faults(PushFaults { unsupported, ..PushFaults::default() })?;
    pushed.watch().await?;
    let watches = || pushed.fake().stats().requests[&Api::Watch].values().sum::<u64>();
    assert_eq!((watches(), pushed.delivering().len()), (2, 0));
    for _ in 0..3 {
        pushed.watch().await?;
    }
    assert_eq!(watches(), 2, "it is asked for again and again");
    let (reason, days): (String, f64) = sqlx::query_as(
        "select reason, extract(epoch from until - clock())::float8 / 86400 from channel_refusals where job_id = $1",
    )
    .bind(pushed.events)
    .fetch_one(&pushed.rig.db)
    .await?;
    assert_eq!(reason, "unsupported");
    assert!((5.0..9.0).contains(&days), "{days} days");
    // It is polled as without push.
    pushed.rig.settle().await?;
    pushed.rig.again(pushed.events).await?;
    assert!(pushed.next().await? < Duration::from_mins(20));
    // And asked for again when that is over.
    pushed.fake().push_faults(PushFaults::default())?;
    pushed.sql("update channel_refusals set until = clock() where job_id = $1").await?;
    pushed.watch().await?;
    assert_eq!(pushed.delivering().len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_that_google_may_not_call_is_told_and_not_tried_hotly(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::unwatched(db).await?;
    pushed.fake().push_faults(PushFaults { unauthorized: true, ..PushFaults::default() })?;
    for _ in 0..3 {
        pushed.watch().await?;
    }
    let stats = pushed.fake().stats();
    assert_eq!(stats.requests[&Api::Watch].values().sum::<u64>(), 2, "{stats:?}");
    assert_eq!(stats.refreshes[ANNA], 1, "a refusal of the address has nothing to do with the token");
    let notes: Vec<String> = sqlx::query_scalar("select note from channel_refusals where reason = 'refused'")
        .fetch_all(&pushed.rig.db)
        .await?;
    assert!(notes.len() == 2 && notes[0].contains("Unauthorized WebHook callback"), "{notes:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_63_a_channel_whose_id_is_taken_gets_another_one(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::unwatched(db).await?;
    pushed.fake().push_faults(PushFaults { taken: 1, ..PushFaults::default() })?;
    let verdict = pushed.watch_once().await?;
    assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    pushed.watch().await?;
    assert_eq!(pushed.fake().push().channels.len(), 2);
    let live: Vec<_> = pushed.rows().await?.into_iter().filter(|row| row.state == State::Live).collect();
    assert_eq!(live.len(), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_63_a_channel_whose_answer_was_lost_is_replaced_and_stopped(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::unwatched(db).await?;
    pushed.fake().push_faults(PushFaults { lost_sync: true, ..PushFaults::default() })?;
    // Google has made both, and the fleet does not know it.
    pushed.fake().add_fault(FaultRule::new(FaultKind::Cut).on(Api::Watch).times(2))?;
    for _ in 0..2 {
        let verdict = pushed.watch_once().await?;
        assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    }
    assert_eq!(pushed.fake().push().channels.len(), 2);
    // Asked with the same ids, Google says that they are taken.
    for _ in 0..3 {
        pushed.watch_once().await?;
    }
    pushed.watch().await?;
    let delivering: Vec<_> = pushed.fake().push().channels.into_iter().map(|one| one.id).collect();
    let live: Vec<_> =
        pushed.rows().await?.into_iter().filter(|row| row.state == State::Live).map(|row| row.id).collect();
    assert_eq!(delivering.len(), 2, "those of the lost answers are stopped: {delivering:?}");
    assert!(live.iter().all(|id| delivering.contains(id)), "{live:?} and {delivering:?}");
    Ok(())
}
