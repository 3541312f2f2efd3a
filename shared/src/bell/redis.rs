use std::time::Duration;

use anyhow::Context;
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client, Direction, RedisError, aio::MultiplexedConnection,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::{Away, BOUND};
use crate::job::{JobId, Lane};

/// How long Redis may take to connect or to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bell that processes share: a list per lane, pushed at its tail and taken from its head.
#[derive(Debug)]
pub(super) struct Redis {
    client: Client,
    /// For commands that answer at once.
    quick: Connection,
    /// One per lane, because a blocking command holds its connection.
    blocking: [Connection; Lane::ALL.len()],
}

/// A connection that is made when it is needed, and given up at the first error.
type Connection = Mutex<Option<MultiplexedConnection>>;

const fn key(lane: Lane) -> &'static str {
    match lane {
        Lane::Interactive => "syncfleet:bell:interactive",
        Lane::Normal => "syncfleet:bell:normal",
        Lane::Bulk => "syncfleet:bell:bulk",
    }
}

impl Redis {
    pub(super) fn new(url: &SecretString) -> anyhow::Result<Self> {
        let client = Client::open(url.expose_secret())
            .context("the Redis URL is not valid; it looks like redis://:password@host:6379/0")?;
        Ok(Self { client, quick: Connection::default(), blocking: Default::default() })
    }

    async fn connected(
        &self,
        slot: &mut Option<MultiplexedConnection>,
        patience: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        if let Some(connection) = slot {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(patience));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// A connection for one command that answers at once. Its slot is free while the command runs.
    async fn quick(&self) -> Result<MultiplexedConnection, Away> {
        // Whoever holds the slot is connecting; many must not wait for each other's attempts, one after the other.
        let slot = tokio::time::timeout(PATIENCE, self.quick.lock()).await;
        let mut slot = slot.map_err(|_| Away(format!("no connection within {PATIENCE:?}")))?;
        self.connected(&mut slot, PATIENCE).await.map_err(|error| Away(error.to_string()))
    }

    async fn quick_answer<T>(&self, answer: Result<T, RedisError>) -> Result<T, Away> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                *self.quick.lock().await = None;
                Err(Away(error.to_string()))
            }
        }
    }

    pub(super) async fn ring(&self, lane: Lane, jobs: &[JobId]) -> Result<usize, Away> {
        let mut connection = self.quick().await?;
        let answer: Result<(usize,), _> = redis::pipe()
            .rpush(key(lane), jobs)
            .ltrim(key(lane), 0, BOUND.cast_signed() - 1)
            .ignore()
            .query_async(&mut connection)
            .await;
        self.quick_answer(answer).await.map(|(length,)| length.min(BOUND))
    }

    pub(super) async fn len(&self, lane: Lane) -> Result<usize, Away> {
        let mut connection = self.quick().await?;
        let answer = connection.llen(key(lane)).await;
        self.quick_answer(answer).await
    }

    pub(super) async fn take(&self, lane: Lane, most: usize, wait: Duration) -> Result<Vec<JobId>, Away> {
        let mut slot = self.blocking[lane as usize].lock().await;
        let answer: Result<Option<(String, Vec<JobId>)>, _> =
            match self.connected(&mut slot, wait + PATIENCE).await {
                Ok(mut connection) => {
                    connection.blmpop(wait.as_secs_f64(), 1, key(lane), Direction::Left, most).await
                }
                Err(error) => Err(error),
            };
        match answer {
            Ok(taken) => Ok(taken.map(|(_, jobs)| jobs).unwrap_or_default()),
            Err(error) => {
                *slot = None;
                Err(Away(error.to_string()))
            }
        }
    }
}
