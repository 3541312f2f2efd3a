//! Settings of a provider: typed flags, `--set key=value`, or a file.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Map, Value};
use shared::{
    admin::dns::settings,
    dns::{Provider, provider},
};

use crate::exit::Usage;

/// What a provider needs to know beside its secret; `syncfleet dns providers` lists it.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// The URL that is called
    #[arg(long, help_heading = "Provider")]
    url: Option<String>,
    /// The user that the secret belongs to
    #[arg(long, help_heading = "Provider")]
    user: Option<String>,
    /// The zone: its domain, of Google Cloud its name
    #[arg(long, help_heading = "Provider")]
    zone: Option<String>,
    /// The zone's id
    #[arg(long, value_name = "ID", help_heading = "Provider")]
    zone_id: Option<String>,
    /// The zone's primary server, with :PORT if it is not 53
    #[arg(long, help_heading = "Provider")]
    server: Option<String>,
    /// The name of the server's key
    #[arg(long, help_heading = "Provider")]
    key: Option<String>,
    /// The key's algorithm: hmac-sha256, hmac-sha384 or hmac-sha512
    #[arg(long, help_heading = "Provider")]
    algorithm: Option<String>,
    /// Any setting, as proxied=true; may be repeated. A value that is no text is JSON, an empty one takes the setting away
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair, help_heading = "Provider")]
    set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| "give it as KEY=VALUE, as proxied=true".to_owned())
}

impl Flags {
    /// All of them, those with flags of their own first.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let own = [
            ("url", &self.url),
            ("user", &self.user),
            ("zone", &self.zone),
            ("zone_id", &self.zone_id),
            ("server", &self.server),
            ("key", &self.key),
            ("algorithm", &self.algorithm),
        ];
        own.into_iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| (key.to_owned(), value.trim().to_owned())))
            .chain(self.set.iter().cloned())
            .collect()
    }

    /// Whether anything is given.
    pub fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }
}

/// A provider of a name, of settings over those of a file. What makes no sense is wrong usage.
pub fn provider(name: Option<&str>, file: Option<&PathBuf>, flags: &Flags) -> anyhow::Result<Provider> {
    let mut base = match file {
        Some(path) => read(path)?,
        None => Map::new(),
    };
    if let Some(name) = name {
        base.insert("provider".to_owned(), Value::String(name.trim().to_owned()));
    }
    if !base.contains_key("provider") {
        let what = format!("--provider is missing: allowed are {}", provider::NAMES.join(", "));
        return Err(Usage(what).into());
    }
    settings::read(base, &flags.pairs()).map_err(|error| {
        let which = name
            .map_or_else(|| file.map_or_else(String::new, |file| file.display().to_string()), str::to_owned);
        Usage(format!("{which}: {error}; `syncfleet dns providers` lists the settings")).into()
    })
}

fn read(path: &PathBuf) -> anyhow::Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(settings)) => Ok(settings),
        Ok(_) => Err(Usage(format!("{}: the settings are a JSON object", path.display())).into()),
        // Not the text itself: it may hold a secret.
        Err(error) => Err(Usage(format!(
            "{}: no JSON: line {}, column {}",
            path.display(),
            error.line(),
            error.column()
        ))
        .into()),
    }
}
