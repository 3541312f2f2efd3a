//! `syncfleet up`: everything in one process.

#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the main program does not start it yet"))]
pub mod postgres;
