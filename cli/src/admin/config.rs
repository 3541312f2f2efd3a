//! `config check`: the settings in effect, where they come from, and whether what they name is there and fit.

use std::time::Duration;

use clap::{ArgMatches, Command, CommandFactory, Subcommand, parser::ValueSource};
use serde::Serialize;
use shared::{
    admin::check::{self, Check},
    config, tls,
};
use url::Url;

use crate::{
    command::Cli,
    exit::Exit,
    output::{Output, json, line},
};

/// How long the object store may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The settings
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet config check
  DATABASE_URL=postgres://localhost/syncfleet syncfleet config check -o json")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the settings in effect, and check what they name; exit code 1 if anything is wrong
    Check(Settings),
}

#[derive(Debug, clap::Args)]
struct Settings {
    #[command(flatten)]
    database: config::Database,
    #[command(flatten)]
    redis: config::Redis,
    #[command(flatten)]
    log: config::Log,
    #[command(flatten)]
    listeners: config::Listeners,
    #[command(flatten)]
    public_url: config::PublicUrl,
    #[command(flatten)]
    retention: config::Retention,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
    #[command(flatten)]
    webhooks: config::Webhooks,
    #[command(flatten)]
    dns: config::Dns,
    #[command(flatten)]
    feed: config::Feed,
    #[command(flatten)]
    proxies: config::Proxies,
    #[command(flatten)]
    objects: config::Objects,
}

/// A setting in effect.
#[derive(Debug, Serialize)]
struct Setting {
    /// The environment variable.
    name: String,
    /// The flag.
    flag: String,
    /// Its value, secrets masked; none: not set.
    value: Option<String>,
    /// flag, environment, default or unset.
    from: &'static str,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    settings: Vec<Setting>,
    checks: Vec<Check>,
}

/// Runs the noun.
pub async fn run(args: &Args, matches: &ArgMatches, out: Output) -> anyhow::Result<Exit> {
    let Verb::Check(settings) = &args.verb;
    let checks = checks(settings).await;
    let report = Report { ok: checks.iter().all(|check| check.ok), settings: in_effect(matches), checks };
    if out.is_table() {
        out.list(&report.settings, "no settings", &["SETTING", "FLAG", "VALUE", "FROM"], |setting| {
            vec![
                setting.name.clone(),
                setting.flag.clone(),
                setting.value.clone().unwrap_or_else(|| "-".to_owned()),
                setting.from.to_owned(),
            ]
        })?;
        line("")?;
        out.list(&report.checks, "no checks", &["CHECK", "", "FOUND"], |check| {
            let mark = if check.ok { "ok" } else { "WRONG" };
            vec![check.setting.to_owned(), mark.to_owned(), check.found.clone()]
        })?;
    } else {
        json(&report)?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

async fn checks(settings: &Settings) -> Vec<Check> {
    let url = settings.database.required();
    vec![
        match &url {
            Ok(url) => check::database(url).await,
            Err(invalid) => Check::new(invalid.setting, Err(invalid.why.clone())),
        },
        match &url {
            Ok(url) => check::connections(url, settings.database.database_connections).await,
            Err(_) => Check::new(
                "SYNCFLEET_DATABASE_CONNECTIONS",
                Ok("not checked: there is no database to ask".to_owned()),
            ),
        },
        match settings.redis.url() {
            Ok(Some(url)) => check::redis(&url).await,
            Ok(None) => Check::new(
                "REDIS_URL",
                Ok("not set: `up` needs none; separate processes find their work through PostgreSQL, slower"
                    .to_owned()),
            ),
            Err(invalid) => Check::new(invalid.setting, Err(invalid.why)),
        },
        Check::new("SYNCFLEET_PUBLIC_URL", public_url(&settings.public_url)),
        Check::new("SYNCFLEET_KEYS", keys(&settings.keys)),
        Check::new("SYNCFLEET_GOOGLE_CLIENT_ID", google(&settings.google)),
        Check::new("SYNCFLEET_CA_FILE", Ok(trusted())),
        Check::new("SYNCFLEET_OBJECTS", objects(&settings.objects).await),
    ]
}

fn public_url(public_url: &config::PublicUrl) -> Result<String, String> {
    match public_url.url() {
        Ok(Some(url)) => Ok(format!("the outside calls {url}")),
        Ok(None) => Ok("not set: nobody can sign in on a page; nothing is pushed, all is polled".to_owned()),
        Err(invalid) => Err(invalid.why),
    }
}

fn keys(keys: &config::Keys) -> Result<String, String> {
    if !keys.is_set() {
        return Ok("not set: whoever adds or syncs accounts needs a key ring".to_owned());
    }
    let ring = keys.key_ring().map_err(|error| format!("{error:#}"))?;
    let ids: Vec<_> = ring.ids().collect();
    Ok(format!("readable: {}; the first one seals", ids.join(", ")))
}

async fn objects(objects: &config::Objects) -> Result<String, String> {
    let store = objects.open().map_err(|error| format!("{error:#}"))?;
    let Some(store) = store else { return Ok("not set: contents of files are not stored".to_owned()) };
    match tokio::time::timeout(PATIENCE, store.check()).await {
        Ok(Ok(())) => Ok("an object can be written, read and removed".to_owned()),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// A file that cannot be used was refused before.
fn trusted() -> String {
    match tls::beside() {
        Some(beside) => format!("certificates that are trusted beside the system's: {}", beside.count()),
        None => "not set: the system's certificates are trusted".to_owned(),
    }
}

fn google(google: &config::Google) -> Result<String, String> {
    match google.config() {
        Ok(Some(google)) => Ok(format!("complete; accounts sign in at {}", google.issuer)),
        Ok(None) => Ok("not set: Google accounts are not synced".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// All settings of `config check`, whatever they are: clap knows them.
fn in_effect(matches: &ArgMatches) -> Vec<Setting> {
    let mut root = Cli::command();
    root.build();
    let found = root.find_subcommand("config").and_then(|config| config.find_subcommand("check"));
    let given = matches.subcommand_matches("config").and_then(|config| config.subcommand_matches("check"));
    let (Some(check), Some(given)) = (found, given) else { return Vec::new() };
    settings(check, given)
}

fn settings(check: &Command, given: &ArgMatches) -> Vec<Setting> {
    let mut settings = Vec::new();
    for arg in check.get_arguments() {
        let Some(variable) = arg.get_env() else { continue };
        let id = arg.get_id().as_str();
        let raw = given.get_raw(id).and_then(|mut values| values.next());
        let value =
            raw.map(|value| value.to_string_lossy().trim().to_owned()).filter(|value| !value.is_empty());
        let from = match given.value_source(id) {
            _ if value.is_none() => "unset",
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            _ => "default",
        };
        settings.push(Setting {
            name: variable.to_string_lossy().into_owned(),
            flag: format!("--{}", arg.get_long().unwrap_or(id)),
            value: value.map(|value| if arg.is_hide_env_values_set() { masked(&value) } else { value }),
            from,
        });
    }
    settings
}

/// A secret's shape: of a URL all but its password, of anything else nothing.
fn masked(secret: &str) -> String {
    const MASK: &str = "***";
    let Ok(mut url) = Url::parse(secret) else { return MASK.to_owned() };
    if url.host_str().is_none() || (url.password().is_some() && url.set_password(Some(MASK)).is_err()) {
        return MASK.to_owned();
    }
    // Drivers take passwords from the query, too.
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        assert_eq!(masked("postgres://u:hunter2@h:1/d"), "postgres://u:***@h:1/d");
        assert_eq!(masked("postgres://h/d?password=hunter2"), "postgres://h/d?***");
        assert_eq!(masked("redis://h:6379/0"), "redis://h:6379/0");
        assert_eq!(masked("hunter2"), "***");
        assert_eq!(masked("scheme:hunter2"), "***");
    }
}
