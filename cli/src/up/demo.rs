//! Demo work: a few accounts at a fake Google within the process, whose calendars and drives keep changing.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use loadtest::fake_google::{Consent, FakeGoogle, Options, PermissionRole, SeededAccount, World};
use shared::{
    config,
    google::{auth::REFRESH_TOKEN, scopes},
    job::AccountId,
    secrets::{KeyRing, Owner},
    store::{
        PgConnection, PgPool,
        accounts::{self, NewAccount},
        channels, job_state, jobs, secrets, tenants,
    },
};

use crate::role::Role;

/// The accounts are always the same, so that a second start finds them.
const SEED: u64 = 1;
const ACCOUNTS: usize = 3;
const CALENDARS: usize = 3;
const EVENTS: usize = 40;
const FILES: usize = 30;

/// Changes of calendars, and of files, at the fake Google, per second.
const CHURN: f64 = 2.0;
const CHURN_OF_FILES: f64 = 0.2;

/// A running demo.
pub struct Demo {
    google: FakeGoogle,
}

/// Starts the fake Google, points `google` at it and it at the public listener, which is at `public`, and adds its accounts.
pub async fn start(
    role: &Role,
    public: SocketAddr,
    google: &mut config::Google,
    public_url: &mut config::PublicUrl,
    keys: &config::Keys,
) -> anyhow::Result<Demo> {
    let fake = FakeGoogle::start(Options { seed: SEED, http_callbacks: true, ..Options::default() })
        .await
        .context("cannot start the demo's fake Google")?;
    let people = fake.seed_world(ACCOUNTS, CALENDARS, EVENTS)?;
    fill_drives(&mut fake.world(), &people)?;
    fake.start_churn(CHURN, SEED)?;
    fake.start_churn_of_files(CHURN_OF_FILES, SEED)?;
    let options = fake.options();
    google.client_id = Some(options.client_id.clone());
    google.client_secret = Some(options.client_secret.clone().into());
    google.token_url = fake.token_url();
    google.issuer = fake.base_url();
    google.sign_in_for = vec![scopes::CALENDAR.to_owned(), scopes::DRIVE.to_owned()];
    google.calendar_url = fake.calendar_url();
    google.drive_url = fake.drive_url();

    // What listens on all addresses is there on loopback, too.
    let host = if public.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { public.ip() };
    public_url.public_url = Some(format!("http://{}/", SocketAddr::new(host, public.port())));

    let ring = keys.key_ring()?;
    for (place, person) in people.iter().enumerate() {
        let tenant = if place == 0 { "demo-one" } else { "demo-two" };
        add(&role.db, &ring, tenant, &person.email, &person.refresh_token).await?;
    }
    tracing::info!(accounts = people.len(), google = fake.base_url(), "the demo has begun");
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
    } else {
        forget_channels(&mut tx, email).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The fake Google of the last start is gone, and its channels with it.
async fn forget_channels(conn: &mut PgConnection, email: &str) -> Result<(), sqlx::Error> {
    let accounts: Vec<AccountId> =
        accounts::find(conn, None, email).await?.into_iter().map(|account| account.id).collect();
    for account in &accounts {
        let (rows, _) = channels::of_account(conn, *account).await?;
        let ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
        channels::forget(conn, &ids).await?;
    }
    let keys: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    let keepers = jobs::of_keys(conn, "google_channels", &keys).await?;
    job_state::want(conn, &keepers, None, None).await.map(drop)
}
