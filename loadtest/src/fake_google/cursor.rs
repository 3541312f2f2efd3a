//! Sync tokens and page tokens: everything they mean is inside, so nothing has to be remembered for them.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Which collection a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Scope {
    /// The calendar list of an account (its index).
    List(usize),
    /// The events of a calendar (second index) as seen by an account (first index).
    Events(usize, usize),
}

/// "I have everything up to `version`, asked for with `params`."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SyncToken {
    pub(super) scope: Scope,
    /// Tokens of an earlier epoch have been invalidated.
    pub(super) epoch: u32,
    pub(super) version: u64,
    /// The parameters that later requests must repeat.
    pub(super) params: String,
}

/// "Go on with this list after `after`; at its end hand out `then`."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageToken {
    pub(super) then: SyncToken,
    /// The version of the sync token with which the list began; none for a full list.
    pub(super) since: Option<u64>,
    /// The last key (full list) or version (incremental list) that was looked at.
    pub(super) after: String,
    /// How many pages in a row began there: each has a token of its own.
    #[serde(default)]
    pub(super) turn: u32,
}

/// FNV-1a, enough to tell a token that was cut or edited.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Writes a token as opaque text.
pub(super) fn encode(token: &impl Serialize) -> String {
    let text = serde_json::to_string(token).unwrap_or_default();
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let hex: String = text.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    format!("{:08x}{hex}", checksum(&text))
}

/// Reads a token; none if it is not one of ours.
pub(super) fn decode<T: DeserializeOwned>(token: &str) -> Option<T> {
    let (sum, hex) = token.split_at_checked(8)?;
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes = (0..hex.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
    let text = String::from_utf8(bytes).ok()?;
    if u32::from_str_radix(sum, 16).ok()? != checksum(&text) {
        return None;
    }
    serde_json::from_str(&text).ok()
}
