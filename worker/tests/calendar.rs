//! The kinds `calendar_list` and `calendar_events`, step by step, against the fake Google and a real `PostgreSQL`.

#[path = "calendar/apart.rs"]
mod apart;
#[path = "calendar/changes.rs"]
mod changes;
#[path = "calendar/errors.rs"]
mod errors;
#[path = "calendar/fence.rs"]
mod fence;
#[path = "calendar/grants.rs"]
mod grants;
#[path = "calendar/list.rs"]
mod list;
#[path = "calendar/mirror.rs"]
mod mirror;
#[path = "calendar/owner.rs"]
mod owner;
#[path = "calendar/push.rs"]
mod push;
#[path = "calendar/quota.rs"]
mod quota;
#[path = "calendar/races.rs"]
mod races;
#[path = "calendar/resync.rs"]
mod resync;
#[path = "calendar/rig.rs"]
mod rig;
#[path = "calendar/series.rs"]
mod series;
#[path = "calendar/tokens.rs"]
mod tokens;
#[path = "calendar/truth.rs"]
mod truth;
#[path = "calendar/walk.rs"]
mod walk;
#[path = "calendar/workspace.rs"]
mod workspace;
