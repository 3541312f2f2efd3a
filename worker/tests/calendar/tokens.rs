//! Access tokens: made by one caller, renewed once, asked for again only if that can help.

use std::time::Duration;

use futures_util::future::join_all;
use loadtest::fake_google::{Api, FaultBody, FaultKind, FaultRule, Options};
use secrecy::ExposeSecret;
use shared::{
    google::{Google, auth},
    job::{Parked, Verdict},
    secrets::{KeyRing, Owner, generate_key},
    store::{PgPool, secrets},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use worker::jobs::Context;

use crate::rig::{ANNA, Rig, config, draft, google};

fn refreshes(rig: &Rig) -> u64 {
    rig.fake.stats().refreshes.get(ANNA).copied().unwrap_or(0)
}

fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Retry { why, .. } | Verdict::Park { why, .. } => why.clone(),
        _ => String::new(),
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_04_a_token_that_ends_between_two_pages_is_renewed_once(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..6 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    rig.step(job).await?;
    assert_eq!(refreshes(&rig), 1);
    rig.fake.world().expire_access_tokens(Some(ANNA))?;
    assert_eq!(rig.step(job).await?.verdict, Verdict::Continue { lane: Some(shared::job::Lane::Bulk) });
    assert_eq!((refreshes(&rig), rig.refused("401")), (2, 1));
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!((refreshes(&rig), rig.fake.stats().events.full), (2, 1), "the same pass went on");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_07_many_callers_cause_one_refresh(db: PgPool) -> anyhow::Result<()> {
    let rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    for n in 0..20 {
        rig.fake.world().add_calendar(ANNA, None, &format!("calendar {n}"))?;
    }
    let list = rig.connect(ANNA, "refresh-anna").await?;
    let list = rig.list_job(list).await?;
    rig.complete(list).await?;
    assert_eq!(refreshes(&rig), 1);

    let jobs: Vec<i64> =
        sqlx::query_scalar("select id from jobs where kind = 'calendar_events'").fetch_all(&rig.db).await?;
    assert_eq!(jobs.len(), 20);
    // Two processes, twenty steps, no token that is any good: neither one that is out of date nor one that Google refuses.
    let contexts = [
        rig.context.clone(),
        Context { google: Some(google(&rig.fake, rig.keys.clone())?), ..rig.context.clone() },
    ];
    rig.fake.add_fault(FaultRule::new(FaultKind::Delay { ms: 200 }).on(Api::Token))?;
    for (round, expected) in [(0, 2), (1, 3)] {
        if round == 0 {
            sqlx::query("update secrets set expires_at = clock() where name = 'access_token'")
                .execute(&rig.db)
                .await?;
        } else {
            rig.fake.world().expire_access_tokens(None)?;
        }
        let mut runs = Vec::new();
        for job in &jobs {
            rig.want(*job).await?;
            runs.push(rig.claim(*job).await?);
        }
        let steps = runs.iter().enumerate().map(|(n, run)| rig.step_of(&contexts[n % 2], run));
        for stepped in join_all(steps).await {
            let verdict = stepped?.verdict;
            assert_eq!(verdict, Verdict::Complete);
        }
        assert_eq!(refreshes(&rig), expected);
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_05_a_revoked_grant_asks_for_a_new_sign_in_and_keeps_the_data(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.world().put_event(ANNA, draft("lunch")?)?;
    rig.complete(job).await?;
    rig.fake.world().revoke(ANNA)?;
    rig.want(job).await?;
    let verdict = rig.step(job).await?.verdict;
    assert!(matches!(verdict, Verdict::Park { parked: Parked::SignIn, .. }), "{verdict:?}");
    assert!(why(&verdict).contains("must sign in again"), "{verdict:?}");
    assert!(!why(&verdict).contains("refresh-anna"));
    assert_eq!(rig.mirrored().await?.len(), 1);
    let asked = rig.fake.stats().requests[&Api::Token]["400"];
    assert_eq!(asked, 2, "a refusal must come twice");

    // Others of the account do not ask the endpoint again for a while.
    let account: i64 = sqlx::query_scalar("select id from accounts").fetch_one(&rig.db).await?;
    let list = rig.list_job(account).await?;
    assert!(matches!(rig.step(list).await?.verdict, Verdict::Park { parked: Parked::SignIn, .. }));
    assert_eq!(rig.fake.stats().requests[&Api::Token]["400"], asked);

    // A new grant is used at once.
    rig.fake.world().reconnect(ANNA, "refresh-anna-2")?;
    let mut connection = rig.db.acquire().await?;
    let owner = Owner::account(account, auth::REFRESH_TOKEN);
    secrets::put(&mut connection, &rig.keys, owner, &"refresh-anna-2".into(), None).await?;
    shared::store::job_state::release(&mut connection, &[job]).await?;
    drop(connection);
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn one_refusal_alone_is_not_believed(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    sqlx::query("delete from secrets where name = 'access_token'").execute(&rig.db).await?;
    rig.fake.add_fault(FaultRule::new(FaultKind::InvalidGrant).on(Api::Token).times(1))?;
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_06_a_token_endpoint_in_trouble_is_tried_again(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    sqlx::query("delete from secrets where name = 'access_token'").execute(&rig.db).await?;
    let status =
        |status| FaultKind::Status { status, reason: None, retry_after_s: None, body: FaultBody::Html };
    for fault in [status(503), status(400), FaultKind::Truncated] {
        rig.fake.add_fault(FaultRule::new(fault.clone()).on(Api::Token).times(1))?;
        let verdict = rig.step(job).await?.verdict;
        assert!(matches!(verdict, Verdict::Retry { .. }), "{fault:?}: {verdict:?}");
        assert!(why(&verdict).contains("the token endpoint"), "{verdict:?}");
    }
    // The lease of a failed refresh is given back: nobody waits for it.
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_caller_that_died_with_the_lease_holds_nobody_up_for_ever(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    sqlx::query("delete from secrets where name = 'access_token'").execute(&rig.db).await?;
    sqlx::query("update oauth_refreshes set until = clock() + interval '300 ms', holder = gen_random_uuid()")
        .execute(&rig.db)
        .await?;
    rig.complete(job).await?;
    assert_eq!(refreshes(&rig), 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_wrong_oauth_client_is_named_and_not_the_users_fault(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    sqlx::query("delete from secrets where name = 'access_token'").execute(&rig.db).await?;
    rig.fake.world().add_client(&rig.fake.options().client_id, "another secret");
    let verdict = rig.step(job).await?.verdict;
    assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    assert!(why(&verdict).contains("401 invalid_client"), "{verdict:?}");
    assert!(!why(&verdict).contains(&rig.fake.options().client_secret));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_wrong_key_is_a_clear_error(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    for (id, words) in
        [("test", "another key under this id"), ("other", "the key test, which the key ring does not have")]
    {
        let keys = KeyRing::parse(&generate_key(id)?)?;
        let context = Context { google: Some(google(&rig.fake, keys)?), ..rig.context.clone() };
        let run = rig.claim(job).await?;
        let verdict = rig.step_of(&context, &run).await?.verdict;
        assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
        assert!(why(&verdict).contains(words), "{verdict:?}");
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_worker_without_an_oauth_client_says_so(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let run = rig.claim(job).await?;
    let verdict = rig.step_of(&Context { google: None, ..rig.context.clone() }, &run).await?.verdict;
    assert!(why(&verdict).contains("SYNCFLEET_GOOGLE_CLIENT_ID"), "{verdict:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn short_lived_tokens_are_used_for_most_of_their_life(db: PgPool) -> anyhow::Result<()> {
    let options = Options { access_token_lifetime: Duration::from_mins(2), ..Options::default() };
    let rig = Rig::new(db, options).await?;
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    rig.fake.world().add_calendar(ANNA, None, "Anna")?;
    let account = rig.connect(ANNA, "refresh-anna").await?;
    let list = rig.list_job(account).await?;
    rig.complete(list).await?;
    let left: f64 = sqlx::query_scalar(
        "select extract(epoch from expires_at - clock())::float8 from secrets where name = 'access_token'",
    )
    .fetch_one(&rig.db)
    .await?;
    assert!((80.0..=90.0).contains(&left), "{left}");
    Ok(())
}

/// A token endpoint that gives a new refresh token each time, and access tokens that are no good.
async fn rotating_endpoint(listener: TcpListener) -> anyhow::Result<()> {
    for n in 1.. {
        let (mut stream, _) = listener.accept().await?;
        let mut request = Vec::new();
        while !request.windows(14).any(|part| part == b"refresh_token=") {
            anyhow::ensure!(stream.read_buf(&mut request).await? > 0, "the request broke off");
        }
        let body =
            format!(r#"{{"access_token": "bad-{n}", "expires_in": 3599, "refresh_token": "refresh-{n}"}}"#);
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all((head + &body).as_bytes()).await?;
        stream.shutdown().await?;
    }
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_new_refresh_token_is_kept_and_tokens_that_stay_bad_end_in_a_sign_in(
    db: PgPool,
) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut config = config(&rig.fake)?;
    config.token_url = format!("http://{}/token", listener.local_addr()?).parse()?;
    let context = Context { google: Some(Google::new(config, rig.keys.clone())?), ..rig.context.clone() };
    sqlx::query("delete from secrets where name = 'access_token'").execute(&rig.db).await?;
    let steps = async {
        let mut verdicts = Vec::new();
        for _ in 0..4 {
            let run = rig.claim(job).await?;
            verdicts.push(rig.step_of(&context, &run).await?.verdict);
        }
        anyhow::Ok(verdicts)
    };
    let verdicts = tokio::select! {
        verdicts = steps => verdicts?,
        ended = rotating_endpoint(listener) => anyhow::bail!("the endpoint ended: {ended:?}"),
    };
    assert!(verdicts[..3].iter().all(|verdict| matches!(verdict, Verdict::Retry { .. })), "{verdicts:?}");
    assert!(matches!(verdicts[3], Verdict::Park { parked: Parked::SignIn, .. }), "{verdicts:?}");
    let account: i64 = sqlx::query_scalar("select id from accounts").fetch_one(&rig.db).await?;
    let mut connection = rig.db.acquire().await?;
    let owner = Owner::account(account, auth::REFRESH_TOKEN);
    let stored = secrets::get(&mut connection, &rig.keys, owner).await?.unwrap();
    assert_eq!(stored.value.expose_secret(), "refresh-5", "one for the first token, one after each 401");
    Ok(())
}
