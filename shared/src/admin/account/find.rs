use std::{fmt, str::FromStr};

use sqlx::PgConnection;

use crate::{admin::AdminError, job::AccountId, store::accounts};

/// How people name an account: its number, or its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountRef {
    /// Its number.
    Id(AccountId),
    /// Its address, which may be known to several tenants.
    Email(String),
}

impl FromStr for AccountRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains('@') {
            return Ok(Self::Email(text.to_owned()));
        }
        text.parse().map(Self::Id).map_err(|_| {
            "name an account by its number, as 42, or by its address, as ada@example.com".to_owned()
        })
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Email(email) => f.write_str(email),
        }
    }
}

impl AccountRef {
    /// The account's number, if there is exactly one such account.
    pub async fn find(&self, conn: &mut PgConnection) -> Result<AccountId, AdminError> {
        let found: Vec<AccountId> = match self {
            Self::Id(id) => accounts::get(conn, *id).await?.into_iter().map(|account| account.id).collect(),
            Self::Email(email) => {
                accounts::find(conn, None, email).await?.into_iter().map(|account| account.id).collect()
            }
        };
        match found.as_slice() {
            [] => Err(AdminError::not_found("account", self, "`syncfleet account ls` shows accounts")),
            [id] => Ok(*id),
            several => {
                let ids: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(AdminError::Refused(format!(
                    "several tenants have an account {self}: name it by its number, one of {}",
                    ids.join(", ")
                )))
            }
        }
    }
}
