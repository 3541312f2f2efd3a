//! The kinds `drive_list` and `drive_changes`, step by step, against the fake Google and a real `PostgreSQL`.

#[path = "drive/access.rs"]
mod access;
#[path = "drive/admin.rs"]
mod admin;
#[path = "drive/changes.rs"]
mod changes;
#[path = "drive/corpora.rs"]
mod corpora;
#[path = "drive/drives.rs"]
mod drives;
#[path = "drive/folders.rs"]
mod folders;
#[path = "drive/grants.rs"]
mod grants;
#[path = "drive/look.rs"]
mod look;
#[path = "drive/odd.rs"]
mod odd;
#[path = "drive/push.rs"]
mod push;
#[path = "calendar/rig.rs"]
#[expect(dead_code, reason = "the tests of calendars use the rest of it")]
mod rig;
#[path = "drive/sweep.rs"]
mod sweep;
