//! How Google is reached, and as which OAuth client.

use anyhow::{Context, bail, ensure};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// The OAuth client and the addresses.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Google")]
pub struct GoogleArgs {
    /// The id of the OAuth client that the accounts have granted access
    #[arg(long, env = "SYNCFLEET_GOOGLE_CLIENT_ID", value_name = "ID")]
    pub google_client_id: Option<String>,
    /// That client's secret. Better in the environment than here
    #[arg(long, env = "SYNCFLEET_GOOGLE_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub google_client_secret: Option<SecretString>,
    /// The token endpoint
    #[arg(
        long,
        env = "SYNCFLEET_GOOGLE_TOKEN_URL",
        value_name = "URL",
        default_value = "https://oauth2.googleapis.com/token"
    )]
    pub google_token_url: String,
    /// The root of the Calendar API
    #[arg(
        long,
        env = "SYNCFLEET_GOOGLE_CALENDAR_URL",
        value_name = "URL",
        default_value = "https://www.googleapis.com/calendar/v3/"
    )]
    pub google_calendar_url: String,
}

/// Checked configuration.
#[derive(Debug, Clone)]
pub struct GoogleConfig {
    /// The OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The token endpoint.
    pub token_url: Url,
    /// The root of the Calendar API; ends with a slash.
    pub calendar_url: Url,
}

impl GoogleArgs {
    /// Checks the configuration; none if no OAuth client is configured.
    pub fn config(&self) -> anyhow::Result<Option<GoogleConfig>> {
        let token_url = address("SYNCFLEET_GOOGLE_TOKEN_URL", &self.google_token_url)?;
        let mut calendar_url = address("SYNCFLEET_GOOGLE_CALENDAR_URL", &self.google_calendar_url)?;
        if !calendar_url.path().ends_with('/') {
            calendar_url.set_path(&format!("{}/", calendar_url.path()));
        }
        let (client_id, client_secret) = match (&self.google_client_id, &self.google_client_secret) {
            (None, None) => return Ok(None),
            (Some(id), Some(secret)) => (id.trim().to_owned(), secret.expose_secret().trim().to_owned()),
            (Some(_), None) => {
                bail!("SYNCFLEET_GOOGLE_CLIENT_SECRET is missing: the client id needs its secret")
            }
            (None, Some(_)) => bail!("SYNCFLEET_GOOGLE_CLIENT_ID is missing: the client secret needs its id"),
        };
        ensure!(!client_id.is_empty(), "SYNCFLEET_GOOGLE_CLIENT_ID is empty");
        ensure!(!client_secret.is_empty(), "SYNCFLEET_GOOGLE_CLIENT_SECRET is empty");
        Ok(Some(GoogleConfig { client_id, client_secret: client_secret.into(), token_url, calendar_url }))
    }
}

/// Tokens go to these addresses, so they travel encrypted or do not leave the machine.
fn address(name: &str, text: &str) -> anyhow::Result<Url> {
    let url: Url = text.parse().with_context(|| format!("{name}: {text:?} is not a URL"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    ensure!(
        url.scheme() == "https" || (url.scheme() == "http" && loopback),
        "{name}: {text:?} is not allowed: https, or http to a loopback address"
    );
    ensure!(url.query().is_none() && url.fragment().is_none(), "{name}: {text:?} has a query or a fragment");
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> GoogleArgs {
        GoogleArgs {
            google_client_id: Some("id".to_owned()),
            google_client_secret: Some("secret".into()),
            google_token_url: "http://127.0.0.1:1/token".to_owned(),
            google_calendar_url: "https://www.googleapis.com/calendar/v3".to_owned(),
        }
    }

    #[test]
    fn a_missing_slash_is_added() {
        let config = args().config().unwrap().unwrap();
        assert_eq!(config.calendar_url.as_str(), "https://www.googleapis.com/calendar/v3/");
    }

    #[test]
    fn no_client_is_no_configuration_and_half_a_client_an_error() {
        let none = GoogleArgs { google_client_id: None, google_client_secret: None, ..args() };
        assert!(none.config().unwrap().is_none());
        let half = GoogleArgs { google_client_secret: None, ..args() };
        assert!(half.config().unwrap_err().to_string().contains("CLIENT_SECRET is missing"));
    }

    #[test]
    fn addresses_that_would_leak_tokens_are_refused() {
        for bad in ["http://example.com/token", "ftp://127.0.0.1/", "nonsense", "https://example.com/?a=b"] {
            let args = GoogleArgs { google_token_url: bad.to_owned(), ..args() };
            let error = format!("{:#}", args.config().unwrap_err());
            assert!(error.starts_with("SYNCFLEET_GOOGLE_TOKEN_URL: "), "{bad}: {error}");
        }
    }
}
