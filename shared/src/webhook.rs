//! Messages to webhooks: signed as <https://www.standardwebhooks.com> has it, and sent only where they may go.

mod guard;
mod send;
mod sign;

pub use self::{
    guard::{Allow, Blocked, Lookup, Network, forbidden, system},
    send::{Message, SendError, Sender},
    sign::{BadSecret, SigningSecret},
};

/// The name of a webhook's signing secret among its sealed values.
pub const SIGNING_SECRET: &str = "signing_secret";
