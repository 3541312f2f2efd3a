//! Keeps the server alive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::StartError;
use super::log;
use super::server::{Server, Start};

/// So many ends in a row, and the server counts as beyond help.
const TRIES: u32 = 6;
/// A server that ran this long is well: its end is the first of a new row.
const WELL_AFTER: Duration = Duration::from_mins(1);
/// How often the size of the log is looked at.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// Starts the server again whenever it ends, after 0.1, 0.2, 0.4 ... s; gives up after [`TRIES`] ends in a row and
/// tells so. Ends with an orderly stop when told to. The pauses have no jitter: there is one server and one of us.
pub async fn keep_alive(
    server: Server,
    start: Start,
    stop: CancellationToken,
    pid: watch::Sender<u32>,
    failed: watch::Sender<Option<Arc<StartError>>>,
) {
    let mut server = server;
    let mut ends = 0;
    loop {
        let started = Instant::now();
        let Some(mut error) = run(&mut server, &start, &stop).await else {
            return server.stop(start.stop_within).await;
        };
        if started.elapsed() >= WELL_AFTER {
            ends = 0;
        }
        server = loop {
            ends += 1;
            if ends >= TRIES {
                tracing::error!(error = %error, "PostgreSQL cannot be kept alive");
                failed.send_replace(Some(Arc::new(error)));
                return;
            }
            tracing::warn!(error = %error, ends, "PostgreSQL ended; starting it again");
            let pause = Duration::from_millis(50) * 2_u32.pow(ends);
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            // Dropping the start half way asks the process to stop.
            match stop.run_until_cancelled(Server::start(&start)).await {
                Some(Ok(server)) => break server,
                Some(Err(next)) => error = next,
                None => return,
            }
        };
        tracing::info!(pid = server.pid(), "PostgreSQL runs again");
        pid.send_replace(server.pid());
    }
}

/// Runs until the server ends (the reason) or a stop is asked for (`None`).
async fn run(server: &mut Server, start: &Start, stop: &CancellationToken) -> Option<StartError> {
    let mut every = tokio::time::interval(LOG_EVERY);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            error = server.wait() => return Some(error),
            _ = every.tick() => log::keep_small(&start.log),
        }
    }
}
