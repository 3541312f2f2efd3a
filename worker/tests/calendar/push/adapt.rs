//! The poll behind the push.

use std::time::Duration;

use loadtest::fake_google::PushFaults;
use shared::store::PgPool;

use super::{
    super::rig::{ANNA, draft},
    Pushed,
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_poll_is_seldom_while_push_is_alive(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::unwatched(db).await?;
    assert!(pushed.next().await? < Duration::from_mins(20), "there is no channel yet");
    pushed.fake().push_faults(PushFaults { lost_sync: true, ..PushFaults::default() })?;
    pushed.watch().await?;
    pushed.rig.settle().await?;
    assert!(pushed.next().await? < Duration::from_mins(20), "the channel has not delivered yet");
    let before = pushed.fake().push().counts.sent;
    pushed.fake().world().put_event(ANNA, draft("news")?)?;
    pushed.taken(before + 1).await?;
    pushed.rig.settle().await?;
    assert!(pushed.next().await? > Duration::from_hours(2));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_55_a_lost_message_is_healed_by_the_poll_and_a_deaf_channel_replaced(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let old = pushed.live().await?.id;
    pushed.fake().push_faults(PushFaults { lost: 1.0, ..PushFaults::default() })?;
    for missed in 1..=2 {
        pushed.fake().world().put_event(ANNA, draft(&format!("lost {missed}"))?)?;
        pushed.poll().await?;
        pushed.rig.assert_mirrors().await?;
        assert_eq!(pushed.live().await?.missed, missed);
        assert!(pushed.next().await? < Duration::from_mins(20), "it is looked at more often now");
    }
    assert_eq!(pushed.fake().push().counts.lost, 2);
    // A young channel is not replaced.
    pushed.watch().await?;
    assert_eq!(pushed.live().await?.id, old);
    pushed.sql("update channels set created_at = clock() - interval '2 hours' where job_id = $1").await?;
    pushed.watch().await?;
    pushed.heard(2).await?;
    pushed.watch().await?;
    assert_ne!(pushed.live().await?.id, old);
    assert_eq!(pushed.delivering().len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_message_that_was_only_late_takes_the_doubt_back(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().push_faults(PushFaults { lost: 1.0, ..PushFaults::default() })?;
    pushed.fake().world().put_event(ANNA, draft("news")?)?;
    pushed.poll().await?;
    assert_eq!(pushed.live().await?.missed, 1);
    pushed.fake().push_faults(PushFaults::default())?;
    let before = pushed.fake().push().counts.sent;
    let channel = pushed.live().await?.id;
    pushed.fake().notify(&channel, 1)?;
    pushed.taken(before + 1).await?;
    assert_eq!(pushed.live().await?.missed, 0);
    Ok(())
}
