//! The limit: the same pages fetched and copied into a table like `files`, without the engine.

use std::time::{Duration, Instant};

use anyhow::Context;
use loadtest::fake_google::SeededAccount;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::{google::drive::FILE_FIELDS, store::PgPool};
use sqlx::Connection;

use crate::stage::{
    Stage, copy,
    google::{self, Google},
    stats::rate,
    usage::process_cpu,
};

/// The longest page, as the worker asks for it.
const PAGE: &str = "1000";

const COPY: &str = "copy bare_files (
    account_id, drive_id, generation, file_id, name, mime_type, parent_id, size, md5, sha256, head_revision, version,
    created_at, modified_at, trashed, explicitly_trashed, owned_by_me, owner, shared, starred, can_download, web_link, raw
) from stdin";

/// The figures of the loop.
#[derive(Debug, Serialize)]
pub struct Bare {
    pub files_per_second: f64,
    /// CPU seconds.
    pub postgres_cpu: f64,
    pub google_cpu: f64,
    /// This process, which fetches and copies.
    pub own_cpu: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    files: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and Google's own")]
struct File {
    id: String,
    name: String,
    mime_type: String,
    parents: Option<Vec<String>>,
    size: Option<String>,
    md5_checksum: Option<String>,
    sha256_checksum: Option<String>,
    head_revision_id: Option<String>,
    version: String,
    created_time: String,
    modified_time: String,
    trashed: bool,
    explicitly_trashed: bool,
    owned_by_me: bool,
    owners: Option<Vec<Owner>>,
    shared: Option<bool>,
    starred: bool,
    capabilities: Capabilities,
    web_view_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    email_address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    can_download: bool,
}

/// Fetches and copies all files of an account, page by page, a transaction each. They stay until [`clear`].
pub async fn measure(
    stage: &Stage,
    google: &Google,
    account: &SeededAccount,
    limit: Duration,
) -> anyhow::Result<Bare> {
    clear(&stage.db).await?;
    // The same columns, indexes and checks.
    sqlx::query("create table bare_files (like files including all)").execute(&stage.db).await?;
    let token = google.access_token(account).await?;
    let cpu = || anyhow::Ok([stage.postgres_cpu()?, google.cpu()?, process_cpu(std::process::id())?]);
    let (before, began) = (cpu()?, Instant::now());
    let files = tokio::time::timeout(limit, all(&stage.db, google, &token))
        .await
        .with_context(|| format!("the bare loop did not end in {limit:?}"))??;
    let (took, after) = (began.elapsed(), cpu()?);
    let [postgres_cpu, google_cpu, own_cpu] = [0, 1, 2].map(|place| after[place] - before[place]);
    Ok(Bare { files_per_second: rate(files, took), postgres_cpu, google_cpu, own_cpu })
}

/// Takes the table away again.
pub async fn clear(db: &PgPool) -> anyhow::Result<()> {
    sqlx::query("drop table if exists bare_files").execute(db).await?;
    Ok(())
}

async fn all(db: &PgPool, google: &Google, token: &str) -> anyhow::Result<usize> {
    let client = google::client()?;
    let fields = format!("nextPageToken,incompleteSearch,files({FILE_FIELDS})");
    let mut connection = db.acquire().await?;
    let (mut files, mut page_token) = (0, None::<String>);
    loop {
        let mut url = reqwest::Url::parse(&format!("{}/drive/v3/files", google.url))?;
        url.query_pairs_mut()
            .append_pair("pageSize", PAGE)
            .append_pair("corpora", "user")
            .append_pair("supportsAllDrives", "true")
            .append_pair("includeItemsFromAllDrives", "true")
            .append_pair("fields", &fields);
        if let Some(token) = &page_token {
            url.query_pairs_mut().append_pair("pageToken", token);
        }
        let answer = client.get(url).bearer_auth(token).send().await?;
        let body = answer.error_for_status()?.bytes().await?;
        let page: Page<'_> = serde_json::from_slice(&body).context("a page is no list")?;
        let mut lines = String::with_capacity(body.len() * 2);
        for raw in &page.files {
            append(&mut lines, raw.get())?;
        }
        let mut transaction = connection.begin().await?;
        let mut copy = transaction.copy_in_raw(COPY).await?;
        copy.send(lines.into_bytes()).await?;
        copy.finish().await?;
        transaction.commit().await?;
        files += page.files.len();
        page_token = page.next_page_token;
        if page_token.is_none() {
            return Ok(files);
        }
    }
}

fn append(lines: &mut String, raw: &str) -> anyhow::Result<()> {
    let file: File = serde_json::from_str(raw).context("an item is no file")?;
    let flag = |flag: bool| Some(if flag { "t" } else { "f" });
    let columns = [
        Some("1"),
        Some("1"),
        Some("1"),
        Some(file.id.as_str()),
        Some(file.name.as_str()),
        Some(file.mime_type.as_str()),
        file.parents.as_ref().and_then(|parents| parents.first()).map(String::as_str),
        file.size.as_deref(),
        file.md5_checksum.as_deref(),
        file.sha256_checksum.as_deref(),
        file.head_revision_id.as_deref(),
        Some(file.version.as_str()),
        Some(file.created_time.as_str()),
        Some(file.modified_time.as_str()),
        flag(file.trashed),
        flag(file.explicitly_trashed),
        flag(file.owned_by_me),
        file.owners.as_ref().and_then(|owners| owners.first()).map(|owner| owner.email_address.as_str()),
        flag(file.shared.unwrap_or(false)),
        flag(file.starred),
        flag(file.capabilities.can_download),
        file.web_view_link.as_deref(),
        Some(raw),
    ];
    for (place, column) in columns.into_iter().enumerate() {
        if place > 0 {
            lines.push('\t');
        }
        copy::push(lines, column);
    }
    lines.push('\n');
    Ok(())
}
