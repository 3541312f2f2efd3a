//! Settings: one clap struct per concern, each read from a flag or an environment variable, flag first. Only this module
//! reads the environment. Values that come from files and secrets often end in a line break, so all of them are trimmed.

mod database;
mod dns;
mod feed;
pub mod google;
mod keys;
pub mod listeners;
mod log;
mod objects;
mod proxies;
pub mod public_url;
mod redis;
mod retention;
mod tls;
mod webhooks;

use std::{ffi::OsString, fmt::Display, path::PathBuf, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::guard::Network;

pub use self::{
    database::Database,
    dns::{Dns, DnsAllow},
    feed::Feed,
    google::Google,
    keys::Keys,
    listeners::Listeners,
    log::{Log, LogFormat},
    objects::Objects,
    proxies::Proxies,
    public_url::PublicUrl,
    redis::Redis,
    retention::Retention,
    tls::Tls,
    webhooks::Webhooks,
};

/// A setting that is missing or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {why}")]
pub struct Invalid {
    /// The environment variable of the setting.
    pub setting: &'static str,
    /// What is wrong, and what would be right. Never the value of a secret.
    pub why: String,
}

impl Invalid {
    /// Names the setting and what is wrong with it.
    pub fn new(setting: &'static str, why: impl Display) -> Self {
        Self { setting, why: why.to_string() }
    }
}

/// The name of whoever runs the program, as the system's session tells it; none: it does not.
#[must_use]
pub fn user() -> Option<String> {
    ["USER", "LOGNAME"].into_iter().find_map(variable)
}

/// Whether colours are unwanted (<https://no-color.org>).
#[must_use]
pub fn no_color() -> bool {
    variable("NO_COLOR").is_some()
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A clap parser that forgives white space at both ends.
fn trimmed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|error: T::Err| error.to_string())
}

/// A clap parser for one of several networks. Nothing at all is no network, and no mistake: an empty variable is as good as none.
fn network(text: &str) -> Result<Option<Network>, String> {
    if text.trim().is_empty() { Ok(None) } else { trimmed(text).map(Some) }
}

/// A clap parser for what must not be printed. It accepts everything: clap repeats a value that it refuses.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a clap parser")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text.trim()))
}

/// The secret, if it is not empty: an empty variable is as good as none.
fn given(value: Option<&SecretString>) -> Option<&SecretString> {
    value.filter(|value| !value.expose_secret().is_empty())
}

/// Whether the address does not leave this machine.
pub(crate) fn local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Where `up` keeps its data unless it is told otherwise.
#[must_use]
pub fn data_folder() -> PathBuf {
    if let Some(home) = variable("XDG_DATA_HOME") {
        return PathBuf::from(home).join("syncfleet");
    }
    // The home of root is closed to the user that PostgreSQL must run as.
    match variable("HOME") {
        Some(home) if !rustix::process::geteuid().is_root() => {
            PathBuf::from(home).join(".local/share/syncfleet")
        }
        _ => PathBuf::from("/var/lib/syncfleet"),
    }
}

/// The folders that programs are looked for in.
#[must_use]
pub fn search_path() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    std::env::var_os("PATH").unwrap_or_default()
}
