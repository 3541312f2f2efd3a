use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// A secret is no good for signing. It is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a signing secret: it is whsec_ and the base64 of 24 to 64 random bytes, as from: echo \"whsec_$(head -c 32 /dev/urandom | base64)\""
)]
pub struct BadSecret;

/// The secret that sender and receiver of a webhook share.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme>
#[derive(Debug, Clone)]
pub struct SigningSecret(SecretString);

impl SigningSecret {
    /// A new one.
    pub fn generate() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", STANDARD.encode(bytes)).into()))
    }

    /// Reads `whsec_…`.
    pub fn parse(text: &SecretString) -> Result<Self, BadSecret> {
        let secret = Self(text.expose_secret().trim().into());
        secret.key().map(|_| secret)
    }

    /// As it is shown once, and as the receiver has it.
    #[must_use]
    pub const fn text(&self) -> &SecretString {
        &self.0
    }

    fn key(&self) -> Result<hmac::Key, BadSecret> {
        let encoded = self.0.expose_secret().strip_prefix(PREFIX).ok_or(BadSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| BadSecret)?;
        if (24..=64).contains(&bytes.len()) {
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        } else {
            Err(BadSecret)
        }
    }

    /// The header `webhook-signature` of a message; `timestamp` in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> Result<String, BadSecret> {
        let tag = hmac::sign(&self.key()?, format!("{id}.{timestamp}.{body}").as_bytes());
        Ok(format!("v1,{}", STANDARD.encode(tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference implementations, with their result:
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/rust/src/lib.rs>.
    #[test]
    fn a_signature_is_that_of_the_reference() {
        let secret = SigningSecret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".into()).unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_secret_can_be_read_and_no_two_are_alike() {
        let [one, two] = [(); 2].map(|()| SigningSecret::generate().unwrap());
        assert!(SigningSecret::parse(one.text()).is_ok());
        assert_ne!(one.text().expose_secret(), two.text().expose_secret());
        assert!(!format!("{one:?}").contains(one.text().expose_secret()));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for bad in
            ["", "hunter2", "whsec_", "whsec_hunter2!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &short, &long]
        {
            let error = SigningSecret::parse(&bad.into()).unwrap_err().to_string();
            assert!(error.contains("24 to 64") && !error.contains("hunter2"), "{bad}: {error}");
        }
    }
}
