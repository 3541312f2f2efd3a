//! Values that nobody may read from the database alone: AES-256-GCM under a key of the [`KeyRing`], with the owner as
//! associated data, so that a sealed value moved to another row does not open.

mod error;
mod key_ring;
pub mod password;

pub use error::{KeysError, OpenError};
pub use key_ring::{KeyRing, generate_key};

/// Whose value it is, and which of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// What owns it, e.g. `account`.
    pub kind: &'a str,
    /// The owner's row.
    pub id: i64,
    /// The value's name, e.g. `refresh_token`.
    pub name: &'a str,
}

impl<'a> Owner<'a> {
    /// A value of an account.
    #[must_use]
    pub const fn account(id: i64, name: &'a str) -> Self {
        Self { kind: "account", id, name }
    }

    /// A value of a tenant.
    #[must_use]
    pub const fn tenant(id: i64, name: &'a str) -> Self {
        Self { kind: "tenant", id, name }
    }

    /// A value of a webhook.
    #[must_use]
    pub const fn webhook(id: i64, name: &'a str) -> Self {
        Self { kind: "webhook", id, name }
    }

    /// A value of a record of DNS.
    #[must_use]
    pub const fn dns_record(id: i64, name: &'a str) -> Self {
        Self { kind: "dns_record", id, name }
    }

    /// No two owners have the same bytes: neither kind nor name holds a zero.
    fn associated_data(&self) -> Vec<u8> {
        [self.kind.as_bytes(), &self.id.to_be_bytes(), self.name.as_bytes()].join(&0)
    }
}

impl std::fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} {}", self.name, self.kind, self.id)
    }
}

/// A sealed value, as in the table `secrets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key opens it.
    pub key_id: String,
    /// The nonce (12 bytes), the ciphertext and the tag.
    pub bytes: Vec<u8>,
}
