//! Operations on calendars and calendar lists.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::{Entry, World};
use crate::fake_google::calendar::{Calendar, Role};

impl World {
    /// Adds a calendar that `owner` owns and answers its id. With no `id`: the owner's primary calendar if there
    /// is none yet, else a drawn one.
    pub fn add_calendar(&mut self, owner: &str, id: Option<&str>, summary: &str) -> anyhow::Result<String> {
        self.account_index(owner)?;
        let id = match id {
            Some(id) => id.to_owned(),
            None if !self.by_calendar.contains_key(owner) => owner.to_owned(),
            None => format!("c_{}@group.calendar.google.com", self.draw_id()),
        };
        ensure!(!self.by_calendar.contains_key(&id), "calendar {id} exists already");
        let updated = self.now();
        self.by_calendar.insert(id.clone(), self.calendars.len());
        self.calendars.push(Calendar {
            id: id.clone(),
            summary: summary.to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            owner: owner.to_owned(),
            updated,
            version: 0,
            events: BTreeMap::new(),
            log: BTreeMap::new(),
        });
        self.list_calendar(owner, &id, Role::Owner)?;
        Ok(id)
    }

    /// Puts a calendar into an account's list (again), with this role. Old sync tokens of it stop working.
    pub fn list_calendar(&mut self, email: &str, calendar: &str, role: Role) -> anyhow::Result<()> {
        let (account, index) = (self.account_index(email)?, self.calendar_index(calendar)?);
        let etag = self.stamp().etag;
        let account = &mut self.accounts[account];
        account.version += 1;
        let epoch = account.list.get(calendar).map_or(0, |entry| entry.epoch + 1);
        let entry = Entry {
            calendar: index,
            role,
            hidden: false,
            deleted: false,
            etag,
            version: account.version,
            epoch,
        };
        account.list.insert(calendar.to_owned(), entry);
        Ok(())
    }

    /// Takes a calendar out of an account's list, and the access with it.
    pub fn remove_calendar(&mut self, email: &str, calendar: &str) -> anyhow::Result<()> {
        self.entry(email, calendar)?.deleted = true;
        self.log_entry(email, calendar)
    }

    /// Hides a calendar in the user's interface, or shows it again.
    pub fn hide_calendar(&mut self, email: &str, calendar: &str, hidden: bool) -> anyhow::Result<()> {
        self.entry(email, calendar)?.hidden = hidden;
        self.log_entry(email, calendar)
    }

    /// Changes an account's role on a calendar. Its sync tokens of that calendar stop working; the calendar list
    /// does not tell (an access rule is a read-only field of the list) unless `announce` is set.
    pub fn set_role(
        &mut self,
        email: &str,
        calendar: &str,
        role: Role,
        announce: bool,
    ) -> anyhow::Result<()> {
        let entry = self.entry(email, calendar)?;
        entry.role = role;
        entry.epoch += 1;
        if announce { self.log_entry(email, calendar) } else { Ok(()) }
    }

    fn log_entry(&mut self, email: &str, calendar: &str) -> anyhow::Result<()> {
        let etag = self.stamp().etag;
        let account = self.account_index(email)?;
        let account = &mut self.accounts[account];
        account.version += 1;
        if let Some(entry) = account.list.get_mut(calendar) {
            entry.version = account.version;
            entry.etag = etag;
        }
        Ok(())
    }

    /// Makes sync tokens of events answer 410 from now on: those of one calendar, or all.
    pub fn invalidate_event_tokens(&mut self, calendar: Option<&str>) -> anyhow::Result<()> {
        if let Some(calendar) = calendar {
            self.calendar_index(calendar)?;
        }
        for account in &mut self.accounts {
            for (id, entry) in &mut account.list {
                if calendar.is_none_or(|wanted| wanted == id) {
                    entry.epoch += 1;
                }
            }
        }
        Ok(())
    }

    /// Makes sync tokens of calendar lists answer 410 from now on: those of one account, or all.
    pub fn invalidate_list_tokens(&mut self, email: Option<&str>) -> anyhow::Result<()> {
        for index in self.chosen(email)? {
            self.accounts[index].epoch += 1;
        }
        Ok(())
    }
}
