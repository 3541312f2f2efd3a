//! What goes with every page, and that nothing from outside becomes a part of one.

use reqwest::header::HeaderMap;
use shared::store::PgPool;

use crate::{
    person::{Person, http, parameter, with_parameter},
    process::Program,
    setup::{ADA, ALL, setup},
};

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap_or_else(|| panic!("{name} is missing: {headers:?}")).to_str().unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn every_page_is_kept_nowhere_framed_nowhere_and_runs_nothing(db: PgPool) {
    let setup = setup(&db).await;
    let link = setup.link(&[]).await;
    let base = &setup.public_url;
    let unknown = format!("{base}/oauth2/start?link=x");
    for url in [&link, &unknown, &format!("{base}/oauth2/callback?state=x&code=y")] {
        let response = http().get(url).send().await.unwrap();
        let headers = response.headers().clone();
        let policy = header(&headers, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("content-type", "text/html; charset=utf-8"),
        ] {
            assert_eq!(header(&headers, name), value);
        }
        let page = response.text().await.unwrap();
        assert!(page.contains("<html lang=\"en\">") && page.contains("<h1>"), "{page}");
        assert!(!page.contains("<script") && !page.contains(" src="), "{page}");
    }
    let response = Person::new().begin(&link).await;
    let cookie = header(response.headers(), "set-cookie");
    assert!(
        cookie.starts_with("syncfleet-sign-in=") && cookie.ends_with("; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    assert_eq!(header(response.headers(), "cache-control"), "no-store");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn under_https_the_cookie_is_the_hosts_own(db: PgPool) {
    let setup = setup(&db).await;
    let link = setup.link(&[]).await;
    let public = "https://sync.example.com/x";
    let program: Program = setup.program.clone().env("SYNCFLEET_PUBLIC_URL", public);
    let client = setup.google.options().client_id.clone();
    setup.google.world().set_redirect_uris(&client, &[format!("{public}/oauth2/callback")]).unwrap();
    let address = crate::process::free().await;
    let program = program.env("SYNCFLEET_PUBLIC_ADDR", &address.to_string());
    let mut ingress = program.start(&["ingress"]).await;
    ingress.ready().await;
    let form = [("link", parameter(&link, "link"))];
    let response = http().post(format!("http://{address}/oauth2/start")).form(&form).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 303);
    let cookie = header(response.headers(), "set-cookie");
    assert!(cookie.starts_with("__Host-syncfleet-sign-in="), "{cookie}");
    assert!(cookie.contains("; Path=/;") && cookie.ends_with("; Secure"), "{cookie}");
    let google = header(response.headers(), "location");
    assert_eq!(parameter(google, "redirect_uri"), format!("{public}/oauth2/callback"));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_comes_from_outside_is_text(db: PgPool) {
    let setup = setup(&db).await;
    let odd = "\"><img/onerror=x>&'@example.com";
    setup.google.world().add_person(odd).unwrap();
    setup.google.world().add_calendar(odd, None, "Odd").unwrap();
    let (status, page) = setup.sign_in(odd, ALL, &[]).await;
    assert!([200, 503].contains(&status), "{page}");
    assert!(!page.contains("<img"), "{page}");

    let person = Person::new();
    let link = setup.link(&[]).await;
    let google = person.press(&link).await;
    let denied = person.decide(&google, &[("decision", "deny")]).await;
    let (status, page) = person.open(&with_parameter(&denied, "error", "<img/onerror=x>")).await;
    assert_eq!(status, 502, "{page}");
    assert!(page.contains("Google says: &lt;img/onerror=x&gt;") && !page.contains("<img"), "{page}");

    let denied = person.decide(&person.press(&link).await, &[("decision", "deny")]).await;
    let (status, page) = person.open(&denied).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("You did not allow access"), "{page}");
    let back = person.allow(&person.press(&link).await, ADA, ALL).await;
    assert_eq!(person.open(&back).await.0, 200, "who changes their mind may sign in");
}
