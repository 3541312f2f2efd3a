//! What accounts have granted, and what the token endpoint makes of it.

use std::collections::VecDeque;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::World;

/// Live refresh tokens of an account at one OAuth client; one more, and the oldest stops working without a word.
/// <https://developers.google.com/identity/protocols/oauth2#expiration>
const GRANTS_PER_ACCOUNT: usize = 100;

/// How the token endpoint answers an account's refreshes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// What was granted. With `openid` an ID token comes along, with `email` its address, too.
    pub scopes: Vec<String>,
    /// Whether each refresh hands out a new refresh token and kills the old one.
    #[serde(default)]
    pub rotates: bool,
    /// How long the refresh token is good, where access was granted for a time only. It is only told, not kept to.
    #[serde(default)]
    pub refresh_token_expires_in_s: Option<u64>,
}

impl Default for Consent {
    fn default() -> Self {
        Self::to(&["https://www.googleapis.com/auth/calendar.readonly"])
    }
}

impl Consent {
    /// These scopes, for ever.
    #[must_use]
    pub fn to(scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Self { scopes, rotates: false, refresh_token_expires_in_s: None }
    }

    pub(in crate::fake_google) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|had| had == scope)
    }
}

impl World {
    /// Google's lasting id of an account, as in its ID tokens.
    pub fn subject(&self, email: &str) -> anyhow::Result<String> {
        Ok(subject(self.account_index(email)?))
    }

    /// What an account grants from now on.
    pub fn set_consent(&mut self, email: &str, consent: Consent) -> anyhow::Result<()> {
        let index = self.account_index(email)?;
        self.accounts[index].consent = consent;
        Ok(())
    }

    /// The user signs in once more, elsewhere: one more live refresh token. The 101st kills the oldest.
    pub fn grant(&mut self, email: &str, refresh_token: &str) -> anyhow::Result<()> {
        let index = self.account_index(email)?;
        ensure!(!self.by_refresh_token.contains_key(refresh_token), "the refresh token of {email} is in use");
        self.by_refresh_token.insert(refresh_token.to_owned(), index);
        let tokens = &mut self.accounts[index].refresh_tokens;
        tokens.push_back(refresh_token.to_owned());
        if tokens.len() > GRANTS_PER_ACCOUNT
            && let Some(oldest) = tokens.pop_front()
        {
            self.by_refresh_token.remove(&oldest);
        }
        Ok(())
    }

    /// A new refresh token in place of this one.
    pub(in crate::fake_google) fn rotate(&mut self, account: usize, old: &str) -> String {
        let new = format!("1//fake-{}", self.draw_id());
        self.by_refresh_token.remove(old);
        self.by_refresh_token.insert(new.clone(), account);
        let tokens: &mut VecDeque<String> = &mut self.accounts[account].refresh_tokens;
        for token in tokens.iter_mut().filter(|token| *token == old) {
            token.clone_from(&new);
        }
        new
    }
}

/// 21 digits, as Google's are.
pub(in crate::fake_google) fn subject(account: usize) -> String {
    format!("1{:020}", account + 1)
}
