//! Changes on their way out, through real processes: the scheduler wants, a worker sends, a worker that is killed with the
//! message on its way loses nothing.

use std::time::Duration;

use rustix::process::Signal;
use secrecy::ExposeSecret as _;
use shared::{
    secrets::generate_key,
    store::{
        PgPool,
        changes::{self, Change, Resource, What},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::process::{LIMIT, Program, until};

/// The next message: its id, its body, and the connection that waits for an answer.
async fn message(listener: &TcpListener) -> (String, String, TcpStream) {
    let message = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "it hung up");
            let text = String::from_utf8(bytes.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.ends_with('}')
            {
                let id = head.lines().find_map(|line| line.strip_prefix("webhook-id: ")).unwrap().to_owned();
                return (id, body.to_owned(), stream);
            }
        }
    };
    tokio::time::timeout(LIMIT, message).await.expect("no message comes")
}

async fn change(db: &PgPool, key: &str) {
    let change = Change {
        account: 1,
        resource: Resource::Event,
        parent: None,
        key: key.to_owned(),
        what: What::Created,
    };
    let mut conn = db.acquire().await.unwrap();
    changes::write(&mut conn, &[change]).await.unwrap();
    changes::notify(&mut conn, &[1]).await.unwrap();
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_worker_that_is_killed_between_sending_and_commit_sends_the_same_again(db: PgPool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let program = Program::with(&db)
        .env("SYNCFLEET_KEYS", generate_key("k").unwrap().expose_secret())
        .env("SYNCFLEET_WEBHOOK_ALLOW", "127.0.0.1");
    program.ok(&["tenant", "add", "acme"]).await;
    sqlx::query("insert into accounts (tenant_id, provider, email) values (1, 'google', 'a@example.com')")
        .execute(&db)
        .await
        .unwrap();
    program.ok(&["webhook", "add", "--tenant", "acme", "--url", &url]).await;
    let mut scheduler = program.start(&["scheduler"]).await;
    let mut worker = program.start(&["worker"]).await;
    scheduler.ready().await;
    worker.ready().await;

    change(&db, "a").await;
    let (id, body, _held) = message(&listener).await;
    assert!(body.contains(r#""key":"a""#), "{body}");
    worker.signal(Signal::KILL);
    worker.ended(LIMIT).await;
    change(&db, "b").await;
    let mut worker = program.start(&["worker"]).await;
    worker.ready().await;
    let (again, same, mut stream) = message(&listener).await;
    assert_eq!((again, same), (id, body));
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    let (_, next, mut stream) = message(&listener).await;
    assert!(next.contains(r#""key":"b""#) && !next.contains(r#""key":"a""#), "{next}");
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    until("two deliveries are counted", LIMIT, async || {
        worker.metric("syncfleet_webhook_deliveries_total", "delivered").await == Some(2.0)
    })
    .await;
    for (process, role) in [(worker, "worker"), (scheduler, "scheduler")] {
        process.signal(Signal::TERM);
        let ended = process.ended(Duration::from_secs(25)).await;
        assert_eq!(ended.code, 0, "{role}: {}", ended.log);
        assert!(!ended.log.contains("whsec_"), "{}", ended.log);
    }
}
