use secrecy::{ExposeSecret, SecretString};

use super::{Invalid, given, secret};

const URL: &str = "REDIS_URL";

/// Where Redis is.
#[derive(Debug, Clone, clap::Args)]
pub struct Redis {
    #[arg(
        long = "redis-url", env = URL, value_name = "URL", hide_env_values = true, global = true,
        value_parser = secret, help = "Redis' address, as redis://:password@host:6379/0; without it, no bell is shared",
        help_heading = "Settings"
    )]
    redis_url: Option<SecretString>,
}

impl Redis {
    /// The URL, checked; none: it is not set.
    pub fn url(&self) -> Result<Option<SecretString>, Invalid> {
        let Some(url) = given(self.redis_url.as_ref()) else { return Ok(None) };
        if ::redis::Client::open(url.expose_secret()).is_err() {
            // The client's own words may repeat the URL.
            return Err(Invalid::new(URL, "not a Redis URL; it looks like redis://:password@host:6379/0"));
        }
        Ok(Some(url.clone()))
    }
}
