//! A tenant, a fake Google with some people, and an ingress.

use loadtest::fake_google::{FakeGoogle, Options};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use shared::{
    google::auth::{ACCESS_TOKEN, REFRESH_TOKEN},
    secrets::{KeyRing, Owner, generate_key},
    store::{PgPool, secrets},
};

use crate::{
    person::Person,
    process::{Process, Program, free},
};

pub const ADA: &str = "ada@example.com";
pub const BOB: &str = "bob@example.com";

pub const LIST: &str = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";
pub const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events.readonly";
/// All that is asked for.
pub const ALL: &[&str] = &[LIST, EVENTS];

pub struct Setup {
    pub db: PgPool,
    pub google: FakeGoogle,
    pub program: Program,
    pub keys: KeyRing,
    pub ingress: Process,
    pub public_url: String,
}

/// Ada and Bob have a calendar each, and have granted nothing yet.
pub async fn setup(db: &PgPool) -> Setup {
    setup_with(db, Options::default()).await
}

/// The same, and Google pushes to the ingress.
pub async fn setup_with_push(db: &PgPool) -> Setup {
    setup_with(db, Options { http_callbacks: true, ..Options::default() }).await
}

async fn setup_with(db: &PgPool, options: Options) -> Setup {
    let google = FakeGoogle::start(options).await.unwrap();
    for person in [ADA, BOB] {
        google.world().add_person(person).unwrap();
        google.world().add_calendar(person, None, "Mine").unwrap();
    }
    let public = free().await;
    let public_url = format!("http://{public}");
    let key: SecretString = generate_key("k1").unwrap();
    let program = Program::with(db)
        .env("SYNCFLEET_ACTOR", "test")
        .env("SYNCFLEET_PUBLIC_ADDR", &public.to_string())
        .env("SYNCFLEET_PUBLIC_URL", &public_url)
        .env("SYNCFLEET_KEYS", key.expose_secret())
        .envs(google.settings());
    let redirect_uri = format!("{public_url}/oauth2/callback");
    let client = google.options().client_id.clone();
    google.world().set_redirect_uris(&client, &[redirect_uri]).unwrap();
    program.ok(&["tenant", "add", "acme"]).await;
    let mut ingress = program.start(&["ingress"]).await;
    ingress.ready().await;
    let keys = KeyRing::parse(&key).unwrap();
    Setup { db: db.clone(), google, program, keys, ingress, public_url }
}

impl Setup {
    /// A link as the command line makes it; `more` are its flags beyond the tenant.
    pub async fn link(&self, more: &[&str]) -> String {
        let words = [&["account", "connect", "--tenant", "acme", "-o", "json"], more].concat();
        let made: Value = serde_json::from_str(&self.program.ok(&words).await).unwrap();
        made["url"].as_str().unwrap().to_owned()
    }

    /// Somebody signs in by a new link, and ticks these scopes. The status of the last page and its text.
    pub async fn sign_in(&self, who: &str, scopes: &[&str], more: &[&str]) -> (u16, String) {
        let link = self.link(more).await;
        let person = Person::new();
        let google = person.press(&link).await;
        let back = person.allow(&google, who, scopes).await;
        person.open(&back).await
    }

    /// Ada signs in with all that is asked for.
    pub async fn ada(&self) -> i64 {
        let (status, page) = self.sign_in(ADA, ALL, &[]).await;
        assert_eq!(status, 200, "{page}");
        self.account(ADA).await["id"].as_i64().unwrap()
    }

    pub async fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.program.ok(&[args, &["-o", "json"]].concat()).await).unwrap()
    }

    pub async fn account(&self, email: &str) -> Value {
        self.json(&["account", "show", email]).await
    }

    /// What a sign-in may store, counted: accounts, secrets, jobs, used links.
    pub async fn stored(&self) -> [i64; 4] {
        let count =
            async |sql: &'static str| -> i64 { sqlx::query_scalar(sql).fetch_one(&self.db).await.unwrap() };
        [
            count("select count(*) from accounts").await,
            count("select count(*) from secrets").await,
            count("select count(*) from jobs").await,
            count("select count(*) from sign_in_links where used_at is not null").await,
        ]
    }

    /// The stored refresh and access token.
    pub async fn tokens(&self, account: i64) -> [Option<String>; 2] {
        let mut tokens = Vec::new();
        for name in [REFRESH_TOKEN, ACCESS_TOKEN] {
            let mut conn = self.db.acquire().await.unwrap();
            let stored = secrets::last(&mut conn, &self.keys, Owner::account(account, name)).await.unwrap();
            tokens.push(stored.map(|stored| stored.value.expose_secret().to_owned()));
        }
        tokens.try_into().unwrap()
    }

    pub async fn audited(&self) -> Vec<(String, String, String)> {
        let rows = sqlx::query_as(
            "select actor, action, target from audit where action like 'account.%' order by id",
        );
        rows.fetch_all(&self.db).await.unwrap()
    }

    pub async fn run_sql(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.db).await.unwrap();
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // Whatever was done: no secret stands in the log.
        let log = self.ingress.log();
        for secret in ["1//", "ya29.", "4/fake", "fake-client-secret", "link=", "code=", "state="] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}
