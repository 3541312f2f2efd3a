//! `file`: the mirrored files.

use clap::Subcommand;
use shared::{
    admin::{
        self,
        account::AccountRef,
        file::{self, Filter},
    },
    store::files::FileRow,
};

use super::{Access, limit};
use crate::{
    exit::Exit,
    output::{Output, or_dash, say, when},
};

/// The mirrored files
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet file ls --account ada@example.com --path /Plans/2026
  syncfleet file ls --account 42 --name '*.pdf'
  syncfleet file ls --drive 3 --trashed -o json")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List files, folders first, then by name
    Ls(Ls),
}

#[derive(Debug, clap::Args)]
struct Ls {
    /// Of this account, by its number or address
    #[arg(long, required_unless_present = "drive")]
    account: Option<AccountRef>,
    /// Of this drive only, by its number
    #[arg(long, value_name = "ID")]
    drive: Option<i64>,
    /// Right in this folder, by Google's id
    #[arg(long, value_name = "ID", conflicts_with = "path")]
    folder: Option<String>,
    /// Right in the folder at this path, from the top of My Drive or of --drive
    #[arg(long)]
    path: Option<String>,
    /// With this name, whatever its case; `*` stands for any text
    #[arg(long)]
    name: Option<String>,
    /// What is in the trash, and only that
    #[arg(long)]
    trashed: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: i64,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let Verb::Ls(ls) = &args.verb;
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    let filter = Filter {
        account: ls.account.clone(),
        drive: ls.drive,
        folder: ls.folder.clone(),
        path: ls.path.clone(),
        name: ls.name.clone(),
        trashed: ls.trashed,
        limit: ls.limit,
    };
    let files = file::ls(&mut conn, &filter).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["DRIVE", "PATH", "TYPE", "SIZE", "STORED", "CONTENT", "CHANGED", "OWNER", "ID"];
    out.list(&files, "no files", &columns, |file| {
        vec![
            file.drive.to_string(),
            path(file),
            kind(file),
            or_dash(file.size.map(|size| size.to_string()).as_ref()),
            or_dash(file.stored_size.map(|size| size.to_string()).as_ref()),
            content(file),
            when(file.modified_at, now),
            or_dash(file.owner.as_ref()),
            file.file_id.clone(),
        ]
    })?;
    if i64::try_from(files.len()).is_ok_and(|shown| shown == ls.limit) {
        say("there may be more: raise --limit, or name a --folder or a --name")?;
    }
    Ok(Exit::Done)
}

/// A path that does not begin at the top of a drive has no slash before it.
fn path(file: &FileRow) -> String {
    format!("{}{}", if file.rooted { "/" } else { "" }, file.names.join("/"))
}

/// The type without what all of Google's own have in common.
fn kind(file: &FileRow) -> String {
    let kind = file.mime_type.as_deref().unwrap_or("-");
    kind.strip_prefix("application/vnd.google-apps.").unwrap_or(kind).to_owned()
}

/// How its content stands, and why.
fn content(file: &FileRow) -> String {
    match (&file.content, &file.content_why) {
        (None, _) => "-".to_owned(),
        (Some(state), None) => state.clone(),
        (Some(state), Some(why)) => format!("{state}: {why}"),
    }
}
