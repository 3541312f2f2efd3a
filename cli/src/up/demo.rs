//! Demo work: a few accounts at a fake Google within the process, whose calendars keep changing; small drives, too.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::DateTime;
use loadtest::fake_google::{Consent, FakeGoogle, Options, PermissionRole, SeededAccount, World};
use shared::{
    bell::Bell,
    config,
    google::auth::REFRESH_TOKEN,
    job::JobId,
    secrets::{KeyRing, Owner},
    store::{
        PgConnection, PgPool,
        accounts::{self, NewAccount},
        job_state, jobs, secrets, tenants,
    },
};
use tokio_util::sync::CancellationToken;

use crate::role::Role;

/// The accounts are always the same, so that a second start finds them.
const SEED: u64 = 1;
const ACCOUNTS: usize = 3;
const CALENDARS: usize = 3;
const EVENTS: usize = 40;
const FILES: usize = 30;

/// Changes at the fake Google, per second.
const CHURN: f64 = 2.0;

/// How often the demo wants all calendars. It stands in for Google's push notifications.
const WANT: Duration = Duration::from_secs(5);

/// A running demo.
pub struct Demo {
    google: FakeGoogle,
}

/// Starts the fake Google, points `google` at it, and adds its accounts.
pub async fn start(
    role: &Role,
    bell: &Arc<Bell>,
    google: &mut config::Google,
    keys: &config::Keys,
) -> anyhow::Result<Demo> {
    let fake = FakeGoogle::start(Options { seed: SEED, ..Options::default() })
        .await
        .context("cannot start the demo's fake Google")?;
    let people = fake.seed_world(ACCOUNTS, CALENDARS, EVENTS)?;
    fill_drives(&mut fake.world(), &people)?;
    fake.start_churn(CHURN, SEED)?;
    let options = fake.options();
    google.client_id = Some(options.client_id.clone());
    google.client_secret = Some(options.client_secret.clone().into());
    google.token_url = fake.token_url();
    google.calendar_url = fake.calendar_url();
    google.drive_url = fake.drive_url();

    let ring = keys.key_ring()?;
    for (place, person) in people.iter().enumerate() {
        let tenant = if place == 0 { "demo-one" } else { "demo-two" };
        add(&role.db, &ring, tenant, &person.email, &person.refresh_token).await?;
    }
    tracing::info!(accounts = people.len(), google = fake.base_url(), "the demo has begun");
    role.tasks.spawn(keep_wanting(role.db.clone(), Arc::clone(bell), role.tasks.soft().clone()));
    Ok(Demo { google: fake })
}

/// A small drive for each account, and one that the first two share.
fn fill_drives(world: &mut World, people: &[SeededAccount]) -> anyhow::Result<()> {
    let scopes = ["calendar.readonly", "drive.readonly"];
    let scopes = scopes.map(|scope| format!("https://www.googleapis.com/auth/{scope}"));
    let shared = world.add_drive(&people[0].email, Some("demo-team"), "Team")?;
    for (place, person) in people.iter().enumerate() {
        world.set_consent(&person.email, Consent::to(&scopes.each_ref().map(String::as_str)))?;
        world.seed_files(&person.email, None, FILES)?;
        if place == 1 {
            world.add_member(&shared, &person.email, PermissionRole::Writer)?;
        }
    }
    world.seed_files(&people[0].email, Some(&shared), FILES)?;
    Ok(())
}

impl Demo {
    /// Ends the fake Google.
    pub async fn stop(self) {
        if let Err(error) = self.google.stop().await {
            tracing::warn!("{error:#}");
        }
    }
}

async fn add(
    db: &PgPool,
    keys: &KeyRing,
    tenant: &str,
    email: &str,
    refresh_token: &str,
) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    let tenant = tenants::ensure(&mut tx, tenant).await?;
    let new = NewAccount { tenant, provider: "google", subject: None, email };
    if let Some(account) = accounts::insert(&mut tx, &new).await? {
        secrets::put(&mut tx, keys, Owner::account(account, REFRESH_TOKEN), &refresh_token.into(), None)
            .await?;
        for policy in worker::jobs::policies().iter().filter(|policy| policy.per_account == Some("google")) {
            let job = jobs::NewJob {
                key: account.to_string(),
                tenant,
                account: Some(account),
                first: Some(Duration::ZERO),
            };
            jobs::ensure(&mut tx, policy, &[job]).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn keep_wanting(db: PgPool, bell: Arc<Bell>, soft: CancellationToken) {
    while soft.run_until_cancelled(tokio::time::sleep(WANT)).await.is_some() {
        if let Err(error) = want_calendars(&db, &bell).await {
            tracing::debug!("the demo could not want its calendars: {error}");
        }
    }
}

async fn want_calendars(db: &PgPool, bell: &Bell) -> Result<(), sqlx::Error> {
    let mut conn = db.acquire().await?;
    let jobs: Vec<JobId> = calendars(&mut conn).await?;
    let wanted = job_state::want(&mut conn, &jobs, None::<DateTime<_>>, None).await?;
    bell.offer(wanted.iter().filter_map(job_state::Wanted::ring), Instant::now()).await;
    Ok(())
}

async fn calendars(conn: &mut PgConnection) -> Result<Vec<JobId>, sqlx::Error> {
    jobs::of_kind(conn, "calendar_events", 0, 1_000).await
}
