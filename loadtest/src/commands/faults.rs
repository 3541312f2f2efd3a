//! `loadtest faults`: a whole fleet under faults, and whether the mirror is the truth in the end.
//!
//! Two schedulers, three workers, two ingresses, PostgreSQL and Redis run as processes of their own, with a proxy before each server for each
//! process. A fake Google changes all the time and has troubles; addresses change that names at a BIND follow. Then all of that ends, and
//! what must hold is checked.

mod check;
mod fault;
mod fleet;
mod google;
mod honest;
mod later;
mod names;
mod observe;
mod plan;
mod process;
mod report;
mod servers;
mod strike;
mod wants;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use loadtest::fake_google::FakeGoogle;
use rand::RngExt;
use shared::secrets::KeyRing;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use self::{
    check::Findings,
    fleet::{Fleet, Surroundings},
    report::say,
    servers::Servers,
    strike::Target,
    wants::{Cli, Watch},
};

/// How long the fleet has for the rest when all faults are over: longer than its longest usual backoff, and than nothing is sent for a
/// name after a call of which no outcome was recorded (two minutes, and its provider's interval).
const SETTLE: Duration = Duration::from_mins(4);

/// How long everything around the faults may take at most: a list whose tokens were refused again and again is held for more than five
/// minutes.
const AROUND: Duration = Duration::from_mins(20);

/// What the fleet keeps in step with, and where it keeps contents.
struct World<'a> {
    google: Arc<FakeGoogle>,
    names: Arc<names::Kept>,
    objects: &'a Path,
    seed: u64,
}

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long faults strike; what comes before and after takes half a minute or more
    #[arg(long, default_value_t = 1.2)]
    minutes: f64,
    /// What faults and changes are drawn from [default: drawn, and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// The program under test [default: syncfleet beside this program]
    #[arg(long, env = "SYNCFLEET_BIN", value_name = "FILE")]
    syncfleet: Option<PathBuf>,
    /// The folder of initdb and postgres [default: the newest in /usr/lib/postgresql, else the search path]
    #[arg(long, env = "SYNCFLEET_POSTGRES_BIN", value_name = "FOLDER")]
    postgres: Option<PathBuf>,
    /// Keep the logs, even if all is well
    #[arg(long)]
    keep_logs: bool,
    /// Print the faults and end
    #[arg(long)]
    plan_only: bool,
}

/// Runs the test. An error says what went wrong; its logs are kept then.
pub async fn run(args: Args) -> anyhow::Result<()> {
    ensure!(
        (0.2..=24.0 * 60.0).contains(&args.minutes),
        "--minutes {}: 0.2 to 1440 is allowed",
        args.minutes
    );
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let time = Duration::from_secs_f64(args.minutes * 60.0);
    let planned = plan::plan(seed, time);
    say(&format!("faults for {} minutes, --seed {seed}: {} faults", args.minutes, planned.len()))?;
    if args.plan_only {
        for one in &planned {
            say(&format!("{:>6.1} s  {}", one.at.as_secs_f64(), one.fault))?;
        }
        return Ok(());
    }
    let syncfleet = program(args.syncfleet.as_deref())?;
    let folder =
        tempfile::Builder::new().prefix("syncfleet-faults.").tempdir().context("cannot make a folder")?;
    let (logs, objects) = (folder.path().join("logs"), folder.path().join("objects"));
    fs::create_dir(&logs).context("cannot make a folder for the logs")?;
    // PostgreSQL runs as another user where we are root.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;

    let servers = Servers::start(folder.path(), &logs, args.postgres.as_deref()).await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(time + AROUND, under_faults(servers, &planned, seed, &syncfleet, &logs, &objects)) => {
            outcome.unwrap_or_else(|_| bail!("the test was not over {AROUND:?} after its faults"))
        }
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("interrupted"),
    };
    if outcome.is_err() || args.keep_logs {
        let kept = folder.keep();
        // The cluster is large and says nothing.
        let _ = fs::remove_dir_all(kept.join("postgres"));
        let _ = fs::remove_dir_all(kept.join("objects"));
        let _ = fs::remove_file(kept.join("password"));
        say(&format!("logs: {}", kept.join("logs").display()))?;
    }
    outcome.with_context(|| format!("the fault test failed, seed {seed}"))
}

fn program(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let program = match given {
        Some(program) => program.to_owned(),
        None => {
            std::env::current_exe().context("cannot tell where this program is")?.with_file_name("syncfleet")
        }
    };
    let there = program.canonicalize();
    there.with_context(|| format!("no program at {}: cargo build -p syncfleet makes it", program.display()))
}

async fn under_faults(
    servers: Servers,
    planned: &[plan::Planned],
    seed: u64,
    syncfleet: &Path,
    logs: &Path,
    objects: &Path,
) -> anyhow::Result<()> {
    let google = Arc::new(google::start(seed).await?);
    let around = Surroundings {
        syncfleet: syncfleet.to_owned(),
        logs: logs.to_owned(),
        env: wants::settings(&google, objects),
    };
    let cli = Cli::new(&servers, &around);
    cli.run(&["migrate"]).await?;
    wants::add_accounts(&cli, &google).await?;
    let db = servers.postgres.pool()?;
    let keys = KeyRing::parse(&around.keys()?)?;
    let names = Arc::new(names::Kept::start(&objects.with_file_name("bind"), &db, &keys).await?);
    let fleet = Fleet::start(&servers, &around).await?;
    let world = World { google, names, objects, seed };
    let target = Arc::new(Target::new(servers, fleet, db));
    let mut findings = Findings::default();
    let ended = strike_and_check(&target, &cli, &world, planned, &mut findings).await;
    if ended.is_err() || !findings.wrong.is_empty() {
        wants::dump(&target.servers.postgres.pool()?, logs).await;
    }
    findings.wrong.extend(target.fleet.stop().await);
    target.servers.stop().await;
    if let Err(error) = ended {
        findings.wrong.push(format!("{error:#}"));
    }
    for line in &findings.told {
        say(line)?;
    }
    if !findings.wrong.is_empty() {
        bail!("{}", findings.wrong.join("\n"));
    }
    say("all is well: the mirror is the truth")
}

async fn strike_and_check(
    target: &Arc<Target>,
    cli: &Cli,
    World { google, names, objects, seed }: &World<'_>,
    planned: &[plan::Planned],
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let (seed, routers) = (*seed, names.routers(target.fleet.outside().addr())?);
    google::begin_trouble(google, seed)?;
    let watch = Watch::default();
    let honesty = honest::Watch::default();
    {
        // Ended by being dropped.
        let mut background = JoinSet::new();
        background.spawn(google::change_lists(Arc::clone(google), seed));
        background.spawn(wants::want_all_the_time(cli.clone()));
        background.spawn(wants::change_mirrors(cli.clone(), Arc::clone(google)));
        background.spawn(wants::watch(watch.clone(), target.db.clone()));
        background.spawn(honest::watch(honesty.clone(), target.db.clone()));
        background.spawn(Arc::clone(names).change(routers.clone(), seed));
        target.strike_all(planned).await?;
        google::end_trouble(google)?;
        background.shutdown().await;
    }
    target.fleet.calm();
    target.fleet.wait_ready().await?;
    say("the faults are over")?;
    // Whoever was ended above may have left a transaction open, whose snapshot is of that time.
    target.db.close().await;
    let db = target.servers.postgres.pool()?;
    let began = Instant::now();
    wants::want_all_contents(cli, google).await?;
    names.tell_again(&routers).await?;
    observe::settle(&db, SETTLE).await?;
    let record = target.record();
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for struck in &record.struck {
        *by_kind.entry(struck.fault.kind()).or_default() += 1;
    }
    let by_kind: Vec<_> = by_kind.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    findings.told.push(format!("faults: {}", by_kind.join(", ")));
    findings.told.push(format!(
        "nothing left to do {:.1} s after the faults were over",
        began.elapsed().as_secs_f64()
    ));
    findings.told.push(format!("worst staleness under faults: {:.1} s", watch.worst()));
    findings.wrong.extend(record.wrong.iter().cloned());
    check::reruns(&db, &record, findings).await?;
    check::bell(&target.fleet, &record, findings).await;
    check::pushes(&db, google, findings).await?;
    names.check(&db, findings).await?;
    honesty.tell(findings);

    let (events, files) = check::behind(&db, google).await?;
    findings
        .told
        .push(format!("left behind by lost pushes, until it is polled: {events} events, {files} files"));
    say("a day passes: all is polled")?;
    let (mut clock, began) = (later::Clock::default(), Instant::now());
    db.close().await;
    let db = clock.a_day_later(target, findings).await?;
    observe::settle(&db, SETTLE).await?;
    findings.told.push(format!("in step {:.1} s after the fleet came back", began.elapsed().as_secs_f64()));
    check::jobs(&db, google, findings).await?;
    check::mirror(&db, google, findings).await?;
    check::drives(&db, google, findings).await?;
    db.close().await;
    let db = clock.clear_objects(target, findings).await?;
    check::contents(&db, google, objects, findings).await
}
