use std::{convert::Infallible, fmt::Write, time::Duration};

use futures_util::{FutureExt, Stream, stream};
use metrics::counter;
use shared::store::{
    changes::{self, Batch, Entry, Position, Subject},
    feed_tokens, limited,
};
use tokio::time::Instant;

use super::{ANSWER, Feed, gone, readers::Seat};

/// The most changes that are read at once: all that a reader's buffer holds.
const BATCH: i64 = 200;

/// Between two looks at the database at the least.
const PACE: Duration = Duration::from_millis(50);

/// A look without having been woken, should a notification be lost.
const LOOK: Duration = Duration::from_secs(3);

/// The same while changes are there that an open transaction holds back.
const SOON: Duration = Duration::from_millis(250);

/// A sign of life.
const BEAT: Duration = Duration::from_secs(15);

/// When a reader that lost its connection should come back, in milliseconds.
const RETRY: u32 = 2_000;

/// One reader: where it is, and what it was told.
pub(super) struct Reader {
    feed: Feed,
    subject: Subject,
    /// The number of the token that it came with.
    token: i64,
    seat: Seat,
    /// How far it has read.
    at: Position,
    /// The last position that it was told; none: nothing was told yet.
    told: Option<Position>,
    /// The next look at the database.
    look_at: Instant,
    /// The next sign of life.
    beat_at: Instant,
    ended: bool,
}

/// What a reader waits for.
enum Next {
    Look,
    Beat,
    End,
}

impl Reader {
    pub(super) fn new(feed: Feed, subject: Subject, at: Position, token: i64, seat: Seat) -> Self {
        let now = Instant::now();
        Self { feed, subject, token, seat, at, told: None, look_at: now, beat_at: now + BEAT, ended: false }
    }

    /// The stream's chunks, each some events. The next one is made when the last one was taken.
    pub(super) fn stream(self) -> impl Stream<Item = Result<String, Infallible>> {
        stream::unfold(self, |mut reader| async {
            let chunk = reader.next().await?;
            Some((Ok(chunk), reader))
        })
    }

    async fn next(&mut self) -> Option<String> {
        if self.told.is_none() {
            // It knows at once where to go on, should it lose its connection before anything happens.
            self.told = Some(self.at);
            return Some(format!("retry: {RETRY}\nid: {}\n\n", self.at));
        }
        while !self.ended {
            match self.wait().await {
                Next::End => break,
                Next::Beat => return self.beat().await,
                Next::Look => {
                    if let Some(chunk) = self.look().await {
                        return Some(chunk);
                    }
                }
            }
        }
        None
    }

    async fn wait(&mut self) -> Next {
        let woken = async {
            // The sender lives for as long as the seat.
            let _ = self.seat.wake.changed().await;
            tokio::time::sleep(PACE).await;
        };
        tokio::select! {
            biased;
            () = self.feed.soft.cancelled() => Next::End,
            () = tokio::time::sleep_until(self.beat_at) => Next::Beat,
            () = tokio::time::sleep_until(self.look_at) => Next::Look,
            () = woken => Next::Look,
        }
    }

    async fn look(&mut self) -> Option<String> {
        // What comes from now on wakes it again.
        self.seat.wake.borrow_and_update();
        let read = limited(ANSWER, async {
            let mut conn = self.feed.db.acquire().await?;
            changes::read(&mut conn, &self.subject, self.at, None, BATCH).await
        })
        .boxed();
        let read = self.feed.soft.run_until_cancelled(read).await;
        let Some(Ok(Batch { entries, upto, more, held_back, gone: missed })) = read else {
            // The database is away, and says so elsewhere; or it is the end.
            self.look_at = Instant::now() + LOOK;
            return None;
        };
        if missed {
            self.ended = true;
            return Some(format!("event: gone\ndata: {}\n\n", gone(self.at, self.at > upto)));
        }
        self.at = upto;
        let pause = match (more, held_back) {
            (true, _) => Duration::ZERO,
            (false, true) => SOON,
            (false, false) => LOOK,
        };
        self.look_at = Instant::now() + pause;
        let last = entries.last()?.id;
        self.told = Some(last);
        counter!("syncfleet_feed_sent_total").increment(entries.len() as u64);
        Some(events(&entries))
    }

    /// A sign of life; the end of the stream if the token is not good any more. It tells a position, too, so that a reader who
    /// passes over most changes does not fall behind what is kept.
    async fn beat(&mut self) -> Option<String> {
        self.beat_at = Instant::now() + BEAT;
        let stands = limited(ANSWER, async {
            let mut conn = self.feed.db.acquire().await?;
            feed_tokens::stands(&mut conn, self.token).await
        })
        .boxed();
        if let Some(Ok(false)) = self.feed.soft.run_until_cancelled(stands).await {
            self.ended = true;
            return Some("event: revoked\ndata: {\"error\": \"the token was removed\"}\n\n".to_owned());
        }
        if self.told == Some(self.at) {
            return Some(": still here\n\n".to_owned());
        }
        self.told = Some(self.at);
        Some(format!(": still here\nid: {}\n\n", self.at))
    }
}

/// Each change as an event. JSON has no line breaks.
fn events(entries: &[Entry]) -> String {
    let mut text = String::with_capacity(entries.len() * 200);
    for entry in entries {
        // Neither fails: all keys are strings, and so is what is written to.
        let json = serde_json::to_string(entry).unwrap_or_default();
        let _ = write!(text, "id: {}\nevent: change\ndata: {json}\n\n", entry.id);
    }
    text
}
