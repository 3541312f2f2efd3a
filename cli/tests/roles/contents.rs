//! A worker that is killed in the middle of a large file.

use loadtest::fake_google::{Consent, Content, FakeGoogle, FileDraft, Options};
use rustix::process::Signal;
use secrecy::ExposeSecret as _;
use shared::{objects::PART, secrets::generate_key, store::PgPool};

use crate::process::{LIMIT, Program, until};

const ANNA: &str = "anna@example.com";

/// Bytes of the file.
const LENGTH: u64 = 256 << 20;

/// And of one that is tried by hand: longer than a step, and than any buffer.
const HUGE: u64 = 1280 << 20;

/// What may be on its way, beside the part that was not noted yet: the buffers of both ends of a connection, as the kernel lets
/// them grow, and those of the two programs.
fn on_its_way() -> u64 {
    let largest = |name: &str| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
        text.split_whitespace().last().unwrap().parse().unwrap()
    };
    largest("tcp_rmem") + largest("tcp_wmem") + (2 << 20)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_killed_worker_costs_a_part_and_not_the_file(db: PgPool) {
    killed_in_the_middle(db, LENGTH).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
#[ignore = "it takes minutes and more than 2 GiB of disk"]
async fn a_killed_worker_costs_a_part_of_a_huge_file(db: PgPool) {
    killed_in_the_middle(db, HUGE).await;
}

#[expect(clippy::print_stderr, reason = "the figures of a run by hand")]
async fn killed_in_the_middle(db: PgPool, length: u64) {
    let google = FakeGoogle::start(Options::default()).await.unwrap();
    let file = {
        let mut world = google.world();
        world.add_account(ANNA, "refresh-anna", None).unwrap();
        world.set_consent(ANNA, Consent::to(&["https://www.googleapis.com/auth/drive.readonly"])).unwrap();
        let content = Some(Content::Drawn { seed: 1, length });
        let mime_type = Some("application/octet-stream".to_owned());
        world
            .put_file(
                ANNA,
                FileDraft { name: "large".to_owned(), mime_type, content, ..FileDraft::default() },
            )
            .unwrap()
    };
    let place = tempfile::tempdir().unwrap();
    let objects = place.path().join("objects");
    let token = place.path().join("token");
    std::fs::write(&token, "refresh-anna").unwrap();
    let key = generate_key("test").unwrap();
    let program = Program::with(&db)
        .env("SYNCFLEET_KEYS", key.expose_secret())
        .env("SYNCFLEET_OBJECTS", objects.to_str().unwrap())
        .envs(google.settings());
    program.ok(&["tenant", "add", "acme"]).await;
    program
        .ok(&["account", "add", "--tenant", "acme", "--email", ANNA, "--token-file", token.to_str().unwrap()])
        .await;
    program.ok(&["drive", "mirror", "add", "--account", ANNA]).await;

    let mut scheduler = program.start(&["scheduler"]).await;
    let mut killed = program.start(&["worker"]).await;
    scheduler.ready().await;
    killed.ready().await;
    let patience = LIMIT * u32::try_from(1 + length / LENGTH * 3).unwrap();
    let received = async || -> u64 {
        let received: Option<i64> =
            sqlx::query_scalar("select received from file_contents where state = 'pending'")
                .fetch_optional(&db)
                .await
                .unwrap();
        u64::try_from(received.unwrap_or_default()).unwrap()
    };
    let enough = length / 4;
    until("a quarter is stored", patience, async || received().await >= enough).await;
    killed.signal(Signal::KILL);
    assert_eq!(killed.ended(LIMIT).await.code, 137);
    let durable = received().await;
    assert!((enough..length).contains(&durable), "{durable} bytes: it was not killed in the middle");
    let calls = google.stats().media[&file].from.len();

    let mut heir = program.start(&["worker"]).await;
    heir.ready().await;
    until("the file is stored", patience, async || {
        sqlx::query_scalar("select count(*) = 1 from file_contents where state = 'stored'")
            .fetch_one(&db)
            .await
            .unwrap()
    })
    .await;
    let counts = google.stats().media[&file].clone();
    eprintln!("{durable} bytes were durable; calls from {:?}, sent {:?}", counts.from, counts.sent);
    assert_eq!(counts.from[calls], durable, "the heir's first Range goes on where it was: {counts:?}");
    // What the killed worker's last call had sent beyond that comes again, and so does what a step's end cuts off.
    for (call, next) in counts.from[1..].iter().enumerate() {
        let again = (counts.from[call] + counts.sent[call]).saturating_sub(*next);
        assert!(again <= PART as u64 + on_its_way(), "{again} bytes of call {call} came again: {counts:?}");
    }
    assert!(counts.from.is_sorted(), "no call goes back: {counts:?}");

    if length > LENGTH {
        // Not optimised, the rest takes longer than a command may.
        return;
    }
    let to = place.path().join("pulled");
    let root = google.world().root_folder(ANNA).unwrap();
    let said = program
        .ok(&["drive", "pull", "--account", ANNA, "--folder", &root, "--to", to.to_str().unwrap()])
        .await;
    assert!(said.contains(&format!("1 files written ({length} bytes), 0 unchanged")), "{said}");
    assert_eq!(std::fs::metadata(to.join("large")).unwrap().len(), length);
    let listed = program.ok(&["drive", "contents", "--account", ANNA, "--state", "stored"]).await;
    assert!(listed.contains("large") && listed.contains(&length.to_string()), "{listed}");
    let files = program.ok(&["file", "ls", "--account", ANNA, "--name", "large"]).await;
    assert!(files.contains("STORED") && files.contains(" stored "), "{files}");
}
