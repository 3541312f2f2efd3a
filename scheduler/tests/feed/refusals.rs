use std::time::Duration;

use shared::store::{
    PgPool,
    changes::{self, Position},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{client::Client, rig::Rig};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn whoever_has_no_token_is_refused(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    let foreign = rig
        .other
        .token
        .replace(&format!("sft_{}_", rig.other.token_id), &format!("sft_{}_", rig.acme.token_id));
    for header in
        ["", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", &format!("Bearer {foreign}"), &rig.acme.token]
    {
        let mut client = Client::open(rig.address, "", &[("authorization", header)]).await;
        let body = client.body().await;
        assert_eq!(
            (client.status, client.headers["www-authenticate"].as_str()),
            (401, "Bearer"),
            "{header}: {body}"
        );
        assert!(body.contains("a feed token is needed") && !body.contains("sft_1"), "{body}");
    }
    let in_the_address = format!("?token={}", rig.acme.token);
    assert_eq!(Client::open(rig.address, &in_the_address, &[]).await.status, 401);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_makes_no_sense_is_refused_with_the_reason(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    let foreign = format!("?account={}", rig.other.account);
    for (query, status, why) in [
        ("?after=yesterday", 400, "no position in the feed"),
        ("?account=ada", 400, "no account's number"),
        ("?resource=mail", 400, "the resources are calendar, event, drive, file, dns_record"),
        ("?what=broken", 400, "created, updated, deleted, failing, recovered"),
        ("?limit=3", 400, "there are after, account, resource and what"),
        ("?account=999", 404, "the tenant has no account 999"),
        (foreign.as_str(), 404, "the tenant has no account"),
        ("?after=1-1-1", 200, ""),
        ("?after=2147483647-1-1", 410, "lies ahead of this feed"),
    ] {
        let mut client = Client::with(rig.address, query, &rig.acme.token).await;
        assert_eq!(client.status, status, "{query}");
        assert!(client.body().await.contains(why), "{query}: {}", client.body().await);
    }
    let last = [("authorization", &*format!("bearer {}", rig.acme.token)), ("last-event-id", "7")];
    assert_eq!(Client::open(rig.address, "", &last).await.status, 400);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_position_before_what_is_kept_is_gone(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    rig.change(&rig.acme, &["old"]).await;
    // What another test's transaction still holds back is not dropped in real life.
    let mut early = Client::with(rig.address, "?after=oldest", &rig.acme.token).await.greeted().await;
    assert_eq!(early.changes(1).await[0].key(), "old");
    sqlx::query("update changes set at = clock() - interval '8 days'").execute(&rig.db).await.unwrap();
    changes::retain(&rig.db, Duration::from_hours(7 * 24)).await.unwrap();
    let start = format!("?after={}", Position::START);
    let mut client = Client::with(rig.address, &start, &rig.acme.token).await;
    assert_eq!(client.status, 410);
    let told = client.body().await;
    assert!(
        told.contains("0-0-0 lies before what is kept") && told.contains("read the tables anew"),
        "{told}"
    );
    // As a reader that comes back says it.
    let bearer = format!("Bearer {}", rig.acme.token);
    let headers = [("authorization", bearer.as_str()), ("last-event-id", "1-1-1")];
    let mut client = Client::open(rig.address, "?after=now", &headers).await;
    let told = client.body().await;
    assert_eq!(client.status, 410, "{told}");
    assert!(told.contains("the position 1-1-1 lies before what is kept"), "{told}");
    assert!(told.contains("\"position\":\"1-1-1\""), "{told}");
    assert_eq!(
        Client::with(rig.address, &start, &rig.other.token).await.status,
        200,
        "nothing of theirs was dropped"
    );
    rig.change(&rig.acme, &["new"]).await;
    let mut client = Client::with(rig.address, "?after=oldest", &rig.acme.token).await.greeted().await;
    assert_eq!(client.changes(1).await[0].key(), "new");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_tenant_has_so_many_readers_and_no_more(db: PgPool) {
    let rig = Rig::start(db, 2).await;
    let first = Client::with(rig.address, "", &rig.acme.token).await.greeted().await;
    let _second = Client::with(rig.address, "", &rig.acme.token).await.greeted().await;
    let mut third = Client::with(rig.address, "", &rig.acme.token).await;
    assert_eq!(third.status, 429);
    assert!(third.body().await.contains("2 readers"));
    let _other = Client::with(rig.address, "", &rig.other.token).await.greeted().await;
    drop(first);
    let began = std::time::Instant::now();
    while Client::with(rig.address, "", &rig.acme.token).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(40), "a place that was left is not free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn who_fails_too_often_is_not_looked_at_any_more(db: PgPool) {
    const CALLS: usize = 3_000;
    let rig = Rig::start(db, 5).await;
    drop(Client::with(rig.address, "", &rig.acme.token).await.greeted().await);
    let calls = "GET /feed HTTP/1.1\r\nhost: feed\r\nauthorization: Bearer x\r\n\r\n".repeat(CALLS);
    let (mut from, mut to) = TcpStream::connect(rig.address).await.unwrap().into_split();
    let calling = async {
        to.write_all(calls.as_bytes()).await.unwrap();
        to.write_all(b"GET /healthz HTTP/1.1\r\nhost: feed\r\nconnection: close\r\n\r\n").await.unwrap();
    };
    let mut answers = String::new();
    let reading = async { from.read_to_string(&mut answers).await.unwrap() };
    tokio::join!(calling, reading);
    let answered = |status: &str| answers.matches(&format!("HTTP/1.1 {status}")).count();
    let (unknown, refused) = (answered("401"), answered("429"));
    assert_eq!(unknown + refused, CALLS);
    assert!(unknown >= 100 && refused > 0, "{unknown} were answered as such, {refused} refused");
    assert_eq!(answers.matches("retry-after: 1").count(), refused);
    // Whoever was let in before comes in from the same address; whoever was not waits a moment at most.
    let known = Client::with(rig.address, "", &rig.acme.token).await;
    assert_eq!(known.status, 200);
    let began = std::time::Instant::now();
    while Client::with(rig.address, "", &rig.other.token).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(40), "a source is never let in again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.end().await;
}
