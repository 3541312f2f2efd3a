//! Query parameters of list calls.

use super::refusal::Refusal;

/// Standard parameters of every Google API; they do not change what a list means.
const STANDARD: [&str; 6] = ["alt", "fields", "key", "prettyPrint", "quotaUser", "userIp"];

/// Parameters that may come more than once.
const REPEATABLE: [&str; 3] = ["eventTypes", "privateExtendedProperty", "sharedExtendedProperty"];

/// The parameters of one call, in order; a name may occur more than once.
#[derive(Debug)]
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

    /// `maxResults`. Google takes more than the most for the most; here it is an error, so that tests notice.
    pub(super) fn max_results(&self, usual: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.get("maxResults") else { return Ok(usual) };
        let wanted = text.parse().ok().filter(|wanted| (1..=most).contains(wanted));
        wanted.ok_or_else(|| {
            Refusal::invalid(&format!("Invalid value '{text}' for maxResults: 1 to {most} is allowed."))
        })
    }

    /// Refuses parameters that the call does not know, and those that it takes once and that come twice.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let is_known = |key: &str| known.contains(&key) || STANDARD.contains(&key);
        if let Some((key, _)) = self.0.iter().find(|(key, _)| !is_known(key)) {
            return Err(Refusal::bad_request(&format!("Unknown parameter: {key}")));
        }
        let count = |name: &str| self.0.iter().filter(|(key, _)| key == name).count();
        match self.0.iter().find(|(key, _)| !REPEATABLE.contains(&key.as_str()) && count(key) > 1) {
            Some((key, _)) => Err(Refusal::bad_request(&format!("The parameter {key} is given twice."))),
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
