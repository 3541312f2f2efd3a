//! Files, and the ways in which they are found.

use std::sync::Arc;

use crate::fake_google::drive::{Drive, file::File};

impl Drive {
    pub(super) fn insert(&mut self, id: Arc<str>, file: File) {
        if let Some(parent) = &file.parent {
            self.children.entry(Arc::from(parent.as_str())).or_default().insert(id.clone());
        }
        if let Some(owner) = file.owner {
            self.owned.entry(owner).or_default().insert(id.clone());
        }
        if let Some(drive) = &file.drive {
            self.held.entry(drive.clone()).or_default().insert(id.clone());
        }
        for email in file.permissions.keys() {
            self.shared.entry(email.clone()).or_default().insert(id.clone());
        }
        self.files.insert(id, file);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<File> {
        let file = self.files.remove(id)?;
        if let Some(children) = file.parent.as_deref().and_then(|parent| self.children.get_mut(parent)) {
            children.remove(id);
        }
        if let Some(owned) = file.owner.and_then(|owner| self.owned.get_mut(&owner)) {
            owned.remove(id);
        }
        if let Some(held) = file.drive.as_ref().and_then(|drive| self.held.get_mut(drive)) {
            held.remove(id);
        }
        for email in file.permissions.keys() {
            if let Some(shared) = self.shared.get_mut(email) {
                shared.remove(id);
            }
        }
        Some(file)
    }
}
