use shared::config::{self, public_url};
use url::Url;

use crate::output::say;

/// Where routers reach the public listener.
#[derive(Debug, clap::Args)]
pub struct Reach {
    /// Where the router reaches the public listener, if not by `SYNCFLEET_PUBLIC_URL`; http is allowed to a private address:
    /// `http://192.168.1.5:8080`
    #[arg(long, value_name = "URL", value_parser = public_url::for_routers)]
    url: Option<Url>,
    #[command(flatten)]
    public_url: config::PublicUrl,
}

impl Reach {
    /// The address, with a slash at its end; none: nobody has said it.
    pub fn url(&self) -> anyhow::Result<Option<Url>> {
        match &self.url {
            Some(url) => Ok(Some(url.clone())),
            None => Ok(self.public_url.url()?),
        }
    }
}

/// Says what there is to know of the address.
pub fn note(url: Option<&Url>) -> anyhow::Result<()> {
    match url {
        None => say(
            "note: SYNCFLEET_PUBLIC_URL is not set; below stands sync.example.com in its place. For a router in the same network \
             give --url http://ADDRESS:8080",
        ),
        Some(url) if public_url::is_plain(url) => say(&format!(
            "note: the password goes to {url} without TLS: whoever is in that network can read it"
        )),
        Some(_) => Ok(()),
    }
}
