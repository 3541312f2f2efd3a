//! Accounts of a workspace: a service account acts for them.

use std::time::SystemTime;

use chrono::TimeDelta;
use loadtest::fake_google::{Api, FaultBody, FaultKind, FaultRule, Options};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    admin::{
        Actor, keys, tenant,
        workspace::{self, New, Workspace},
    },
    config::google::{GoogleConfig, Limits},
    google::{
        Google,
        workspace::{KEY, Key, SCOPES},
    },
    job::{GateScope, JobId, Parked, ThrottledBy, Verdict},
    secrets::{KeyRing, generate_key},
    store::{PgPool, gates, job_state},
};
use worker::jobs::{Context, policies};

use crate::{
    grants::forget_access,
    rig::{ANNA, PLENTY, Rig, config, draft, google},
};

const BOB: &str = "bob@example.com";
const ROBOT: &str = "robot@fake-project.iam.gserviceaccount.com";

/// Anna and Bob with a calendar and an event each, and a service account that may act for them.
async fn rig(db: PgPool, options: Options) -> anyhow::Result<Rig> {
    let rig = Rig::new(db, options).await?;
    {
        let mut world = rig.fake.world();
        for (email, token) in [(ANNA, "unused-anna"), (BOB, "unused-bob")] {
            world.add_account(email, token, None)?;
            world.add_calendar(email, None, email)?;
            world.put_event(email, draft(&format!("lunch of {email}"))?)?;
        }
        world.add_service_account(ROBOT)?;
        world.delegate(ROBOT, "example.com", &SCOPES.map(str::to_owned))?;
    }
    Ok(rig)
}

fn key(rig: &Rig) -> anyhow::Result<Key> {
    Ok(Key::parse(&rig.fake.key_file(ROBOT)?.to_string().into())?)
}

async fn connect(rig: &Rig, users: &[&str]) -> anyhow::Result<Workspace> {
    let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
    let scopes = SCOPES.map(str::to_owned);
    let key = key(rig)?;
    let new = New { tenant: "acme", key: &key, users: &users, scopes: &scopes };
    Ok(workspace::connect(&rig.db, &Actor::new("test"), &rig.keys, &policies(), &new).await?)
}

/// Both accounts, mirrored. Answers Anna's job.
async fn mirrored(rig: &Rig) -> anyhow::Result<JobId> {
    connect(rig, &[ANNA, BOB]).await?;
    rig.settle().await?;
    rig.assert_mirrors().await?;
    rig.events_job(ANNA).await
}

/// The next step of a job asks for a token, and ends so.
async fn next(rig: &Rig, job: JobId) -> anyhow::Result<Verdict> {
    forget_access(rig).await?;
    rig.want(job).await?;
    Ok(rig.step(job).await?.verdict)
}

fn parked(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Park { parked: Parked::SignIn, why } => why,
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_users_of_a_workspace_are_mirrored_and_charged_apart(db: PgPool) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let connected = connect(&rig, &[ANNA, BOB]).await?;
    assert_eq!(connected.users.iter().map(|user| user.new).collect::<Vec<_>>(), [true, true]);
    rig.settle().await?;
    rig.assert_mirrors().await?;
    let stats = rig.fake.stats();
    assert_eq!((stats.refreshes[ANNA], stats.refreshes[BOB]), (1, 1), "the tokens are kept");
    let charged: Vec<_> = stats.charged.keys().cloned().collect();
    let accounts: Vec<_> = connected.users.iter().map(|user| user.account.to_string()).collect();
    assert_eq!(charged, accounts, "nothing is charged to the service account");
    // By our own count they are the service account's project's, and none of the OAuth client's.
    let projects: Vec<(String, i64)> = sqlx::query_as(
        "select project, count(*) filter (where account_id <> 0) from quotas group by project order by project",
    )
    .fetch_all(&rig.db)
    .await?;
    assert_eq!(projects, [("fake-project".to_owned(), 2)]);
    // What is stored: the key, and two access tokens, sealed.
    let stored: Vec<(String, String)> =
        sqlx::query_as("select owner_kind, name from secrets order by owner_kind, owner_id, name")
            .fetch_all(&rig.db)
            .await?;
    let stored: Vec<_> = stored.iter().map(|(kind, name)| (kind.as_str(), name.as_str())).collect();
    assert_eq!(stored, [("account", "access_token"), ("account", "access_token"), ("tenant", KEY)]);
    let file = key(&rig)?;
    let open: bool =
        sqlx::query_scalar("select exists (select from secrets where position($1::bytea in sealed) > 0)")
            .bind(file.email().as_bytes())
            .fetch_one(&rig.db)
            .await?;
    assert!(!open, "the key file stands open in the table");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn one_caller_asks_for_a_workspaces_token(db: PgPool) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    for n in 0..8 {
        rig.fake.world().add_calendar(ANNA, None, &format!("calendar {n}"))?;
    }
    mirrored(&rig).await?;
    forget_access(&rig).await?;
    rig.fake.add_fault(FaultRule::new(FaultKind::Delay { ms: 200 }).on(Api::Token))?;
    let jobs: Vec<JobId> = sqlx::query_scalar(
        "select j.id from jobs j join accounts a on a.id = j.account_id where j.kind = 'calendar_events' and a.email = $1",
    )
    .bind(ANNA)
    .fetch_all(&rig.db)
    .await?;
    assert_eq!(jobs.len(), 9);
    let mut runs = Vec::new();
    for job in jobs {
        rig.want(job).await?;
        runs.push(rig.claim(job).await?);
    }
    let steps = runs.iter().map(|run| rig.step_of(&rig.context, run));
    for stepped in futures_util::future::join_all(steps).await {
        assert_eq!(stepped?.verdict, Verdict::Complete);
    }
    assert_eq!(rig.fake.stats().refreshes[ANNA], 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_key_that_was_replaced_is_given_anew_by_connecting_again(db: PgPool) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let job = mirrored(&rig).await?;
    rig.fake.world().replace_key(ROBOT)?;
    let verdict = next(&rig, job).await?;
    let why = parked(&verdict);
    assert!(why.contains("refuses the key fake-key-1") && why.contains("Invalid JWT Signature"), "{why}");
    assert_eq!(rig.fake.stats().requests[&Api::Token]["400"], 2, "a refusal must come twice");

    let again = connect(&rig, &[ANNA]).await?;
    assert!(again.key_replaced && !again.users[0].new);
    rig.complete(job).await?;
    // Bob was not named, and goes on with the new key.
    let bob = rig.events_job(BOB).await?;
    assert_eq!(next(&rig, bob).await?, Verdict::Complete);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_delegation_that_was_taken_away_is_for_the_administrator(db: PgPool) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let job = mirrored(&rig).await?;
    rig.fake.world().delegate(ROBOT, "example.com", &[])?;
    let verdict = next(&rig, job).await?;
    let why = parked(&verdict);
    let id = key(&rig)?.client_id().to_owned();
    for words in [&format!("authorise the client id {id} for {}", SCOPES[0]), "unauthorized_client"] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert_eq!(rig.mirrored().await?.len(), 2, "what was mirrored stays");

    rig.fake.world().delegate(ROBOT, "example.com", &SCOPES.map(str::to_owned))?;
    connect(&rig, &[ANNA, BOB]).await?;
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_user_who_left_the_workspace_holds_up_nobody_else(db: PgPool) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let connected = connect(&rig, &[ANNA, "gone@example.com"]).await?;
    let gone = rig.list_job(connected.users[1].account).await?;
    let verdict = rig.step(gone).await?.verdict;
    let why = parked(&verdict);
    assert!(why.contains("knows no user gone@example.com"), "{why}");
    let anna = rig.list_job(connected.users[0].account).await?;
    rig.complete(anna).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_clock_that_is_wrong_is_waited_out(db: PgPool) -> anyhow::Result<()> {
    // Google's clock is an hour behind ours: the assertion comes from the future.
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()) - TimeDelta::hours(1);
    let rig = rig(db, Options { now, ..Options::default() }).await?;
    let connected = connect(&rig, &[ANNA]).await?;
    let list = rig.list_job(connected.users[0].account).await?;
    let verdict = rig.step(list).await?.verdict;
    let Verdict::Retry { why, .. } = &verdict else { panic!("{verdict:?}") };
    assert!(why.contains("is this machine's clock right?"), "{why}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_token_endpoint_in_trouble_is_nobodys_fault(db: PgPool) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let job = mirrored(&rig).await?;
    let status = |body| FaultKind::Status { status: 503, reason: None, retry_after_s: None, body };
    for fault in [status(FaultBody::Html), status(FaultBody::Empty), FaultKind::Truncated, FaultKind::Cut] {
        rig.fake.add_fault(FaultRule::new(fault.clone()).on(Api::Token).times(1))?;
        let verdict = next(&rig, job).await?;
        assert!(
            matches!(&verdict, Verdict::Retry { why, .. } if why.contains("token endpoint")),
            "{fault:?}: {verdict:?}"
        );
    }
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_refused_access_token_is_asked_for_again(db: PgPool) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let job = mirrored(&rig).await?;
    rig.fake.world().expire_access_tokens(None)?;
    rig.again(job).await?;
    assert_eq!((rig.fake.stats().refreshes[ANNA], rig.refused("401")), (2, 1));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_key_is_sealed_anew_and_goes_with_its_tenant(db: PgPool) -> anyhow::Result<()> {
    let mut rig = rig(db, Options::default()).await?;
    let [old, new] = ["test", "new"].map(|id| generate_key(id).map(|key| key.expose_secret().to_owned()));
    let (old, new) = (old?, new?);
    rig.keys = old.parse::<KeyRing>()?;
    rig.context = Context { google: Some(google(&rig.fake, rig.keys.clone())?), ..rig.context.clone() };
    let job = mirrored(&rig).await?;
    let both: KeyRing = format!("{new},{old}").parse()?;
    assert_eq!(keys::batch(&rig.db, &both, None).await?.resealed, 3);
    rig.context = Context { google: Some(google(&rig.fake, new.parse()?)?), ..rig.context.clone() };
    assert_eq!(next(&rig, job).await?, Verdict::Complete);

    tenant::rm(&rig.db, None, &Actor::new("test"), "acme").await?;
    let left: i64 = sqlx::query_scalar("select count(*) from secrets").fetch_one(&rig.db).await?;
    assert_eq!(left, 0);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_workspaces_account_waits_behind_its_gate_and_comes_back_by_connecting(
    db: PgPool,
) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let job = mirrored(&rig).await?;
    let account: i64 =
        sqlx::query_scalar("select account_id from jobs where id = $1").bind(job).fetch_one(&rig.db).await?;
    let mut connection = rig.db.acquire().await?;
    gates::close(&mut connection, &gates::Gate::Account(account), gates::Reason::SignIn, None, "").await?;
    job_state::want(&mut connection, &[job], None, None).await?;
    assert_eq!(job_state::park_gated(&mut connection, 10).await?, 1);
    drop(connection);
    connect(&rig, &[ANNA]).await?;
    assert!(gates::closed(&mut *rig.db.acquire().await?, None).await?.is_empty());
    Ok(())
}

#[test]
fn a_key_file_is_looked_at_closely() {
    let good = r#"{"type": "service_account", "client_email": "a@b.c", "client_id": "1", "private_key": "x", "token_uri": "https://x/token"}"#;
    let said = |text: &str| Key::parse(&SecretString::from(text)).unwrap_err().to_string();
    for (text, words) in [
        ("hello", "line 1, column 1"),
        ("[]", "not JSON"),
        ("{}", "type: it is missing"),
        (r#"{"type": "authorized_user"}"#, "type: the file holds a user's own credentials"),
        (r#"{"installed": {}}"#, "type: the file holds an OAuth client's secrets"),
        (r#"{"type": "service_account"}"#, "client_email: it is missing"),
        (&good.replace("a@b.c", "abc"), "client_email: that is not an e-mail"),
        (&good.replace(r#""1""#, "1"), "client_id: it is missing, or no text"),
        (good, "private_key: that is not a private key in PEM"),
    ] {
        let said = said(text);
        assert!(said.contains(words), "{text}: {said}");
        assert!(!said.contains("hello"), "{said}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_service_accounts_project_that_is_used_up_holds_up_its_accounts_alone(
    db: PgPool,
) -> anyhow::Result<()> {
    let rig = rig(db, Options::default()).await?;
    let job = mirrored(&rig).await?;
    let calendar_limits = Limits { per_minute: 10, ..PLENTY };
    let google = Google::new(GoogleConfig { calendar_limits, ..config(&rig.fake)? }, rig.keys.clone())?;
    let context = Context { google: Some(google), ..rig.context.clone() };
    // Other processes have left next to nothing.
    sqlx::query("update quotas set units = 1, drawn_at = clock()").execute(&rig.db).await?;
    rig.want(job).await?;
    let run = rig.claim(job).await?;
    assert!(matches!(rig.step_of(&context, &run).await?.verdict, Verdict::Complete));
    rig.want(job).await?;
    let run = rig.claim(job).await?;
    let verdict = rig.step_of(&context, &run).await?.verdict;
    let Verdict::Throttled { scope, by: ThrottledBy::Share, why, .. } = verdict else {
        anyhow::bail!("{verdict:?}")
    };
    assert_eq!(scope, GateScope::Account, "all who call the API would wait otherwise");
    assert!(why.contains("service account's project fake-project"), "{why}");
    Ok(())
}
