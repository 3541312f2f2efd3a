//! Names that follow addresses: providers that hold the records ([`provider`]), sources that tell the address ([`address`]), and
//! the look at a zone's own servers afterwards ([`verify`]).
//!
//! Nothing here keeps state or decides when to send: an [`Outcome`] says what an answer means, and whoever keeps the record acts on
//! it. `docs/dns-providers.md` lists every answer with its outcome.

pub mod address;
pub mod check;
mod exchange;
mod host;
mod http;
pub mod import;
mod outcome;
pub mod provider;
pub mod verify;
mod xml;

pub use self::{
    host::{Host, Wanted},
    http::{Endpoint, Http, Limits},
    outcome::{Answer, Answers, Outcome, Park, REFUSED},
    provider::{FieldError, Finding, Held, Provider},
};
