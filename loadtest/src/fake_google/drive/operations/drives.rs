//! What happens to shared drives.

use std::sync::Arc;

use anyhow::{Context, ensure};

use crate::fake_google::{
    drive::{
        PermissionRole, SharedDrive,
        log::{Log, What},
    },
    world::World,
};

impl World {
    /// Adds a shared drive with its first member, an organizer. Answers its id.
    pub fn add_drive(&mut self, owner: &str, id: Option<&str>, name: &str) -> anyhow::Result<String> {
        self.account_index(owner)?;
        let id = id.map_or_else(|| format!("0A{}PVA", &self.draw_file_id()[..14]), str::to_owned);
        let taken = self.drive.drives.contains_key(&*id) || self.drive.files.contains_key(&*id);
        ensure!(!taken, "{id} exists already");
        let drive = SharedDrive {
            name: name.to_owned(),
            created: self.now(),
            members: [(owner.to_owned(), PermissionRole::Organizer)].into(),
            log: Log::default(),
        };
        self.drive.drives.insert(Arc::from(id.as_str()), drive);
        self.drive_changed(&id, &[])?;
        Ok(id)
    }

    /// Renames a shared drive.
    pub fn rename_drive(&mut self, id: &str, name: &str) -> anyhow::Result<()> {
        name.clone_into(&mut self.shared_drive(id)?.name);
        self.drive_changed(id, &[])
    }

    /// Makes somebody a member of a shared drive: one entry in the member's log, and none for its files.
    pub fn add_member(&mut self, id: &str, email: &str, role: PermissionRole) -> anyhow::Result<()> {
        self.account_index(email)?;
        self.shared_drive(id)?.members.insert(email.to_owned(), role);
        self.drive_changed(id, &[])
    }

    /// Takes somebody out of a shared drive.
    pub fn remove_member(&mut self, id: &str, email: &str) -> anyhow::Result<()> {
        let had = self.shared_drive(id)?.members.remove(email);
        ensure!(had.is_some(), "{email} is no member of {id}");
        self.drive_changed(id, &[email.to_owned()])
    }

    /// Deletes a shared drive with all that is in it.
    pub fn delete_drive(&mut self, id: &str) -> anyhow::Result<()> {
        let members: Vec<String> = self.shared_drive(id)?.members.keys().cloned().collect();
        let held: Vec<Arc<str>> = self.drive.held.get(id).into_iter().flatten().cloned().collect();
        for file in held {
            self.drive.remove(&file);
        }
        self.drive.drives.remove(id);
        self.drive_changed(id, &members)
    }

    fn shared_drive(&mut self, id: &str) -> anyhow::Result<&mut SharedDrive> {
        self.drive.drives.get_mut(id).with_context(|| format!("no shared drive {id}: add it first"))
    }

    /// Tells the members of a shared drive, and these who were.
    fn drive_changed(&mut self, id: &str, others: &[String]) -> anyhow::Result<()> {
        let now = self.now();
        self.changed.notify_one();
        let id: Arc<str> = Arc::from(id);
        let mut members = others.to_vec();
        if let Some(drive) = self.drive.drives.get_mut(&id) {
            drive.log.add(What::Drive(id.clone()), now);
            members.extend(drive.members.keys().cloned());
        }
        for email in members {
            let account = self.account_index(&email)?;
            self.drive.logs.entry(account).or_default().add(What::Drive(id.clone()), now);
        }
        Ok(())
    }
}
