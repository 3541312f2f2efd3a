//! What is not taken, and what should not have come.

use loadtest::fake_google::PushChannel;
use shared::store::{
    PgPool,
    channels::{self, State},
};

use super::{super::rig::ANNA, Pushed, headers};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_56_a_message_of_a_stopped_channel_is_taken_and_changes_nothing(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let before = pushed.fake().push().counts.sent;
    let channel = pushed.live().await?.id;
    channels::stopped(&mut *pushed.rig.db.acquire().await?, &channel, None).await?;
    pushed.fake().notify(&channel, 3)?;
    pushed.taken(before + 3).await?;
    assert_eq!(pushed.wants().await?.0, 0);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_56_a_channel_that_is_not_known_is_stopped(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let before = pushed.fake().push().counts.sent;
    let channel = pushed.live().await?.id;
    // The database was lost, and an older one is in its place.
    pushed.sql("delete from channels where job_id = $1").await?;
    pushed.fake().notify(&channel, 3)?;
    pushed.taken(before + 3).await?;
    assert_eq!(pushed.wants().await?.0, 0);
    assert_eq!(pushed.of_events(State::Stopping).await?.len(), 1);
    pushed.rig.settle().await?;
    let delivering = pushed.delivering();
    assert!(delivering.len() == 1 && delivering[0].id != channel, "{delivering:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_56_a_channel_of_an_account_that_is_gone_is_taken_and_left(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let before = pushed.fake().push().counts.sent;
    let channel = pushed.live().await?.id;
    sqlx::query("delete from accounts").execute(&pushed.rig.db).await?;
    pushed.fake().notify(&channel, 2)?;
    pushed.taken(before + 2).await?;
    let rows: i64 = sqlx::query_scalar("select count(*) from channels").fetch_one(&pushed.rig.db).await?;
    assert_eq!(rows, 0);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_57_a_wrong_token_or_resource_is_refused(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let all = pushed.fake().push().channels;
    let of =
        |calendar: Option<&str>| all.iter().find(|one| one.calendar.as_deref() == calendar).unwrap().clone();
    let (list, events) = (of(None), of(Some(ANNA)));
    let token = events.token.clone().unwrap();
    let with = |change: &dyn Fn(&mut PushChannel)| {
        let mut channel = events.clone();
        change(&mut channel);
        channel
    };
    let forged = token.replace(&format!(".{}.", pushed.events), &format!(".{}.", pushed.list));
    assert_ne!(forged, token);
    for (what, channel, status) in [
        ("another channel's token", with(&|one| one.token.clone_from(&list.token)), 403),
        ("another job", with(&|one| one.token = Some(forged.clone())), 403),
        ("no token of ours", with(&|one| one.token = Some("secret".to_owned())), 403),
        ("an empty token", with(&|one| one.token = None), 400),
        ("another channel", with(&|one| one.id.clone_from(&list.id)), 403),
        ("another resource", with(&|one| one.resource_id.clone_from(&list.resource_id)), 403),
        ("no resource", with(&|one| one.resource_id.clear()), 400),
        ("an id that is too long", with(&|one| one.id = "x".repeat(65)), 400),
    ] {
        assert_eq!(pushed.call(&headers(&channel), "").await?, status, "{what}");
    }
    let mut without: Vec<_> = headers(&events);
    without.retain(|(name, _)| *name != "x-goog-channel-token");
    assert_eq!(pushed.call(&without, "").await?, 403, "no token");
    assert_eq!(pushed.call(&headers(&events), &"x".repeat(100_000)).await?, 400, "a large body");
    assert_eq!(pushed.wants().await?.0, 0, "something of this was taken");
    assert_eq!(pushed.call(&headers(&events), "").await?, 204);
    assert_eq!(pushed.wants().await?.0, 1);
    Ok(())
}
