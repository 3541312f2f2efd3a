//! `account add` as it asks Google.

use std::sync::Arc;

use loadtest::fake_google::{Consent, FakeGoogle, Options};
use secrecy::ExposeSecret;
use serde_json::json;
use shared::{secrets::generate_key, store::PgPool};

use crate::program::{Ended, Program};

const ADA: &str = "ada@example.com";
const READ: &str = "https://www.googleapis.com/auth/calendar.readonly";

struct Setup {
    google: FakeGoogle,
    program: Arc<Program>,
}

/// A tenant, and Ada with her calendar at a fake Google.
async fn setup(db: &PgPool) -> Setup {
    let google = FakeGoogle::start(Options::default()).await.unwrap();
    google.world().add_account(ADA, "refresh-ada", None).unwrap();
    google.world().add_calendar(ADA, None, "Ada").unwrap();
    let program = Program::with(db)
        .env("SYNCFLEET_KEYS", generate_key("k1").unwrap().expose_secret())
        .envs(google.settings());
    program.ok(&["tenant", "add", "acme"]);
    Setup { google, program: Arc::new(program) }
}

impl Setup {
    async fn add(&self, email: &str, token: &str, more: &'static [&'static str]) -> Ended {
        let (program, email, token) = (Arc::clone(&self.program), email.to_owned(), token.to_owned());
        // Beside the fake Google, which this thread serves.
        let ended = tokio::task::spawn_blocking(move || {
            let add = ["account", "add", "--tenant", "acme", "--email", &email];
            program.fed(&[&add as &[&str], more].concat(), &token)
        });
        let ended = ended.await.unwrap();
        for secret in ["refresh-", "ya29.", "fake-client-secret"] {
            assert!(!format!("{ended:?}").contains(secret), "{ended:?}");
        }
        ended
    }

    fn accounts(&self) -> usize {
        self.program.json(&["account", "ls"]).as_array().unwrap().len()
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_good_token_tells_who_it_is_and_what_it_opens(db: PgPool) {
    let setup = setup(&db).await;
    setup.google.world().set_consent(ADA, Consent::to(&["openid", "email", READ])).unwrap();
    let added = setup.add("Ada@example.com", "refresh-ada\n", &["-o", "json"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    let added: serde_json::Value = serde_json::from_str(&added.stdout).unwrap();
    let subject = setup.google.world().subject(ADA).unwrap();
    assert_eq!((&added["subject"], &added["checked"]), (&json!(subject), &json!(true)));
    assert_eq!(added["scopes"], json!(["openid", "email", READ]));
    let shown = setup.program.json(&["account", "show", "1"]);
    let names: Vec<_> = shown["tokens"].as_array().unwrap().iter().map(|token| &token["name"]).collect();
    assert_eq!(names, ["access_token", "refresh_token"], "what was asked for is not asked for again");
    assert_eq!((&shown["first_sync"]["listed"], &shown["not_granted"]), (&json!(false), &json!([])));
    let table = setup.program.ok(&["account", "show", "1"]);
    assert!(table.contains("sealed under k1") && table.contains("not read yet"), "{table}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_token_that_is_no_good_is_refused_and_nothing_is_stored(db: PgPool) {
    let setup = setup(&db).await;
    setup.add(ADA, "made-up", &[]).await.is_refusal(1, &["Google refuses the refresh token (invalid_grant"]);
    // The primary calendar tells whose it is, if nothing else does.
    let words = ["belongs to ada@example.com, not to bob@example.com", "nothing was stored"];
    setup.add("bob@example.com", "refresh-ada", &[]).await.is_refusal(1, &words);
    let url = setup.google.token_url();
    setup.google.world().add_client(&setup.google.options().client_id, "another secret");
    setup.add(ADA, "refresh-ada", &[]).await.is_refusal(1, &["401 invalid_client", "--no-check"]);
    assert!(!url.is_empty());
    assert_eq!(setup.accounts(), 0);
    let secrets: i64 = sqlx::query_scalar("select count(*) from secrets").fetch_one(&db).await.unwrap();
    assert_eq!(secrets, 0);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_token_of_another_subject_is_refused_for_an_account_that_is_there(db: PgPool) {
    let setup = setup(&db).await;
    let openid = Consent::to(&["openid", READ]);
    setup.google.world().set_consent(ADA, openid.clone()).unwrap();
    assert_eq!(setup.add(ADA, "refresh-ada", &[]).await.code, 0);

    // The address is given to somebody else: another account, the same words on its calendar.
    sqlx::query("update accounts set subject = '42'").execute(&db).await.unwrap();
    let refused = setup.add(ADA, "refresh-ada", &[]).await;
    refused.is_refusal(1, &["another Google account", "(subject 42)", "nothing was stored"]);

    // The account has another address now, and is here under the old one.
    let subject = setup.google.world().subject(ADA).unwrap();
    sqlx::query("update accounts set subject = $1, email = 'old@example.com'")
        .bind(&subject)
        .execute(&db)
        .await
        .unwrap();
    let refused = setup.add(ADA, "refresh-ada", &[]).await;
    refused.is_refusal(1, &["is here as account 1, old@example.com"]);
    assert_eq!(setup.accounts(), 1);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_03_what_a_token_does_not_open_is_said(db: PgPool) {
    let setup = setup(&db).await;
    let list = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";
    setup.google.world().set_consent(ADA, Consent::to(&[list])).unwrap();
    let added = setup.add(ADA, "refresh-ada", &[]).await;
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.stderr.contains("does not open the events of calendars"), "{added:?}");
    let shown = setup.program.json(&["account", "show", "1"]);
    assert_eq!(shown["not_granted"], json!(["the events of calendars"]));

    let contacts = "https://www.googleapis.com/auth/contacts.readonly";
    setup.google.world().set_consent(ADA, Consent::to(&[contacts])).unwrap();
    let added = setup.add(ADA, "refresh-ada", &[]).await;
    assert!(added.stderr.contains("does not tell whose it is"), "{added:?}");
    for what in ["the list of calendars", "the events of calendars", "the files of Drive"] {
        assert!(added.stderr.contains(what), "{what}: {added:?}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_rotated_token_is_the_one_that_is_kept(db: PgPool) {
    let setup = setup(&db).await;
    setup.google.world().set_consent(ADA, Consent { rotates: true, ..Consent::default() }).unwrap();
    assert_eq!(setup.add(ADA, "refresh-ada", &[]).await.code, 0);
    setup.add(ADA, "refresh-ada", &[]).await.is_refusal(1, &["invalid_grant"]);
    let waited = setup.add(ADA, "refresh-ada", &["--no-check", "--wait", "--timeout", "0s"]).await;
    assert_eq!(waited.code, 4, "{waited:?}");
}
