//! What the mirrored calendars say: events between two moments, series expanded.
//!
//! Google is mirrored with its series unexpanded. [`occurrences`] reads the mirror; what it needs for that is pure and apart:
//! [`Series`] expands one series, [`Zone`] makes moments of local times.
//!
//! # Properties
//!
//! - *A series is counted in local time*, the zone of its start: a meeting at 09:00 in Berlin is at 09:00 all year.
//! - *A local time that does not exist* (clocks go forward) is taken with the offset before the gap: 02:30 becomes 03:30. *One
//!   that exists twice* is the first of the two. So says RFC 5545, section 3.3.5.
//! - *Occurrences are as long as the first one*, to the second (days, for all-day events): RFC 5545, section 3.8.5.3.
//! - *The first occurrence counts*, whether the rule fits it or not: `COUNT` includes it.
//! - *A rule is bounded*: an endless one ends with the window, one that comes more often than hourly is not expanded, and no rule
//!   is followed for more than [`series::STEPS`] steps. What was left out is told in notes.
//!
//! RFC 5545: <https://www.rfc-editor.org/rfc/rfc5545>.

pub mod occurrences;
mod recurrence;
pub mod series;
mod time;
mod zone;

pub use self::{
    series::{Expanded, Series},
    time::{Time, Window},
    zone::Zone,
};
