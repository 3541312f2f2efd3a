use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;

use super::Homes;
use crate::stage::google::client;

/// What they name themselves: an agent is asked for.
const AGENT: &str = "syncfleet - loadtest - 1";

/// When a router calls again that was told to.
const AGAIN: Duration = Duration::from_millis(500);

/// A router of each home.
#[derive(Debug, Clone)]
pub struct Routers {
    http: reqwest::Client,
    url: String,
    homes: Arc<Homes>,
}

impl Routers {
    /// They call this listener, over connections that stay open.
    pub fn new(public: SocketAddr, homes: &Homes) -> anyhow::Result<Self> {
        let url = format!("http://{public}/nic/update");
        Ok(Self { http: client()?, url, homes: Arc::new(homes.clone()) })
    }

    /// One of them tells its address by dyndns2. Gives the first word of the answer, which decides whatever the status.
    pub async fn tell(&self, home: u32, address: Ipv4Addr) -> anyhow::Result<String> {
        // Names as these need no escaping.
        let answer = self
            .http
            .get(format!("{}?hostname={}&myip={address}", self.url, self.homes.called(home)))
            .basic_auth(self.homes.user(home), Some(Homes::password()))
            .header("user-agent", AGENT)
            .send()
            .await
            .context("a call was not answered")?;
        let status = answer.status();
        let text = answer.text().await?;
        let word = text.split_whitespace().next();
        Ok(word.with_context(|| format!("a call was answered with {status} and nothing else"))?.to_owned())
    }

    /// The same, again and again while the answer is to come again: passwords are checked one after the other.
    pub async fn tell_until_heard(&self, home: u32, address: Ipv4Addr) -> anyhow::Result<String> {
        loop {
            let answer = self.tell(home, address).await?;
            if answer != "911" {
                return Ok(answer);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
