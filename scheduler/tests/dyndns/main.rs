//! Routers' calls over the real listener: dyndns2 and the form of Duck DNS.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod bursts;
mod clients;
mod passwords;
mod proxies;
mod rig;
mod useless;
