//! `dns update`.

use std::time::Duration;

use serde::Serialize;
use shared::admin::{
    self,
    dns::{
        RecordRef,
        parked::{self, ParkedFamily, Selection},
        plan,
        show::{self, Record},
        update::{self, Updating},
    },
    enqueue::{Awaited, Outcome},
    words,
};

use super::plan as plans;
use crate::{
    admin::{Access, ring, span, wait},
    exit::Exit,
    output::{Output, say},
};

/// So many families are listed by a dry run.
const LISTED: i64 = 10_000;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(
    after_help = "What was sent is not sent again while it does not change, as providers take that for abuse: --force does, and serves again what is parked. Nothing shortens a provider's least time between two updates.

When a cause is mended that had many names parked, as a setting of the workers, --all-parked serves them again, and sends nothing
else.

Examples:
  syncfleet dns update home.example.org --dry-run
  syncfleet dns update home.example.org --wait
  syncfleet dns update home.example.org --force --wait --timeout 10m
  syncfleet dns update --all-parked --reason badsetting --dry-run
  syncfleet dns update --all-parked --reason badsetting --wait"
)]
pub struct Update {
    /// Its host, or its number
    #[arg(value_name = "HOST", required_unless_present = "all_parked")]
    record: Option<RecordRef>,
    /// Whose it is, if several tenants have that host; with --all-parked: of this tenant only
    #[arg(long)]
    tenant: Option<String>,
    /// Serve again all that is parked
    #[arg(long, conflicts_with_all = ["record", "force"])]
    all_parked: bool,
    /// With --all-parked: only what is parked for this reason, as badsetting
    #[arg(long, value_name = "WORD", conflicts_with = "record", requires = "all_parked")]
    reason: Option<String>,
    /// With --all-parked: only what follows this address
    #[arg(long, value_name = "NAME", conflicts_with = "record", requires = "all_parked")]
    address: Option<String>,
    /// Serve again what is parked, and send although nothing changed
    #[arg(long)]
    force: bool,
    /// Show what would be sent; nothing is written, and nothing is sent
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until it is done: sent, and seen at the zone's servers
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span, requires = "wait")]
    timeout: Duration,
}

/// What was wanted, and how the record stands after it.
#[derive(Debug, Serialize)]
struct Updated {
    #[serde(flatten)]
    updating: Updating,
    /// With --wait.
    record: Option<Record>,
}

/// Runs the verb.
pub async fn run(access: &Access, args: &Update, out: Output) -> anyhow::Result<Exit> {
    let Some(record) = &args.record else { return all_parked(access, args, out).await };
    let which = (record, args.tenant.as_deref());
    let bell = access.bell()?;
    let db = access.open().await?;
    if args.dry_run {
        let mut conn = db.acquire().await?;
        let plan = plan::of_record(&mut conn, which.0, which.1, args.force).await?;
        plans::print(&plan, admin::now(&mut conn).await?, out)?;
        return Ok(Exit::Done);
    }
    let updating = update::update(&db, &access.actor(), &worker::jobs::policies(), which, args.force).await?;
    ring(bell.as_ref(), &updating.bell).await?;
    if let Some(at) = updating.not_before.filter(|_| !updating.follows) {
        let why = updating.not_before_why.as_deref().unwrap_or("the least time between two updates");
        say(&format!(
            "note: what is to be sent is sent {} at the earliest ({why}); nothing shortens that",
            words::when(at, updating.now)
        ))?;
    }
    for parked in &updating.parked {
        say(&format!("note: nothing is sent for {parked}; when it is mended, --force serves it again"))?;
    }
    let mut updated = Updated { updating, record: None };
    let mut exit = Exit::Done;
    if args.wait {
        let mut awaited = Awaited::default();
        awaited.extend(&updated.updating.bell);
        // One that follows is looked at when its provider may be called again; nobody has to wait for that.
        if !updated.updating.follows {
            exit = wait::jobs(&db, &mut awaited, args.timeout).await?;
        }
        let record = show::show(&mut *db.acquire().await?, &RecordRef::Id(updated.updating.id), None).await?;
        let unknown = record.families.iter().all(|family| family.wanted.is_none());
        if record.families.iter().all(|family| family.row.address.is_none()) {
            say("note: nobody has told the address yet: `syncfleet dns address ls` says why")?;
        }
        if exit == Exit::Done && (unknown || record.families.iter().any(|family| family.row.parked.is_some()))
        {
            exit = Exit::Other;
        }
        updated.record = Some(record);
    }
    out.result(&updated, &sentence(&updated))?;
    Ok(exit)
}

fn sentence(updated: &Updated) -> String {
    let host = &updated.updating.host;
    let Some(record) = &updated.record else {
        return if updated.updating.follows {
            format!("{host} follows its address; nothing is to be sent")
        } else {
            format!("{host} is looked at now")
        };
    };
    let families: Vec<_> = record
        .families
        .iter()
        .map(|family| {
            let wanted =
                family.wanted.map_or_else(|| family.row.family.to_string(), |wanted| wanted.to_string());
            let why = family.row.parked_why.as_ref().or(family.row.failing_why.as_ref());
            format!("{wanted} {}{}", family.state, why.map(|why| format!(" ({why})")).unwrap_or_default())
        })
        .collect();
    format!("{host}: {}", families.join("; "))
}

/// What was served again.
#[derive(Debug, Serialize)]
struct Released {
    /// How many records.
    records: i64,
    /// With --wait.
    outcome: Option<Outcome>,
}

async fn all_parked(access: &Access, args: &Update, out: Output) -> anyhow::Result<Exit> {
    let selection =
        Selection { tenant: args.tenant.clone(), address: args.address.clone(), reason: args.reason.clone() };
    let bell = access.bell()?;
    let db = access.open().await?;
    if args.dry_run {
        list(&parked::ls(&mut *db.acquire().await?, &selection, LISTED).await?, out)?;
        return Ok(Exit::Done);
    }
    let there = parked::begin(&db, &access.actor(), &selection).await?;
    say(&format!("serving {} again", words::count(there, "parked record")))?;
    let mut awaited = Awaited::default();
    let mut released = Released { records: 0, outcome: None };
    let mut after = 0;
    while let Some((last, wanted)) = parked::batch(&db, &selection, after).await? {
        after = last;
        released.records += i64::try_from(wanted.len()).unwrap_or(i64::MAX);
        ring(bell.as_ref(), &wanted).await?;
        awaited.extend(&wanted);
    }
    let mut exit = Exit::Done;
    if args.wait {
        exit = wait::jobs(&db, &mut awaited, args.timeout).await?;
        released.outcome = Some(awaited.outcome().clone());
    }
    out.result(&released, &told(&released))?;
    Ok(exit)
}

fn list(parked: &[ParkedFamily], out: Output) -> anyhow::Result<()> {
    let columns = ["ID", "HOST", "TENANT", "PROVIDER", "FAMILY", "REASON", "WHY"];
    out.list(parked, "nothing is parked", &columns, |family| {
        vec![
            family.id.to_string(),
            family.host.clone(),
            family.tenant.clone(),
            family.provider.clone(),
            family.family.to_string(),
            family.parked.clone(),
            family.parked_why.clone(),
        ]
    })?;
    say("dry run: nothing was written, and nothing was sent")
}

fn told(released: &Released) -> String {
    let records = words::count(released.records, "record");
    let verb = if released.records == 1 { "is" } else { "are" };
    match &released.outcome {
        None => format!("{records} {verb} served again"),
        Some(Outcome { done, parked, left }) => format!(
            "{records} {verb} served again: {done} done, {} parked, {left} left{}",
            parked.len(),
            if parked.is_empty() { "" } else { " (`syncfleet dns ls --failing`)" },
        ),
    }
}
