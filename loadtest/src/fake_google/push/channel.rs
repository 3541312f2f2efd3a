//! A channel: what it watches, and what it has told.

use chrono::{DateTime, Utc};

use super::PushChannel;
use crate::fake_google::world::World;

/// What is watched, by the account that watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Watched {
    List,
    /// A calendar.
    Events(usize),
    /// A shared drive's log, or the account's own.
    Changes(Option<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: String,
    /// The account that made it.
    pub(super) account: usize,
    pub(super) watched: Watched,
    pub(super) resource_id: String,
    pub(super) resource_uri: String,
    pub(super) address: String,
    pub(super) token: Option<String>,
    pub(super) expires: DateTime<Utc>,
    pub(super) number: u64,
    /// The version of what is watched that was told last.
    pub(super) seen: u64,
}

impl Channel {
    pub(super) fn view(&self, world: &World) -> PushChannel {
        PushChannel {
            id: self.id.clone(),
            account: world.accounts[self.account].email.clone(),
            resource_id: self.resource_id.clone(),
            calendar: match self.watched {
                Watched::Events(calendar) => Some(world.calendars[calendar].id.clone()),
                Watched::List | Watched::Changes(_) => None,
            },
            drive: match &self.watched {
                Watched::Changes(drive) => Some(drive.clone().unwrap_or_else(|| MINE.to_owned())),
                Watched::List | Watched::Events(_) => None,
            },
            address: self.address.clone(),
            token: self.token.clone(),
            expires: self.expires,
            number: self.number,
        }
    }
}

impl Channel {
    /// The version of what is watched; none: the account does not see it any more.
    pub(super) fn version(&self, world: &World) -> Option<u64> {
        self.watched.version(world, self.account)
    }

    /// What a message says of a change.
    pub(super) const fn state(&self) -> &'static str {
        if self.watched.is_drive() { "change" } else { "exists" }
    }

    /// A message's body: Calendar sends none.
    pub(super) const fn body(&self) -> &'static str {
        if self.watched.is_drive() { r#"{"kind": "drive#changes"}"# } else { "" }
    }
}

impl Watched {
    pub(super) fn version(&self, world: &World, account: usize) -> Option<u64> {
        let of = &world.accounts[account];
        match self {
            Self::List => Some(of.version),
            Self::Events(calendar) => Some(world.calendars[*calendar].version),
            Self::Changes(drive) => world.drive.log_version(account, &of.email, drive.as_deref()),
        }
    }

    pub(super) const fn is_drive(&self) -> bool {
        matches!(self, Self::Changes(_))
    }
}

/// As which everybody's own drive is named.
pub(super) const MINE: &str = "my drive";
