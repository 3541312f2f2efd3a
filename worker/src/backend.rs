//! The one place that knows apalis. Its worker drives our claimed runs: we give it a [`Backend`] that is a stream of them, and
//! a handler that always answers `Ok`, because a run's verdict is our own commit and not apalis's business.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
};

use apalis::prelude::{Data, WorkerBuilder, WorkerError};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, task_id::RandomId},
    worker::context::WorkerContext,
};
use shared::{job::WorkerId, shutdown::Tasks};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{claim::Claimed, execute::Executor};

/// A stream of claimed runs, each with its slot.
#[derive(Debug)]
struct ClaimedRuns {
    claimed: mpsc::Receiver<Claimed>,
    /// Said when the claim loops have ended and the last of their runs was handed on.
    drained: CancellationToken,
}

impl Backend for ClaimedRuns {
    type Task = Task<Claimed>;
    /// What can go wrong is retried where it goes wrong: an error here would end the worker.
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        let claimed = ready!(self.claimed.poll_recv(cx));
        if claimed.is_none() {
            self.drained.cancel();
        }
        Poll::Ready(claimed.map(|claimed| Ok(Task::new(claimed))))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for ClaimedRuns {
    type Args = Claimed;
    type Id = RandomId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = tower_layer::Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        tower_layer::Identity::new()
    }
}

/// Executes claimed runs until no more can come and the last of them has ended.
pub async fn run(worker: WorkerId, claimed: mpsc::Receiver<Claimed>, executor: Executor, tasks: Tasks) {
    let drained = CancellationToken::new();
    let over = drained.clone();
    let ended = WorkerBuilder::new(worker.to_string())
        .backend(ClaimedRuns { claimed, drained })
        .data(Arc::new(executor))
        .data(tasks)
        .build(handle)
        .run_until(async move {
            // Not before: what was claimed and not handed on would stand in nobody's name.
            over.cancelled().await;
            Ok::<(), WorkerError>(())
        })
        .await;
    if let Err(error) = ended {
        tracing::error!("the apalis worker ended with an error: {error}");
    }
}

async fn handle(
    claimed: Claimed,
    executor: Data<Arc<Executor>>,
    tasks: Data<Tasks>,
) -> Result<(), Infallible> {
    // On a task of its own, so that runs use all cores.
    let executor = Arc::clone(&executor);
    let run = tasks.spawn(async move { executor.execute(claimed).await });
    if let Err(error) = run.await {
        tracing::error!("a run's task ended before its verdict: {error}");
    }
    Ok(())
}
