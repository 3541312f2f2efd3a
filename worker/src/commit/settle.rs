//! The answer to a commit whose own answer was lost.

use std::time::{Duration, Instant};

use rand::RngExt;
use shared::{job::RunId, store::runs};

use crate::Worker;

/// After this time the reaper has taken the lease back, whatever became of the commit.
const HOPELESS: Duration = Duration::from_secs(30);

/// Which of the runs stand in the history; none: the database did not answer in time.
pub(super) async fn recorded(worker: &Worker, asked: &[RunId]) -> Option<Vec<RunId>> {
    let began = Instant::now();
    while began.elapsed() < HOPELESS && !worker.hard.is_cancelled() {
        let answer = async {
            let mut conn = worker.db().acquire().await?;
            runs::recorded(&mut conn, asked).await
        };
        match worker.answer(answer).await {
            Ok(recorded) => return Some(recorded),
            Err(error) => {
                tracing::debug!("cannot settle {} commits yet: {error}", asked.len());
                let pause = Duration::from_millis(500).mul_f64(rand::rng().random_range(0.5..1.5));
                let _ = worker.hard.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }
    None
}

/// Whether the run stands in the history; none: the database did not answer in time.
pub(super) async fn one(worker: &Worker, run: RunId) -> Option<bool> {
    recorded(worker, &[run]).await.map(|recorded| !recorded.is_empty())
}
