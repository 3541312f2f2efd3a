//! `loadtest drive contents`: how fast the contents of files go from the fake Google into an object store in a folder, and how much
//! memory that takes: many mixed files, then a large one. Beside each, curl fetches the same files from the same fake.

mod curl;
mod files;
mod report;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;
use shared::{
    job::{AccountId, JobId, Lanes},
    secrets,
    store::drive_mirrors::{self, NewMirror},
};
use tempfile::TempDir;

use self::{curl::Curl, files::Files};
use crate::{
    commands::{calendar::Used, engine::Form},
    stage::{
        Place, Server, Stage, accounts,
        fleet::Fleet,
        google::Google,
        jobs::passes_of_kind,
        on_stage, until,
        usage::{self, Memory},
    },
};

const LIST: &str = "drive_list";
const CHANGES: &str = "drive_changes";
const CONTENTS: &str = "drive_contents";

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Mixed files: their sizes are log-normal, 128 KiB in the middle, of 1 KiB to 64 MiB
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    files: u32,
    /// The size of the large file, in MiB
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    big_mib: u64,
    /// Files that curl fetches at once; a step of the worker fetches four
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    at_once: u16,
    /// The worker's slots
    #[arg(long, default_value_t = Lanes::default())]
    lanes: Lanes,
    /// The longest that one part may take, in seconds
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,
    /// How the figures are printed
    #[arg(long, value_enum, default_value_t = Form::Table)]
    report: Form,
}

/// All figures of one call.
#[derive(Debug, Serialize)]
struct Report {
    server: Server,
    lanes: Lanes,
    at_once: u16,
    seed: u64,
    /// Of the worker, before it fetches anything.
    idle_mib: Memory,
    mixed: Part,
    large: Part,
}

/// One folder, stored and fetched.
#[derive(Debug, Serialize)]
struct Part {
    files: usize,
    bytes: u64,
    curl: Curl,
    syncfleet: Stored,
}

/// What the fleet has done.
#[derive(Debug, Serialize)]
struct Stored {
    /// From the want of the account's contents until the last file is stored.
    seconds: f64,
    mb_per_second: f64,
    cpu: Used,
    /// The most that the worker has had meanwhile, and what it has at the end.
    worker_mib: Memory,
}

/// Megabytes a second.
#[expect(clippy::cast_precision_loss, reason = "sizes here are far below 2^52")]
fn speed(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

/// Measures, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let report = on_stage(&args.place, async |stage| measure(stage, &args).await).await?;
    let text = match args.report {
        Form::Json => serde_json::to_string(&report)? + "\n",
        Form::Table => report::table(&report)?,
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the figures")
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Report> {
    let limit = Duration::from_secs(args.limit);
    let google = Google::start(args.place.seed).await?;
    let people = google.seed(1, 0, 0).await?;
    let person = people.first().context("no account was made")?;
    let mixed = files::mixed(&google, &person.email, args.files, args.place.seed).await?;
    let large = files::large(&google, &person.email, args.big_mib << 20).await?;
    let token = google.access_token(person).await?;
    files::list(&google, &token).await?;

    let of_curl = async |files: &Files| curl::fetch(&google, &token, files, args.at_once, limit).await;
    let curls = [of_curl(&mixed).await?, of_curl(&large).await?];

    let objects = tempfile::tempdir().context("cannot make a folder for objects")?;
    let keys = secrets::generate_key("k1")?;
    let mut settings = google.settings(keys.expose_secret());
    settings.push(("SYNCFLEET_OBJECTS", objects.path().to_string_lossy().into_owned()));
    let keys = secrets::KeyRing::parse(&keys)?;
    let fleet = stage.fleet_with(&args.lanes.to_string(), &settings).await?;
    let lists = accounts::add(&stage.db, &keys, &people, LIST).await?;
    stage.wanter().want(&lists).await?;
    until("the drive is mirrored", limit, Duration::from_millis(50), async || {
        Ok((passes_of_kind(&fleet, CHANGES).await? >= 1).then_some(()))
    })
    .await?;
    let (account, job) = accounts::add_job(&stage.db, &person.email, CONTENTS).await?;
    let run = Run { stage, google: &google, fleet: &fleet, objects: &objects, account, job, limit };
    let idle_mib = usage::memory(fleet.worker.pid()?)?;
    let stored = [run.store(&mixed, 0).await?, run.store(&large, mixed.sizes.len()).await?];
    run.check(&[&mixed, &large]).await?;
    fleet.stop().await.context("the fleet does not end")?;

    let [of_mixed, of_large] = curls;
    let [mixed_stored, large_stored] = stored;
    let part = |files: &Files, curl, syncfleet| Part {
        files: files.sizes.len(),
        bytes: files.bytes(),
        curl,
        syncfleet,
    };
    Ok(Report {
        server: stage.server().await?,
        lanes: args.lanes,
        at_once: args.at_once,
        seed: args.place.seed,
        idle_mib,
        mixed: part(&mixed, of_mixed, mixed_stored),
        large: part(&large, of_large, large_stored),
    })
}

/// A fleet that stores the contents of an account.
struct Run<'a> {
    stage: &'a Stage,
    google: &'a Google,
    fleet: &'a Fleet,
    objects: &'a TempDir,
    account: AccountId,
    /// Of the kind [`CONTENTS`].
    job: JobId,
    limit: Duration,
}

impl Run<'_> {
    /// Wants the files of a folder, and waits until they are stored beside what was stored `before`.
    async fn store(&self, files: &Files, before: usize) -> anyhow::Result<Stored> {
        let pid = self.fleet.worker.pid()?;
        let new =
            NewMirror { folder: Some(files.folder.clone()), exports: json!({}), ..NewMirror::default() };
        drive_mirrors::put(&mut *self.stage.db.acquire().await?, self.account, &new).await?;
        let all = i64::try_from(before + files.sizes.len())?;
        usage::forget_peak(pid)?;
        let cpu = Used::by_now(self.stage, self.fleet, self.google).await?;
        let began = Instant::now();
        self.stage.wanter().want(&[self.job]).await?;
        until("the contents are stored", self.limit, Duration::from_millis(20), async || {
            let stored: i64 = sqlx::query_scalar("select count(*) from file_contents where state = 'stored'")
                .fetch_one(&self.stage.db)
                .await?;
            Ok((stored >= all).then_some(()))
        })
        .await?;
        let took = began.elapsed();
        Ok(Stored {
            seconds: took.as_secs_f64(),
            mb_per_second: speed(files.bytes(), took),
            cpu: Used::by_now(self.stage, self.fleet, self.google).await? - cpu,
            worker_mib: usage::memory(pid)?,
        })
    }

    /// Fails unless what is stored has the checksums that Google tells, and lies on the disk in full.
    async fn check(&self, all: &[&Files]) -> anyhow::Result<()> {
        let files: usize = all.iter().map(|files| files.sizes.len()).sum();
        let bytes: u64 = all.iter().map(|files| files.bytes()).sum();
        let (right, size): (i64, i64) = sqlx::query_as(
            "select count(*), sum(o.size)::bigint
            from file_contents c
            join objects o on o.id = c.object_id
            join files f on f.account_id = c.account_id and f.file_id = c.file_id
            where c.state = 'stored' and encode(o.sha256, 'hex') = f.sha256",
        )
        .fetch_one(&self.stage.db)
        .await?;
        let on_disk = curl::bytes_in(&self.objects.path().join("objects"))?;
        ensure!(
            usize::try_from(right)? == files && u64::try_from(size)? == bytes && on_disk == bytes,
            "{right} of {files} files are right, {size} and on the disk {on_disk} of {bytes} bytes"
        );
        Ok(())
    }
}
