//! What of Google is played, and what a call of it costs.

use serde::{Deserialize, Serialize};

/// The parts of Google that are played here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `POST /token`.
    Token,
    /// `calendarList.list`.
    CalendarList,
    /// `calendarList.get` of the primary calendar.
    PrimaryCalendar,
    /// `events.list`.
    Events,
    /// `calendarList.watch` and `events.watch`.
    Watch,
    /// Calendar's `channels.stop`.
    StopChannel,
    /// `changes.watch`.
    WatchChanges,
    /// Drive's `channels.stop`.
    StopDriveChannel,
    /// `POST /revoke`.
    Revoke,
    /// The discovery document.
    Discovery,
    /// The keys of ID tokens.
    Certs,
    /// `files.list`.
    Files,
    /// `files.get`.
    File,
    /// `changes.list`.
    Changes,
    /// `changes.getStartPageToken`.
    StartPageToken,
    /// `drives.list`.
    Drives,
    /// `files.get` with `alt=media`: the content.
    Media,
    /// `files.export`.
    Export,
}

impl Api {
    /// Whether it is Drive's.
    pub(super) const fn is_drive(self) -> bool {
        // Whatever is Calendar's or of signing in costs one.
        self.cost() > 1
    }

    /// What a call costs of the quota: in Calendar a request is a request, in Drive a list is worth many reads.
    /// <https://developers.google.com/workspace/drive/api/guides/limits>
    pub(super) const fn cost(self) -> usize {
        match self {
            Self::Files | Self::Changes | Self::Drives => 100,
            Self::File | Self::StartPageToken | Self::WatchChanges | Self::StopDriveChannel => 5,
            Self::Media | Self::Export => 200,
            Self::Token
            | Self::CalendarList
            | Self::PrimaryCalendar
            | Self::Events
            | Self::Watch
            | Self::StopChannel
            | Self::Revoke
            | Self::Discovery
            | Self::Certs => 1,
        }
    }
}
