//! A fake of Google Cloud DNS and of its token endpoint, made from
//! <https://cloud.google.com/dns/docs/reference/rest/v1/resourceRecordSets> and
//! <https://developers.google.com/identity/protocols/oauth2/service-account>.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rsa::{
    RsaPrivateKey,
    pkcs1::EncodeRsaPublicKey as _,
    pkcs8::{EncodePrivateKey as _, LineEnding},
};
use serde_json::{Value, json};
use shared::dns::{Limits, Outcome, Park, Provider};

use crate::{
    a, aaaa,
    fake::{Fake, Says, says},
    http, limits, now, observe, probe, update, wanted,
};

fn key(fake: &Fake) -> String {
    key_file(&format!("{}/token", fake.url))
}

fn private_key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap())
}

/// A key file that names an endpoint for tokens.
pub fn key_file(token_uri: &str) -> String {
    let pem = private_key().to_pkcs8_pem(LineEnding::LF).unwrap();
    json!({"type": "service_account", "project_id": "p-1", "private_key_id": "k1", "private_key": pem.as_str(),
        "client_email": "dns@p-1.iam.gserviceaccount.com", "client_id": "100000000000000000001",
        "token_uri": token_uri})
    .to_string()
}

fn settings(fake: &Fake) -> Value {
    json!({"provider": "google-cloud", "url": format!("{}/dns/v1", fake.url), "project": "p-1", "zone": "z-1"})
}

fn token() -> Says {
    access_token("ya29.token")
}

/// The answer of the endpoint for tokens.
pub fn access_token(token: &str) -> Says {
    let body = json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"});
    Says::With(200, "content-type", "application/json".to_owned(), body.to_string())
}

fn no_token(error: &str, description: &str) -> Says {
    let body = json!({"error": error, "error_description": description});
    Says::With(400, "content-type", "application/json".to_owned(), body.to_string())
}

fn set(data: &str) -> Says {
    says(
        200,
        json!({"kind": "dns#resourceRecordSet", "name": "home.example.org.", "type": "A", "ttl": 77, "rrdatas": [data]}),
    )
}

fn refused(status: u16, reason: &str) -> Says {
    says(
        status,
        json!({"error": {"code": status, "message": "it says", "errors": [{"reason": reason, "message": "it says"}]}}),
    )
}

#[tokio::test]
async fn a_set_is_patched_with_its_own_ttl() {
    let fake = Fake::start([token(), set("192.0.2.1"), set("192.0.2.7")]).await;
    let answers =
        update(settings(&fake), &key(&fake), &wanted("home.example.org", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Good, "{answers:?}");
    let set = "/dns/v1/projects/p-1/managedZones/z-1/rrsets/home.example.org./A";
    assert_eq!(fake.lines(), ["POST /token".to_owned(), format!("GET {set}"), format!("PATCH {set}")]);
    let asked = fake.asked();
    assert_eq!(asked[2].authorization, "Bearer ya29.token");
    assert_eq!(
        asked[2].json(),
        json!({"name": "home.example.org.", "type": "A", "ttl": 77, "rrdatas": ["192.0.2.7"]})
    );
}

#[tokio::test]
async fn the_assertion_is_signed_by_the_key_and_names_what_is_asked_for() {
    let fake = Fake::start([token(), set("192.0.2.7")]).await;
    let name = wanted("home.example.org", Some("192.0.2.7"), None);
    update(settings(&fake), &key(&fake), &name).await;
    let asked = &fake.asked()[0];
    assert_eq!((asked.line(), asked.authorization.as_str()), ("POST /token".to_owned(), ""));
    let form: BTreeMap<String, String> =
        url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (signed, signature) = form["assertion"].rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(read(header), json!({"alg": "RS256", "typ": "JWT"}));
    let now = now().timestamp();
    assert_eq!(
        read(claims),
        json!({"iss": "dns@p-1.iam.gserviceaccount.com", "aud": format!("{}/token", fake.url),
            "scope": "https://www.googleapis.com/auth/ndev.clouddns.readwrite", "iat": now, "exp": now + 3600})
    );
    let public = private_key().to_public_key().to_pkcs1_der().unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_bytes())
        .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();
}

#[tokio::test]
async fn the_endpoint_for_tokens_is_called_in_limits_too() {
    let elsewhere = Fake::start([]).await;
    let leads = Says::With(307, "location", format!("{}/token", elsewhere.url), String::new());
    for (answer, why) in [
        (leads, "leads to 127.0.0.1; redirects are not followed"),
        (Says::Endless, "longer than 256 KiB"),
        (Says::Nothing, "no answer within 5 s"),
        (Says::BrokenOff("{\"access_token\": \"ya29"), "no answer"),
        (says(200, "<html>sign in</html>"), "a web page came"),
        (says(200, ""), "the answer has none"),
        (says(200, r#"{"access_token": ""}"#), "the answer has none"),
        (says(200, r#"{"access_token": 7}"#), "the answer has none"),
        (says(200, r#"{"access_token": "ya29.token", "#), "the answer has none"),
        (says(500, r#"{"access_token": "ya29.token"}"#), "500"),
        (says(429, ""), "429"),
        (says(401, ""), "401"),
    ] {
        let is_silent = matches!(answer, Says::Nothing);
        let fake = Fake::start([answer]).await;
        let provider = Provider::parse(settings(&fake)).unwrap();
        let name = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
        let call = if is_silent { Duration::from_secs(5) } else { limits().call };
        let http = http(Limits { call, ..limits() });
        let answers = provider.update(&http, &key(&fake).into(), &name, now()).await;
        assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Retry, Outcome::Retry), "{answers:?}");
        assert!(a(&answers).1.starts_with("no access token: ") && a(&answers).1.contains(why), "{answers:?}");
        assert!(!a(&answers).1.contains("ya29"), "{answers:?}");
        assert_eq!(fake.asked().len(), 1);
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn what_is_right_is_not_written_and_what_is_missing_is_made() {
    let made = says(
        200,
        json!({"name": "home.example.org.", "type": "AAAA", "ttl": 300, "rrdatas": ["2001:db8::7"]}),
    );
    let fake = Fake::start([token(), set("192.0.2.7"), refused(404, "notFound"), made]).await;
    let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
    let answers = update(settings(&fake), &key(&fake), &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::NoChange, Outcome::Good), "{answers:?}");
    assert_eq!(fake.lines()[3], "POST /dns/v1/projects/p-1/managedZones/z-1/rrsets");
}

#[tokio::test]
async fn each_end_has_its_outcome() {
    for (answers, outcome) in [
        (vec![no_token("invalid_grant", "Invalid JWT Signature.")], Outcome::Park(Park::BadAuth)),
        (
            vec![no_token(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.",
            )],
            Outcome::Park(Park::BadTime),
        ),
        (vec![no_token("invalid_client", "")], Outcome::Park(Park::BadAuth)),
        (vec![no_token("unauthorized_client", "")], Outcome::Park(Park::BadAuth)),
        (vec![no_token("access_denied", "")], Outcome::Park(Park::BadAuth)),
        (vec![no_token("disabled_client", "")], Outcome::Park(Park::BadAuth)),
        (vec![no_token("deleted_client", "")], Outcome::Park(Park::BadAuth)),
        (vec![token(), refused(403, "userRateLimitExceeded")], Outcome::Wait(Duration::from_mins(5))),
        (vec![token(), refused(403, "quotaExceeded")], Outcome::Wait(Duration::from_mins(5))),
        (vec![no_token("internal_failure", "")], Outcome::Retry),
        (vec![says(200, "<html>sign in</html>")], Outcome::Retry),
        (vec![token(), refused(403, "forbidden")], Outcome::Park(Park::NotPermitted)),
        (vec![token(), refused(403, "rateLimitExceeded")], Outcome::Wait(Duration::from_mins(5))),
        (vec![token(), refused(404, "notFound"), refused(404, "notFound")], Outcome::Park(Park::NoHost)),
        (vec![token(), refused(401, "authError")], Outcome::Park(Park::BadAuth)),
        (vec![token(), refused(503, "backendError")], Outcome::Retry),
        (vec![token(), says(200, "<html>sign in</html>")], Outcome::Retry),
        (vec![token(), says(200, "{}")], Outcome::Retry),
        (vec![token(), set("192.0.2.1"), set("192.0.2.1")], Outcome::Retry),
    ] {
        let fake = Fake::start(answers).await;
        let answers =
            update(settings(&fake), &key(&fake), &wanted("home.example.org", Some("192.0.2.7"), None)).await;
        assert_eq!(a(&answers).0, outcome, "{answers:?}");
        fake.asked();
    }
}

#[tokio::test]
async fn token_zone_and_records_are_read_and_nothing_is_written() {
    let zone = |name: &str| says(200, json!({"kind": "dns#managedZone", "name": "z-1", "dnsName": name}));
    let name = wanted("home.example.org", Some("192.0.2.7"), None);
    let fake = Fake::start([token(), set("192.0.2.7")]).await;
    let held = observe(settings(&fake), &key(&fake), &name).await.unwrap();
    assert!(held.just("192.0.2.7".parse().unwrap()) && !held.proxied);

    let good = Outcome::Good;
    for (answers, found) in [
        (
            vec![token(), zone("example.org."), set("192.0.2.7")],
            vec![("token", good), ("zone", good), ("records", good)],
        ),
        (
            vec![token(), zone("example.org."), refused(404, "notFound")],
            vec![("token", good), ("zone", good), ("records", good)],
        ),
        (vec![token(), zone("example.net.")], vec![("token", good), ("zone", Outcome::Park(Park::NoHost))]),
        (
            vec![token(), refused(403, "forbidden")],
            vec![("token", good), ("zone", Outcome::Park(Park::NotPermitted))],
        ),
        (vec![token(), says(200, "{}")], vec![("token", good), ("zone", Outcome::Retry)]),
        (
            vec![no_token("invalid_grant", "Invalid JWT Signature.")],
            vec![("token", Outcome::Park(Park::BadAuth))],
        ),
    ] {
        let fake = Fake::start(answers).await;
        assert_eq!(probe(settings(&fake), &key(&fake), &name).await, found);
        assert!(fake.asked().iter().skip(1).all(|asked| asked.method == "GET"));
    }
}
