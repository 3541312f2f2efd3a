//! What comes between a token and the database: a sign-in at the wrong moment, an outage, an empty budget, a circle of pages.

use std::time::Duration;

use loadtest::{
    fake_google::{Api, Consent, FaultKind, FaultRule, Options},
    proxy::{Mode, Proxy, Upstream},
};
use secrecy::ExposeSecret;
use shared::{
    admin::{
        Actor,
        account::{self, New},
    },
    config::google::{GoogleConfig, Limits},
    google::{Google, auth},
    job::{GateScope, JobId, Parked, ThrottledBy, Verdict},
    secrets::Owner,
    shutdown::Tasks,
    store::{
        PgPool, Session, connect,
        gates::{self, Gate, Reason},
        job_state::{self, Finished},
        secrets,
    },
};
use worker::jobs::{Context, policies};

use crate::{
    grants::forget_access,
    rig::{ANNA, PLENTY, Rig, config, draft},
};

/// Until somebody waits for a lock, or the task is over.
async fn until_blocked<T>(rig: &Rig, task: &tokio::task::JoinHandle<T>) -> anyhow::Result<()> {
    for _ in 0..2000 {
        let waits = "select exists (select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock')";
        if task.is_finished() || sqlx::query_scalar(waits).fetch_one(&rig.db).await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("nobody waits")
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_sign_in_between_a_refusal_and_its_commit_is_not_undone(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.complete(job).await?;
    rig.fake.world().revoke(ANNA)?;
    rig.want(job).await?;
    let run = rig.claim(job).await?;
    let step = rig.uncommitted(&run).await?;
    let Verdict::Park { parked: Parked::SignIn, why } = &step.verdict else { panic!("{:?}", step.verdict) };

    // Anna signs in now, before anything of the refusal is committed.
    rig.fake.world().reconnect(ANNA, "refresh-anna-2")?;
    let signing_in = Tasks::new().spawn({
        let (db, keys) = (rig.db.clone(), rig.keys.clone());
        async move {
            let token = "refresh-anna-2".into();
            let new = New {
                tenant: "acme",
                provider: "google",
                email: ANNA,
                refresh_token: Some(&token),
                checked: None,
            };
            account::add(&db, &Actor::new("test"), &keys, &policies(), &new).await
        }
    });
    until_blocked(&rig, &signing_in).await?;
    let mut tx = match step.tx {
        Some(tx) => tx,
        None => rig.db.begin().await?,
    };
    let account = Gate::Account(run.account.unwrap_or_default());
    gates::close(&mut tx, &account, Reason::SignIn, None, why).await?;
    let finished = Finished {
        run: run.id,
        job: run.job,
        worker: uuid::Uuid::now_v7(),
        lane: run.lane,
        attempt: 1,
        started_at: run.started_at,
        changed: 0,
    };
    job_state::park(&mut tx, &finished, Parked::SignIn, why).await?;
    tx.commit().await?;
    signing_in.await??;

    assert!(gates::closed(&mut *rig.db.acquire().await?, None).await?.is_empty(), "her gate is open");
    rig.complete(job).await?;
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_refusal_of_a_token_that_was_replaced_parks_nothing(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.world().revoke(ANNA)?;
    // The first step's refusal is remembered; the second step ends by it, and meets the sign-in at its end.
    let list = rig.job_of("calendar_list").await?;
    assert!(matches!(rig.step(job).await?.verdict, Verdict::Park { parked: Parked::SignIn, .. }));
    rig.want(list).await?;
    let run = rig.claim(list).await?;
    // The lock that the step takes at its end: it waits there, having looked at the token before.
    let mut connection = rig.db.begin().await?;
    let owner = Owner::account(run.account.unwrap_or_default(), auth::REFRESH_TOKEN);
    secrets::put(&mut connection, &rig.keys, owner, &"refresh-anna-2".into(), None).await?;
    let step = Tasks::new().spawn({
        let (context, run) = (rig.context.clone(), run.clone());
        let kind = worker::jobs::KINDS.iter().find(|kind| kind.policy.kind == run.kind);
        async move {
            match kind {
                Some(kind) => {
                    (kind.step)(&context, &run).await.map_or_else(Verdict::from, |step| step.verdict)
                }
                None => panic!("no kind"),
            }
        }
    });
    until_blocked(&rig, &step).await?;
    connection.commit().await?;
    let verdict = step.await?;
    assert!(
        matches!(&verdict, Verdict::Retry { why, .. } if why.contains("replaced meanwhile")),
        "{verdict:?}"
    );
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_rotated_refresh_token_outlives_an_outage_of_the_database(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 10).await?;
    rig.fake.world().set_consent(ANNA, Consent { rotates: true, ..Consent::default() })?;
    forget_access(&rig).await?;
    let database = rig.db.connect_options();
    let upstream = Upstream::Tcp(format!("{}:{}", database.get_host(), database.get_port()));
    let proxy = Proxy::start(upstream).await?;
    let through = (*database).clone().host("127.0.0.1").port(proxy.addr().port());
    let url = sqlx::ConnectOptions::to_url_lossy(&through).to_string().into();
    let context = Context { db: connect(&url, &Session::new("outage", 4))?, ..rig.context.clone() };

    rig.fake.add_fault(FaultRule::new(FaultKind::Delay { ms: 500 }).on(Api::Token).times(1))?;
    let run = rig.claim(job).await?;
    let outage = async {
        // The token endpoint is being asked when the fault has struck: the database goes, and comes back after the answer.
        while !rig.fake.faults().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.set(Mode::Refuse);
        proxy.cut();
        rig.until(|stats| stats.refreshes[ANNA] == 2).await?;
        while proxy.connections().refused < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.set(Mode::Forward);
        anyhow::Ok(())
    };
    let (stepped, outage) = tokio::join!(rig.step_of(&context, &run), outage);
    outage?;
    assert_eq!(stepped?.verdict, Verdict::Complete);
    let owner = Owner::account(run.account.unwrap_or_default(), auth::REFRESH_TOKEN);
    let stored = secrets::last(&mut *rig.db.acquire().await?, &rig.keys, owner).await?;
    let stored = stored.map(|stored| stored.value.expose_secret().to_owned()).unwrap_or_default();
    assert!(stored.starts_with("1//fake-"), "the new refresh token is kept");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_empty_budget_is_told_as_such_when_it_is_asked_whose_a_token_is(db: PgPool) -> anyhow::Result<()> {
    let rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    rig.fake.world().add_calendar(ANNA, None, "Anna")?;
    let account = rig.connect(ANNA, "refresh-anna").await?;
    let list = rig.list_job(account).await?;
    let limits = Limits { per_day: 10, ..PLENTY };
    let google =
        Google::new(GoogleConfig { calendar_limits: limits, ..config(&rig.fake)? }, rig.keys.clone())?;
    // Nothing is left of the day.
    sqlx::query(
        "insert into quotas (api, project, account_id, per_minute, per_day, units, drawn_at, span, drawn, day, today)
        values ('calendar', $1, 0, 1000, 10, 50, clock(), 0, array_fill(0, array[21]),
            (clock() at time zone 'America/Los_Angeles')::date, 10)",
    )
    .bind(config(&rig.fake)?.project())
    .execute(&rig.db)
    .await?;
    let context = Context { google: Some(google), ..rig.context.clone() };
    let run = rig.claim(list).await?;
    let verdict = rig.step_of(&context, &run).await?.verdict;
    assert!(
        matches!(verdict, Verdict::Throttled { scope: GateScope::Provider, by: ThrottledBy::Share, .. }),
        "{verdict:?}"
    );
    assert!(!rig.fake.stats().requests.contains_key(&Api::PrimaryCalendar));
    // The lease is given back, and the access token was not kept.
    let left: (bool, i64) = sqlx::query_as(
        "select (select until <= clock() from oauth_refreshes), (select count(*) from secrets where name = 'access_token')",
    )
    .fetch_one(&rig.db)
    .await?;
    assert_eq!(left, (true, 0));
    Ok(())
}

/// Steps until the verdict is another than a retry. Says how many retries there were.
async fn retried(rig: &Rig, job: JobId) -> anyhow::Result<(usize, Verdict)> {
    for retries in 0..20 {
        match rig.step(job).await?.verdict {
            Verdict::Retry { why, .. } => {
                anyhow::ensure!(why.contains("the answer's next page is"), "{why}");
            }
            verdict => return Ok((retries, verdict)),
        }
    }
    anyhow::bail!("it is tried for ever")
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_page_that_leads_to_itself_is_tried_again_and_then_listed_anew(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..5 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    rig.fake.add_fault(FaultRule::new(FaultKind::SamePage).on(Api::Events))?;
    assert!(matches!(rig.step(job).await?.verdict, Verdict::Continue { .. }), "the first page is none");
    let (retries, verdict) = retried(&rig, job).await?;
    assert_eq!(retries, 4);
    assert!(matches!(verdict, Verdict::Wait { .. }), "{verdict:?}");
    rig.fake.clear_faults();
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.fake.stats().events.full, 2);

    // A circle that is gone when it is asked for again costs an attempt and no more.
    for n in 0..3 {
        rig.fake.world().put_event(ANNA, draft(&format!("more {n}"))?)?;
    }
    rig.want(job).await?;
    assert!(matches!(rig.step(job).await?.verdict, Verdict::Continue { .. }));
    rig.fake.add_fault(FaultRule::new(FaultKind::SamePage).on(Api::Events).times(1))?;
    assert!(matches!(rig.step(job).await?.verdict, Verdict::Retry { .. }));
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    assert_eq!(rig.fake.stats().events.full, 2);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn pages_that_lead_in_a_circle_are_noticed_and_listed_anew(db: PgPool) -> anyhow::Result<()> {
    let (rig, job) = Rig::anna(db, 2).await?;
    for n in 0..9 {
        rig.fake.world().put_event(ANNA, draft(&format!("event {n}"))?)?;
    }
    rig.fake.add_fault(FaultRule::new(FaultKind::Circle { to: None }).on(Api::Events))?;
    let mut pages = 0;
    while !is_in_circle(&rig, job).await? {
        pages += 1;
        anyhow::ensure!(pages < 20, "it goes round for ever");
    }
    let (retries, verdict) = retried(&rig, job).await?;
    assert_eq!(retries, 3, "after the one that noticed it");
    assert!(matches!(verdict, Verdict::Wait { .. }), "{verdict:?}");
    rig.fake.clear_faults();
    rig.complete(job).await?;
    rig.assert_mirrors().await?;
    let kept: (i32, Option<String>) =
        sqlx::query_as("select pages, page_mark from calendars where page_token is null")
            .fetch_one(&rig.db)
            .await?;
    assert_eq!(kept, (0, None), "nothing is kept of a pass that has ended");
    Ok(())
}

/// The next step; whether it went no further because of a circle.
async fn is_in_circle(rig: &Rig, job: JobId) -> anyhow::Result<bool> {
    match rig.step(job).await?.verdict {
        Verdict::Continue { .. } => Ok(false),
        Verdict::Retry { why, .. } => {
            anyhow::ensure!(why.contains("one that the pass has had"), "{why}");
            Ok(true)
        }
        other => anyhow::bail!("{other:?}"),
    }
}
