//! Fake providers, servers, load and faults, for tests and for `syncfleet up --demo`.

pub mod bind;
pub mod fake_google;
pub mod proxy;
