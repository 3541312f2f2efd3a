//! An access token of a service account (<https://developers.google.com/identity/protocols/oauth2/service-account#httprest>).
//!
//! The key signs an assertion (RFC 7523), which is changed for a token where the key file says. The file is a tenant's: the endpoint is
//! Google's, or an address whose network is allowed by name, and it is called as providers are: looked at, in limits, without
//! redirects.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use reqwest::Method;
use rustls::{
    SignatureScheme,
    crypto::ring::sign::RsaSigningKey,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    sign::SigningKey as _,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::{Host, Url};
use yup_oauth2::ServiceAccountKey;

use crate::{
    dns::{
        Answer, Http, Outcome, Park,
        http::{Auth, Request},
        outcome::said,
    },
    google::workspace::Key,
};

/// What the token may do: change records, and nothing else.
const SCOPE: &str = "https://www.googleapis.com/auth/ndev.clouddns.readwrite";

/// How long an assertion is good for, in seconds: the most that is allowed.
const LIFETIME: i64 = 3600;

/// What is exchanged: RFC 7523 section 2.1.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Asks for a token by a key file.
pub(super) async fn token(
    http: &Http,
    secret: &SecretString,
    now: DateTime<Utc>,
) -> Result<SecretString, Answer> {
    let key = Key::parse(secret).map_err(|error| Answer::park(Park::BadAuth, error.to_string()))?;
    let key = key.service_account();
    let url = key.token_uri.parse().ok().filter(|url| may_be_called(http, url)).ok_or_else(|| {
        Answer::park(Park::BadSetting, "token_uri of the key file is not Google's: download the key again")
    })?;
    let assertion = assertion(&key, now)
        .ok_or_else(|| Answer::park(Park::BadAuth, "private_key of the key file cannot sign"))?;
    let untold = |why: &str| Answer::retry(said(&format!("no access token: {why}"), &assertion));
    let mut reply =
        http.send(exchange(url, &assertion), secret).await.map_err(|answer| match answer.outcome {
            Outcome::Retry => untold(&answer.said),
            _ => answer,
        })?;
    let body = reply.json().unwrap_or_default();
    if let Some(error) = body["error"].as_str() {
        return Err(refusal(error, body["error_description"].as_str().unwrap_or_default(), &assertion));
    }
    match body["access_token"].as_str() {
        Some(token) if reply.status.is_success() && !token.is_empty() => Ok(token.into()),
        // Of the answer itself nothing is told: a token may stand in it.
        _ if reply.status.is_success() && reply.is_page() => Err(untold("a web page came instead")),
        _ if reply.status.is_success() => Err(untold("the answer has none")),
        _ => {
            reply.body.clear();
            Err(untold(&reply.by_status("").said))
        }
    }
}

/// RFC 7523 section 2.1.
fn exchange(url: Url, assertion: &str) -> Request {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([("grant_type", GRANT), ("assertion", assertion)]);
    let mut request = Request::new(Method::POST, url, Auth::None);
    request.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    request.body = Some(form.finish());
    request
}

fn may_be_called(http: &Http, url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            url.scheme() == "https" && (name == "googleapis.com" || name.ends_with(".googleapis.com"))
        }
        Some(Host::Ipv4(address)) => http.guard.is_named(address.into()),
        Some(Host::Ipv6(address)) => http.guard.is_named(address.into()),
        None => false,
    }
}

/// Header, claims and signature: RFC 7519, RFC 7515.
fn assertion(key: &ServiceAccountKey, now: DateTime<Utc>) -> Option<String> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (from, until) = (now.timestamp(), now.timestamp() + LIFETIME);
    let claims = json!({
        "iss": key.client_email, "scope": SCOPE, "aud": key.token_uri, "iat": from, "exp": until,
    });
    let signed = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
    let private = PrivateKeyDer::from_pem_slice(key.private_key.as_bytes()).ok()?;
    let signer = RsaSigningKey::new(&private).ok()?.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
    let signature = signer.sign(signed.as_bytes()).ok()?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-error-codes>
fn refusal(error: &str, description: &str, assertion: &str) -> Answer {
    let told = said(&format!("no access token: {error} {description}"), assertion);
    match error {
        "invalid_grant" if description.contains("timeframe") => Answer::park(Park::BadTime, told),
        "invalid_grant"
        | "invalid_client"
        | "unauthorized_client"
        | "access_denied"
        | "disabled_client"
        | "deleted_client" => Answer::park(Park::BadAuth, told),
        _ => Answer::retry(told),
    }
}
