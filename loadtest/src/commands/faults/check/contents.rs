//! Whether the contents that are wanted are stored, byte by byte, and nothing else is in the object store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::Context;
use loadtest::fake_google::{Content, FOLDER, FakeGoogle, TruthFile};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use shared::google::formats;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::Findings;

/// What Google's own types begin with: what is of one of them has no content, or is exported.
const NATIVE: &str = "application/vnd.google-apps.";

/// Whose, and which.
type Key = (String, String);

/// Content as the mirror has it.
struct Stored {
    state: String,
    format: Option<String>,
    size: Option<i64>,
    sha256: Option<Vec<u8>>,
    object: Option<Uuid>,
}

/// Compares contents with the truth, of accounts all of whose files are wanted; and the objects with the rows. Nothing may be
/// left to be cleared.
pub async fn contents(
    db: &PgPool,
    google: &FakeGoogle,
    objects: &Path,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let (truth, untold, stored) = (wanted(google), untold(google), stored(db).await?);
    let mut wrong = Vec::new();
    let (mut whole, mut bytes) = (0_u64, 0_u64);
    for (key, content) in &truth {
        match (stored.get(key), content) {
            (None, _) if untold.contains(key) => {}
            (None, _) => wrong.push(format!("missing: {key:?}")),
            (Some(row), None) if row.state == "none" => {}
            (Some(row), None) => wrong.push(format!("{key:?} has no content, and is {}", row.state)),
            (Some(row), Some(content)) => {
                if let Some(how) = differs(row, content, objects) {
                    wrong.push(format!("{key:?} ({}): {how}", row.state));
                } else {
                    (whole, bytes) = (whole + 1, bytes + content.length());
                }
            }
        }
    }
    let extra = stored.keys().filter(|key| !truth.contains_key(*key) && !untold.contains(*key));
    wrong.extend(extra.map(|key| format!("too many: {key:?}")));
    findings.wrong_many("contents differ from the truth", &wrong);
    findings.told.push(format!(
        "contents compared: {} of the truth, {} of the mirror; {whole} with {bytes} bytes are equal",
        truth.len(),
        stored.len()
    ));
    let (rows, files) = (keys(db).await?, in_place(&objects.join("objects"))?);
    let name = |key: &&String| (*key).clone();
    let orphans: Vec<_> = files.difference(&rows).map(|key| name(&key)).collect();
    let missing: Vec<_> = rows.difference(&files).map(|key| name(&key)).collect();
    findings.told.push(format!("objects: {} of rows, {} of files", rows.len(), files.len()));
    findings.wrong_many("objects without a row", &orphans);
    findings.wrong_many("rows without an object", &missing);
    let staged: Vec<_> = names(&objects.join("staging"))?.into_iter().collect();
    findings.wrong_many("uploads that nobody goes on with", &staged);
    let left: Vec<String> = sqlx::query_scalar(
        "select 'object ' || key from objects o
        where not exists (select from file_contents c where c.object_id = o.id)
        union all
        select 'removal ' || key from object_removals",
    )
    .fetch_all(db)
    .await?;
    findings.wrong_many("not cleared", &left);
    Ok(())
}

/// What is wanted: all files that are not in the trash. None: there is no content.
fn wanted(google: &FakeGoogle) -> BTreeMap<Key, Option<Content>> {
    let world = google.world();
    let usual = formats::usual();
    let content = |file: &TruthFile, mime_type: &str| match usual.get(mime_type).and_then(Value::as_str) {
        Some(format) => world.export(&file.file, format),
        None if mime_type.starts_with(NATIVE) => None,
        None => world.content(&file.file),
    };
    let files = world.truth_files(None).into_iter().filter(|file| !file.trashed);
    files
        .filter_map(|file| {
            let mime_type = file.json["mimeType"].as_str().unwrap_or_default().to_owned();
            let content = content(&file, &mime_type);
            (mime_type != FOLDER).then_some(((file.account, file.file), content))
        })
        .collect()
}

/// Files that may be in the trash without their accounts knowing, or out of it.
fn untold(google: &FakeGoogle) -> BTreeSet<Key> {
    let files = google.world().truth_files(None).into_iter().filter(|file| !file.tells_of_trash());
    files.map(|file| (file.account, file.file)).collect()
}

/// How what is stored differs from what it should be.
fn differs(row: &Stored, content: &Content, objects: &Path) -> Option<String> {
    if row.state != "stored" {
        return Some("not stored".to_owned());
    }
    let Some(key) = row.object else { return Some("no object".to_owned()) };
    let shelf = key.simple().to_string();
    let path = objects.join("objects").join(&shelf[shelf.len() - 2..]).join(key.to_string());
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => return Some(format!("the object {key}: {error}")),
    };
    if bytes != content.bytes(0, u64::MAX) {
        let format = row.format.as_deref().unwrap_or("as it is");
        return Some(format!("the object {key} ({format}): {} bytes that are others", bytes.len()));
    }
    let size = i64::try_from(bytes.len()).ok();
    let is_right = row.size == size && row.sha256.as_deref() == Some(digest(&SHA256, &bytes).as_ref());
    (!is_right).then(|| format!("the object {key}: its row tells another length or checksum"))
}

async fn stored(db: &PgPool) -> Result<BTreeMap<Key, Stored>, sqlx::Error> {
    let rows = sqlx::query(
        "select a.email, c.file_id, c.state, c.format, o.size, o.sha256, o.key
        from file_contents c join accounts a on a.id = c.account_id left join objects o on o.id = c.object_id",
    )
    .fetch_all(db)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let stored = Stored {
            state: row.try_get(2)?,
            format: row.try_get(3)?,
            size: row.try_get(4)?,
            sha256: row.try_get(5)?,
            object: row.try_get(6)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), stored))
    };
    rows.iter().map(read).collect()
}

async fn keys(db: &PgPool) -> Result<BTreeSet<String>, sqlx::Error> {
    let keys: Vec<Uuid> = sqlx::query_scalar("select key from objects").fetch_all(db).await?;
    Ok(keys.iter().map(Uuid::to_string).collect())
}

/// The names of what is on all shelves.
fn in_place(objects: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for shelf in names(objects)? {
        found.extend(names(&objects.join(shelf))?);
    }
    Ok(found)
}

fn names(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let what = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(what)?;
    entries.map(|entry| Ok(entry.with_context(what)?.file_name().to_string_lossy().into_owned())).collect()
}
