use secrecy::{ExposeSecret, SecretString};

use super::{Invalid, given, secret, trimmed};
use crate::store::connect;

const URL: &str = "DATABASE_URL";
const LIKE: &str = "it looks like postgres://user:password@host:5432/syncfleet";

/// Where `PostgreSQL` is.
#[derive(Debug, Clone, clap::Args)]
pub struct Database {
    #[arg(
        long = "database-url", env = URL, value_name = "URL", hide_env_values = true, global = true,
        value_parser = secret, help = "PostgreSQL's address, as postgres://user:password@host:5432/syncfleet",
        help_heading = "Settings"
    )]
    database_url: Option<SecretString>,

    /// The most connections of the process's pool to PostgreSQL; it opens up to two beside them, to listen and to beat
    #[arg(
        long, env = "SYNCFLEET_DATABASE_CONNECTIONS", value_name = "N", default_value = "10", global = true,
        value_parser = connections, help_heading = "Settings"
    )]
    pub database_connections: u32,
}

fn connections(text: &str) -> Result<u32, String> {
    trimmed(text)
        .ok()
        .filter(|n| (1..=1_000).contains(n))
        .ok_or_else(|| "not a number from 1 to 1000".to_owned())
}

impl Database {
    /// The URL, checked; none: it is not set.
    pub fn url(&self) -> Result<Option<SecretString>, Invalid> {
        let Some(url) = given(self.database_url.as_ref()) else { return Ok(None) };
        let text = url.expose_secret();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(Invalid::new(URL, format_args!("not a PostgreSQL URL; {LIKE}")));
        }
        connect::options(url, "syncfleet").map_err(|error| {
            Invalid::new(URL, format_args!("not a PostgreSQL URL ({}); {LIKE}", error.root_cause()))
        })?;
        Ok(Some(url.clone()))
    }

    /// The URL, for those who cannot do without.
    pub fn required(&self) -> Result<SecretString, Invalid> {
        self.url()?
            .ok_or_else(|| Invalid::new(URL, format_args!("not set: set it, or give --database-url; {LIKE}")))
    }
}
