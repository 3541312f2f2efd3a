//! Messages to webhooks: signed as <https://www.standardwebhooks.com> has it, or notifications through ntfy; sent only where they
//! may go.

mod credential;
mod form;
mod guard;
mod ntfy;
mod send;
mod sign;

pub use self::{
    credential::{ACCESS_TOKEN, BadToken, Credential, CredentialError, SIGNING_SECRET},
    form::{Batch, Form, FormError},
    guard::{Allow, Blocked, Lookup, Network, forbidden, system},
    send::{Message, SendError, Sender},
    sign::{BadSecret, SigningSecret},
};
