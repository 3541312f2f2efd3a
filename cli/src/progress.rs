//! How far something long is: a bar on a terminal, a line now and then elsewhere. Both on stderr.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::output::say;

/// How often a line is said at most.
const PACE: Duration = Duration::from_secs(2);

/// The progress of one thing.
pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
    /// When a line was said last (at first: when it began), and which.
    said: (Instant, String),
}

impl Progress {
    /// Shows nothing yet.
    pub fn new() -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{wide_bar} {msg} {elapsed}")?;
        // A bar draws on stderr, and only if that is a terminal.
        let bar = ProgressBar::new(0).with_style(style);
        Ok(Self { bar, terminal: io::stderr().is_terminal(), said: (Instant::now(), String::new()) })
    }

    /// `done` of `all`, told in `words`.
    pub fn show(&mut self, done: i64, all: i64, words: &str) -> anyhow::Result<()> {
        self.bar.set_length(u64::try_from(all).unwrap_or(0));
        self.bar.set_position(u64::try_from(done).unwrap_or(0));
        self.bar.set_message(words.to_owned());
        let (at, last) = &self.said;
        if !self.terminal && at.elapsed() >= PACE && last != words {
            say(words)?;
            self.said = (Instant::now(), words.to_owned());
        }
        Ok(())
    }

    /// Says something beside it.
    pub fn say(&self, words: &str) -> anyhow::Result<()> {
        self.bar.suspend(|| say(words))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
