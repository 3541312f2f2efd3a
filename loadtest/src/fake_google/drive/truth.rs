//! What a faithful mirror of Drive holds: for each account all files of its own corpus, and of the shared drives of which it is a
//! member, in the trash or not.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Drive, Viewer, files};
use crate::fake_google::world::World;

/// One file of one account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthFile {
    /// The account's address.
    pub account: String,
    /// The file's id.
    pub file: String,
    /// Its name.
    pub name: String,
    /// The shared drive that it is in.
    pub drive: Option<String>,
    /// The folder that it is in, as far as the account sees it.
    pub parent: Option<String>,
    /// In the trash, itself or by a folder.
    pub trashed: bool,
    /// Its version.
    pub version: u64,
    /// The checksum of its content.
    pub md5: Option<String>,
    /// The whole resource as the account sees it.
    pub json: Value,
}

impl TruthFile {
    /// Whether its account learns when it goes into the trash or comes back. What is in a folder goes with it and has no entry in the log,
    /// so of a file whose folder the account does not see nobody says it, until the file itself is changed or its drive swept.
    #[must_use]
    pub fn tells_of_trash(&self) -> bool {
        self.parent.is_some() || self.json["explicitlyTrashed"] == true
    }
}

impl World {
    /// The truth about all accounts, or about one, in the order of accounts and ids.
    #[must_use]
    pub fn truth_files(&self, account: Option<&str>) -> Vec<TruthFile> {
        let emails = files::emails(self);
        let wanted = |email: &str| account.is_none_or(|wanted| wanted == email);
        let viewers = emails.iter().enumerate().map(|(account, email)| Viewer { account, email });
        let mut rows = Vec::new();
        for viewer in viewers.filter(|viewer| wanted(viewer.email)) {
            let ids = seen_by(&self.drive, viewer);
            rows.extend(ids.into_iter().filter_map(|id| {
                let json = self.drive.resource(viewer, &emails, id)?;
                let text = |name: &str| json[name].as_str().map(str::to_owned);
                Some(TruthFile {
                    account: viewer.email.to_owned(),
                    file: id.to_owned(),
                    name: text("name").unwrap_or_default(),
                    drive: text("driveId"),
                    parent: json["parents"][0].as_str().map(str::to_owned),
                    trashed: json["trashed"] == true,
                    version: text("version").and_then(|version| version.parse().ok()).unwrap_or_default(),
                    md5: text("md5Checksum"),
                    json,
                })
            }));
        }
        rows
    }

    /// The members of shared drives, each with the drive's id and name.
    #[must_use]
    pub fn memberships(&self) -> Vec<(String, String)> {
        let drives = self.drive.drives.iter();
        let members =
            drives.flat_map(|(id, drive)| drive.members.keys().map(move |email| (id, drive, email)));
        members.map(|(id, drive, email)| (email.clone(), format!("{id} {}", drive.name))).collect()
    }
}

fn seen_by<'a>(drive: &'a Drive, viewer: Viewer<'_>) -> Vec<&'a str> {
    let mut ids = drive.corpus(viewer, None, usize::MAX);
    for id in drive.drives.iter().filter(|(_, of)| of.members.contains_key(viewer.email)).map(|(id, _)| id) {
        ids.extend(drive.in_drive(id, None, usize::MAX));
    }
    ids.sort_unstable();
    ids
}
