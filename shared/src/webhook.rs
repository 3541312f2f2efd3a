//! Messages to webhooks: signed as <https://www.standardwebhooks.com> has it, or notifications through ntfy; sent only where they
//! may go.

mod credential;
mod form;
mod ntfy;
mod send;
mod sign;
mod url;

pub use self::{
    credential::{ACCESS_TOKEN, BadToken, Credential, CredentialError, SIGNING_SECRET},
    form::{Batch, Form, FormError},
    send::{Message, SendError, Sender},
    sign::{BadSecret, SigningSecret},
};
pub use crate::guard::{Allow, Blocked, Lookup, system};
