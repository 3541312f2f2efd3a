//! `drive`: which drives are mirrored of whom, and what is in them.

mod contents;

use clap::Subcommand;
use shared::{
    admin::{
        self,
        drive::{self, Branch, Drive, Filter},
    },
    job::AccountId,
    store::files::TreeRow,
};

use self::contents::{Contents, MirrorVerb, Pull};
use super::{Access, limit, more};
use crate::{
    exit::Exit,
    output::{Output, say, when},
};

/// Which drives are mirrored of whom, and what is in them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet drive ls --tenant acme
  syncfleet drive tree 3 --depth 2
  syncfleet drive tree 3 --folder 1AbC -o json
  syncfleet drive mirror add --account ada@example.com --folder /Reports --type application/pdf
  syncfleet drive contents --account ada@example.com --state refused
  syncfleet drive pull --account ada@example.com --folder /Reports --to reports")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List drives in the order of their numbers
    Ls {
        /// Of this account only
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Only those after this number
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: i64,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
    /// Choose which contents are stored
    #[command(subcommand)]
    Mirror(MirrorVerb),
    /// List what is stored, pending or refused
    Contents(Contents),
    /// Write stored contents into a folder of this machine
    Pull(Box<Pull>),
    /// Show what is in a drive, as a tree
    Tree {
        /// The drive's number
        drive: i64,
        /// From this folder on, by Google's id
        #[arg(long, value_name = "ID")]
        folder: Option<String>,
        /// So many levels
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i32).range(1..=200))]
        depth: i32,
        /// What is in the trash, too
        #[arg(long)]
        trashed: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "1000", value_parser = limit)]
        limit: i64,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Mirror(verb) => return contents::mirror(&args.access, verb, out).await,
        Verb::Contents(verb) => return contents::ls(&args.access, verb, out).await,
        Verb::Pull(verb) => return contents::pull(&args.access, verb, out).await,
        Verb::Ls { .. } | Verb::Tree { .. } => {}
    }
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    match &args.verb {
        Verb::Mirror(_) | Verb::Contents(_) | Verb::Pull(_) => {}
        Verb::Ls { account, tenant, after, limit } => {
            let filter = Filter { account: *account, tenant: tenant.clone(), after: *after, limit: *limit };
            let drives = drive::ls(&mut conn, &filter).await?;
            let now = admin::now(&mut conn).await?;
            let columns = ["ID", "ACCOUNT", "DRIVE", "KIND", "FILES", "BYTES", "STATE", "LAST FULL"];
            out.list(&drives, "no drives", &columns, |drive| {
                vec![
                    drive.id.to_string(),
                    drive.email.clone(),
                    drive.name.clone().unwrap_or_else(|| drive.google_id.clone()),
                    if drive.is_mine { "own" } else { "shared" }.to_owned(),
                    drive.files.to_string(),
                    drive.bytes.to_string(),
                    state(drive).to_owned(),
                    when(drive.full_at, now),
                ]
            })?;
            more(drives.len(), filter.limit, drives.last().map(|drive| drive.id))?;
        }
        Verb::Tree { drive, folder, depth, trashed, limit } => {
            let branch = Branch {
                drive: *drive,
                folder: folder.clone(),
                depth: *depth,
                trashed: *trashed,
                limit: *limit,
            };
            let files = drive::tree(&mut conn, &branch).await?;
            out.list(&files, "nothing in it", &["FILE", "SIZE", "ID"], |file| {
                let size = file.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
                vec![indented(file), size, file.file_id.clone()]
            })?;
            if i64::try_from(files.len()).is_ok_and(|shown| shown == *limit) {
                say("there may be more: raise --limit, or name a --folder")?;
            }
        }
    }
    Ok(Exit::Done)
}

fn state(drive: &Drive) -> &'static str {
    match (drive.deleted, drive.sweeping, drive.full_at) {
        (true, ..) => "left",
        (false, true, _) => "full sync",
        (false, false, None) => "not synced yet",
        (false, false, Some(_)) => "synced",
    }
}

/// The name as deep as the file lies.
fn indented(file: &TreeRow) -> String {
    let name = file.names.last().map_or("", String::as_str);
    let slash = if file.is_folder { "/" } else { "" };
    format!("{}{name}{slash}", "  ".repeat(file.names.len().saturating_sub(1)))
}
