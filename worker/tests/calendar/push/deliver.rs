//! How messages come.

use std::time::Duration;

use loadtest::fake_google::PushFaults;
use shared::{
    job::Lane,
    store::{PgPool, job_state},
};

use super::{
    super::rig::{ANNA, draft},
    Pushed,
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_54_messages_twice_overtaken_with_gaps_and_late(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().push_faults(PushFaults {
        twice: 1.0,
        overtaken: 0.5,
        gaps: true,
        late: 0.3,
        late_ms: 600,
        ..PushFaults::default()
    })?;
    let before = pushed.fake().push().counts.sent;
    for place in 0..10 {
        pushed.fake().world().put_event(ANNA, draft(&format!("event {place}"))?)?;
    }
    pushed.taken(before + 20).await?;
    pushed.rig.settle().await?;
    pushed.rig.assert_mirrors().await?;
    // One that comes hours later finds nothing new, and does no harm.
    let changed: i64 = sqlx::query_scalar("select sum(changed) from runs").fetch_one(&pushed.rig.db).await?;
    pushed.fake().push_faults(PushFaults::default())?;
    let channel = pushed.live().await?.id;
    pushed.fake().notify(&channel, 1)?;
    pushed.taken(before + 21).await?;
    pushed.rig.settle().await?;
    let after: i64 = sqlx::query_scalar("select sum(changed) from runs").fetch_one(&pushed.rig.db).await?;
    assert_eq!((changed, pushed.wants().await?.0), (after, 0));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_58_a_thousand_messages_are_two_passes_at_the_most(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let (before, (_, passes)) = (pushed.fake().push().counts.sent, pushed.wants().await?);
    let channel = pushed.live().await?.id;
    pushed.fake().notify(&channel, 500)?;
    pushed.taken(before + 250).await?;
    // The first of them have made the pass due; the rest come while it runs.
    let run = pushed.rig.claim(pushed.events).await?;
    assert_eq!(run.lane, Lane::Interactive);
    pushed.fake().notify(&channel, 500)?;
    pushed.taken(before + 1000).await?;
    pushed.rig.step_of(&pushed.rig.context, &run).await?;
    pushed.rig.settle().await?;
    assert_eq!(pushed.wants().await?, (0, passes + 2));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_66_a_message_during_a_pass_leads_to_one_more(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let (before, (_, passes)) = (pushed.fake().push().counts.sent, pushed.wants().await?);
    pushed.rig.want(pushed.events).await?;
    let run = pushed.rig.claim(pushed.events).await?;
    let step = pushed.rig.uncommitted(&run).await?;
    drop(step);
    pushed.fake().world().put_event(ANNA, draft("meanwhile")?)?;
    pushed.taken(before + 1).await?;
    let mut connection = pushed.rig.db.acquire().await?;
    // The pass had read its page before: it ends without the change.
    let completion = job_state::Completion {
        finished: job_state::Finished {
            run: run.id,
            job: run.job,
            worker: run.id,
            lane: run.lane,
            attempt: 1,
            started_at: run.started_at,
            changed: 0,
        },
        next: None,
        floor: Duration::ZERO,
        lane: Lane::Normal,
    };
    let done = job_state::complete(&mut connection, &[completion]).await?;
    assert!(done.len() == 1 && done[0].due, "{done:?}");
    drop(connection);
    pushed.rig.settle().await?;
    assert_eq!(pushed.wants().await?, (0, passes + 2));
    pushed.rig.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_64_a_listener_that_cannot_write_says_503_and_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let mut lock = pushed.rig.db.begin().await?;
    sqlx::query("lock table channels in access exclusive mode").execute(&mut *lock).await?;
    let before = pushed.fake().push().counts;
    pushed.fake().world().put_event(ANNA, draft("news")?)?;
    for waited in 0.. {
        let counts = pushed.fake().push().counts;
        assert_eq!(counts.answers.get("204"), before.answers.get("204"), "2xx before it is durable");
        if counts.answers.contains_key("503") {
            break;
        }
        assert!(waited < 2000, "{counts:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    lock.rollback().await?;
    pushed.taken(before.answers["204"] + 1).await?;
    pushed.rig.settle().await?;
    pushed.rig.assert_mirrors().await
}
