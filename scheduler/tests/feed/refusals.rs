use std::time::Duration;

use shared::store::{
    PgPool,
    changes::{self, Position},
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
        ("?resource=mail", 400, "the resources are calendar, event, drive, file"),
        ("?limit=3", 400, "there are after, account and resource"),
        ("?account=999", 404, "the tenant has no account 999"),
        (foreign.as_str(), 404, "the tenant has no account"),
        ("?after=1-1-1", 200, ""),
        ("?after=2147483647-1-1", 410, "go on with after=now"),
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
    sqlx::query("update changes set at = clock() - interval '8 days'").execute(&rig.db).await.unwrap();
    changes::retain(&rig.db, Duration::from_hours(7 * 24)).await.unwrap();
    let start = format!("?after={}", Position::START);
    let mut client = Client::with(rig.address, &start, &rig.acme.token).await;
    assert_eq!(client.status, 410);
    assert!(client.body().await.contains("read the tables anew"));
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
