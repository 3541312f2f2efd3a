//! The kind `drive_contents`, step by step, against the fake Google, a real `PostgreSQL`, and an object store in a folder.

#[path = "contents/bucket.rs"]
mod bucket;
#[path = "contents/cuts.rs"]
mod cuts;
#[path = "contents/documents.rs"]
mod documents;
#[path = "contents/follow.rs"]
mod follow;
#[path = "contents/mirror.rs"]
mod mirror;
#[path = "contents/pull.rs"]
mod pull;
#[path = "contents/races.rs"]
mod races;
#[path = "contents/removal.rs"]
mod removal;
#[path = "calendar/rig.rs"]
#[expect(dead_code, reason = "the tests of calendars use the rest of it")]
mod rig;
