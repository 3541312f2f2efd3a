//! How channels follow one another.

use loadtest::fake_google::{Api, PushFaults};
use shared::{
    job::{Parked, Verdict},
    store::{PgPool, channels::State},
};

use super::{
    super::rig::{ANNA, draft},
    Pushed,
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_60_a_renewal_overlaps_and_does_no_work_twice(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let old = pushed.live().await?.id;
    pushed.fake().push_faults(PushFaults { lost_sync: true, ..PushFaults::default() })?;
    pushed.sql("update channels set renew_at = clock() where job_id = $1").await?;
    pushed.watch().await?;
    // The new one has not delivered yet: both are there.
    assert_eq!(pushed.delivering().len(), 2);
    assert_eq!(pushed.wants().await?.0, 0, "there was no gap to catch up");
    let (before, (_, passes)) = (pushed.fake().push().counts.sent, pushed.wants().await?);
    pushed.fake().world().put_event(ANNA, draft("news")?)?;
    pushed.taken(before + 2).await?;
    pushed.rig.settle().await?;
    assert_eq!(pushed.wants().await?, (0, passes + 1), "two messages of one change are one pass");
    pushed.rig.assert_mirrors().await?;
    // Now it has, and the old one goes.
    pushed.watch().await?;
    let delivering = pushed.delivering();
    assert!(delivering.len() == 1 && delivering[0].id != old, "{delivering:?}");
    assert_eq!(pushed.of_events(State::Stopped).await?[0].id, old);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_60_an_old_channel_that_google_has_forgotten_is_stopped_all_the_same(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let old = pushed.live().await?.id;
    pushed.fake().end_channels();
    pushed.sql("update channels set renew_at = clock() where job_id = $1").await?;
    pushed.watch().await?;
    pushed.heard(2).await?;
    pushed.watch().await?;
    assert_eq!(pushed.rig.refused("404"), 1, "the stop was answered with 404");
    assert_eq!(pushed.of_events(State::Stopped).await?[0].id, old);
    assert_eq!(pushed.delivering().len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_61_a_renewal_with_a_revoked_grant_ends_and_does_not_go_on(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().world().revoke(ANNA)?;
    pushed.sql("update channels set renew_at = clock() where job_id = $1").await?;
    let verdict = pushed.watch_once().await?;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::SignIn, .. }), "{verdict:?}");
    let watches = pushed.fake().stats().requests[&Api::Watch].clone();
    // A want wakes nothing.
    pushed.rig.want(pushed.channels).await?;
    assert!(pushed.rig.claim(pushed.channels).await.is_err(), "a parked job was claimed");
    assert_eq!(pushed.fake().stats().requests[&Api::Watch], watches);
    // Google goes on to deliver, and is answered.
    let before = pushed.fake().push().counts.sent;
    let channel = pushed.live().await?.id;
    pushed.fake().notify(&channel, 1)?;
    pushed.taken(before + 1).await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_65_channels_that_ran_out_while_the_fleet_was_down_are_made_again_and_caught_up(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().end_channels();
    sqlx::query("update channels set expires_at = clock() - interval '1 hour'")
        .execute(&pushed.rig.db)
        .await?;
    pushed.fake().world().put_event(ANNA, draft("while nobody looked")?)?;
    let overdue = "update job_state set run_at = clock() - interval '1 hour' where job_id = $1";
    sqlx::query(overdue).bind(pushed.channels).execute(&pushed.rig.db).await?;
    // Nobody has told of it, and no poll is due: only the channels are looked at.
    pushed.rig.settle().await?;
    assert_eq!(pushed.delivering().len(), 1);
    pushed.rig.assert_mirrors().await?;
    let before = pushed.fake().push().counts.sent;
    pushed.fake().world().put_event(ANNA, draft("afterwards")?)?;
    pushed.taken(before + 1).await?;
    pushed.rig.settle().await?;
    pushed.rig.assert_mirrors().await
}
