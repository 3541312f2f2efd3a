//! An account with files, its drive mirrored, and an object store.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use loadtest::fake_google::{Consent, Content, FileDraft, Options};
use shared::{
    job::{AccountId, JobId},
    objects::{Objects, hex},
    store::{
        PgPool, contents,
        drive_mirrors::{self, NewMirror},
        job_state,
        jobs::{self, NewJob},
    },
};
use worker::jobs::KINDS;

use crate::rig::{ANNA, Rig};

pub struct Contents {
    pub rig: Rig,
    pub objects: Objects,
    pub account: AccountId,
    /// Of the kind `drive_contents`.
    pub job: JobId,
    /// None: the objects are elsewhere.
    folder: Option<tempfile::TempDir>,
}

/// What the tests look at in a row of `file_contents`.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    pub state: String,
    pub why: Option<String>,
    pub received: i64,
    pub revision: Option<String>,
    pub format: Option<String>,
    pub size: Option<i64>,
    pub sha256: Option<String>,
}

impl Contents {
    /// Anna, all of whose files are wanted.
    pub async fn new(db: PgPool) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let contents = Self::with(db, Objects::in_folder(folder.path())?).await?;
        Ok(Self { folder: Some(folder), ..contents })
    }

    /// The same with this object store.
    pub async fn with(db: PgPool, objects: Objects) -> anyhow::Result<Self> {
        let mut rig = Rig::new(db, Options::default()).await?;
        rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
        rig.fake
            .world()
            .set_consent(ANNA, Consent::to(&["https://www.googleapis.com/auth/drive.readonly"]))?;
        let account = rig.connect(ANNA, "refresh-anna").await?;
        rig.context.objects = Some(objects.clone());
        let mut conn = rig.db.acquire().await?;
        drive_mirrors::put(&mut conn, account, &whole()).await?;
        let job =
            NewJob { key: account.to_string(), tenant: rig.tenant, account: Some(account), first: None };
        let mut made = Vec::new();
        for kind in ["drive_list", "drive_contents"] {
            let kind = KINDS.iter().find(|known| known.policy.kind == kind).context("no kind")?;
            made.extend(jobs::ensure(&mut conn, &kind.policy, std::slice::from_ref(&job)).await?);
        }
        job_state::want(&mut conn, &made, None, None).await?;
        drop(conn);
        rig.complete(made[0]).await?;
        Ok(Self { rig, objects, account, job: made[1], folder: None })
    }

    pub fn put(&self, draft: FileDraft) -> anyhow::Result<String> {
        self.rig.fake.world().put_file(ANNA, draft)
    }

    /// A file of bytes that are drawn.
    pub fn put_drawn(&self, name: &str, seed: u64, length: u64) -> anyhow::Result<String> {
        let content = Some(Content::Drawn { seed, length });
        let mime_type = Some("application/octet-stream".to_owned());
        self.put(FileDraft { name: name.to_owned(), mime_type, content, ..FileDraft::default() })
    }

    /// Brings the mirror of files up to date; contents are left for later.
    pub async fn mirror(&self) -> anyhow::Result<()> {
        let log = self.rig.job_of("drive_changes").await?;
        self.rig.again(log).await?;
        Ok(())
    }

    /// The same, and a step of the contents after it.
    pub async fn mirror_and_step(&self) -> anyhow::Result<crate::rig::Stepped> {
        self.mirror().await?;
        self.rig.want(self.job).await?;
        self.rig.step(self.job).await
    }

    /// Lets what failed be tried at once.
    pub async fn hurry(&self) -> anyhow::Result<()> {
        sqlx::query("update file_contents set retry_at = '-infinity' where state = 'pending'")
            .execute(&self.rig.db)
            .await?;
        sqlx::query("update job_state set floor_at = '-infinity', run_at = clock() where job_id = $1 and phase = 'idle'")
            .bind(self.job)
            .execute(&self.rig.db)
            .await?;
        Ok(())
    }

    /// Steps without waiting, until a file is stored.
    pub async fn insist(&self, file: &str) -> anyhow::Result<()> {
        for _ in 0..10 {
            self.hurry().await?;
            self.rig.step(self.job).await?;
            if self.row(file).await?.state == "stored" {
                self.rig.complete(self.job).await?;
                return Ok(());
            }
        }
        anyhow::bail!("{file} is not stored after ten steps: {:?}", self.row(file).await?)
    }

    /// A pass that must complete, once the mirror of files is up to date.
    pub async fn pass(&self) -> anyhow::Result<usize> {
        self.mirror().await?;
        self.rig.again(self.job).await
    }

    pub async fn row(&self, file: &str) -> anyhow::Result<Row> {
        sqlx::query_as(
            "select c.state, c.why, c.received, c.revision, c.format, o.size, encode(o.sha256, 'hex') as sha256
             from file_contents c left join objects o on o.id = c.object_id where c.account_id = $1 and c.file_id = $2",
        )
        .bind(self.account)
        .bind(file)
        .fetch_one(&self.rig.db)
        .await
        .with_context(|| format!("no content of {file}"))
    }

    pub async fn rows(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("select count(*) from file_contents").fetch_one(&self.rig.db).await?)
    }

    pub async fn object_rows(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("select count(*) from objects").fetch_one(&self.rig.db).await?)
    }

    pub async fn state(&self, file: &str) -> anyhow::Result<(String, Option<String>)> {
        let row = self.row(file).await?;
        Ok((row.state, row.why))
    }

    /// The stored bytes of a file; none: nothing is stored.
    pub async fn bytes(&self, file: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let object = contents::object_of(&mut *self.rig.db.acquire().await?, self.account, file).await?;
        let Some(object) = object else { return Ok(None) };
        Ok(Some(self.objects.read_all(object.key).await?))
    }

    /// What is stored is what the file holds at Google.
    pub async fn assert_stored(&self, file: &str) -> anyhow::Result<()> {
        let truth = self.rig.fake.world().content(file).context("the file has no content")?;
        let stored = self.bytes(file).await?.with_context(|| format!("nothing is stored of {file}"))?;
        ensure!(stored == truth.bytes(0, u64::MAX), "{file}: other bytes are stored");
        let row = self.row(file).await?;
        ensure!(row.state == "stored" && row.size == i64::try_from(stored.len()).ok(), "{row:?}");
        let mut sums = shared::objects::Sums::default();
        sums.update(&stored);
        ensure!(row.sha256 == Some(hex(&sums.finish().0)), "the checksum in the database is another");
        Ok(())
    }

    /// Files below a place of the store.
    pub fn files_in(&self, place: &str) -> anyhow::Result<usize> {
        fn count(folder: PathBuf) -> anyhow::Result<usize> {
            let mut files = 0;
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                files += if path.is_dir() { count(path)? } else { 1 };
            }
            Ok(files)
        }
        count(self.folder.as_ref().context("the objects are in no folder")?.path().join(place))
    }
}

/// All files of an account.
pub fn whole() -> NewMirror {
    NewMirror { exports: serde_json::json!({}), ..NewMirror::default() }
}
