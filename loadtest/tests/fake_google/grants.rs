use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use loadtest::fake_google::{Consent, Options};
use serde_json::{Value, json};

use crate::client::{ME, REFRESH, reason, refresh, setup};

const LIST: &str = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";

#[tokio::test]
async fn an_id_token_comes_with_openid_and_its_address_with_email() {
    let setup = setup(Options::default()).await;
    for (scopes, email) in [(&["openid", LIST][..], json!(null)), (&["openid", "email", LIST], json!(ME))] {
        setup.google.world().set_consent(ME, Consent::to(scopes)).unwrap();
        let (_, answer) = refresh(&setup.google, &setup.http, &[]).await;
        assert_eq!(answer["scope"], scopes.join(" "));
        let payload = answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        assert_eq!(claims["sub"], setup.google.world().subject(ME).unwrap());
        assert_eq!(claims["email"], email);
    }
}

#[tokio::test]
async fn only_what_was_granted_opens() {
    let setup = setup(Options::default()).await;
    setup.google.world().set_consent(ME, Consent::to(&[LIST])).unwrap();
    let (status, answer) = setup.events("").await;
    assert_eq!((status, reason(&answer)), (403, "insufficientPermissions"));
    let (status, primary) = setup.get("users/me/calendarList/primary").await;
    assert_eq!((status, &primary["id"]), (200, &json!(ME)));
}

#[tokio::test]
async fn a_rotated_refresh_token_takes_the_place_of_the_old_one() {
    let setup = setup(Options::default()).await;
    let consent = Consent { rotates: true, refresh_token_expires_in_s: Some(604_800), ..Consent::default() };
    setup.google.world().set_consent(ME, consent).unwrap();
    let (_, answer) = refresh(&setup.google, &setup.http, &[]).await;
    assert_eq!(answer["refresh_token_expires_in"], 604_800);
    assert_eq!(refresh(&setup.google, &setup.http, &[]).await.0, 400);
    let new = answer["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&setup.google, &setup.http, &[("refresh_token", new)]).await.0, 200);
}

#[tokio::test]
async fn a_hundred_refresh_tokens_live_and_no_more() {
    let setup = setup(Options::default()).await;
    for n in 1..100 {
        setup.google.world().grant(ME, &format!("more-{n}")).unwrap();
    }
    assert_eq!(refresh(&setup.google, &setup.http, &[]).await.0, 200);
    setup.google.world().grant(ME, "more-100").unwrap();
    assert_eq!(refresh(&setup.google, &setup.http, &[("refresh_token", REFRESH)]).await.0, 400);
    for live in ["more-1", "more-100"] {
        assert_eq!(refresh(&setup.google, &setup.http, &[("refresh_token", live)]).await.0, 200, "{live}");
    }
}
