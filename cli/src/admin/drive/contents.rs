//! What of Drive's contents is stored: `drive mirror`, `drive contents`, `drive pull`.

use std::{fmt::Write as _, path::PathBuf};

use clap::Subcommand;
use serde_json::{Map, Value};
use shared::{
    admin::{account::AccountRef, contents, pull},
    config,
    google::formats,
    store::{
        contents::Stored,
        drive_mirrors::{Mirror, NewMirror},
    },
};
use worker::jobs;

use crate::{
    admin::{Access, limit, ring},
    exit::Exit,
    output::{Output, or_dash, say},
};

#[derive(Debug, Subcommand)]
pub enum MirrorVerb {
    /// Store the contents of a folder and all below it, or of the whole account; one of the same folder is changed
    Add {
        /// The account, by its number or its address
        #[arg(long, value_name = "ACCOUNT")]
        account: AccountRef,
        /// A folder or a shared drive by Google's id, or a path in My Drive that begins with a slash [default: all files]
        #[arg(long, value_name = "ID|PATH")]
        folder: Option<String>,
        /// Only files of this type, e.g. application/pdf or image/*; may be repeated
        #[arg(long = "type", value_name = "TYPE", value_parser = mime_type)]
        types: Vec<String>,
        /// Only files up to so many bytes
        #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(0..))]
        max_size: Option<i64>,
        /// What a kind of Google's documents is exported as, e.g. document=pdf; may be repeated
        #[arg(long = "export", value_name = "KIND=FORMAT", value_parser = formats::read)]
        exports: Vec<(String, String)>,
    },
    /// List what is stored of whom
    Ls {
        /// Of this account only, by its number or its address
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<AccountRef>,
    },
    /// Store it no more; what no other mirror wants goes
    Rm {
        /// The mirror's number
        mirror: i64,
    },
}

#[derive(Debug, clap::Args)]
pub struct Contents {
    /// The account, by its number or its address
    #[arg(long, value_name = "ACCOUNT")]
    account: AccountRef,
    /// Only those in this state
    #[arg(long, value_parser = ["pending", "stored", "refused", "none"])]
    state: Option<String>,
    /// Only those after this file's id
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    after: String,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: i64,
}

#[derive(Debug, clap::Args)]
pub struct Pull {
    /// The account, by its number or its address
    #[arg(long, value_name = "ACCOUNT")]
    account: AccountRef,
    /// A folder or a shared drive by Google's id, or a path in My Drive that begins with a slash
    #[arg(long, value_name = "ID|PATH")]
    folder: String,
    /// The folder on this machine
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Remove what an earlier pull wrote and is gone at the source, unless it was changed here
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    objects: config::Objects,
}

fn mime_type(text: &str) -> Result<String, String> {
    let text = text.trim();
    let parts = text.split_once('/').filter(|(kind, part)| !kind.is_empty() && !part.is_empty());
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"%\\".contains(&byte));
    match parts {
        Some(_) if is_plain(text) => Ok(text.to_owned()),
        _ => Err("not a type as application/pdf or image/*".to_owned()),
    }
}

/// Runs `drive mirror`.
pub async fn mirror(access: &Access, verb: &MirrorVerb, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    match verb {
        MirrorVerb::Add { account, folder, types, max_size, exports } => {
            let new = NewMirror {
                folder: folder.clone(),
                mime_types: (!types.is_empty()).then(|| types.clone()),
                max_size: *max_size,
                exports: Value::Object(
                    exports
                        .iter()
                        .map(|(kind, format)| (kind.clone(), Value::from(format.as_str())))
                        .collect::<Map<_, _>>(),
                ),
            };
            let (mirror, wanted) =
                contents::add_mirror(&db, &access.actor(), &jobs::policies(), account, new).await?;
            ring(access.bell()?.as_ref(), &wanted).await?;
            out.result(
                &mirror,
                &format!("mirror {}: the contents of {} are stored from now on", mirror.id, what(&mirror)),
            )?;
        }
        MirrorVerb::Ls { account } => {
            let mirrors = contents::mirrors(&mut *db.acquire().await?, account.as_ref()).await?;
            out.list(&mirrors, "no mirrors", &["ID", "ACCOUNT", "WHAT", "TYPES", "MAX SIZE"], |mirror| {
                vec![
                    mirror.id.to_string(),
                    mirror.account.to_string(),
                    what(mirror),
                    mirror.mime_types.as_ref().map_or_else(|| "all".to_owned(), |types| types.join(", ")),
                    mirror.max_size.map_or_else(|| "-".to_owned(), |size| size.to_string()),
                ]
            })?;
        }
        MirrorVerb::Rm { mirror } => {
            let wanted = contents::remove_mirror(&db, &access.actor(), *mirror).await?;
            ring(access.bell()?.as_ref(), &wanted).await?;
            out.result(
                &serde_json::json!({"id": mirror}),
                &format!("mirror {mirror} is gone; what no other mirror wants goes, too"),
            )?;
        }
    }
    Ok(Exit::Done)
}

fn what(mirror: &Mirror) -> String {
    match (&mirror.name, &mirror.folder) {
        (_, None) => "all files".to_owned(),
        (Some(name), Some(folder)) => format!("{name} ({folder})"),
        (None, Some(folder)) => folder.clone(),
    }
}

/// Runs `drive contents`.
pub async fn ls(access: &Access, args: &Contents, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    let mut conn = db.acquire().await?;
    let files =
        contents::ls(&mut conn, &args.account, args.state.as_deref(), &args.after, args.limit).await?;
    out.list(
        &files,
        "no contents are wanted",
        &["FILE", "NAME", "STATE", "STORED", "SHA-256", "WHY"],
        |file| {
            vec![
                file.file_id.clone(),
                file.name.clone(),
                state(file),
                file.size.map_or_else(|| "-".to_owned(), |size| size.to_string()),
                file.sha256.as_ref().map_or_else(|| "-".to_owned(), |sum| sum[..12].to_owned()),
                or_dash(file.why.as_ref()),
            ]
        },
    )?;
    if let Some(last) =
        files.last().filter(|_| i64::try_from(files.len()).is_ok_and(|shown| shown == args.limit))
    {
        say(&format!("there may be more: --after {}", last.file_id))?;
    }
    Ok(Exit::Done)
}

fn state(file: &Stored) -> String {
    let mut state = file.state.clone();
    if let (1.., Some(size)) = (file.received, file.wanted_size) {
        let _ = write!(state, ", {} of {size} bytes", file.received);
    }
    match file.tries {
        0 => {}
        1 => state.push_str(", failed once"),
        tries => {
            let _ = write!(state, ", failed {tries} times in a row");
        }
    }
    state
}

/// Runs `drive pull`.
pub async fn pull(access: &Access, args: &Pull, out: Output) -> anyhow::Result<Exit> {
    let objects = args.objects.required()?;
    let db = access.open().await?;
    let pulled = pull::pull(&db, &objects, &args.account, &args.folder, &args.to, args.delete).await?;
    for missing in &pulled.missing {
        say(&format!("not stored: {} ({})", missing.path, missing.why))?;
    }
    for blocked in &pulled.blocked {
        say(&format!("blocked: {} ({})", blocked.path, blocked.why))?;
    }
    let mut sentence = format!(
        "{} files written ({} bytes), {} unchanged, {} removed, {} not stored",
        pulled.written,
        pulled.bytes,
        pulled.unchanged,
        pulled.removed,
        pulled.missing.len()
    );
    if pulled.left > 0 {
        sentence = format!("{sentence}; {} are gone at the source (--delete removes them)", pulled.left);
    }
    if !pulled.blocked.is_empty() {
        sentence = format!("{sentence}; {} BLOCKED, and left as they are", pulled.blocked.len());
    }
    out.result(&pulled, &sentence)?;
    Ok(if pulled.blocked.is_empty() { Exit::Done } else { Exit::Failed })
}
