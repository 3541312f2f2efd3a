//! Changes of files and shared drives, such as people make.

use std::{ops::Bound, sync::Arc};

use rand::{Rng, RngExt};

use super::{Content, FOLDER, FileDraft, PermissionRole};
use crate::fake_google::{seed::title, world::World};

/// The longest content of a file that is large.
const LARGE: u64 = 300_000;

/// The longest content of any other.
const SMALL: u64 = 4_000;

/// More shared drives are not made.
const DRIVES: usize = 12;

/// A file that was drawn.
struct Drawn {
    id: Arc<str>,
    is_folder: bool,
    is_binary: bool,
    trashed: bool,
    /// The shared drive that it is in.
    drive: Option<Arc<str>>,
    /// Who owns it; in a shared drive: a member.
    owner: String,
    /// With whom it is shared directly.
    readers: Vec<String>,
}

impl World {
    /// Makes one change to one file or shared drive. Does nothing in a world without accounts.
    pub fn churn_files(&mut self, rng: &mut impl Rng) -> anyhow::Result<()> {
        if self.accounts.is_empty() {
            return Ok(());
        }
        let choice = rng.random_range(0..100);
        match (choice, self.some_file(rng)) {
            (0..6, _) => self.churn_drive(rng),
            (6..22, _) | (_, None) => self.add_some(rng),
            (22..40, Some(file)) if file.is_binary => self.edit_file(&file.id, None, Some(content(rng))),
            (40..51, Some(file)) => self.move_within(&file, rng),
            (51..56, Some(file)) => self.move_across(&file, rng),
            (56..69, Some(file)) if file.trashed => self.untrash_file(&file.id),
            (56..63, Some(file)) => self.trash_file(&file.id),
            // A folder goes with all that is in it, so that is seldom.
            (69..79, Some(file)) if !file.is_folder || rng.random_bool(0.1) => self.delete_file(&file.id),
            (79..83, Some(file)) if file.drive.is_none() => self.share_some(&file, rng),
            (83..85, Some(file)) if file.drive.is_some() => self.view_file(&file.owner, &file.id),
            (_, Some(file)) => self.edit_file(&file.id, Some(&title(rng)), None),
        }
    }

    /// The file that follows a drawn id: not quite fair, but found at once.
    fn some_file(&self, rng: &mut impl Rng) -> Option<Drawn> {
        let id = self.after_drawn_file(rng, |_| true)?;
        let file = self.drive.files.get(&id)?;
        let owner = match (&file.drive, file.owner) {
            (Some(drive), _) => self.drive.drives.get(drive)?.members.keys().next()?.clone(),
            (None, owner) => self.accounts.get(owner?)?.email.clone(),
        };
        Some(Drawn {
            is_folder: file.draft.kind() == FOLDER,
            is_binary: file.revision.is_some(),
            trashed: file.trashed,
            drive: file.drive.clone(),
            owner,
            readers: file.permissions.keys().cloned().collect(),
            id,
        })
    }

    fn after_drawn_file(&self, rng: &mut impl Rng, fits: impl Fn(&str) -> bool) -> Option<Arc<str>> {
        const FIRST: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
        let mut from = "1".to_owned();
        from.extend((0..3).map(|_| char::from(FIRST[rng.random_range(0..FIRST.len())])));
        let files = &self.drive.files;
        let from = (Bound::Included(from.as_str()), Bound::Unbounded);
        let mut found = files.range::<str, _>(from).chain(files.iter()).map(|(id, _)| id);
        found.find(|id| fits(id)).cloned()
    }

    /// A folder at the same owner or in the same shared drive, or its top (none: that of My Drive).
    fn some_folder(&self, owner: &str, drive: Option<&Arc<str>>, rng: &mut impl Rng) -> Option<String> {
        let account = self.by_email.get(owner).copied();
        let fits = |id: &str| {
            self.drive.files.get(id).is_some_and(|file| {
                let is_here = file.drive.as_ref() == drive && (drive.is_some() || file.owner == account);
                is_here && file.draft.kind() == FOLDER
            })
        };
        let folder = rng.random_bool(0.7).then(|| self.after_drawn_file(rng, fits)).flatten();
        folder.or_else(|| drive.cloned()).map(|id| id.to_string())
    }

    fn some_drive(&self, rng: &mut impl Rng) -> Option<Arc<str>> {
        let drives = &self.drive.drives;
        drives.keys().nth(rng.random_range(0..drives.len().max(1))).cloned()
    }

    fn some_account(&self, rng: &mut impl Rng) -> String {
        self.accounts[rng.random_range(0..self.accounts.len())].email.clone()
    }

    fn add_some(&mut self, rng: &mut impl Rng) -> anyhow::Result<()> {
        let drive = self.some_drive(rng).filter(|_| rng.random_bool(0.3));
        let member = drive.as_ref().and_then(|drive| self.drive.drives.get(drive)?.members.keys().next());
        let (owner, drive) = match member {
            Some(member) => (member.clone(), drive),
            None => (self.some_account(rng), None),
        };
        let name = title(rng);
        let draft = match rng.random_range(0..10) {
            0 | 1 => FileDraft::folder(&name),
            2 | 3 => FileDraft::document(&name),
            _ => FileDraft {
                name,
                mime_type: Some("application/pdf".to_owned()),
                content: Some(content(rng)),
                ..FileDraft::default()
            },
        };
        let parent = self.some_folder(&owner, drive.as_ref(), rng);
        self.put_file(&owner, FileDraft { parent, ..draft }).map(drop)
    }

    fn move_within(&mut self, file: &Drawn, rng: &mut impl Rng) -> anyhow::Result<()> {
        let parent = self.some_folder(&file.owner, file.drive.as_ref(), rng);
        self.move_unless_below(file, parent.as_deref())
    }

    /// From My Drive into a shared drive of the owner, or from there into a member's My Drive.
    fn move_across(&mut self, file: &Drawn, rng: &mut impl Rng) -> anyhow::Result<()> {
        let target = match &file.drive {
            Some(_) => None,
            None => match self.some_drive(rng).filter(|drive| self.drive.is_member(&file.owner, drive)) {
                Some(drive) => Some(drive),
                None => return Ok(()),
            },
        };
        let parent = self.some_folder(&file.owner, target.as_ref(), rng);
        self.move_unless_below(file, parent.as_deref())
    }

    /// A folder is not put into itself: nobody would find it again.
    fn move_unless_below(&mut self, file: &Drawn, parent: Option<&str>) -> anyhow::Result<()> {
        let is_below = |parent: &str| {
            *parent == *file.id || self.drive.below(&file.id).iter().any(|below| **below == *parent)
        };
        if file.is_folder && parent.is_some_and(is_below) {
            return Ok(());
        }
        self.move_file(&file.owner, &file.id, parent)
    }

    fn share_some(&mut self, file: &Drawn, rng: &mut impl Rng) -> anyhow::Result<()> {
        if let Some(reader) = file.readers.first().filter(|_| rng.random_bool(0.6)) {
            return self.unshare_file(&file.id, reader);
        }
        let reader = self.some_account(rng);
        let role = if rng.random_bool(0.5) { PermissionRole::Reader } else { PermissionRole::Writer };
        if reader == file.owner { Ok(()) } else { self.share_file(&file.id, &reader, role) }
    }

    /// Shared drives come, are renamed, get and lose members, and go.
    fn churn_drive(&mut self, rng: &mut impl Rng) -> anyhow::Result<()> {
        let Some(drive) = self.some_drive(rng) else {
            let owner = self.some_account(rng);
            return self.add_drive(&owner, None, &title(rng)).map(drop);
        };
        let members: Vec<String> = self
            .drive
            .drives
            .get(&drive)
            .map(|drive| drive.members.keys().cloned().collect())
            .unwrap_or_default();
        let somebody = self.some_account(rng);
        match rng.random_range(0..20) {
            0..4 if self.drive.drives.len() < DRIVES => {
                self.add_drive(&somebody, None, &title(rng)).map(drop)
            }
            4..10 => self.add_member(&drive, &somebody, PermissionRole::Writer),
            // Somebody is left in it.
            10..15 if members.len() > 1 => {
                self.remove_member(&drive, &members[rng.random_range(0..members.len())])
            }
            15 => self.delete_drive(&drive),
            _ => self.rename_drive(&drive, &title(rng)),
        }
    }
}

/// Small or large, now and then such as others have, too.
fn content(rng: &mut impl Rng) -> Content {
    match rng.random_range(0..20) {
        0 | 1 => Content::Text(title(rng)),
        2 => Content::Drawn { seed: rng.random(), length: rng.random_range(0..LARGE) },
        _ => Content::Drawn { seed: rng.random(), length: rng.random_range(0..SMALL) },
    }
}
