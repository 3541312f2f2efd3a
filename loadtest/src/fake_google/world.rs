//! Everything the fake Google knows, and the operations that change it.

mod delegation;
mod events;
mod grants;
mod lists;
mod sign_ins;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

pub use self::grants::Consent;
pub(super) use self::{
    grants::subject,
    sign_ins::{Code, Request},
};
use super::{
    calendar::{Calendar, Role, Stamp},
    drive::Drive,
};

/// How many access tokens an account may have at once; older ones stop working.
const TOKENS_PER_ACCOUNT: usize = 50;

/// The state of the fake Google. Reached through [`super::FakeGoogle::world`].
#[derive(Debug)]
pub struct World {
    /// Client secret by client id.
    pub(super) clients: HashMap<String, String>,
    /// Where a client may have codes sent to, by client id.
    pub(super) redirect_uris: HashMap<String, Vec<String>>,
    /// Codes that were handed out.
    pub(super) codes: HashMap<String, Code>,
    /// As which ID tokens are signed.
    pub(super) issuer: String,
    pub(super) accounts: Vec<Account>,
    pub(super) by_email: HashMap<String, usize>,
    pub(super) by_refresh_token: HashMap<String, usize>,
    pub(super) access: HashMap<String, Access>,
    /// By address.
    pub(super) service_accounts: HashMap<String, delegation::ServiceAccount>,
    pub(super) calendars: Vec<Calendar>,
    pub(super) by_calendar: HashMap<String, usize>,
    pub(super) drive: Drive,
    pub(super) rng: StdRng,
    default_client: String,
    last_etag: u64,
    /// Told at each change.
    pub(super) changed: Arc<Notify>,
    born: Instant,
    pub(super) start: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) client: String,
    /// The live ones, oldest first.
    pub(super) refresh_tokens: VecDeque<String>,
    pub(super) consent: Consent,
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
    /// Whether a service account got it.
    pub(super) delegated: bool,
}

impl World {
    pub(super) fn new(seed: u64, start: DateTime<Utc>, client_id: &str, client_secret: &str) -> Self {
        Self {
            clients: HashMap::from([(client_id.to_owned(), client_secret.to_owned())]),
            redirect_uris: HashMap::new(),
            codes: HashMap::new(),
            issuer: String::new(),
            accounts: Vec::new(),
            by_email: HashMap::new(),
            by_refresh_token: HashMap::new(),
            access: HashMap::new(),
            service_accounts: HashMap::new(),
            calendars: Vec::new(),
            by_calendar: HashMap::new(),
            drive: Drive::default(),
            rng: StdRng::seed_from_u64(seed),
            default_client: client_id.to_owned(),
            last_etag: 3_500_000_000_000_000,
            changed: Arc::default(),
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
        // The change itself follows under the same lock.
        self.changed.notify_one();
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
        let index = self.put_account(email, client);
        self.by_refresh_token.insert(refresh_token.to_owned(), index);
        self.accounts[index].refresh_tokens.push_back(refresh_token.to_owned());
        self.accounts[index].consent = Consent::default();
        Ok(())
    }

    /// An account that has granted nothing yet.
    fn put_account(&mut self, email: &str, client: String) -> usize {
        let index = self.accounts.len();
        self.by_email.insert(email.to_owned(), index);
        self.accounts.push(Account {
            email: email.to_owned(),
            client,
            refresh_tokens: VecDeque::new(),
            consent: Consent::to(&[]),
            revoked: false,
            tokens: VecDeque::new(),
            list: BTreeMap::new(),
            version: 0,
            epoch: 0,
        });
        index
    }

    /// The account that a refresh or access token belongs to.
    pub(super) fn by_token(&self, token: &str) -> Option<usize> {
        let access = || self.access.get(token).map(|access| access.account);
        self.by_refresh_token.get(token).copied().or_else(access)
    }

    /// Takes back an account's grant: its refresh token and all its access tokens stop working.
    pub fn revoke(&mut self, email: &str) -> anyhow::Result<()> {
        let index = self.account_index(email)?;
        self.accounts[index].revoked = true;
        self.expire_access_tokens(Some(email))
    }

    /// The user signs in again: a new refresh token in place of the old ones.
    pub fn reconnect(&mut self, email: &str, refresh_token: &str) -> anyhow::Result<()> {
        let index = self.account_index(email)?;
        match self.by_refresh_token.get(refresh_token) {
            Some(owner) if *owner != index => bail!("the new refresh token of {email} is in use"),
            _ => {}
        }
        for old in std::mem::take(&mut self.accounts[index].refresh_tokens) {
            self.by_refresh_token.remove(&old);
        }
        self.accounts[index].refresh_tokens.push_back(refresh_token.to_owned());
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
        self.access
            .insert(token.clone(), Access { account, expires: Instant::now() + lifetime, delegated: false });
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
