//! `dns import`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use shared::{
    admin::{
        dns::import::{self, Imported, Taken, To},
        words,
    },
    config,
    dns::import::Format,
};

use super::kept::Kept;
use crate::{
    admin::{Access, ring},
    exit::Exit,
    output::{Output, json, line, say},
};

/// More is no configuration.
const LONGEST: u64 = 4 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "Formats:
  ddclient       ddclient.conf
  inadyn         inadyn.conf
  ddns-updater   config.json of qdm12/ddns-updater
  command        a crontab, a script or a Kubernetes CronJob that calls a
                 provider's URL by wget or curl

Every name that can be read is taken over, all at once; a name that cannot be read is left out, and told. If a name does not fit to the address, nothing is taken over. Told is every key that is not taken over, and every fault that was seen: misspelt keys and parameters, URLs that a shell cuts short, connections without TLS, passwords that others can see. Exit code 3 if there is no name in it.

Examples:
  syncfleet dns import /etc/ddclient.conf --tenant acme --address home --dry-run
  crontab -l | syncfleet dns import - --format command \\
    --tenant acme --address home")]
pub struct Import {
    /// The file; - is stdin
    file: PathBuf,
    /// What it is of: ddclient, inadyn, ddns-updater or command [default: told by its contents]
    #[arg(long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,
    /// Whose the names are to be
    #[arg(long)]
    tenant: String,
    /// The address that they follow
    #[arg(long, value_name = "NAME")]
    address: String,
    #[command(flatten)]
    kept: Kept,
    /// Only say what would be taken over
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    keys: config::Keys,
}

/// Runs the verb.
pub async fn run(access: &Access, args: &Import, out: Output) -> anyhow::Result<Exit> {
    let bell = access.bell()?;
    let keys = if args.dry_run { None } else { Some(args.keys.key_ring()?) };
    let text = read(&args.file)?;
    let format = args.format.unwrap_or_else(|| Format::of(&text));
    let found = format.read(&text);
    let db = access.open().await?;
    let to = To {
        tenant: &args.tenant,
        address: &args.address,
        families: args.kept.families(),
        ttl: args.kept.ttl,
        forced_interval: args.kept.forced_interval,
        verify: !args.kept.no_verify,
    };
    let policies = worker::jobs::policies();
    let imported = import::import(&db, &access.actor(), keys.as_ref(), &policies, &found, &to).await?;
    ring(bell.as_ref(), &imported.bell).await?;
    if out.is_table() {
        print(&imported, format)?;
    } else {
        json(&imported)?;
    }
    Ok(if imported.records.is_empty() { Exit::Other } else { Exit::Done })
}

fn read(path: &Path) -> anyhow::Result<String> {
    let (name, from): (_, Box<dyn Read>) = if path.as_os_str() == "-" {
        ("stdin".to_owned(), Box::new(std::io::stdin()))
    } else {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        (name, Box::new(file))
    };
    let mut bytes = Vec::new();
    from.take(LONGEST + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    // Half a file would be taken for a whole one.
    if bytes.len() as u64 > LONGEST {
        bail!(
            "{name} is longer than {} MiB, which no configuration is: nothing was taken over",
            LONGEST >> 20
        );
    }
    String::from_utf8(bytes).with_context(|| format!("{name} is not text in UTF-8"))
}

/// What of a name is not as it would be by itself.
fn kept(record: &Taken) -> impl Iterator<Item = String> {
    let families = record.families.iter().map(ToString::to_string);
    families.chain(record.ttl.map(|ttl| format!("TTL {ttl} s")))
}

fn print(imported: &Imported, format: Format) -> anyhow::Result<()> {
    let place = |number| imported.places.name(number);
    for record in &imported.records {
        let how = match (record.id, record.there, imported.stored) {
            (Some(id), ..) => format!("record {id}"),
            (None, true, _) => "there is a record already, which stays as it is".to_owned(),
            (None, false, _) => "would be added".to_owned(),
        };
        let mut how = vec![how];
        how.extend(kept(record).filter(|_| !record.there));
        let how = how.join(", ");
        line(&format!("{}: {} at {}: {how}", place(record.place), record.host, record.provider))?;
    }
    for fault in &imported.faults {
        say(&format!("{}: {}", place(fault.place), fault.what))?;
    }
    let names = words::count(i64::try_from(imported.records.len()).unwrap_or(i64::MAX), "name");
    let faults = words::count(i64::try_from(imported.faults.len()).unwrap_or(i64::MAX), "fault");
    let dry = if imported.stored { "" } else { "; dry run: nothing was written" };
    say(&format!("{}: {names}, {faults}{dry}", format.as_str()))
}
