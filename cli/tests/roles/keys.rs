use std::{fs, path::Path, time::Duration};

use loadtest::fake_google::{Consent, FakeGoogle, Options};
use rustix::process::Signal;
use secrecy::ExposeSecret as _;
use shared::secrets::generate_key;
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::process::{LIMIT, Process, Program, until};

const PEOPLE: usize = 3;

struct Fleet {
    program: Program,
    google: FakeGoogle,
    workers: Vec<Process>,
    _scheduler: Process,
}

impl Fleet {
    /// Restarts the workers one after the other, as a rollout does.
    async fn restart(&mut self) {
        for worker in &mut self.workers {
            let mut next = self.program.start(&["worker"]).await;
            next.ready().await;
            let old = std::mem::replace(worker, next);
            old.signal(Signal::TERM);
            let ended = old.ended(LIMIT).await;
            assert_eq!(ended.code, 0, "{}", ended.log);
            assert!(!ended.log.contains("key ring") && !ended.log.contains("must sign in"), "{}", ended.log);
        }
    }

    /// Waits until every account's token has been refreshed twice from now on.
    async fn refreshed(&self) {
        let before = self.google.stats().refreshes;
        until("all tokens are refreshed", LIMIT, async || {
            let now = self.google.stats().refreshes;
            now.len() == PEOPLE && now.iter().all(|(who, n)| *n >= before.get(who).copied().unwrap_or(0) + 2)
        })
        .await;
    }
}

fn put(file: &Path, keys: &[&str]) {
    // As a mounted secret changes: at once.
    let next = file.with_extension("next");
    fs::write(&next, keys.join("\n")).unwrap();
    fs::rename(next, file).unwrap();
}

async fn fleet(db: &PgPool, keys: &Path, tokens: &TempDir) -> Fleet {
    // A token is good for a second and a half, and each refresh hands out a new refresh token: a lost one is never found again.
    let options = Options { access_token_lifetime: Duration::from_secs(2), ..Options::default() };
    let google = FakeGoogle::start(options).await.unwrap();
    let people = google.seed_world(PEOPLE, 2, 5).unwrap();
    let program =
        Program::with(db).env("SYNCFLEET_KEYS_FILE", keys.to_str().unwrap()).envs(google.settings());
    let mut scheduler = program.start(&["scheduler"]).await;
    let mut workers = vec![program.start(&["worker"]).await, program.start(&["worker"]).await];
    scheduler.ready().await;
    for worker in &mut workers {
        worker.ready().await;
    }
    program.ok(&["tenant", "add", "acme"]).await;
    for person in people {
        google.world().set_consent(&person.email, Consent { rotates: true, ..Consent::default() }).unwrap();
        let file = tokens.path().join(&person.email);
        fs::write(&file, person.refresh_token).unwrap();
        let file = file.to_str().unwrap();
        let add =
            ["account", "add", "--tenant", "acme", "--email", &person.email, "--token-file", file, "--wait"];
        let added = program.ok(&add).await;
        assert!(added.contains("its first sync: 2 of 2 calendars, "), "{added}");
    }
    Fleet { program, google, workers, _scheduler: scheduler }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_key_is_rolled_over_a_running_fleet(db: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let [old, new] = ["old", "new"].map(|id| generate_key(id).unwrap().expose_secret().to_owned());
    put(&file, &[&old]);
    let mut fleet = fleet(&db, &file, &folder).await;
    let program = fleet.program.clone();
    let mut wanting = JoinSet::new();
    wanting.spawn({
        let program = program.clone();
        async move {
            loop {
                program.run(&["enqueue", "calendar-events", "--all"]).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    });
    fleet.refreshed().await;

    // As in docs/keys.md: every process opens the new key before any seals under it.
    put(&file, &[&old, &new]);
    fleet.restart().await;
    put(&file, &[&new, &old]);
    fleet.restart().await;
    let rotated = program.ok(&["keys", "rotate"]).await;
    assert!(rotated.contains("all are under the key new"), "{rotated}");
    fleet.refreshed().await;
    put(&file, &[&new]);
    let listed = program.ok(&["keys", "ls"]).await;
    assert!(!listed.contains("old"), "{listed}");
    fleet.restart().await;
    fleet.refreshed().await;
    wanting.shutdown().await;

    let stuck: i64 = sqlx::query_scalar(
        "select (select count(*) from job_state where phase = 'parked') + (select count(*) from gates)",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(stuck, 0, "{}", program.ok(&["job", "ls"]).await);
    let failed: i64 = sqlx::query_scalar(
        "select count(*) from runs where outcome not in ('complete', 'continue', 'handed_back')",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(failed, 0, "{}", program.ok(&["run", "ls"]).await);
    for worker in &fleet.workers {
        for secret in ["refresh-", "ya29.", "1//fake"] {
            assert!(!worker.log().contains(secret), "a token is in the log");
        }
    }
}
