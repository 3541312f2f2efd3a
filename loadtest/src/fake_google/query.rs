//! Query parameters of list calls.

use super::refusal::Refusal;

/// Standard parameters of every Google API; they do not change what a list means.
const STANDARD: [&str; 6] = ["alt", "fields", "key", "prettyPrint", "quotaUser", "userIp"];

/// The parameters of one call, in order; a name may occur more than once.
pub(super) struct Params(pub(super) Vec<(String, String)>);

impl Params {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A flag, false when missing.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::invalid(&format!("Invalid boolean value: {name}={other}"))),
        }
    }

    /// `maxResults`, cut to the most that the call allows.
    pub(super) fn max_results(&self, usual: usize, most: usize) -> Result<usize, Refusal> {
        match self.get("maxResults").map(str::parse) {
            None => Ok(usual.min(most)),
            Some(Ok(wanted)) if wanted > 0 => Ok(usize::min(wanted, most)),
            Some(_) => Err(Refusal::invalid("Invalid value for maxResults: a positive integer is needed")),
        }
    }

    /// Refuses parameters that the call does not know.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self
            .0
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()) && !STANDARD.contains(&key.as_str()))
        {
            Some((key, _)) => Err(Refusal::bad_request(&format!("Unknown parameter: {key}"))),
            None => Ok(()),
        }
    }

    /// Refuses parameters that cannot be sent along with a sync token.
    pub(super) fn none_with_sync_token(&self, forbidden: &[&str]) -> Result<(), Refusal> {
        match self.0.iter().find(|(key, _)| forbidden.contains(&key.as_str())) {
            Some((key, _)) => Err(Refusal::bad_request(&format!(
                "The parameter {key} cannot be used together with syncToken."
            ))),
            None => Ok(()),
        }
    }

    /// The named parameters as one text, to compare with those of an earlier call.
    pub(super) fn repeated(&self, names: &[&str]) -> String {
        let mut kept: Vec<_> = self
            .0
            .iter()
            .filter(|(key, value)| names.contains(&key.as_str()) && value != "false")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        kept.sort();
        kept.join("&")
    }
}
