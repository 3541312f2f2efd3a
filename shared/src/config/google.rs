//! How Google is reached, and as which OAuth client.

mod address;
mod limits;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub(crate) use self::address::keeps_secrets;
pub use self::limits::Limits;
use self::{
    address::{address, root},
    limits::{drive_limit, kept, limit},
};
use super::{Invalid, given};
use crate::google::scopes;

const CLIENT_ID: &str = "SYNCFLEET_GOOGLE_CLIENT_ID";
const CLIENT_SECRET: &str = "SYNCFLEET_GOOGLE_CLIENT_SECRET";
const PROJECT: &str = "SYNCFLEET_GOOGLE_PROJECT";
const TOKEN_URL: &str = "SYNCFLEET_GOOGLE_TOKEN_URL";
const CALENDAR_URL: &str = "SYNCFLEET_GOOGLE_CALENDAR_URL";
const ISSUER: &str = "SYNCFLEET_GOOGLE_ISSUER";
const DRIVE_URL: &str = "SYNCFLEET_GOOGLE_DRIVE_URL";

/// The OAuth client and the addresses.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Google")]
pub struct Google {
    /// The id of the OAuth client that the accounts have granted access
    #[arg(
        id = "google_client_id",
        long = "google-client-id",
        env = CLIENT_ID,
        value_name = "ID"
    )]
    pub client_id: Option<String>,
    /// That client's secret. Better in the environment than here
    #[arg(
        id = "google_client_secret",
        long = "google-client-secret",
        env = CLIENT_SECRET,
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub client_secret: Option<SecretString>,
    /// The id of the OAuth client's project: calls of a service account of the same project count to its limits
    #[arg(
        id = "google_project",
        long = "google-project",
        env = PROJECT,
        value_name = "ID"
    )]
    pub project: Option<String>,
    /// The token endpoint
    #[arg(
        id = "google_token_url",
        long = "google-token-url",
        env = TOKEN_URL,
        value_name = "URL",
        default_value = "https://oauth2.googleapis.com/token"
    )]
    pub token_url: String,
    /// Who signs accounts in; below it the discovery document says where that is done, and where access is revoked
    #[arg(
        id = "google_issuer",
        long = "google-issuer",
        env = ISSUER,
        value_name = "URL",
        default_value = "https://accounts.google.com"
    )]
    pub issuer: String,
    /// The APIs that people are asked for when they sign in: `calendar`, `drive`
    #[arg(
        id = "google_sign_in_for",
        long = "google-sign-in-for",
        env = "SYNCFLEET_GOOGLE_SIGN_IN_FOR",
        value_name = "API,…",
        value_delimiter = ',',
        value_parser = [scopes::CALENDAR, scopes::DRIVE],
        default_value = scopes::CALENDAR
    )]
    pub sign_in_for: Vec<String>,
    /// The root of the Calendar API
    #[arg(
        id = "google_calendar_url",
        long = "google-calendar-url",
        env = CALENDAR_URL,
        value_name = "URL",
        default_value = "https://www.googleapis.com/calendar/v3/"
    )]
    pub calendar_url: String,
    /// Calendar calls that Google allows the project in a minute
    #[arg(
        id = "google_calendar_per_minute",
        long = "google-calendar-per-minute",
        env = "SYNCFLEET_GOOGLE_CALENDAR_PER_MINUTE",
        value_name = "CALLS",
        default_value_t = Limits::CALENDAR.per_minute,
        value_parser = limit
    )]
    pub calendar_per_minute: u32,
    /// Calendar calls that Google allows for one user in a minute
    #[arg(
        id = "google_calendar_per_user_per_minute",
        long = "google-calendar-per-user-per-minute",
        env = "SYNCFLEET_GOOGLE_CALENDAR_PER_USER_PER_MINUTE",
        value_name = "CALLS",
        default_value_t = Limits::CALENDAR.user_per_minute,
        value_parser = limit
    )]
    pub calendar_per_user_per_minute: u32,
    /// Calendar calls of a day, by Pacific time, after which the fleet makes no more: Google may charge for them
    #[arg(
        id = "google_calendar_per_day",
        long = "google-calendar-per-day",
        env = "SYNCFLEET_GOOGLE_CALENDAR_PER_DAY",
        value_name = "CALLS",
        default_value_t = Limits::CALENDAR.per_day,
        value_parser = limit
    )]
    pub calendar_per_day: u32,
    /// The root of the Drive API
    #[arg(
        id = "google_drive_url",
        long = "google-drive-url",
        env = DRIVE_URL,
        value_name = "URL",
        default_value = "https://www.googleapis.com/drive/v3/"
    )]
    pub drive_url: String,
    /// Drive's quota units that Google allows the project in a minute: a list costs 100, a download 200
    #[arg(
        id = "google_drive_units_per_minute",
        long = "google-drive-units-per-minute",
        env = "SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_MINUTE",
        value_name = "UNITS",
        default_value_t = Limits::DRIVE.per_minute,
        value_parser = drive_limit
    )]
    pub drive_units_per_minute: u32,
    /// Drive's quota units that Google allows for one user in a minute
    #[arg(
        id = "google_drive_units_per_user_per_minute",
        long = "google-drive-units-per-user-per-minute",
        env = "SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_USER_PER_MINUTE",
        value_name = "UNITS",
        default_value_t = Limits::DRIVE.user_per_minute,
        value_parser = drive_limit
    )]
    pub drive_units_per_user_per_minute: u32,
    /// Drive's quota units of a day, by Pacific time, after which the fleet makes no more calls: Google may charge for them
    #[arg(
        id = "google_drive_units_per_day",
        long = "google-drive-units-per-day",
        env = "SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_DAY",
        value_name = "UNITS",
        default_value_t = Limits::DRIVE.per_day,
        value_parser = drive_limit
    )]
    pub drive_units_per_day: u32,
    /// Percent of all these limits that only push-driven work may use (lane interactive): polls and first syncs leave it alone
    #[arg(
        id = "google_kept_for_push",
        long = "google-kept-for-push",
        env = "SYNCFLEET_GOOGLE_KEPT_FOR_PUSH",
        value_name = "PERCENT",
        default_value_t = Limits::CALENDAR.kept,
        value_parser = kept
    )]
    pub kept_for_push: u32,
}

/// Checked configuration.
#[derive(Debug, Clone)]
pub struct GoogleConfig {
    /// The OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The id of its project, if it was given.
    pub project_id: Option<String>,
    /// The token endpoint.
    pub token_url: Url,
    /// Who signs accounts in, as it calls itself in ID tokens; without a slash at its end.
    pub issuer: String,
    /// The APIs that people are asked for when they sign in: see [`scopes`].
    pub sign_in_for: Vec<String>,
    /// The root of the Calendar API; ends with a slash.
    pub calendar_url: Url,
    /// What Google allows of the Calendar API.
    pub calendar_limits: Limits,
    /// The root of the Drive API; ends with a slash.
    pub drive_url: Url,
    /// What Google allows of the Drive API.
    pub drive_limits: Limits,
}

impl GoogleConfig {
    /// The project that calls count to: a client's id begins with its number. An id of another shape stands for itself.
    #[must_use]
    pub fn project(&self) -> &str {
        match self.client_id.split_once('-') {
            Some((number, _)) if !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()) => number,
            _ => &self.client_id,
        }
    }
}

impl Google {
    /// Checks the configuration; none if no OAuth client is configured.
    pub fn config(&self) -> Result<Option<GoogleConfig>, Invalid> {
        let token_url = address(TOKEN_URL, &self.token_url)?;
        let issuer = self.issuer.trim().trim_end_matches('/').to_owned();
        address(ISSUER, &issuer)?;
        let calendar_url = root(CALENDAR_URL, &self.calendar_url)?;
        let drive_url = root(DRIVE_URL, &self.drive_url)?;
        let client_id = self.client_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        let (client_id, client_secret) = match (client_id, given(self.client_secret.as_ref())) {
            (None, None) => return Ok(None),
            (Some(id), Some(secret)) => (id.to_owned(), secret.expose_secret().trim().to_owned()),
            (Some(_), None) => {
                return Err(Invalid::new(CLIENT_SECRET, "not set: the client id needs its secret"));
            }
            (None, Some(_)) => {
                return Err(Invalid::new(CLIENT_ID, "not set: the client secret needs its id"));
            }
        };
        let client_secret = client_secret.into();
        Ok(Some(GoogleConfig {
            client_id,
            client_secret,
            project_id: given_project(self.project.as_deref())?,
            token_url,
            issuer,
            sign_in_for: self.sign_in_for.clone(),
            calendar_url,
            calendar_limits: self.calendar_limits(),
            drive_url,
            drive_limits: self.drive_limits(),
        }))
    }

    /// What Google allows of the Drive API.
    #[must_use]
    pub const fn drive_limits(&self) -> Limits {
        Limits {
            per_minute: self.drive_units_per_minute,
            user_per_minute: self.drive_units_per_user_per_minute,
            per_day: self.drive_units_per_day,
            kept: self.kept_for_push,
        }
    }

    /// What Google allows of the Calendar API.
    #[must_use]
    pub const fn calendar_limits(&self) -> Limits {
        Limits {
            per_minute: self.calendar_per_minute,
            user_per_minute: self.calendar_per_user_per_minute,
            per_day: self.calendar_per_day,
            kept: self.kept_for_push,
        }
    }

    /// The configuration, for those who cannot do without. `why` says what for.
    pub fn required(&self, why: &str) -> Result<GoogleConfig, Invalid> {
        self.config()?.ok_or_else(|| Invalid::new(CLIENT_ID, format_args!("not set: {why}")))
    }
}

/// A project's id: <https://cloud.google.com/resource-manager/docs/creating-managing-projects>. Those of organisations' own
/// domains begin with the domain.
fn given_project(text: Option<&str>) -> Result<Option<String>, Invalid> {
    let Some(id) = text.map(str::trim).filter(|id| !id.is_empty()) else { return Ok(None) };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
    if id.len() <= 100 && id.chars().all(fits) && id.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(Some(id.to_owned()));
    }
    Err(Invalid::new(PROJECT, "not a project's id: letters a to z, digits and hyphens, as in my-project-123"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Google {
        Google {
            client_id: Some("id".to_owned()),
            client_secret: Some("secret".into()),
            project: None,
            token_url: "http://127.0.0.1:1/token".to_owned(),
            issuer: "http://127.0.0.1:1/".to_owned(),
            sign_in_for: vec![scopes::CALENDAR.to_owned()],
            calendar_url: "https://www.googleapis.com/calendar/v3".to_owned(),
            calendar_per_minute: 10_000,
            calendar_per_user_per_minute: 600,
            calendar_per_day: 1_000_000,
            drive_url: "https://www.googleapis.com/drive/v3".to_owned(),
            drive_units_per_minute: 1_000_000,
            drive_units_per_user_per_minute: 325_000,
            drive_units_per_day: 400_000_000,
            kept_for_push: 20,
        }
    }

    #[test]
    fn arguments_bear_the_providers_name() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            google: Google,
        }
        let words = ["x", "--google-client-id", "i", "--google-client-secret", "s"];
        let program = <Program as clap::Parser>::try_parse_from(words).unwrap();
        let config = program.google.config().unwrap().unwrap();
        assert_eq!((config.client_id.as_str(), config.client_secret.expose_secret()), ("i", "s"));
        assert_eq!(config.token_url.as_str(), "https://oauth2.googleapis.com/token");
    }

    #[test]
    fn clients_of_one_project_count_together() {
        let project = |id: &str| {
            let args = Google { client_id: Some(id.to_owned()), ..args() };
            args.config().unwrap().unwrap().project().to_owned()
        };
        assert_eq!(project("123456-abc.apps.googleusercontent.com"), "123456");
        assert_eq!(project("123456-xyz.apps.googleusercontent.com"), "123456");
        for odd in ["fake-client", "-abc", "abc"] {
            assert_eq!(project(odd), odd);
        }
    }

    #[test]
    fn a_missing_slash_is_added() {
        let config = args().config().unwrap().unwrap();
        assert_eq!(config.calendar_url.as_str(), "https://www.googleapis.com/calendar/v3/");
        assert_eq!(config.issuer, "http://127.0.0.1:1", "an issuer has none");
        assert_eq!(config.drive_url.as_str(), "https://www.googleapis.com/drive/v3/");
    }

    #[test]
    fn no_client_is_no_configuration_and_half_a_client_an_error() {
        let none = Google { client_id: None, client_secret: None, ..args() };
        assert!(none.config().unwrap().is_none());
        let half = Google { client_secret: None, ..args() };
        assert!(half.config().unwrap_err().to_string().contains("CLIENT_SECRET: not set"));
    }

    #[test]
    fn addresses_that_would_leak_tokens_are_refused() {
        for bad in ["http://example.com/token", "ftp://127.0.0.1/", "nonsense", "https://example.com/?a=b"] {
            let args = Google { token_url: bad.to_owned(), ..args() };
            let error = args.config().unwrap_err().to_string();
            assert!(error.starts_with("SYNCFLEET_GOOGLE_TOKEN_URL: "), "{bad}: {error}");
            let other =
                Google { issuer: bad.to_owned(), token_url: "http://127.0.0.1:1/".to_owned(), ..args };
            let error = other.config().unwrap_err().to_string();
            assert!(error.starts_with("SYNCFLEET_GOOGLE_ISSUER: "), "{bad}: {error}");
        }
    }
}
