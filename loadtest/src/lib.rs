//! Fake providers, load and faults, for tests and for `syncfleet up --demo`.

pub mod fake_google;
pub mod proxy;
