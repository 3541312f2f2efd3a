//! Group commit: what comes within some milliseconds is handled at once, by one statement.
//!
//! Two writers take turns: while one waits for the disk, the other gathers. The queue is bounded; what does not fit is refused at
//! once, and whoever called is to come again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use shared::shutdown::Tasks;
use tokio::sync::{Mutex, mpsc, oneshot};

/// How long is gathered after a first entry.
const GATHER: Duration = Duration::from_millis(3);

/// Entries that wait, at the most.
const QUEUE: usize = 10_000;

const WRITERS: usize = 2;

/// How long an entry waits in all, at the most. Longer than any statement may take, and short enough that the caller is still there.
const LIMIT: Duration = Duration::from_secs(8);

/// How often a statement is tried that was chosen to end a deadlock.
const ATTEMPTS: u32 = 3;

/// Why an entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many wait.
    Full,
    /// The database does not answer.
    Unavailable,
}

/// What is said, once, when the database goes and when it comes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) away: &'static str,
    pub(super) back: &'static str,
}

struct Waiting<In, Out> {
    entry: In,
    answer: oneshot::Sender<Result<Out, Refused>>,
}

/// Where entries are brought.
pub(super) struct Gather<In, Out> {
    queue: mpsc::Sender<Waiting<In, Out>>,
}

impl<In: Send + 'static, Out: Send + 'static> Gather<In, Out> {
    /// A queue, and the tasks behind it, which end when it is dropped. `handle` gets at most `batch` entries, and answers each of them in
    /// their order.
    pub(super) fn start<F>(
        tasks: &Tasks,
        words: Words,
        batch: usize,
        handle: impl Fn(Vec<In>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<Out>, sqlx::Error>> + Send + 'static,
    {
        let (queue, incoming) = mpsc::channel(QUEUE);
        let (incoming, handle) = (Arc::new(Mutex::new(incoming)), Arc::new(handle));
        let failing = Arc::new(AtomicBool::new(false));
        for _ in 0..WRITERS {
            let (incoming, handle, failing) =
                (Arc::clone(&incoming), Arc::clone(&handle), Arc::clone(&failing));
            let hard = tasks.hard().clone();
            tasks.spawn(async move {
                let writing = async {
                    while let Some(waiting) = gather(&incoming, batch).await {
                        write(waiting, &*handle, words, &failing).await;
                    }
                };
                hard.run_until_cancelled(writing).await
            });
        }
        Self { queue }
    }

    /// Brings an entry. When this returns an answer, what follows from it is done.
    pub(super) async fn bring(&self, entry: In) -> Result<Out, Refused> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { entry, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Unavailable,
        })?;
        match tokio::time::timeout(LIMIT, answered).await {
            Ok(Ok(answer)) => answer,
            // It may be done all the same.
            Ok(Err(_)) | Err(_) => Err(Refused::Unavailable),
        }
    }
}

/// Takes what has come, and what comes soon. None: nothing will come any more.
async fn gather<T>(incoming: &Mutex<mpsc::Receiver<T>>, most: usize) -> Option<Vec<T>> {
    let mut batch = Vec::with_capacity(most);
    let mut incoming = incoming.lock().await;
    if incoming.recv_many(&mut batch, most).await == 0 {
        return None;
    }
    if batch.len() < most {
        tokio::time::sleep(GATHER).await;
        while batch.len() < most
            && let Ok(next) = incoming.try_recv()
        {
            batch.push(next);
        }
    }
    Some(batch)
}

async fn write<In, Out, F>(
    mut waiting: Vec<Waiting<In, Out>>,
    handle: &impl Fn(Vec<In>) -> F,
    words: Words,
    failing: &AtomicBool,
) where
    F: Future<Output = Result<Vec<Out>, sqlx::Error>>,
{
    // Whoever gave up waiting need not be written for.
    waiting.retain(|one| !one.answer.is_closed());
    if waiting.is_empty() {
        return;
    }
    let (entries, answers): (Vec<_>, Vec<_>) = waiting.into_iter().map(|one| (one.entry, one.answer)).unzip();
    match handle(entries).await {
        Ok(outcomes) => {
            if failing.swap(false, Ordering::Relaxed) {
                tracing::info!("{}", words.back);
            }
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Whoever gave up waiting has answered for itself.
                let _ = answer.send(Ok(outcome));
            }
        }
        Err(error) => {
            if !failing.swap(true, Ordering::Relaxed) {
                tracing::warn!("{}: {error}", words.away);
            }
            for answer in answers {
                let _ = answer.send(Err(Refused::Unavailable));
            }
        }
    }
}

/// Tries again what was chosen to end a deadlock, some times.
pub(super) async fn despite_deadlocks<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut tried = 1;
    loop {
        match attempt().await {
            Err(sqlx::Error::Database(error))
                if tried < ATTEMPTS && error.code().as_deref() == Some("40P01") =>
            {
                tried += 1;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words { away: "gone", back: "back" };

    #[tokio::test]
    async fn what_comes_together_is_handled_together_and_each_gets_its_own_answer() {
        let tasks = Tasks::new();
        let batches = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&batches);
        let gather = Gather::start(&tasks, WORDS, 50, move |batch: Vec<u32>| {
            seen.lock().unwrap().push(batch.len());
            async move { Ok(batch.into_iter().map(|n| n * 2).collect()) }
        });
        let answers = futures_util::future::join_all((0..200).map(|n| gather.bring(n))).await;
        assert_eq!(answers, (0..200).map(|n| Ok(n * 2)).collect::<Vec<_>>());
        let batches = batches.lock().unwrap().clone();
        assert_eq!(batches.iter().sum::<usize>(), 200);
        assert!(batches.len() < 50 && batches.iter().all(|len| *len <= 50), "{batches:?}");
        drop(gather);
        assert!(tasks.finish(Duration::from_mins(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_or_beyond_the_bound_is_refused() {
        let tasks = Tasks::new();
        let gather = Gather::<u32, u32>::start(&tasks, WORDS, 1, |_| std::future::pending());
        let answers = futures_util::future::join_all((0..20_000).map(|n| gather.bring(n))).await;
        let full = answers.iter().filter(|answer| **answer == Err(Refused::Full)).count();
        let late = answers.iter().filter(|answer| **answer == Err(Refused::Unavailable)).count();
        assert_eq!(full + late, 20_000);
        assert!(late >= QUEUE && full > 0, "{full} were too many, {late} too late");
    }

    #[tokio::test]
    async fn a_deadlock_is_tried_again_and_nothing_else_is() {
        let mut tried = 0;
        let failed = despite_deadlocks(|| {
            tried += 1;
            async { Err::<(), _>(sqlx::Error::PoolTimedOut) }
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(tried, 1);
    }
}
