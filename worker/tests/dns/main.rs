//! The kinds `dns_address` and `dns_record`: real steps and commits on a real database, against a BIND 9 of each test's own. Providers
//! that are called by HTTP are fakes made from their documents; what they accept stands in that BIND. Time is shifted, not waited for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod address;
mod at_once;
#[expect(dead_code, reason = "the stage is that of the library's tests, which use more of it")]
#[path = "../../../shared/tests/dns/bind.rs"]
mod bind;
mod cloudflare;
mod crash;
mod keep;
mod late;
mod month;
mod networks;
mod provider;
mod proxied;
mod refusals;
mod released;
mod rig;
mod told;
