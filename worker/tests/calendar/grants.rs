//! What an account's owner has granted, and what becomes of it: the cases of OAuth, as far as refreshing goes.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use loadtest::fake_google::{Api, Consent, FaultKind, FaultRule, Options};
use secrecy::ExposeSecret;
use shared::{
    admin::{
        Actor,
        account::{self, New},
        keys,
    },
    google::auth,
    job::{Parked, Verdict},
    secrets::{KeyRing, Owner, generate_key},
    store::{
        PgPool,
        accounts::{self, AccountRow},
        secrets::{self, Stored},
    },
};
use worker::jobs::{Context, policies};

use crate::rig::{ANNA, Rig, draft, google};

pub const READ: &str = "https://www.googleapis.com/auth/calendar.readonly";

async fn refresh_token(rig: &Rig) -> anyhow::Result<Stored> {
    let account: i64 = sqlx::query_scalar("select id from accounts").fetch_one(&rig.db).await?;
    let mut connection = rig.db.acquire().await?;
    let owner = Owner::account(account, auth::REFRESH_TOKEN);
    secrets::last(&mut connection, &rig.keys, owner).await?.context("no refresh token is stored")
}

pub async fn anna(rig: &Rig) -> anyhow::Result<AccountRow> {
    let mut connection = rig.db.acquire().await?;
    accounts::find(&mut connection, None, ANNA).await?.pop().context("no account")
}

/// The next call needs a new access token.
pub async fn forget_access(rig: &Rig) -> anyhow::Result<()> {
    sqlx::query("delete from secrets where name = 'access_token'").execute(&rig.db).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_02_an_answer_without_a_refresh_token_keeps_the_old_one(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let before = refresh_token(&rig).await?;
    forget_access(&rig).await?;
    rig.complete(job).await?;
    let after = refresh_token(&rig).await?;
    assert_eq!(after.value.expose_secret(), "refresh-anna");
    assert_eq!(after.updated_at, before.updated_at);

    // A provider that does hand out a new one has killed the old one by it.
    rig.fake.world().set_consent(ANNA, Consent { rotates: true, ..Consent::default() })?;
    for _ in 0..3 {
        forget_access(&rig).await?;
        rig.again(job).await?;
    }
    assert!(refresh_token(&rig).await?.value.expose_secret().starts_with("1//fake-"));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_03_what_was_not_granted_is_named_and_the_rest_goes_on(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    assert_eq!(anna(&rig).await?.scopes.unwrap(), [READ]);
    let list = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";
    rig.fake.world().set_consent(ANNA, Consent::to(&["openid", list]))?;
    forget_access(&rig).await?;
    let verdict = rig.step(job).await?.verdict;
    let Verdict::Park { parked: Parked::Scope, why } = &verdict else { panic!("{verdict:?}") };
    assert!(
        why.contains("has not granted https://www.googleapis.com/auth/calendar.events.readonly"),
        "{why}"
    );
    assert_eq!(rig.refused("403"), 1, "a refusal for want of a scope is not repeated");
    let account = anna(&rig).await?;
    assert_eq!(account.scopes.unwrap(), ["openid", list]);
    // Its list of calendars is still read.
    let list = rig.list_job(account.id).await?;
    rig.complete(list).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_08_the_101st_grant_kills_the_oldest_and_that_is_said_once(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for n in 1..=99 {
        rig.fake.world().grant(ANNA, &format!("elsewhere-{n}"))?;
    }
    forget_access(&rig).await?;
    rig.complete(job).await?;
    rig.fake.world().grant(ANNA, "elsewhere-100")?;
    // The access token that was made before is as good as ever.
    rig.again(job).await?;
    forget_access(&rig).await?;
    rig.want(job).await?;
    let verdict = rig.step(job).await?.verdict;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::SignIn, .. }), "{verdict:?}");
    assert_eq!(rig.fake.stats().requests[&Api::Token]["400"], 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_09_a_grant_for_a_time_is_known_and_its_end_is_the_providers_word(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let week = 7 * 24 * 3600;
    rig.fake
        .world()
        .set_consent(ANNA, Consent { refresh_token_expires_in_s: Some(week), ..Consent::default() })?;
    forget_access(&rig).await?;
    rig.complete(job).await?;
    let left: f64 = sqlx::query_scalar(
        "select extract(epoch from expires_at - clock())::float8 from secrets where name = 'refresh_token'",
    )
    .fetch_one(&rig.db)
    .await?;
    assert!((604_700.0..=604_800.0).contains(&left), "{left}");

    // Over by our clock, and good for all that Google says.
    sqlx::query("update secrets set expires_at = clock() - interval '1 s' where name = 'refresh_token'")
        .execute(&rig.db)
        .await?;
    forget_access(&rig).await?;
    rig.again(job).await?;
    rig.fake.world().revoke(ANNA)?;
    rig.want(job).await?;
    let verdict = rig.step(job).await?.verdict;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::SignIn, .. }), "{verdict:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_11_a_grant_that_goes_between_two_pages_leaves_what_was_read(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..6 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    rig.step(job).await?;
    rig.fake.world().revoke(ANNA)?;
    let verdict = rig.step(job).await?.verdict;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::SignIn, .. }), "{verdict:?}");
    assert_eq!(rig.mirrored().await?.len(), 2);

    // Signed in again, the same pass goes on with its next page.
    rig.fake.world().reconnect(ANNA, "refresh-anna-2")?;
    let mut connection = rig.db.acquire().await?;
    let owner = Owner::account(anna(&rig).await?.id, auth::REFRESH_TOKEN);
    secrets::put(&mut connection, &rig.keys, owner, &"refresh-anna-2".into(), None).await?;
    shared::store::job_state::release(&mut connection, &[job]).await?;
    drop(connection);
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.fake.stats().events.full, 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_sign_in_during_a_refresh_is_what_stays(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.world().set_consent(ANNA, Consent { rotates: true, ..Consent::default() })?;
    rig.fake.world().grant(ANNA, "refresh-anna-2")?;
    forget_access(&rig).await?;
    rig.fake.add_fault(FaultRule::new(FaultKind::Delay { ms: 500 }).on(Api::Token).times(1))?;
    let refreshing = async {
        // The request is under way when the refresh token has been read: the lease and the delay are long enough.
        let asked = "select exists (select from oauth_refreshes where until > clock())";
        while !sqlx::query_scalar::<_, bool>(asked).fetch_one(&rig.db).await? {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let token = "refresh-anna-2".into();
        let new = New {
            tenant: "acme",
            provider: "google",
            email: ANNA,
            refresh_token: Some(&token),
            checked: None,
        };
        Ok(account::add(&rig.db, &Actor::new("test"), &rig.keys, &policies(), &new).await?)
    };
    let (stepped, added): (_, anyhow::Result<_>) = tokio::join!(rig.step(job), refreshing);
    assert!(!added?.new);
    let verdict = stepped?.verdict;
    assert!(
        matches!(&verdict, Verdict::Retry { why, .. } if why.contains("was replaced while")),
        "{verdict:?}"
    );
    assert_eq!(refresh_token(&rig).await?.value.expose_secret(), "refresh-anna-2");
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_12_keys_are_rotated_while_tokens_are_refreshed(db: PgPool) -> anyhow::Result<()> {
    let mut rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    rig.fake.world().set_consent(ANNA, Consent { rotates: true, ..Consent::default() })?;
    for n in 0..4 {
        rig.fake.world().add_calendar(ANNA, None, &format!("calendar {n}"))?;
    }
    let [old, new] = ["test", "new"].map(|id| generate_key(id).map(|key| key.expose_secret().to_owned()));
    let (old, new) = (old?, new?);
    let worker_ring: KeyRing = format!("{old},{new}").parse()?;
    let rotation_ring: KeyRing = format!("{new},{old}").parse()?;
    rig.keys = worker_ring.clone();
    let context = |ring: &KeyRing| -> anyhow::Result<Context> {
        Ok(Context { google: Some(google(&rig.fake, ring.clone())?), ..rig.context.clone() })
    };
    let workers = [context(&worker_ring)?, context(&worker_ring)?];
    let id = rig.connect(ANNA, "refresh-anna").await?;
    let list = rig.list_job(id).await?;
    let run = rig.claim(list).await?;
    assert_eq!(rig.step_of(&workers[0], &run).await?.verdict, Verdict::Complete);
    let jobs: Vec<i64> =
        sqlx::query_scalar("select id from jobs where kind = 'calendar_events'").fetch_all(&rig.db).await?;

    // Every refresh token is good for one refresh: whoever lost one to the rotation could never sign in again.
    let mut resealed = 0;
    for _ in 0..25 {
        rig.fake.world().expire_access_tokens(None)?;
        let mut runs = Vec::new();
        for job in &jobs {
            rig.want(*job).await?;
            runs.push(rig.claim(*job).await?);
        }
        let steps = runs.iter().enumerate().map(|(n, run)| rig.step_of(&workers[n % 2], run));
        let rotation = async {
            let mut sealed = 0;
            for _ in 0..20 {
                sealed += keys::batch(&rig.db, &rotation_ring, None).await?.resealed;
            }
            anyhow::Ok(sealed)
        };
        let (stepped, sealed) = tokio::join!(join_all(steps), rotation);
        for step in stepped {
            assert_eq!(step?.verdict, Verdict::Complete);
        }
        resealed += sealed?;
    }
    assert!(resealed > 25, "the two met seldom: {resealed}");

    // Restarted with the new key first, the fleet does without the old one.
    while keys::batch(&rig.db, &rotation_ring, None).await?.next.is_some() {}
    let only: KeyRing = new.parse()?;
    rig.fake.world().expire_access_tokens(None)?;
    rig.want(list).await?;
    let run = rig.claim(list).await?;
    assert_eq!(rig.step_of(&context(&only)?, &run).await?.verdict, Verdict::Complete);
    Ok(())
}
