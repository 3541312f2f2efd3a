//! Whether the drives and their files are those of the truth, row by row.

use std::collections::{BTreeMap, BTreeSet};

use loadtest::fake_google::{FakeGoogle, TruthFile};
use serde_json::Value;
use sqlx::{PgPool, Row};

use super::Findings;

/// Whose, and which.
type Key = (String, String);

/// What of a file is compared.
#[derive(Debug, Clone, PartialEq)]
struct File {
    name: String,
    drive: Option<String>,
    parent: Option<String>,
    /// None: the account is not told.
    trashed: Option<bool>,
    version: Option<i64>,
    md5: Option<String>,
    /// Who may do something with it; null: the account is not told.
    permissions: Value,
}

impl From<&TruthFile> for File {
    fn from(file: &TruthFile) -> Self {
        Self {
            name: file.name.clone(),
            drive: file.drive.clone(),
            parent: file.parent.clone(),
            trashed: file.tells_of_trash().then_some(file.trashed),
            version: i64::try_from(file.version).ok(),
            md5: file.md5.clone(),
            permissions: file.json["permissionIds"].clone(),
        }
    }
}

impl File {
    /// Whether a row is as in truth, as far as its account is told.
    fn is(&self, row: &Self) -> bool {
        Self { trashed: self.trashed.or(row.trashed), ..self.clone() } == *row
    }
}

/// How many rows are not as in truth.
pub async fn behind(db: &PgPool, google: &FakeGoogle) -> Result<usize, sqlx::Error> {
    Ok(differences(&truth(google), &files(db).await?).len())
}

fn truth(google: &FakeGoogle) -> BTreeMap<Key, File> {
    let files = google.world().truth_files(None);
    files.iter().map(|file| ((file.account.clone(), file.file.clone()), file.into())).collect()
}

/// Compares drives and files with the truth.
pub async fn drives(db: &PgPool, google: &FakeGoogle, findings: &mut Findings) -> anyhow::Result<()> {
    let (truth, mirrored) = (truth(google), files(db).await?);
    findings.told.push(format!(
        "files compared: {} of the truth, {} of the mirror",
        truth.len(),
        mirrored.len()
    ));
    findings.wrong_many("files of the mirror differ from the truth", &differences(&truth, &mirrored));
    let there: BTreeSet<Key> = shared_drives(db).await?.into_iter().collect();
    let known: BTreeSet<Key> = google.world().memberships().into_iter().collect();
    findings.told.push(format!("shared drives compared: {} of the truth", known.len()));
    let differ: Vec<_> = there.symmetric_difference(&known).map(|key| format!("{key:?}")).collect();
    findings.wrong_many("shared drives of the mirror differ from the truth", &differ);
    Ok(())
}

fn differences(truth: &BTreeMap<Key, File>, mirrored: &BTreeMap<Key, File>) -> Vec<String> {
    let mut differ = Vec::new();
    for (key, file) in truth {
        match mirrored.get(key) {
            None => differ.push(format!("missing: {key:?} {file:?}")),
            Some(other) if !file.is(other) => differ.push(format!("{key:?}: {other:?} in place of {file:?}")),
            Some(_) => {}
        }
    }
    let extra = mirrored.iter().filter(|(key, _)| !truth.contains_key(*key));
    differ.extend(extra.map(|(key, file)| format!("too many: {key:?} {file:?}")));
    differ
}

async fn files(db: &PgPool) -> Result<BTreeMap<Key, File>, sqlx::Error> {
    let rows = sqlx::query(
        // A file of a drive that the account is no member of stands in My Drive, and says itself whose it is.
        "select a.email, f.file_id, f.name,
            case
                when not d.is_mine then d.google_id
                when not exists (
                    select from drives m
                    where m.account_id = f.account_id and m.google_id = f.raw ->> 'driveId' and not m.deleted
                ) then f.raw ->> 'driveId'
            end,
            f.parent_id, f.trashed, f.version, f.md5, f.raw -> 'permissionIds'
        from files f
        join drives d on d.id = f.drive_id and d.account_id = f.account_id
        join accounts a on a.id = f.account_id",
    )
    .fetch_all(db)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let file = File {
            name: row.try_get(2)?,
            drive: row.try_get(3)?,
            parent: row.try_get(4)?,
            trashed: Some(row.try_get(5)?),
            version: row.try_get(6)?,
            md5: row.try_get(7)?,
            permissions: row.try_get::<Option<Value>, _>(8)?.unwrap_or_default(),
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), file))
    };
    rows.iter().map(read).collect()
}

/// Who is a member of which shared drive, as the mirror has it, with the drive's name.
async fn shared_drives(db: &PgPool) -> Result<Vec<Key>, sqlx::Error> {
    let rows = sqlx::query(
        "select a.email, d.google_id || ' ' || d.name from drives d join accounts a on a.id = d.account_id
        where not d.is_mine and not d.deleted",
    );
    rows.fetch_all(db).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told() {
        let key = |file: &str| ("a@example.com".to_owned(), file.to_owned());
        let file = |name: &str| File {
            name: name.to_owned(),
            drive: None,
            parent: None,
            trashed: Some(false),
            version: Some(1),
            md5: None,
            permissions: Value::Null,
        };
        let truth: BTreeMap<_, _> =
            [(key("1"), file("x")), (key("2"), file("x")), (key("3"), file("x"))].into();
        assert!(differences(&truth, &truth).is_empty());
        let mirrored = [
            (key("1"), file("x")),
            (key("2"), File { trashed: Some(true), ..file("x") }),
            (key("4"), file("x")),
        ];
        let told = differences(&truth, &mirrored.into());
        assert_eq!(told.len(), 3, "{told:?}");
        // Of some nobody tells whether they are in the trash.
        let untold = BTreeMap::from([(key("1"), File { trashed: None, ..file("x") })]);
        let trashed = [(key("1"), File { trashed: Some(true), ..file("x") })].into();
        assert!(differences(&untold, &trashed).is_empty());
    }
}
