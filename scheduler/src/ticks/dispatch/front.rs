use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use shared::{
    job::{JobId, Lane},
    store::{
        PgConnection,
        job_state::{self, Due},
    },
};

use super::rung::Rung;

/// The most rows of one read.
const PAGE: usize = 2_000;

/// How often the front begins again.
const AGAIN: Duration = Duration::from_secs(1);

/// A read from the very first row is followed by so many times its own duration without one. While a long transaction keeps
/// PostgreSQL from clearing away what was due before, such a read steps over all of it.
const FULL_PAUSE: u32 = 20;

/// How far before the first due row the front begins again otherwise: for wants whose transaction took so long.
const LATE: TimeDelta = TimeDelta::seconds(2);

/// The way through the due rows of a lane, oldest first.
#[derive(Debug)]
pub(super) struct Front {
    cursor: (DateTime<Utc>, JobId),
    /// Before it nothing was due at the last look.
    mark: DateTime<Utc>,
    began: Option<Instant>,
    /// When the very first row is read again.
    full: Option<Instant>,
    /// The next read is the first of a round.
    first: bool,
    reached_end: bool,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            cursor: (DateTime::UNIX_EPOCH, 0),
            mark: DateTime::UNIX_EPOCH,
            began: None,
            full: None,
            first: true,
            reached_end: true,
        }
    }
}

impl Front {
    /// Whether the last read came to the end of what is due.
    pub(super) const fn reached_end(&self) -> bool {
        self.reached_end
    }

    /// Before it nothing was due at the last look.
    pub(super) const fn mark(&self) -> DateTime<Utc> {
        self.mark
    }

    /// The next ids to ring, at most `room`. `clock` is the database's time, not later than it is.
    pub(super) async fn next(
        &mut self,
        conn: &mut PgConnection,
        lane: Lane,
        room: usize,
        rung: &mut Rung,
        now: Instant,
        clock: DateTime<Utc>,
    ) -> Result<Vec<JobId>, sqlx::Error> {
        if self.began.is_none_or(|began| now.duration_since(began) >= AGAIN) {
            self.began = Some(now);
            let full = self.full.is_none_or(|at| at <= now);
            self.cursor = (if full { DateTime::UNIX_EPOCH } else { self.mark }, 0);
            self.first = true;
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
            let began = Instant::now();
            let rows = job_state::due(conn, lane, self.cursor, limit).await?;
            if std::mem::take(&mut self.first) {
                self.note_first(rows.first(), began.elapsed(), now, clock);
            }
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
                // All before is of the past, what stands behind closed gates too: the round's next reads need not step over it.
                self.cursor = self.cursor.max((clock - LATE, 0));
                return Ok(ids);
            }
        }
    }

    /// Remembers where the round's first row was, so that the next round need not look before it.
    fn note_first(&mut self, first: Option<&Due>, took: Duration, now: Instant, clock: DateTime<Utc>) {
        if self.cursor.0 == DateTime::UNIX_EPOCH {
            self.full = Some(now + AGAIN.max(took * FULL_PAUSE));
        }
        self.mark = first.map_or(clock, |due| due.run_at.min(clock)) - LATE;
    }
}
