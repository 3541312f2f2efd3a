//! `tenant connect-workspace`.

use std::{path::Path, sync::Arc};

use loadtest::fake_google::{FakeGoogle, Options};
use secrecy::ExposeSecret;
use serde_json::json;
use shared::{google::workspace::SCOPES, secrets::generate_key, store::PgPool};

use crate::program::{Ended, Program};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const ROBOT: &str = "robot@fake-project.iam.gserviceaccount.com";

struct Setup {
    google: FakeGoogle,
    program: Arc<Program>,
    folder: tempfile::TempDir,
}

/// A tenant, Ada and Bob at a fake Google, and the key file of a service account that may act for them.
async fn setup(db: &PgPool) -> Setup {
    let google = FakeGoogle::start(Options::default()).await.unwrap();
    {
        let mut world = google.world();
        for (email, token) in [(ADA, "refresh-ada"), (BOB, "refresh-bob")] {
            world.add_account(email, token, None).unwrap();
            world.add_calendar(email, None, email).unwrap();
        }
        world.add_service_account(ROBOT).unwrap();
        world.delegate(ROBOT, "example.com", &SCOPES.map(str::to_owned)).unwrap();
    }
    let program = Program::with(db)
        .env("SYNCFLEET_KEYS", generate_key("k1").unwrap().expose_secret())
        .envs(google.settings());
    program.ok(&["tenant", "add", "acme"]);
    let setup = Setup { google, program: Arc::new(program), folder: tempfile::tempdir().unwrap() };
    setup.write("key.json", &setup.google.key_file(ROBOT).unwrap().to_string());
    setup
}

impl Setup {
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn connect(&self, key: &str, users: &str, more: &'static [&'static str]) -> Ended {
        let program = Arc::clone(&self.program);
        let key = Path::new(self.folder.path()).join(key).to_str().unwrap().to_owned();
        let users = users.to_owned();
        // Beside the fake Google, which this thread serves.
        let ended = tokio::task::spawn_blocking(move || {
            let args =
                ["tenant", "connect-workspace", "--tenant", "acme", "--key-file", &key, "--users", "-"];
            program.fed(&[&args as &[&str], more].concat(), &users)
        });
        let ended = ended.await.unwrap();
        for secret in ["PRIVATE KEY", "MIIE", "ya29.", "fake-client-secret"] {
            assert!(!format!("{ended:?}").contains(secret), "{ended:?}");
        }
        ended
    }

    fn accounts(&self) -> usize {
        self.program.json(&["account", "ls"]).as_array().unwrap().len()
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_workspace_is_connected_and_told(db: PgPool) {
    let setup = setup(&db).await;
    let ended =
        setup.connect("key.json", "# sales\nada@example.com\nbob@example.com\nADA@example.com\n", &[]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("acts for 2 accounts, 2 of them new"), "{ended:?}");
    assert!(ended.stderr.contains("line 4 of the users names the same as line 2"), "{ended:?}");

    let shown = setup.program.json(&["account", "show", ADA]);
    assert_eq!((&shown["workspace"], &shown["scopes"]), (&json!(true), &json!(SCOPES)));
    assert_eq!((&shown["tokens"], &shown["not_granted"]), (&json!([]), &json!([])));
    assert!(setup.program.ok(&["account", "show", ADA]).contains("through the tenant's service account"));
    assert!(setup.program.ok(&["account", "ls"]).contains("google workspace"));
    assert_eq!(setup.program.json(&["keys", "ls"])[0]["secrets"], 1);
    assert!(setup.program.ok(&["keys", "ls"]).contains("k1"));
    let entry = &setup.program.json(&["audit", "ls", "--target", "acme"])[0];
    assert_eq!(
        (&entry["action"], &entry["detail"]["users"]),
        (&json!("tenant.connect_workspace"), &json!(2))
    );

    // By hand, Ada takes herself out of it again.
    let program = Arc::clone(&setup.program);
    let added = tokio::task::spawn_blocking(move || {
        program.fed(&["account", "add", "--tenant", "acme", "--email", ADA], "refresh-ada")
    });
    assert_eq!(added.await.unwrap().code, 0);
    assert_eq!(setup.program.json(&["account", "show", ADA])["workspace"], false);

    let again = setup.connect("key.json", "bob@example.com", &["-o", "json"]).await;
    let again: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["key_replaced"], &again["users"][0]["new"]), (&json!(true), &json!(false)));
    setup.program.ok(&["tenant", "rm", "acme", "--yes"]);
    assert_eq!(sqlx::query_scalar::<_, i64>("select count(*) from secrets").fetch_one(&db).await.unwrap(), 0);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_wrong_is_told_at_the_door_and_nothing_is_stored(db: PgPool) {
    let setup = setup(&db).await;
    setup.write("client.json", r#"{"web": {"client_id": "x"}}"#);
    setup.write("text.json", "1//refresh-token");
    setup.write("cut.json", &setup.google.key_file(ROBOT).unwrap().to_string().replace("BEGIN", "BEGINN"));
    let mut plain = setup.google.key_file(ROBOT).unwrap();
    plain["token_uri"] = json!("http://example.com/token");
    setup.write("plain.json", &plain.to_string());
    for (key, words) in [
        ("client.json", "type: the file holds an OAuth client's secrets"),
        ("text.json", "that is not JSON"),
        ("cut.json", "private_key: that is not a private key in PEM form"),
        ("plain.json", "token_uri: that address is not allowed"),
        ("none.json", "cannot read"),
    ] {
        setup.connect(key, ADA, &[]).await.is_refusal(1, &[words, key]);
    }
    let faults = "ada@example.com\nbob\n\ncarl@\n";
    setup.connect("key.json", faults, &[]).await.is_refusal(
        1,
        &["the users in stdin", "line 2: \"bob\" is not an e-mail address", "line 4: \"carl@\""],
    );
    setup.connect("key.json", "\n# nobody\n", &[]).await.is_refusal(1, &["it names nobody"]);
    setup.connect("key.json", ADA, &["--scopes", "calendar"]).await.is_refusal(2, &["not a scope of Google"]);

    // Google is asked for a token of the first user.
    setup
        .connect("key.json", "carl@example.com\n", &[])
        .await
        .is_refusal(1, &["nothing was stored", "knows no user carl@example.com"]);
    setup.google.world().delegate(ROBOT, "example.com", &[]).unwrap();
    let id = setup.google.key_file(ROBOT).unwrap()["client_id"].as_str().unwrap().to_owned();
    let ended = setup.connect("key.json", ADA, &[]).await;
    ended.is_refusal(1, &["must authorise the client id", &id, SCOPES[0], "Domain-wide delegation"]);
    setup.google.world().replace_key(ROBOT).unwrap();
    setup.connect("key.json", ADA, &[]).await.is_refusal(1, &["refuses the key fake-key-1"]);
    assert_eq!(setup.accounts(), 0);
    let secrets: i64 = sqlx::query_scalar("select count(*) from secrets").fetch_one(&db).await.unwrap();
    assert_eq!(secrets, 0);

    // Who knows better may connect it unchecked.
    assert_eq!(setup.connect("key.json", ADA, &["--no-check"]).await.code, 0);
    assert_eq!(setup.accounts(), 1);
}
