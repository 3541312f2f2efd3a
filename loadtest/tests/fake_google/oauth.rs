use std::time::Duration;

use loadtest::fake_google::Options;

use crate::client::{ME, reason, refresh, setup};

#[tokio::test]
async fn a_refresh_token_buys_an_access_token() {
    let setup = setup(Options::default()).await;
    let (status, answer) = refresh(&setup.google, &setup.http, &[]).await;
    assert_eq!(status, 200);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 3599);
    assert!(answer["scope"].as_str().unwrap().contains("calendar"));
    assert!(answer.get("refresh_token").is_none(), "a refresh does not hand out a new refresh token");
    assert_eq!(setup.google.stats().refreshes[ME], 2);
}

const REVOKED: &str = "refresh-bob";

/// Form fields in place of the good ones.
type Fields = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn the_token_endpoint_refuses_as_google_does() {
    let setup = setup(Options::default()).await;
    setup.google.world().add_client("other", "other-secret");
    let cases: [(Fields, u16, &str); 6] = [
        (&[("refresh_token", "unknown")], 400, "invalid_grant"),
        (&[("client_secret", "wrong")], 401, "invalid_client"),
        (&[("client_id", "nobody")], 401, "invalid_client"),
        (&[("client_id", "other"), ("client_secret", "other-secret")], 401, "unauthorized_client"),
        (&[("grant_type", "password")], 400, "unsupported_grant_type"),
        (&[("refresh_token", REVOKED)], 400, "invalid_grant"),
    ];
    setup.google.world().add_account("bob@example.com", REVOKED, None).unwrap();
    setup.google.world().revoke("bob@example.com").unwrap();
    for (fields, status, error) in cases {
        let (got, answer) = refresh(&setup.google, &setup.http, fields).await;
        assert_eq!((got, answer["error"].as_str().unwrap()), (status, error), "{fields:?}");
    }
    assert_eq!(setup.google.stats().refreshes[ME], 1, "refused refreshes are not counted");
}

#[tokio::test]
async fn a_revoked_account_gets_in_again_only_after_signing_in() {
    let setup = setup(Options::default()).await;
    setup.google.world().revoke(ME).unwrap();
    let (status, answer) = setup.events("").await;
    assert_eq!((status, reason(&answer)), (401, "authError"));
    setup.google.world().reconnect(ME, "refresh-new").unwrap();
    assert_eq!(refresh(&setup.google, &setup.http, &[]).await.0, 400);
    assert_eq!(refresh(&setup.google, &setup.http, &[("refresh_token", "refresh-new")]).await.0, 200);
}

#[tokio::test]
async fn only_live_access_tokens_open_the_api() {
    let mut setup = setup(Options::default()).await;
    assert_eq!(setup.events("").await.0, 200);
    setup.google.world().expire_access_tokens(Some(ME)).unwrap();
    let (status, answer) = setup.events("").await;
    assert_eq!((status, reason(&answer)), (401, "authError"));
    setup.token = "made-up".to_owned();
    assert_eq!(setup.get("users/me/calendarList").await.0, 401);
    let anonymous = setup.http.get(format!("{}users/me/calendarList", setup.google.calendar_url()));
    assert_eq!(anonymous.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn access_tokens_live_as_long_as_configured() {
    let options = Options { access_token_lifetime: Duration::ZERO, ..Options::default() };
    let setup = setup(options).await;
    assert_eq!(setup.events("").await.0, 401);
}
