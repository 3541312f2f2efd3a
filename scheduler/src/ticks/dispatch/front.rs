use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use shared::{
    job::{JobId, Lane},
    store::{PgConnection, job_state},
};

use super::rung::Rung;

/// The most rows of one read.
const PAGE: usize = 2_000;

/// How often the front begins again at the first row.
const AGAIN: Duration = Duration::from_secs(1);

const START: (DateTime<Utc>, JobId) = (DateTime::UNIX_EPOCH, 0);

/// The way through the due rows of a lane, oldest first.
#[derive(Debug)]
pub(super) struct Front {
    cursor: (DateTime<Utc>, JobId),
    began: Option<Instant>,
    reached_end: bool,
}

impl Default for Front {
    fn default() -> Self {
        Self { cursor: START, began: None, reached_end: true }
    }
}

impl Front {
    /// Whether the last read came to the end of what is due.
    pub(super) const fn reached_end(&self) -> bool {
        self.reached_end
    }

    /// The next ids to ring, at most `room`.
    pub(super) async fn next(
        &mut self,
        conn: &mut PgConnection,
        lane: Lane,
        room: usize,
        rung: &mut Rung,
        now: Instant,
    ) -> Result<Vec<JobId>, sqlx::Error> {
        if self.began.is_none_or(|began| now.duration_since(began) >= AGAIN) {
            self.began = Some(now);
            self.cursor = START;
        }
        let mut ids = Vec::new();
        if room == 0 {
            self.reached_end = false;
            return Ok(ids);
        }
        loop {
            // One row more than there is room for tells that there is more.
            let page = (room - ids.len() + 1).clamp(PAGE / 4, PAGE);
            let limit = i64::try_from(page).unwrap_or(i64::MAX);
            let rows = job_state::due(conn, lane, self.cursor, limit).await?;
            self.reached_end = rows.len() < page;
            for due in &rows {
                if ids.len() == room {
                    self.reached_end = false;
                    return Ok(ids);
                }
                self.cursor = (due.run_at, due.job);
                if rung.mark(due, now) {
                    ids.push(due.job);
                }
            }
            if self.reached_end {
                return Ok(ids);
            }
        }
    }
}
