use std::time::{Duration, Instant};

use shared::{
    admin::{Actor, feed},
    store::{PgPool, changes::What},
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    client::{Client, Event},
    rig::Rig,
};

fn keys(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::key).collect()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_reader_sees_what_happens_and_resumes_in_the_middle(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    rig.change(&rig.acme, &["before"]).await;
    let mut client = Client::with(rig.address, "", &rig.acme.token).await.greeted().await;
    assert_eq!(client.headers["content-type"], "text/event-stream");
    let greeting = client.last.clone().unwrap();
    rig.change(&rig.acme, &["a", "b", "c"]).await;
    rig.change(&rig.acme, &["d"]).await;
    let mut events = client.changes(4).await;
    if events[0].key() == "before" {
        // Another test's transaction held it back when the stream began.
        events.remove(0);
        events.extend(client.changes(1).await);
    }
    assert_eq!(keys(&events), ["a", "b", "c", "d"]);
    let data = &events[0].data;
    assert_eq!(
        (&data["resource"], &data["what"], &data["account"]),
        (&"event".into(), &"created".into(), &rig.acme.account.into())
    );
    assert_eq!((data["id"].as_str().unwrap(), &data["parent"]), (events[0].id.as_str(), &7.into()));
    drop(client);

    // As a browser does it: the header is newer than the address.
    let bearer = format!("Bearer {}", rig.acme.token);
    let headers = [("Authorization", bearer.as_str()), ("Last-Event-ID", events[1].id.as_str())];
    let mut again = Client::open(rig.address, &format!("?after={greeting}"), &headers).await.greeted().await;
    assert_eq!(keys(&again.changes(2).await), ["c", "d"]);
    let mut third =
        Client::with(rig.address, &format!("?after={}", events[2].id), &rig.acme.token).await.greeted().await;
    rig.change(&rig.acme, &["e"]).await;
    assert_eq!(keys(&third.changes(2).await), ["d", "e"]);
    assert_eq!(keys(&again.changes(1).await), ["e"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_tenant_sees_its_own_and_a_filter_only_what_it_asks_for(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    let mut acme = Client::with(rig.address, "?after=oldest", &rig.acme.token).await.greeted().await;
    let mut other = Client::with(rig.address, "?after=oldest", &rig.other.token).await.greeted().await;
    let files = Client::with(rig.address, "?after=oldest&resource=file,drive", &rig.acme.token);
    let mut files = files.await.greeted().await;
    rig.change(&rig.acme, &["a"]).await;
    rig.change(&rig.other, &["o"]).await;
    rig.change(&rig.acme, &["b"]).await;
    assert_eq!(keys(&acme.changes(2).await), ["a", "b"]);
    assert_eq!(keys(&other.changes(1).await), ["o"]);
    // A filtered reader is told how far it is, with a sign of life.
    let greeted = files.last.clone();
    let told = tokio::time::timeout(Duration::from_secs(18), files.event()).await;
    assert!(told.is_err(), "no change is for it: {told:?}");
    assert_ne!(files.last, greeted);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_becomes_of_a_name_is_told_without_an_account(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    let record = rig.name(&rig.acme, "home.example.com").await;
    let open = async |query: &str| {
        Client::with(rig.address, &format!("?after=oldest{query}"), &rig.acme.token).await.greeted().await
    };
    let (mut all, mut states) = (open("").await, open("&resource=dns_record&what=failing,recovered").await);
    let mut of_account = open(&format!("&account={}", rig.acme.account)).await;
    rig.change(&rig.acme, &["a"]).await;
    rig.tell(&rig.acme, record, What::Failing, "badauth").await;
    rig.tell(&rig.acme, record, What::Updated, "203.0.113.7").await;
    rig.tell(&rig.acme, record, What::Recovered, "").await;
    rig.change(&rig.acme, &["b"]).await;
    let told = all.changes(5).await;
    assert_eq!(keys(&told), ["a", "home.example.com", "home.example.com", "home.example.com", "b"]);
    assert_eq!((&told[1].data["account"], &told[1].data["parent"]), (&().into(), &record.into()));
    assert_eq!((&told[1].data["what"], &told[1].data["detail"]), (&"failing".into(), &"badauth".into()));
    assert_eq!((told[0].data.get("detail"), told[3].data.get("detail")), (None, None));
    let whats: Vec<_> = states.changes(2).await.iter().map(|event| event.data["what"].clone()).collect();
    assert_eq!(whats, ["failing", "recovered"]);
    assert_eq!(keys(&of_account.changes(2).await), ["a", "b"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn many_readers_share_one_connection_that_listens(db: PgPool) {
    let rig = Rig::start(db, 50).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(Client::with(rig.address, "?after=oldest", &rig.acme.token).await.greeted().await);
    }
    let began = Instant::now();
    loop {
        let listening: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%'",
        )
        .fetch_one(&rig.db)
        .await
        .unwrap();
        assert!(listening <= 1, "{listening} connections listen");
        if listening == 1 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nobody listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.change(&rig.acme, &["a", "b"]).await;
    for client in &mut clients {
        assert_eq!(keys(&client.changes(2).await), ["a", "b"]);
    }
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_soft_word_ends_all_streams_even_of_readers_that_do_not_read(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    // More than all buffers on the way hold.
    sqlx::query(
        "insert into changes (epoch, xid, at, tenant_id, account_id, resource, what, key)
        select feed_epoch_to_write(), pg_current_xact_id()::text::bigint, clock(), tenant_id, id, 'event', 'created',
            repeat('x', 1000) || n
        from accounts cross join generate_series(1, 30000) n where id = $1",
    )
    .bind(rig.acme.account)
    .execute(&rig.db)
    .await
    .unwrap();
    let mut slow = Client::with(rig.address, "?after=oldest", &rig.acme.token).await.greeted().await;
    let mut idle = Client::with(rig.address, "", &rig.other.token).await.greeted().await;
    // It reads a little, and then no more.
    slow.changes(3).await;
    let began = Instant::now();
    rig.end().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(idle.event().await, None, "it has ended in good order");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_token_that_is_removed_ends_its_streams(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    let mut client = Client::with(rig.address, "", &rig.acme.token).await.greeted().await;
    let mut other = Client::with(rig.address, "", &rig.other.token).await.greeted().await;
    feed::remove_token(&rig.db, &Actor::new("test"), rig.acme.token_id).await.unwrap();
    assert_eq!(client.event().await.unwrap().name, "revoked");
    assert_eq!(client.event().await, None);
    assert_eq!(Client::with(rig.address, "", &rig.acme.token).await.status, 401);
    rig.change(&rig.other, &["o"]).await;
    assert_eq!(keys(&other.changes(1).await), ["o"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_reader_of_little_catches_up_with_much(db: PgPool) {
    let rig = Rig::start(db, 5).await;
    rig.crowd(&rig.acme, 12_000).await;
    rig.change(&rig.acme, &["a"]).await;
    rig.crowd(&rig.acme, 12_000).await;
    rig.change(&rig.acme, &["b"]).await;
    let events = Client::with(rig.address, "?after=oldest&resource=event", &rig.acme.token);
    let mut events = events.await.greeted().await;
    assert_eq!(keys(&events.changes(2).await), ["a", "b"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn who_listens_takes_no_connection_of_the_pool(_: PgPoolOptions, database: PgConnectOptions) {
    let db = PgPoolOptions::new().max_connections(5).connect_with(database.clone()).await.unwrap();
    let one = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(5));
    let rig = Rig::over(db, one.connect_lazy_with(database), 5).await;
    let began = Instant::now();
    loop {
        let listening = sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%'",
        );
        let listening = listening.fetch_one(&rig.db).await.unwrap();
        if listening == 1 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nobody listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut client = Client::with(rig.address, "", &rig.acme.token).await.greeted().await;
    rig.change(&rig.acme, &["a"]).await;
    assert_eq!(keys(&client.changes(1).await), ["a"]);
    rig.end().await;
}
