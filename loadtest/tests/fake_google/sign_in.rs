//! Consent, codes, ID tokens and revocation, as a client sees them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use loadtest::fake_google::Options;
use reqwest::{Client, Response, header, redirect::Policy};
use ring::{digest, signature};
use serde_json::{Value, json};

use crate::client::{ME, Setup, refresh, setup};

const BACK: &str = "http://127.0.0.1:9/oauth2/callback";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";
const READ: &str = "https://www.googleapis.com/auth/calendar.readonly";
const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events.readonly";
const NEW: &str = "new@example.com";

fn http() -> Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(Policy::none()).build().unwrap()
}

fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The page of consent's parameters, with some in place of the good ones.
fn asked(setup: &Setup, other: &[(&str, &str)]) -> Vec<(String, String)> {
    let scope = format!("openid email {READ} {EVENTS}");
    let challenge = sha256(VERIFIER);
    let mut query = vec![
        ("client_id", setup.google.options().client_id.as_str()),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", &scope),
        ("state", "a state"),
        ("nonce", "n-1"),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    query.retain(|(key, _)| other.iter().all(|(name, _)| name != key));
    query.extend_from_slice(other);
    query.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The page's address.
fn address(setup: &Setup, other: &[(&str, &str)]) -> url::Url {
    let base = format!("{}/o/oauth2/v2/auth", setup.google.base_url());
    url::Url::parse_with_params(&base, asked(setup, other)).unwrap()
}

async fn page(setup: &Setup, other: &[(&str, &str)]) -> Response {
    http().get(address(setup, other)).send().await.unwrap()
}

/// Decides on the page, and answers where that leads.
async fn decide(setup: &Setup, other: &[(&str, &str)], form: &[(&str, &str)]) -> url::Url {
    let response = http().post(address(setup, other)).form(form).send().await.unwrap();
    assert_eq!(response.status(), 302);
    response.headers()[header::LOCATION].to_str().unwrap().parse().unwrap()
}

fn parameter(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A code for a scope.
async fn code(setup: &Setup, other: &[(&str, &str)], scope: &str) -> String {
    let url = decide(setup, other, &[("account", NEW), ("decision", "allow"), ("scope", scope)]).await;
    parameter(&url, "code").unwrap()
}

async fn exchange(setup: &Setup, code: &str, other: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", BACK),
    ];
    form.retain(|(key, _)| other.iter().all(|(name, _)| name != key));
    form.extend_from_slice(other);
    let mut all = vec![("refresh_token", "")];
    all.extend(form);
    refresh(&setup.google, &setup.http, &all).await
}

async fn with_new() -> Setup {
    let setup = setup(Options::default()).await;
    setup.google.world().add_person(NEW).unwrap();
    setup
}

#[tokio::test]
async fn a_page_asks_for_account_and_scopes_and_refuses_what_is_not_right() {
    let setup = with_new().await;
    let good = page(&setup, &[("login_hint", NEW)]).await;
    assert_eq!(good.status(), 200);
    let text = good.text().await.unwrap();
    assert!(text.contains(&format!("value=\"{NEW}\" checked")), "{text}");
    assert!(text.contains(READ) && text.contains(ME) && !text.contains("value=\"openid\""), "{text}");
    for (name, value, error) in [
        ("client_id", "nobody", "invalid_client"),
        ("redirect_uri", "mailto:a", "redirect_uri_mismatch"),
        ("response_type", "token", "unsupported_response_type"),
        ("scope", "", "Missing: scope"),
        ("code_challenge_method", "plain", "S256 only"),
        ("made_up", "1", "Unknown parameter: made_up"),
    ] {
        let bad = page(&setup, &[(name, value)]).await;
        assert_eq!(bad.status(), 400, "{name}");
        let text = bad.text().await.unwrap();
        assert!(text.contains(error), "{name}: {text}");
    }
    let client = setup.google.options().client_id.clone();
    setup.google.world().set_redirect_uris(&client, &["https://a.example/b".to_owned()]).unwrap();
    assert_eq!(page(&setup, &[]).await.status(), 400);
    assert_eq!(page(&setup, &[("redirect_uri", "https://a.example/b")]).await.status(), 200);
}

#[tokio::test]
async fn a_refusal_leads_back_with_the_state() {
    let setup = with_new().await;
    let back = decide(&setup, &[], &[("account", NEW), ("decision", "deny")]).await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("a state"));
    assert_eq!(parameter(&back, "code"), None);
}

#[tokio::test]
async fn case_01_a_code_is_good_once_for_its_client_its_address_and_its_verifier() {
    let setup = with_new().await;
    let good = code(&setup, &[], EVENTS).await;
    let (status, answer) = exchange(&setup, &good, &[]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["scope"], json!(format!("openid email {EVENTS}")));
    assert!(answer["refresh_token"].is_string());
    setup.google.world().add_client("other", "other-secret");
    for (other, status, error) in
        [(&[][..], 400, "invalid_grant"), (&[("code", "made-up")][..], 400, "invalid_grant")]
    {
        let (got, answer) = exchange(&setup, &good, other).await;
        assert_eq!((got, answer["error"].as_str().unwrap()), (status, error), "{other:?}");
    }
    for (other, error) in [
        (&[("code_verifier", "another")][..], "invalid_grant"),
        (&[("redirect_uri", "http://127.0.0.1:9/")], "redirect_uri_mismatch"),
        (&[("client_id", "other"), ("client_secret", "other-secret")], "invalid_grant"),
    ] {
        let code = code(&setup, &[], EVENTS).await;
        let (status, answer) = exchange(&setup, &code, other).await;
        assert_eq!((status, answer["error"].as_str().unwrap()), (400, error), "{other:?}");
    }
    let old = code(&setup, &[], EVENTS).await;
    setup.google.world().expire_codes();
    assert_eq!(exchange(&setup, &old, &[]).await.0, 400);
}

#[tokio::test]
async fn case_02_a_second_consent_has_a_refresh_token_only_if_it_is_asked_for_anew() {
    let setup = with_new().await;
    let quiet = [("prompt", "none")];
    let first = code(&setup, &quiet, EVENTS).await;
    assert!(exchange(&setup, &first, &[]).await.1["refresh_token"].is_string());
    let second = code(&setup, &quiet, EVENTS).await;
    assert!(exchange(&setup, &second, &[]).await.1.get("refresh_token").is_none());
    let asked = code(&setup, &[], EVENTS).await;
    assert!(exchange(&setup, &asked, &[]).await.1["refresh_token"].is_string());
    let online = code(&setup, &[("access_type", "online")], EVENTS).await;
    assert!(exchange(&setup, &online, &[]).await.1.get("refresh_token").is_none());
}

#[tokio::test]
async fn scopes_that_were_granted_before_come_along_when_that_is_asked_for() {
    let setup = with_new().await;
    let all = [("include_granted_scopes", "true")];
    let one = code(&setup, &all, EVENTS).await;
    assert_eq!(exchange(&setup, &one, &[]).await.1["scope"], json!(format!("openid email {EVENTS}")));
    let two = code(&setup, &all, READ).await;
    let (_, answer) = exchange(&setup, &two, &[]).await;
    assert_eq!(answer["scope"], json!(format!("openid email {READ} {EVENTS}")));
    let alone = code(&setup, &[], READ).await;
    assert_eq!(exchange(&setup, &alone, &[]).await.1["scope"], json!(format!("openid email {READ}")));
}

/// The claims of an ID token whose signature is that of the published key.
async fn claims(setup: &Setup, token: &str) -> Value {
    let parts: Vec<_> = token.split('.').collect();
    let read = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let head: Value = serde_json::from_slice(&read(parts[0])).unwrap();
    let document: Value = setup
        .http
        .get(format!("{}/.well-known/openid-configuration", setup.google.base_url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let keys: Value =
        setup.http.get(document["jwks_uri"].as_str().unwrap()).send().await.unwrap().json().await.unwrap();
    let key = &keys["keys"][0];
    assert_eq!((&key["kid"], &head["alg"]), (&head["kid"], &json!("RS256")));
    let part = |name: &str| read(key[name].as_str().unwrap());
    let public = signature::RsaPublicKeyComponents { n: part("n"), e: part("e") };
    let text = format!("{}.{}", parts[0], parts[1]);
    public.verify(&signature::RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &read(parts[2])).unwrap();
    let claims: Value = serde_json::from_slice(&read(parts[1])).unwrap();
    assert_eq!(claims["iss"], document["issuer"]);
    claims
}

#[tokio::test]
async fn id_tokens_are_signed_and_repeat_the_nonce_of_their_sign_in() {
    let setup = with_new().await;
    let (_, answer) = exchange(&setup, &code(&setup, &[], EVENTS).await, &[]).await;
    let first = claims(&setup, answer["id_token"].as_str().unwrap()).await;
    assert_eq!((&first["nonce"], &first["email"]), (&json!("n-1"), &json!(NEW)));
    assert_eq!(
        (&first["aud"], &first["email_verified"]),
        (&json!(setup.google.options().client_id), &json!(true))
    );
    let token = answer["refresh_token"].as_str().unwrap();
    let (_, again) = refresh(&setup.google, &setup.http, &[("refresh_token", token)]).await;
    let again = claims(&setup, again["id_token"].as_str().unwrap()).await;
    assert_eq!((&again["sub"], again.get("nonce")), (&first["sub"], None));
}

#[tokio::test]
async fn revoking_a_token_ends_the_whole_grant_and_a_new_consent_begins_another() {
    let setup = with_new().await;
    let revoke = async |token: &str| {
        let url = format!("{}/revoke", setup.google.base_url());
        let response = setup.http.post(url).form(&[("token", token)]).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (_, first) = exchange(&setup, &code(&setup, &[], EVENTS).await, &[]).await;
    let token = first["refresh_token"].as_str().unwrap();
    assert_eq!(revoke(first["access_token"].as_str().unwrap()).await, (200, json!({})));
    assert_eq!(refresh(&setup.google, &setup.http, &[("refresh_token", token)]).await.0, 400);
    for gone in [token, "made-up"] {
        let (status, answer) = revoke(gone).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_token")));
    }
    let (_, second) = exchange(&setup, &code(&setup, &[("prompt", "none")], EVENTS).await, &[]).await;
    let new = second["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&setup.google, &setup.http, &[("refresh_token", new)]).await.0, 200);
    assert_eq!(refresh(&setup.google, &setup.http, &[("refresh_token", token)]).await.0, 400);
}
