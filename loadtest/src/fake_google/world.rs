//! Everything the fake Google knows, and the operations that change it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    calendar::{Calendar, Role, Stamp},
    event::{EventDraft, Occurrence, When},
};

/// How many access tokens an account may have at once; older ones stop working.
const TOKENS_PER_ACCOUNT: usize = 50;

/// The state of the fake Google. Reached through [`super::FakeGoogle::world`].
#[derive(Debug)]
pub struct World {
    /// Client secret by client id.
    pub(super) clients: HashMap<String, String>,
    pub(super) accounts: Vec<Account>,
    pub(super) by_email: HashMap<String, usize>,
    pub(super) by_refresh_token: HashMap<String, usize>,
    pub(super) access: HashMap<String, Access>,
    pub(super) calendars: Vec<Calendar>,
    pub(super) by_calendar: HashMap<String, usize>,
    pub(super) rng: StdRng,
    default_client: String,
    last_etag: u64,
    born: Instant,
    start: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) client: String,
    pub(super) refresh_token: String,
    pub(super) revoked: bool,
    pub(super) tokens: VecDeque<String>,
    /// The calendar list, by calendar id.
    pub(super) list: BTreeMap<String, Entry>,
    /// The version of the list's last change.
    pub(super) version: u64,
    /// Raised when sync tokens of the list are invalidated.
    pub(super) epoch: u32,
}

/// A calendar in an account's list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) calendar: usize,
    pub(super) role: Role,
    pub(super) hidden: bool,
    pub(super) deleted: bool,
    pub(super) etag: u64,
    pub(super) version: u64,
    /// Raised when this account's sync tokens of the calendar are invalidated.
    pub(super) epoch: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) account: usize,
    pub(super) expires: Instant,
}

impl World {
    pub(super) fn new(seed: u64, start: DateTime<Utc>, client_id: &str, client_secret: &str) -> Self {
        Self {
            clients: HashMap::from([(client_id.to_owned(), client_secret.to_owned())]),
            accounts: Vec::new(),
            by_email: HashMap::new(),
            by_refresh_token: HashMap::new(),
            access: HashMap::new(),
            calendars: Vec::new(),
            by_calendar: HashMap::new(),
            rng: StdRng::seed_from_u64(seed),
            default_client: client_id.to_owned(),
            last_etag: 3_500_000_000_000_000,
            born: Instant::now(),
            start,
        }
    }

    /// The fake's clock: its configured start plus the time it has run.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(self.born.elapsed()).unwrap_or(TimeDelta::zero())
    }

    /// Even numbers: the odd ones are the etags of hidden forms.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.last_etag += 2;
        Stamp { etag: self.last_etag, at: self.now() }
    }

    pub(super) fn draw_id(&mut self) -> String {
        const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
        (0..26).map(|_| char::from(ALPHABET[self.rng.random_range(0..ALPHABET.len())])).collect()
    }

    pub(super) fn account_index(&self, email: &str) -> anyhow::Result<usize> {
        self.by_email.get(email).copied().with_context(|| format!("no account {email}: add it first"))
    }

    fn calendar_index(&self, id: &str) -> anyhow::Result<usize> {
        self.by_calendar.get(id).copied().with_context(|| format!("no calendar {id}: add it first"))
    }

    fn entry(&mut self, email: &str, calendar: &str) -> anyhow::Result<&mut Entry> {
        let account = self.account_index(email)?;
        let entry = self.accounts[account].list.get_mut(calendar).filter(|entry| !entry.deleted);
        entry.with_context(|| format!("account {email} does not have calendar {calendar}"))
    }

    /// Adds an OAuth client; accounts name it by its id.
    pub fn add_client(&mut self, id: &str, secret: &str) {
        self.clients.insert(id.to_owned(), secret.to_owned());
    }

    /// Adds an account that has granted `client` (the default one if missing) this refresh token.
    pub fn add_account(
        &mut self,
        email: &str,
        refresh_token: &str,
        client: Option<&str>,
    ) -> anyhow::Result<()> {
        let client = client.unwrap_or(&self.default_client).to_owned();
        ensure!(self.clients.contains_key(&client), "no client {client}: add it first");
        ensure!(!self.by_email.contains_key(email), "account {email} exists already");
        ensure!(!self.by_refresh_token.contains_key(refresh_token), "the refresh token of {email} is in use");
        self.by_email.insert(email.to_owned(), self.accounts.len());
        self.by_refresh_token.insert(refresh_token.to_owned(), self.accounts.len());
        self.accounts.push(Account {
            email: email.to_owned(),
            client,
            refresh_token: refresh_token.to_owned(),
            revoked: false,
            tokens: VecDeque::new(),
            list: BTreeMap::new(),
            version: 0,
            epoch: 0,
        });
        Ok(())
    }

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

    /// Adds an event, or replaces the one whose id the draft names (also a deleted one). Answers its id.
    pub fn put_event(&mut self, calendar: &str, mut draft: EventDraft) -> anyhow::Result<String> {
        let index = self.calendar_index(calendar)?;
        check(&draft)?;
        let id = draft.id.take().unwrap_or_else(|| self.draw_id());
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte);
        ensure!(
            (5..=1024).contains(&id.len()) && id.bytes().all(plain),
            "event id {id:?}: 5 to 1024 characters of a-v and 0-9 are allowed"
        );
        let stamp = self.stamp();
        self.calendars[index].put(&Arc::from(id.as_str()), draft, None, stamp);
        Ok(id)
    }

    /// Adds or replaces the exception of a series that stands for the occurrence at `original`. The series may be
    /// missing in this calendar: one can be invited to a single occurrence. Answers the exception's id.
    pub fn put_exception(
        &mut self,
        calendar: &str,
        series: &str,
        original: &When,
        draft: EventDraft,
    ) -> anyhow::Result<String> {
        let index = self.calendar_index(calendar)?;
        check(&draft)?;
        ensure!(
            draft.id.is_none() && draft.recurrence.is_empty(),
            "an exception has neither own id nor recurrence"
        );
        let (id, occurrence) = self.occurrence(index, series, original)?;
        let stamp = self.stamp();
        self.calendars[index].put(&id, draft, Some(occurrence), stamp);
        Ok(id.to_string())
    }

    /// Cancels the occurrence of a series at `original`. Answers the id of the cancelled exception.
    pub fn cancel_occurrence(
        &mut self,
        calendar: &str,
        series: &str,
        original: &When,
    ) -> anyhow::Result<String> {
        let index = self.calendar_index(calendar)?;
        let (id, occurrence) = self.occurrence(index, series, original)?;
        let stamp = self.stamp();
        self.calendars[index].cancel_occurrence(&id, occurrence, stamp);
        Ok(id.to_string())
    }

    fn occurrence(
        &self,
        calendar: usize,
        series: &str,
        start: &When,
    ) -> anyhow::Result<(Arc<str>, Occurrence)> {
        ensure!(start.is_whole(), "original start: exactly one of date and dateTime is needed");
        if let Some(master) = self.calendars[calendar].events.get(series) {
            ensure!(
                !master.cancelled && !master.body.recurrence.is_empty(),
                "event {series} is no live series"
            );
        }
        let id = format!("{series}_{}", start.stamp());
        Ok((Arc::from(id), Occurrence { master: Arc::from(series), start: start.clone() }))
    }

    /// Deletes a live event: a single one, a whole series, or an exception (whose occurrence is then cancelled).
    pub fn delete_event(&mut self, calendar: &str, id: &str) -> anyhow::Result<()> {
        let index = self.calendar_index(calendar)?;
        let live = self.calendars[index].events.get(id).is_some_and(|row| self.calendars[index].is_live(row));
        ensure!(live, "calendar {calendar} has no live event {id}");
        let stamp = self.stamp();
        self.calendars[index].cancel(&Arc::from(id), stamp);
        Ok(())
    }

    /// Brings a deleted event back, a series with its exceptions.
    pub fn restore_event(&mut self, calendar: &str, id: &str) -> anyhow::Result<()> {
        let index = self.calendar_index(calendar)?;
        let row = self.calendars[index].events.get(id).filter(|row| row.cancelled);
        let row = row.with_context(|| format!("calendar {calendar} has no deleted event {id}"))?;
        let (body, occurrence) = (row.body.clone(), row.occurrence.clone());
        let stamp = self.stamp();
        self.calendars[index].put(&Arc::from(id), body, occurrence, stamp);
        Ok(())
    }

    /// Moves an event to another calendar: deleted here, the same id there. Exceptions do not go along.
    pub fn move_event(&mut self, from: &str, to: &str, id: &str) -> anyhow::Result<()> {
        ensure!(from != to, "event {id} is in calendar {to} already");
        self.calendar_index(to)?;
        let draft =
            self.event(from, id).with_context(|| format!("calendar {from} has no live event {id}"))?;
        ensure!(draft.id.is_some(), "event {id} is an exception: only whole events can be moved");
        self.delete_event(from, id)?;
        self.put_event(to, draft)?;
        Ok(())
    }

    /// A live event as a draft to change and put back. The draft of an exception carries no id.
    #[must_use]
    pub fn event(&self, calendar: &str, id: &str) -> Option<EventDraft> {
        let calendar = &self.calendars[*self.by_calendar.get(calendar)?];
        let row = calendar.events.get(id).filter(|row| calendar.is_live(row))?;
        let id = row.occurrence.is_none().then(|| id.to_owned());
        Some(EventDraft { id, ..row.body.clone() })
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

    /// Takes back an account's grant: its refresh token and all its access tokens stop working.
    pub fn revoke(&mut self, email: &str) -> anyhow::Result<()> {
        let index = self.account_index(email)?;
        self.accounts[index].revoked = true;
        self.expire_access_tokens(Some(email))
    }

    /// The user signs in again: a new refresh token in place of the old one.
    pub fn reconnect(&mut self, email: &str, refresh_token: &str) -> anyhow::Result<()> {
        let index = self.account_index(email)?;
        match self.by_refresh_token.get(refresh_token) {
            Some(owner) if *owner != index => bail!("the new refresh token of {email} is in use"),
            _ => {}
        }
        let old = std::mem::replace(&mut self.accounts[index].refresh_token, refresh_token.to_owned());
        self.by_refresh_token.remove(&old);
        self.by_refresh_token.insert(refresh_token.to_owned(), index);
        self.accounts[index].revoked = false;
        Ok(())
    }

    /// Makes access tokens answer 401 from now on: those of one account, or all.
    pub fn expire_access_tokens(&mut self, email: Option<&str>) -> anyhow::Result<()> {
        for index in self.chosen(email)? {
            for token in &self.accounts[index].tokens {
                if let Some(access) = self.access.get_mut(token) {
                    access.expires = self.born;
                }
            }
        }
        Ok(())
    }

    fn chosen(&self, email: Option<&str>) -> anyhow::Result<Vec<usize>> {
        match email {
            Some(email) => Ok(vec![self.account_index(email)?]),
            None => Ok((0..self.accounts.len()).collect()),
        }
    }

    pub(super) fn issue_access_token(&mut self, account: usize, lifetime: Duration) -> String {
        let token = format!("ya29.fake-{}", self.draw_id());
        self.access.insert(token.clone(), Access { account, expires: Instant::now() + lifetime });
        let tokens = &mut self.accounts[account].tokens;
        tokens.push_back(token.clone());
        if tokens.len() > TOKENS_PER_ACCOUNT
            && let Some(oldest) = tokens.pop_front()
        {
            self.access.remove(&oldest);
        }
        token
    }
}

fn check(draft: &EventDraft) -> anyhow::Result<()> {
    ensure!(draft.start.is_whole(), "start: exactly one of date and dateTime is needed");
    ensure!(draft.end.as_ref().is_none_or(When::is_whole), "end: exactly one of date and dateTime is needed");
    let known = matches!(draft.status.as_deref(), None | Some("confirmed" | "tentative"));
    ensure!(known, "status: confirmed and tentative are allowed; delete the event to cancel it");
    Ok(())
}
