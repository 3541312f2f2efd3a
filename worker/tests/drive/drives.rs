//! Anna and Ben with drives at a fake Google; Anna's are mirrored.

use anyhow::{Context as _, ensure};
use loadtest::fake_google::{Consent, Options, TruthFile};
use serde_json::Value;
use shared::{
    job::{AccountId, JobId},
    store::{
        PgPool, job_state,
        jobs::{self, NewJob},
    },
};
use worker::jobs::KINDS;

use crate::rig::{ANNA, Rig};

pub const BEN: &str = "ben@example.com";

/// Opens all of Drive.
pub const SCOPE: &str = "https://www.googleapis.com/auth/drive.readonly";

/// What the tests look at in a row of `files`, with its drive.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Row {
    pub file_id: String,
    pub name: String,
    /// The shared drive; none: My Drive.
    pub shared_drive: Option<String>,
    pub parent_id: Option<String>,
    pub trashed: bool,
    pub version: Option<i64>,
    pub md5: Option<String>,
    pub raw: Value,
}

pub struct Drives {
    pub rig: Rig,
    pub account: AccountId,
    /// Anna's list of drives.
    pub list: JobId,
}

impl Drives {
    /// Nothing is mirrored yet.
    pub async fn new(db: PgPool, page_size: usize) -> anyhow::Result<Self> {
        let rig =
            Rig::new(db, Options { page_size_cap: page_size, http_callbacks: true, ..Options::default() })
                .await?;
        for (email, token) in [(ANNA, "refresh-anna"), (BEN, "refresh-ben")] {
            let mut world = rig.fake.world();
            world.add_account(email, token, None)?;
            world.set_consent(email, Consent::to(&[SCOPE]))?;
        }
        let account = rig.connect(ANNA, "refresh-anna").await?;
        let list = list_job(&rig, account).await?;
        Ok(Self { rig, account, list })
    }

    /// The same, and all that is there by now is mirrored.
    pub async fn mirrored(
        db: PgPool,
        page_size: usize,
        fill: impl FnOnce(&mut loadtest::fake_google::World) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let drives = Self::new(db, page_size).await?;
        fill(&mut drives.rig.fake.world())?;
        drives.rig.settle().await?;
        drives.assert_mirrors().await?;
        Ok(drives)
    }

    /// The job of a drive: of a shared one by its id, or of My Drive.
    pub async fn job(&self, shared: Option<&str>) -> anyhow::Result<JobId> {
        let id = sqlx::query_scalar(
            "select j.id from jobs j join drives d on j.key = d.id::text
             where j.kind = 'drive_changes' and d.account_id = $1
                and case when $2::text is null then d.is_mine else d.google_id = $2 end",
        );
        let id = id.bind(self.account).bind(shared).fetch_optional(&self.rig.db).await?;
        id.with_context(|| format!("no job for {shared:?}"))
    }

    /// Each drive's log is read once, and what follows from it is done. Lists are not looked at unless a log says so.
    pub async fn sync(&self) -> anyhow::Result<()> {
        let jobs: Vec<JobId> = sqlx::query_scalar(
            "select id from jobs where kind = 'drive_changes' and account_id = $1 order by id",
        )
        .bind(self.account)
        .fetch_all(&self.rig.db)
        .await?;
        for job in jobs {
            self.rig.want(job).await?;
        }
        self.rig.settle().await
    }

    pub async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let rows = sqlx::query_as(
            "select f.*, case when not d.is_mine then d.google_id end as shared_drive
             from files f join drives d on d.id = f.drive_id and d.account_id = f.account_id
             where f.account_id = $1 order by f.file_id",
        );
        Ok(rows.bind(self.account).fetch_all(&self.rig.db).await?)
    }

    pub async fn row(&self, id: &str) -> anyhow::Result<Row> {
        let rows = self.rows().await?;
        rows.into_iter().find(|row| row.file_id == id).with_context(|| format!("{id} is not in the mirror"))
    }

    pub async fn path(&self, id: &str) -> anyhow::Result<(String, bool)> {
        let path =
            sqlx::query_as("select path, rooted from file_paths where account_id = $1 and file_id = $2");
        Ok(path.bind(self.account).bind(id).fetch_one(&self.rig.db).await?)
    }

    /// How many sweeps have begun, of all drives.
    pub fn sweeps(&self) -> u64 {
        self.rig.fake.stats().files.full
    }

    /// How often was asked what is in some folders, of all drives.
    pub fn looks(&self) -> u64 {
        self.rig.fake.stats().files.folders
    }

    /// The last sweep of each drive was an hour ago.
    pub async fn swept_long_ago(&self) -> anyhow::Result<()> {
        let ago = "update drives set full_at = full_at - interval '1 hour'";
        sqlx::query(ago).execute(&self.rig.db).await?;
        Ok(())
    }

    /// The mirror equals the truth: the same files, each where it is and as it is.
    pub async fn assert_mirrors(&self) -> anyhow::Result<()> {
        let truth = self.rig.fake.world().truth_files(Some(ANNA));
        let rows = self.rows().await?;
        let (mirrored, ids): (Vec<_>, Vec<_>) =
            (rows.iter().map(|row| &row.file_id).collect(), truth.iter().map(|file| &file.file).collect());
        ensure!(mirrored == ids, "{mirrored:?} in the mirror, {ids:?} in truth");
        for (row, file) in rows.iter().zip(&truth) {
            let wrong =
                |what: &str| format!("{what} of {}: {row:?} in the mirror, {file:?} in truth", file.name);
            ensure!(row.name == file.name, wrong("name"));
            ensure!(row.shared_drive == file.drive, wrong("drive"));
            ensure!(row.parent_id == file.parent, wrong("parent"));
            ensure!(row.trashed == file.trashed, wrong("trash"));
            ensure!(row.raw.get("trashed") == file.json.get("trashed"), wrong("trash in the raw file"));
            ensure!(row.version == Some(i64::try_from(file.version)?), wrong("version"));
            ensure!(row.md5 == file.md5, wrong("content"));
            ensure!(same_access(row, file), wrong("permissions"));
        }
        Ok(())
    }
}

fn same_access(row: &Row, file: &TruthFile) -> bool {
    ["permissionIds", "shared", "ownedByMe"].iter().all(|name| row.raw.get(name) == file.json.get(name))
}

/// The job of an account's list of drives, wanted.
pub async fn list_job(rig: &Rig, account: AccountId) -> anyhow::Result<JobId> {
    let mut connection = rig.db.acquire().await?;
    let kind = KINDS.iter().find(|kind| kind.policy.kind == "drive_list").context("no kind")?;
    let job = NewJob { key: account.to_string(), tenant: rig.tenant, account: Some(account), first: None };
    let jobs = jobs::ensure(&mut connection, &kind.policy, &[job]).await?;
    job_state::want(&mut connection, &jobs, None, None).await?;
    Ok(jobs[0])
}
