//! What happens to files.

mod drives;
mod held;

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, bail, ensure};

use super::{
    Content, DEEPEST, FOLDER, FileDraft, PermissionRole, Viewer, content::Revision, file::File, log::What,
    root_of,
};
use crate::fake_google::world::World;

/// Who is told of a change: the accounts in whose corpus a file is, and the shared drive that holds it.
#[derive(Debug, Default)]
struct Audience {
    accounts: BTreeSet<usize>,
    drives: BTreeSet<Arc<str>>,
}

/// Where a file goes.
struct Place {
    parent: Option<String>,
    drive: Option<Arc<str>>,
}

impl World {
    /// Adds a file, or replaces the one whose id the draft names. Answers its id. What is put into a shared drive belongs to it
    /// and not to `owner`, who must be its member.
    pub fn put_file(&mut self, owner: &str, mut draft: FileDraft) -> anyhow::Result<String> {
        let account = self.account_index(owner)?;
        let id: Arc<str> = match draft.id.take() {
            Some(id) => {
                ensure!(!id.is_empty() && id.len() <= 100, "file id {id:?}: 1 to 100 characters are allowed");
                Arc::from(id)
            }
            None => Arc::from(self.draw_file_id()),
        };
        ensure!(!self.drive.drives.contains_key(&id), "{id} is a shared drive");
        let place = self.place(account, draft.parent.take(), draft.orphan)?;
        if let Some(drive) = &place.drive {
            ensure!(self.drive.is_member(owner, drive), "{owner} is no member of the shared drive {drive}");
        }
        let before = self.audience(&id);
        let now = self.now();
        let revision = draft.content.take().map(|content| Revision::new(self.draw_file_id(), content));
        let known = self.drive.remove(&id);
        let file = File {
            draft,
            parent: place.parent,
            owner: place.drive.is_none().then_some(account),
            drive: place.drive,
            permissions: known.as_ref().map(|file| file.permissions.clone()).unwrap_or_default(),
            trashed: false,
            version: 0,
            revision,
            created: known.map_or(now, |file| file.created),
            modified: now,
        };
        self.drive.insert(id.clone(), file);
        self.changed(&id, before);
        Ok(id.to_string())
    }

    /// Renames a file, or gives it new content: a new revision.
    pub fn edit_file(
        &mut self,
        id: &str,
        name: Option<&str>,
        content: Option<Content>,
    ) -> anyhow::Result<()> {
        let id = self.file_id(id)?;
        let (before, now) = (self.audience(&id), self.now());
        let revision = content.map(|content| Revision::new(self.draw_file_id(), content));
        if let Some(file) = self.drive.files.get_mut(&id) {
            file.modified = now;
            if let Some(name) = name {
                name.clone_into(&mut file.draft.name);
            }
            if let Some(revision) = revision {
                file.revision = Some(revision);
            }
        }
        self.changed(&id, before);
        Ok(())
    }

    /// Moves a file or a folder: into a folder, to the top of a shared drive, or (with none) to the top of its owner's My Drive.
    /// What moves out of a shared drive belongs to `owner`. A folder may be moved into itself: Google's data has such cycles.
    pub fn move_file(&mut self, owner: &str, id: &str, parent: Option<&str>) -> anyhow::Result<()> {
        let (account, id) = (self.account_index(owner)?, self.file_id(id)?);
        let place = self.place(account, parent.map(str::to_owned), false)?;
        let before = self.audience(&id);
        let below = self.drive.below(&id);
        for moved in std::iter::once(&id).chain(&below) {
            let Some(mut file) = self.drive.remove(moved) else { continue };
            if *moved == id {
                file.parent.clone_from(&place.parent);
            }
            if file.drive != place.drive {
                file.drive.clone_from(&place.drive);
                file.owner = place.drive.is_none().then_some(account);
            }
            self.drive.insert(moved.clone(), file);
        }
        self.changed(&id, before);
        Ok(())
    }

    /// Puts a file or a folder, and with it all that is in it, into the trash. Its time of modification stays.
    pub fn trash_file(&mut self, id: &str) -> anyhow::Result<()> {
        self.set_trashed(id, true)
    }

    /// Takes it out of the trash.
    pub fn untrash_file(&mut self, id: &str) -> anyhow::Result<()> {
        self.set_trashed(id, false)
    }

    fn set_trashed(&mut self, id: &str, trashed: bool) -> anyhow::Result<()> {
        let id = self.file_id(id)?;
        let before = self.audience(&id);
        if let Some(file) = self.drive.files.get_mut(&id) {
            ensure!(file.trashed != trashed, "file {id}: trashed is {trashed} already");
            file.trashed = trashed;
        }
        self.changed(&id, before);
        Ok(())
    }

    /// Deletes a file for ever, a folder with all that is in it.
    pub fn delete_file(&mut self, id: &str) -> anyhow::Result<()> {
        let id = self.file_id(id)?;
        let before = self.audience(&id);
        for gone in self.drive.below(&id) {
            self.drive.remove(&gone);
        }
        self.drive.remove(&id);
        self.changed(&id, before);
        Ok(())
    }

    /// Gives somebody a role on a file, or on a folder and with it on all that is in it.
    pub fn share_file(&mut self, id: &str, email: &str, role: PermissionRole) -> anyhow::Result<()> {
        let id = self.file_id(id)?;
        let before = self.audience(&id);
        if let Some(file) = self.drive.files.get_mut(&id) {
            file.permissions.insert(email.to_owned(), role);
        }
        self.drive.shared.entry(email.to_owned()).or_default().insert(id.clone());
        self.changed(&id, before);
        Ok(())
    }

    /// Takes it back.
    pub fn unshare_file(&mut self, id: &str, email: &str) -> anyhow::Result<()> {
        let id = self.file_id(id)?;
        let before = self.audience(&id);
        let had = self.drive.files.get_mut(&id).and_then(|file| file.permissions.remove(email));
        ensure!(had.is_some(), "file {id} is not shared with {email} directly");
        if let Some(shared) = self.drive.shared.get_mut(email) {
            shared.remove(&id);
        }
        self.changed(&id, before);
        Ok(())
    }

    /// A member of a shared drive looks at one of its files, which puts it into the member's own log.
    pub fn view_file(&mut self, email: &str, id: &str) -> anyhow::Result<()> {
        let (account, id, now) = (self.account_index(email)?, self.file_id(id)?, self.now());
        ensure!(self.drive.sees(Viewer { account, email }, &id), "{email} does not see file {id}");
        self.drive.logs.entry(account).or_default().add(What::Seen(id), now);
        self.changed.notify_one();
        Ok(())
    }

    /// The id of the folder at the top of an account's My Drive.
    pub fn root_folder(&self, email: &str) -> anyhow::Result<String> {
        Ok(root_of(self.account_index(email)?))
    }

    /// The content of a file's head revision.
    #[must_use]
    pub fn content(&self, id: &str) -> Option<Content> {
        self.drive.files.get(id)?.revision.as_ref().map(|revision| revision.content.clone())
    }

    fn draw_file_id(&mut self) -> String {
        format!("1{}_{}", self.draw_id(), &self.draw_id()[..5])
    }

    fn file_id(&self, id: &str) -> anyhow::Result<Arc<str>> {
        let known = self.drive.files.get_key_value(id).map(|(id, _)| id.clone());
        known.with_context(|| format!("no file {id}: put it first"))
    }

    fn place(&self, account: usize, parent: Option<String>, orphan: bool) -> anyhow::Result<Place> {
        let Some(parent) = parent else {
            let parent = (!orphan).then(|| root_of(account));
            return Ok(Place { parent, drive: None });
        };
        ensure!(!orphan, "an orphan has no parent");
        if let Some((id, _)) = self.drive.drives.get_key_value(parent.as_str()) {
            return Ok(Place { drive: Some(id.clone()), parent: Some(parent) });
        }
        if parent == root_of(account) {
            return Ok(Place { parent: Some(parent), drive: None });
        }
        match self.drive.files.get(parent.as_str()) {
            Some(folder) if folder.draft.kind() == FOLDER => {
                Ok(Place { drive: folder.drive.clone(), parent: Some(parent) })
            }
            Some(_) => bail!("file {parent} is no folder"),
            None => bail!("no folder {parent}: put it first"),
        }
    }

    /// Who has the file in view now.
    fn audience(&self, id: &str) -> Audience {
        let mut audience = Audience::default();
        let Some(file) = self.drive.files.get(id) else { return audience };
        audience.drives.extend(file.drive.clone());
        let above = self.drive.upwards(id).take(DEEPEST).flat_map(|(_, file)| {
            let shared = file.permissions.keys().filter_map(|email| self.by_email.get(email).copied());
            file.owner.into_iter().chain(shared)
        });
        let in_corpus = |account: &usize| {
            let email = self.accounts[*account].email.as_str();
            self.drive.in_corpus(Viewer { account: *account, email }, id)
        };
        audience.accounts = above.filter(in_corpus).collect();
        audience
    }

    /// Gives the file its next version, and tells those who had it in view and those who have it now.
    fn changed(&mut self, id: &Arc<str>, before: Audience) {
        let (now, after) = (self.now(), self.audience(id));
        self.changed.notify_one();
        self.drive.last_version += 1;
        if let Some(file) = self.drive.files.get_mut(id) {
            file.version = self.drive.last_version;
        }
        for account in before.accounts.into_iter().chain(after.accounts).collect::<BTreeSet<_>>() {
            self.drive.logs.entry(account).or_default().add(What::File(id.clone()), now);
        }
        for drive in before.drives.into_iter().chain(after.drives).collect::<BTreeSet<_>>() {
            if let Some(drive) = self.drive.drives.get_mut(&drive) {
                drive.log.add(What::File(id.clone()), now);
            }
        }
    }
}
