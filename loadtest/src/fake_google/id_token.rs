//! ID tokens, signed as Google signs them, and the keys to check them by: `OpenID` Connect Core 1.0, RFC 7515, RFC 7517.

use std::sync::LazyLock;

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rsa::{
    RsaPrivateKey,
    pkcs1v15::SigningKey,
    rand_core::OsRng,
    sha2::Sha256,
    signature::{SignatureEncoding, Signer},
    traits::PublicKeyParts,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    refusal::Refusal,
    world::{World, subject},
};

/// The name of the key.
const KEY_ID: &str = "fake-1";

/// The key of all fakes of a process: it takes a moment to draw, so it is drawn when the first token is signed. None: the
/// system gives no random numbers.
static KEY: LazyLock<Option<RsaPrivateKey>> = LazyLock::new(|| RsaPrivateKey::new(&mut OsRng, 2048).ok());

/// What is wrong with an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// Somebody else's signature.
    Signature,
    /// No signature at all, as its header says, too.
    Unsigned,
    /// Another issuer.
    Issuer,
    /// Another OAuth client's.
    Audience,
    /// Its time is over.
    Expired,
    /// Another sign-in's.
    Nonce,
    /// There is none.
    Missing,
    /// Google has not verified the address.
    Unverified,
}

/// `jwks_uri`.
pub(super) fn keys() -> Result<Value, Refusal> {
    let key = KEY.as_ref().ok_or_else(no_key)?;
    let part = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
    Ok(json!({"keys": [{
        "kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, "n": part(key.n()), "e": part(key.e()),
    }]}))
}

/// Who an account is, for the client that asks; `nonce` as the sign-in had it.
pub(super) fn claims(world: &World, account: usize, nonce: Option<&str>) -> Value {
    let account_of = &world.accounts[account];
    let now = world.now().timestamp();
    let mut claims = json!({
        "iss": world.issuer,
        "azp": account_of.client,
        "aud": account_of.client,
        "sub": subject(account),
        "iat": now,
        "exp": now + 3600,
    });
    if account_of.consent.has("email") {
        claims["email"] = json!(account_of.email);
        claims["email_verified"] = json!(true);
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    claims
}

/// Claims as a signed token.
pub(super) fn signed(claims: &Value) -> Result<String, Refusal> {
    let key = KEY.as_ref().ok_or_else(no_key)?;
    let head = part(&json!({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}));
    let text = format!("{head}.{}", part(claims));
    let signature = SigningKey::<Sha256>::new(key.clone()).sign(text.as_bytes()).to_vec();
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Makes something wrong with the ID token of an answer, if it has one.
pub(super) fn spoil(answer: &mut Value, wrong: Wrong) -> Result<(), Refusal> {
    let Some(token) = answer["id_token"].as_str().map(str::to_owned) else { return Ok(()) };
    let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let mut claims: Value = payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    match wrong {
        Wrong::Missing => {
            if let Some(fields) = answer.as_object_mut() {
                fields.remove("id_token");
            }
            return Ok(());
        }
        Wrong::Signature => {
            let (text, _) = token.rsplit_once('.').unwrap_or((&token, ""));
            answer["id_token"] = json!(format!("{text}.{}", URL_SAFE_NO_PAD.encode([7; 256])));
            return Ok(());
        }
        Wrong::Unsigned => {
            let head = part(&json!({"alg": "none", "typ": "JWT"}));
            answer["id_token"] = json!(format!("{head}.{}.", part(&claims)));
            return Ok(());
        }
        Wrong::Issuer => claims["iss"] = json!("https://accounts.example.com"),
        Wrong::Audience => claims["aud"] = json!("another-client"),
        Wrong::Expired => claims["exp"] = json!(claims["iat"].as_i64().unwrap_or_default() - 3600),
        Wrong::Nonce => claims["nonce"] = json!("another"),
        Wrong::Unverified => claims["email_verified"] = json!(false),
    }
    answer["id_token"] = json!(signed(&claims)?);
    Ok(())
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn no_key() -> Refusal {
    Refusal::oauth(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The fake has no key to sign with.")
}
