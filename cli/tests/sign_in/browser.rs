//! A real browser goes the whole way.

use serde_json::json;
use shared::store::PgPool;

use crate::{
    setup::{ADA, BOB, EVENTS, setup},
    webdriver::Browser,
};

/// The pages' button, and those of the fake Google.
const GO: &str = "button[type=submit]";
const ALLOW: &str = "button[value=allow]";
const DENY: &str = "button[value=deny]";

fn account(email: &str) -> String {
    format!("input[name=account][value='{email}']")
}

/// Consent, a part of it, refusal, another account: one browser, as starting one takes its time.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_browser_signs_in(db: PgPool) {
    let setup = setup(&db).await;
    let browser = Browser::start().await;
    let at_google = "Sign in with a fake Google";

    browser.open(&setup.link(&[]).await).await;
    browser.shows("Connect your Google account with acme").await;
    // The style sheet is let through by its hash.
    let radius = browser.script("return getComputedStyle(document.querySelector('main')).borderRadius").await;
    assert_eq!(radius, json!("14px"));
    browser.picture("1-invitation").await;
    browser.click(GO).await;
    browser.shows(at_google).await;
    browser.picture("2-google").await;
    browser.click(DENY).await;
    browser.shows("Nothing was shared").await;
    browser.picture("3-denied").await;
    assert_eq!(setup.stored().await, [0; 4]);

    let link = setup.link(&[]).await;
    browser.open(&link).await;
    browser.click(GO).await;
    browser.shows(at_google).await;
    browser.click(&account(ADA)).await;
    browser.click(&format!("input[name=scope][value='{EVENTS}']")).await;
    browser.click(ALLOW).await;
    browser.shows("Your account is connected").await;
    let page = browser.text("main").await;
    assert!(page.contains("The list of calendars\nshared"), "{page}");
    assert!(page.contains("The events of calendars\nnot shared"), "{page}");
    browser.picture("4-a-part").await;
    assert_eq!(setup.account(ADA).await["not_granted"], json!(["the events of calendars"]));
    let cookie = browser.script("return document.cookie").await;
    assert_eq!(cookie, json!(""), "no script can read the cookie");

    browser.open(&setup.link(&["--account", ADA]).await).await;
    browser.shows("Sign in again").await;
    browser.picture("5-again").await;
    browser.click(GO).await;
    browser.shows(at_google).await;
    let chosen = browser.script("return document.querySelector('input[name=account]:checked').value").await;
    assert_eq!(chosen, json!(ADA), "the hint is taken");
    browser.click(&account(BOB)).await;
    browser.click(ALLOW).await;
    browser.shows("That is another account").await;
    browser.picture("6-another").await;
    let page = browser.text("main").await;
    assert!(page.contains(ADA) && page.contains(BOB), "{page}");

    let renewed = setup.link(&["--account", ADA]).await;
    browser.open(&renewed).await;
    browser.click(GO).await;
    browser.shows(at_google).await;
    browser.click(ALLOW).await;
    browser.shows("You are signed in again").await;
    browser.picture("7-signed-in").await;
    assert_eq!(setup.account(ADA).await["not_granted"], json!([]));
    // A reload brings the code once more.
    browser.script("location.reload()").await;
    browser.shows("This sign-in is over").await;
    browser.picture("8-over").await;
    browser.open(&renewed).await;
    browser.shows("This link was used already").await;
    browser.picture("9-used").await;
    browser.quit().await;
}
