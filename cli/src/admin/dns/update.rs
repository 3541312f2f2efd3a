//! `dns update`.

use std::time::Duration;

use serde::Serialize;
use shared::admin::{
    self,
    dns::{
        RecordRef, plan,
        show::{self, Record},
        update::{self, Updating},
    },
    enqueue::Awaited,
    words,
};

use super::{Which, plan as plans};
use crate::{
    admin::{Access, ring, span, wait},
    exit::Exit,
    output::{Output, say},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What was sent is not sent again while it does not change, as providers take that for abuse: --force does, and serves again what is parked. Nothing shortens a provider's least time between two updates.

Examples:
  syncfleet dns update home.example.org --dry-run
  syncfleet dns update home.example.org --wait
  syncfleet dns update home.example.org --force --wait --timeout 10m"
)]
pub struct Update {
    #[command(flatten)]
    which: Which,
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
    let which = (&args.which.record, args.which.tenant.as_deref());
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
    if let Some(at) = updating.not_before {
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
        exit = wait::jobs(&db, &mut awaited, args.timeout).await?;
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
        return format!("{host} is looked at now");
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
