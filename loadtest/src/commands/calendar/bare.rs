//! The limit: the same pages fetched and copied into a table like `events`, without the engine.

mod line;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use loadtest::fake_google::SeededAccount;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::store::{PgConnection, PgPool};
use sqlx::Connection;
use tokio::task::JoinSet;

use crate::stage::{
    Stage,
    google::{self, Google},
    stats::rate,
};

/// The longest page, as the worker asks for it.
const PAGE: &str = "1000";

/// The figures of one loop.
#[derive(Debug, Serialize)]
pub struct Bare {
    pub connections: usize,
    pub events_per_second: f64,
    /// CPU seconds.
    pub postgres_cpu: f64,
    pub google_cpu: f64,
    /// This process, which fetches and copies.
    pub own_cpu: f64,
}

/// A calendar to be fetched.
struct Calendar {
    /// Numbers in place of rows.
    account: usize,
    number: usize,
    google_id: String,
    access_token: Arc<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

/// Each connection fetches and copies its part of the calendars, page by page, a transaction each.
pub async fn measure(
    stage: &Stage,
    google: &Google,
    accounts: &[SeededAccount],
    connections: usize,
    limit: Duration,
) -> anyhow::Result<Bare> {
    clear(&stage.db).await?;
    // The same columns, indexes and checks.
    sqlx::query("create table bare_events (like events including all)").execute(&stage.db).await?;
    let calendars: Arc<[Calendar]> = calendars(google, accounts).await?.into();
    let client = google::client()?;
    let cpu = || {
        anyhow::Ok([
            stage.postgres_cpu()?,
            google.cpu()?,
            crate::stage::usage::process_cpu(std::process::id())?,
        ])
    };
    let (before, began) = (cpu()?, Instant::now());
    let mut loops = JoinSet::new();
    for part in 0..connections {
        let (db, client, calendars) = (stage.db.clone(), client.clone(), Arc::clone(&calendars));
        let url = google.url.clone();
        loops.spawn(async move {
            let mut connection = db.acquire().await?;
            for calendar in calendars.iter().skip(part).step_by(connections) {
                copy(&mut connection, &client, &url, calendar).await?;
            }
            anyhow::Ok(())
        });
    }
    let all = async {
        while let Some(ended) = loops.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(limit, all)
        .await
        .with_context(|| format!("the bare loop did not end in {limit:?}"))??;
    let (took, after) = (began.elapsed(), cpu()?);
    let rows: i64 = sqlx::query_scalar("select count(*) from bare_events").fetch_one(&stage.db).await?;
    let truth = google.truth().await?.len();
    ensure!(usize::try_from(rows)? == truth, "the bare loop copied {rows} events, and Google has {truth}");
    let [postgres_cpu, google_cpu, own_cpu] = [0, 1, 2].map(|place| after[place] - before[place]);
    Ok(Bare { connections, events_per_second: rate(truth, took), postgres_cpu, google_cpu, own_cpu })
}

/// Takes the table away again.
pub async fn clear(db: &PgPool) -> anyhow::Result<()> {
    sqlx::query("drop table if exists bare_events").execute(db).await?;
    Ok(())
}

async fn calendars(google: &Google, accounts: &[SeededAccount]) -> anyhow::Result<Vec<Calendar>> {
    let mut calendars = Vec::new();
    for (account, seeded) in accounts.iter().enumerate() {
        let token: Arc<str> = google.access_token(seeded).await?.into();
        for id in &seeded.calendars {
            let number = calendars.len();
            let access_token = Arc::clone(&token);
            calendars.push(Calendar { account, number, google_id: id.clone(), access_token });
        }
    }
    Ok(calendars)
}

async fn copy(
    connection: &mut PgConnection,
    client: &reqwest::Client,
    url: &str,
    calendar: &Calendar,
) -> anyhow::Result<()> {
    let mut url = reqwest::Url::parse(url)?;
    url.path_segments_mut().map_err(|()| anyhow::anyhow!("an address without a path"))?.extend([
        "calendar",
        "v3",
        "calendars",
        &calendar.google_id,
        "events",
    ]);
    let mut page_token: Option<String> = None;
    loop {
        let mut of_page = url.clone();
        of_page.query_pairs_mut().append_pair("maxResults", PAGE).append_pair("alt", "json");
        if let Some(token) = &page_token {
            of_page.query_pairs_mut().append_pair("pageToken", token);
        }
        let answer = client.get(of_page).bearer_auth(&calendar.access_token).send().await?;
        let body = answer.error_for_status()?.bytes().await?;
        let page: Page<'_> = serde_json::from_slice(&body).context("a page is no list")?;
        let mut lines = String::with_capacity(body.len() * 2);
        for item in &page.items {
            line::append(&mut lines, calendar.account, calendar.number, item.get())?;
        }
        let mut transaction = connection.begin().await?;
        let mut copy = transaction.copy_in_raw(line::COPY).await?;
        copy.send(lines.into_bytes()).await?;
        copy.finish().await?;
        transaction.commit().await?;
        page_token = page.next_page_token;
        if page_token.is_none() {
            return Ok(());
        }
    }
}
