//! `dns`: names that follow addresses.

pub mod address;
pub mod check;
pub mod history;
pub mod import;
pub mod login;
pub mod parked;
pub mod plan;
pub mod providers;
pub mod record;
mod refer;
pub mod settings;
pub mod show;
pub mod source;
pub mod update;

use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgConnection;

pub use self::refer::RecordRef;
use super::AdminError;
use crate::{
    dns::{FieldError, address::Family},
    secrets::{KeyRing, Owner},
    store::{
        dns_records::{RecordId, SECRET},
        secrets::{self, SecretError},
    },
};

/// A family in the words of database and command line.
#[must_use]
pub const fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

const fn owner(record: RecordId) -> Owner<'static> {
    Owner::dns_record(record, SECRET)
}

fn store_error(error: SecretError) -> AdminError {
    match error {
        SecretError::Database(error) => error.into(),
        SecretError::Open(error) => AdminError::Refused(error.to_string()),
    }
}

impl From<FieldError> for AdminError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// What is not allowed however things stand.
fn invalid(why: impl Into<String>) -> AdminError {
    AdminError::Invalid(why.into())
}

/// What cannot be as things stand.
fn refused(why: impl Into<String>) -> AdminError {
    AdminError::Refused(why.into())
}

/// A span of whole seconds, if it is allowed.
fn within(field: &str, span: Duration, least: Duration, most: Duration) -> Result<Duration, AdminError> {
    let whole = Duration::from_secs(span.as_secs());
    if (least..=most).contains(&whole) {
        return Ok(whole);
    }
    let told = |span: Duration| super::words::span(i64::try_from(span.as_secs()).unwrap_or(i64::MAX));
    Err(invalid(format!(
        "{field}: {} is not allowed; allowed are {} to {}",
        told(span),
        told(least),
        told(most)
    )))
}

/// The secret of a record, opened.
async fn secret(
    conn: &mut PgConnection,
    keys: &KeyRing,
    record: RecordId,
) -> Result<SecretString, AdminError> {
    let stored = secrets::get(conn, keys, owner(record)).await.map_err(store_error)?;
    stored.map(|stored| stored.value).ok_or_else(|| {
        refused(format!("record {record} has no secret: `syncfleet dns set {record} --secret-file FILE`"))
    })
}
