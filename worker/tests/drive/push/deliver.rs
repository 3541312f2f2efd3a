//! What becomes of messages: taken, lost, sent twice.

use std::time::Duration;

use loadtest::fake_google::{FileDraft, PushFaults};
use shared::{job::Verdict, store::PgPool};

use super::Pushed;
use crate::rig::ANNA;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_changes_in_a_drive_is_pushed_to_the_job_of_its_log(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    for (id, wanted, other) in [("here", pushed.mine, pushed.team), ("there", pushed.team, pushed.mine)] {
        let before = pushed.sent();
        pushed.fake().world().edit_file(id, Some("another name"), None)?;
        pushed.taken(before + 1).await?;
        assert_eq!((pushed.wants(wanted).await?, pushed.wants(other).await?), (1, 0), "{id}");
        let stepped = pushed.drives.rig.step(wanted).await?;
        assert_eq!((stepped.verdict, stepped.changed), (Verdict::Complete, 1));
        assert!(stepped.told_at.is_some(), "the pass does not know that a notification has caused it");
        assert_eq!(pushed.drives.row(id).await?.name, "another name");
    }
    pushed.drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_55_a_lost_message_of_a_drive_is_healed_by_the_poll(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    assert!(pushed.next(pushed.mine).await? > Duration::from_hours(2), "push is alive: it is seldom polled");
    let old = pushed.live(pushed.mine).await?.id;
    pushed.fake().push_faults(PushFaults { lost: 1.0, ..PushFaults::default() })?;
    for missed in 1..=2 {
        pushed.fake().world().edit_file("here", Some(&format!("lost {missed}")), None)?;
        pushed.poll(pushed.mine).await?;
        pushed.drives.assert_mirrors().await?;
        assert_eq!(pushed.live(pushed.mine).await?.missed, missed);
        assert!(pushed.next(pushed.mine).await? < Duration::from_mins(20), "it is looked at more often now");
    }
    pushed.fake().push_faults(PushFaults::default())?;
    pushed
        .sql("update channels set created_at = clock() - interval '2 hours' where job_id = $1", pushed.mine)
        .await?;
    pushed.watch().await?;
    pushed.heard_another(pushed.mine, &old).await?;
    pushed.watch().await?;
    assert_ne!(pushed.live(pushed.mine).await?.id, old);
    assert_eq!(pushed.delivering("my drive").len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_54_messages_of_a_drive_twice_overtaken_with_gaps_and_late(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().push_faults(PushFaults {
        twice: 1.0,
        overtaken: 0.5,
        gaps: true,
        late: 0.3,
        late_ms: 600,
        ..PushFaults::default()
    })?;
    let before = pushed.sent();
    for place in 0..10 {
        let parent = if place % 2 == 0 { None } else { Some("team") };
        let draft = FileDraft::text(&format!("file {place}"), "1");
        let draft = parent.map_or(draft.clone(), |parent| draft.within(parent));
        pushed.fake().world().put_file(ANNA, draft)?;
    }
    pushed.taken(before + 20).await?;
    pushed.drives.rig.settle().await?;
    pushed.drives.assert_mirrors().await
}
