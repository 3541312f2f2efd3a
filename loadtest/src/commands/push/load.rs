//! Notifications as Google sends them, as fast as they are answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

use crate::stage::google::client;

/// A channel as Google knows it.
#[derive(Debug, Clone)]
pub struct Channel {
    pub id: String,
    pub token: String,
    pub resource_id: String,
}

/// Sends over channels that are drawn by chance, `at_once` at a time. Gives how long each answer took; each is 204, or it is
/// an error.
pub async fn send(
    url: &str,
    channels: &[Channel],
    at_once: usize,
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let channels: Arc<[Channel]> = channels.into();
    let until = Instant::now() + time;
    let http = client()?;
    let mut senders = JoinSet::new();
    for sender in 0..at_once {
        let (http, url, channels) = (http.clone(), url.to_owned(), Arc::clone(&channels));
        senders.spawn(async move {
            let mut rng = StdRng::seed_from_u64(sender as u64);
            let mut took = Vec::new();
            let mut number = 1_u64;
            while Instant::now() < until {
                let channel = &channels[rng.random_range(0..channels.len())];
                number += 1;
                let began = Instant::now();
                let answer = http
                    .post(&url)
                    .header("content-length", 0)
                    .header("x-goog-channel-id", &channel.id)
                    .header("x-goog-channel-token", &channel.token)
                    .header("x-goog-message-number", number)
                    .header("x-goog-resource-id", &channel.resource_id)
                    .header("x-goog-resource-state", "exists")
                    .header(
                        "x-goog-resource-uri",
                        "https://www.googleapis.com/calendar/v3/calendars/a/events?alt=json",
                    )
                    .send()
                    .await
                    .context("a notification was not answered")?;
                ensure!(answer.status() == 204, "a notification was answered with {}", answer.status());
                took.push(began.elapsed());
            }
            anyhow::Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(took) = senders.join_next().await {
        all.extend(took.context("a sender panicked")??);
    }
    Ok(all)
}
