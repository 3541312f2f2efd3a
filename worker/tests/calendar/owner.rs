//! Whose a token is.

use loadtest::fake_google::{Api, Consent, FaultBody, FaultKind, FaultRule, Options};
use shared::{
    google::auth,
    job::{Parked, Verdict},
    secrets::Owner,
    store::{PgPool, secrets},
};

use crate::{
    grants::{READ, anna, forget_access},
    rig::{ANNA, Rig, draft},
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_10_the_token_of_another_subject_is_never_used(db: PgPool) -> anyhow::Result<()> {
    const BOB: &str = "bob@example.com";
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    rig.fake.world().set_consent(ANNA, Consent::to(&["openid", READ]))?;
    forget_access(&rig).await?;
    rig.complete(job).await?;
    let subject = rig.fake.world().subject(ANNA)?;
    assert_eq!(anna(&rig).await?.subject.as_deref(), Some(subject.as_str()));

    rig.fake.world().add_account(BOB, "refresh-bob", None)?;
    rig.fake.world().set_consent(BOB, Consent::to(&["openid", READ]))?;
    let mut connection = rig.db.acquire().await?;
    let owner = Owner::account(anna(&rig).await?.id, auth::REFRESH_TOKEN);
    secrets::put(&mut connection, &rig.keys, owner, &"refresh-bob".into(), None).await?;
    drop(connection);
    forget_access(&rig).await?;
    rig.want(job).await?;
    let calls = rig.fake.stats().requests[&Api::Events].clone();
    let verdict = rig.step(job).await?.verdict;
    let Verdict::Park { parked: Parked::SignIn, why } = &verdict else { panic!("{verdict:?}") };
    assert!(why.contains("belongs to another Google account"), "{why}");
    assert_eq!(rig.fake.stats().requests[&Api::Events], calls, "nothing was read with Bob's token");
    let stored: i64 = sqlx::query_scalar("select count(*) from secrets where name = 'access_token'")
        .fetch_one(&rig.db)
        .await?;
    assert_eq!((stored, rig.mirrored().await?.len()), (0, 1));
    // The lease is given back.
    let free: bool =
        sqlx::query_scalar("select until <= clock() from oauth_refreshes").fetch_one(&rig.db).await?;
    assert!(free);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_10_without_a_subject_the_primary_calendar_tells_whose_a_token_is(
    db: PgPool,
) -> anyhow::Result<()> {
    const BOB: &str = "bob@example.com";
    let rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(BOB, "refresh-bob", None)?;
    rig.fake.world().add_calendar(BOB, None, "Bob")?;
    let account = rig.connect(ANNA, "refresh-bob").await?;
    let list = rig.list_job(account).await?;
    // While Google does not say, the token is not used, and nobody is accused.
    for (status, reason, body) in
        [(503, None, FaultBody::Empty), (403, Some("rateLimitExceeded".to_owned()), FaultBody::Json)]
    {
        let status = FaultKind::Status { status, reason, retry_after_s: None, body };
        rig.fake.add_fault(FaultRule::new(status).on(Api::PrimaryCalendar).times(1))?;
        assert!(matches!(rig.step(list).await?.verdict, Verdict::Retry { .. }));
    }
    let verdict = rig.step(list).await?.verdict;
    let Verdict::Park { parked: Parked::SignIn, why } = &verdict else { panic!("{verdict:?}") };
    assert!(why.contains("that of bob@example.com, not of anna@example.com"), "{why}");
    assert_eq!(rig.fake.stats().requests[&Api::PrimaryCalendar]["200"], 1);
    let calendars: i64 = sqlx::query_scalar("select count(*) from calendars").fetch_one(&rig.db).await?;
    assert_eq!(calendars, 0);
    assert!(!rig.fake.stats().requests.contains_key(&Api::CalendarList), "nothing was read with Bob's token");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_first_subject_is_not_adopted_from_a_token_of_another_address(db: PgPool) -> anyhow::Result<()> {
    const BOB: &str = "bob@example.com";
    let rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(BOB, "refresh-bob", None)?;
    rig.fake.world().add_calendar(BOB, None, "Bob")?;
    rig.fake.world().set_consent(BOB, Consent::to(&["openid", READ]))?;
    let account = rig.connect(ANNA, "refresh-bob").await?;
    let list = rig.list_job(account).await?;
    let verdict = rig.step(list).await?.verdict;
    let Verdict::Park { parked: Parked::SignIn, why } = &verdict else { panic!("{verdict:?}") };
    assert!(why.contains("that of bob@example.com, not of anna@example.com"), "{why}");
    assert_eq!(anna(&rig).await?.subject, None);
    assert!(!rig.fake.stats().requests.contains_key(&Api::CalendarList), "nothing was read with Bob's token");
    Ok(())
}
