//! How a process ends: every task is owned, told to stop, and waited for.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The tasks of a role, and the two words that end them.
///
/// *Soft*: begin nothing new, finish or hand back what runs. *Hard*: stop now.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        let hard = CancellationToken::new();
        Self { tracker: TaskTracker::new(), soft: hard.child_token(), hard }
    }

    /// Runs a task that [`Tasks::finish`] waits for.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// The word to begin nothing new.
    #[must_use]
    pub const fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// The word to stop now.
    #[must_use]
    pub const fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Says the soft word, and after `grace` the hard one. Returns when all tasks have ended, whether in time or not.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.soft.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_ok() {
            return true;
        }
        self.hard.cancel();
        // A task that does not heed even the hard word must not hold the process.
        tokio::time::timeout(Duration::from_secs(2), self.tracker.wait()).await.is_ok()
    }
}

/// The signals that end the process, from the moment that this is made: none is lost between two waits.
#[derive(Debug)]
pub struct Signals {
    heard: watch::Receiver<Option<&'static str>>,
}

impl Signals {
    /// Listens from now on. The first SIGTERM or SIGINT is told to whoever waits, a second one ends the process at once, with
    /// the exit code of that signal.
    pub fn listen() -> std::io::Result<Self> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let (say, heard) = watch::channel(None);
        #[expect(
            clippy::disallowed_methods,
            reason = "it outlives the shutdown on purpose: it ends the process"
        )]
        tokio::spawn(async move {
            let first = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            };
            say.send_replace(Some(first));
            let code = tokio::select! {
                _ = term.recv() => 143,
                _ = int.recv() => 130,
            };
            std::process::exit(code);
        });
        Ok(Self { heard })
    }

    /// Waits for the first signal, and says its name. Whoever asks again hears of the same one.
    pub async fn first(&mut self) -> &'static str {
        match self.heard.wait_for(Option::is_some).await.map(|heard| *heard) {
            Ok(Some(name)) => name,
            // The listening task is never ended; without it, none comes.
            _ => std::future::pending().await,
        }
    }
}
