//! Who the account is, as the token endpoint tells it: `OpenID` Connect Core 1.0.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// What an ID token says of its owner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    /// Google's lasting id of the account: never used again, never changed.
    pub(super) sub: String,
    /// Its address, if the grant has the scope `email`.
    pub(super) email: Option<String>,
}

/// The claims of an ID token; none: it is not one.
///
/// It came straight from the token endpoint over TLS, which stands for its signature:
/// <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>, item 6.
pub(super) fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&json).ok()?;
    // At most 255 ASCII characters (section 2).
    ((1..=255).contains(&claims.sub.len()) && claims.sub.is_ascii()).then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_subject_and_perhaps_an_address_are_read() {
        let full = claims(&token(r#"{"sub": "12", "email": "a@b.c", "aud": "x"}"#)).unwrap();
        assert_eq!((full.sub.as_str(), full.email.as_deref()), ("12", Some("a@b.c")));
        assert_eq!(claims(&token(r#"{"sub": "12"}"#)).unwrap().email, None);
    }

    #[test]
    fn what_is_no_id_token_says_nothing() {
        for text in ["", "a.b", "e30.!.x", &token("{}"), &token(r#"{"sub": ""}"#), &token("sub")] {
            assert_eq!(claims(text), None, "{text}");
        }
    }
}
