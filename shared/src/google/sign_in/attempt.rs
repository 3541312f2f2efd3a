//! The secrets of one attempt to sign in. Two are drawn: the `state`, which goes to Google and comes back, and the browser's
//! own, which stays in its cookie. PKCE's verifier and the nonce are made of both, so that the database need not keep them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};

use super::SignInError;

/// Bytes of a secret.
const LEN: usize = 32;

/// A value of 256 random bits, as 43 characters of base64url.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Draws one.
    pub fn draw() -> Result<Self, SignInError> {
        let mut bytes = [0; LEN];
        SystemRandom::new().fill(&mut bytes).map_err(|_| SignInError::Random)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// One that came from outside; none: it has not the shape of one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == LEN).then(|| Self(text.into()))
    }

    /// The value.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What may be kept of it: it was drawn from so many that nobody finds it by its SHA-256.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.expose().as_bytes()).as_ref().to_vec()
    }
}

/// One attempt of one browser.
#[derive(Debug, Clone)]
pub struct Attempt {
    state: Secret,
    browser: Secret,
}

impl Attempt {
    /// A new attempt of this browser.
    pub fn new(browser: Secret) -> Result<Self, SignInError> {
        Ok(Self { state: Secret::draw()?, browser })
    }

    /// The attempt that a browser comes back with.
    #[must_use]
    pub const fn resumed(state: Secret, browser: Secret) -> Self {
        Self { state, browser }
    }

    /// What goes to Google and comes back.
    #[must_use]
    pub const fn state(&self) -> &SecretString {
        &self.state.0
    }

    /// By which the state is known again.
    #[must_use]
    pub fn state_hash(&self) -> Vec<u8> {
        self.state.hash()
    }

    /// By which the browser is known again.
    #[must_use]
    pub fn browser_hash(&self) -> Vec<u8> {
        self.browser.hash()
    }

    /// PKCE's verifier: 43 characters (RFC 7636, section 4.1).
    pub(super) fn verifier(&self) -> SecretString {
        self.derived("pkce")
    }

    /// What the ID token must repeat.
    pub(super) fn nonce(&self) -> SecretString {
        self.derived("nonce")
    }

    fn derived(&self, what: &str) -> SecretString {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.browser.expose().as_bytes());
        let text = format!("{what} {}", self.state.expose());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes())).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_alike_and_only_their_shape_is_taken() {
        let (one, other) = (Secret::draw().unwrap(), Secret::draw().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(Secret::read(one.expose()).unwrap().hash(), one.hash());
        for bad in ["", "a", &one.expose()[1..], &format!("{}A", one.expose()), &"=".repeat(43)] {
            assert!(Secret::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn verifier_and_nonce_are_an_attempts_own_and_tell_nothing_of_it() {
        let browser = Secret::draw().unwrap();
        let one = Attempt::new(browser.clone()).unwrap();
        let other = Attempt::new(browser.clone()).unwrap();
        let again = Attempt::resumed(Secret::read(one.state().expose_secret()).unwrap(), browser.clone());
        let text = |secret: SecretString| secret.expose_secret().to_owned();
        assert_eq!(text(one.verifier()), text(again.verifier()));
        assert_eq!(text(one.verifier()).len(), 43);
        let all = [
            text(one.verifier()),
            text(one.nonce()),
            text(other.verifier()),
            text(other.nonce()),
            browser.expose().to_owned(),
            one.state().expose_secret().to_owned(),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert!(!format!("{one:?}").contains(&all[5]), "{one:?}");
    }
}
