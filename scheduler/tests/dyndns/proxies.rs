use shared::store::PgPool;

use crate::rig::Rig;

const CALL: &str = "hostname=home.example.org";

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_trusted_proxy_says_for_whom_it_calls(db: PgPool) {
    let rig = Rig::behind(db, &["127.0.0.0/8", "10.0.0.0/8"]).await;
    for (headers, body) in [
        ("X-Forwarded-For: 8.8.8.1\r\n", "good 8.8.8.1\n"),
        ("X-Forwarded-For: 6.6.6.6, 8.8.8.2, 10.0.0.7\r\n", "good 8.8.8.2\n"),
        ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 8.8.8.3\r\n", "good 8.8.8.3\n"),
        ("Forwarded: for=\"[2a00:1450::4]:4711\";proto=https\r\n", "good 2a00:1450::4\n"),
        // What it does not say, or says in two ways, is nobody's address.
        ("", "dnserr\n"),
        ("Forwarded: for=unknown\r\n", "dnserr\n"),
        ("X-Forwarded-For: 8.8.8.5\r\nForwarded: for=6.6.6.6\r\n", "dnserr\n"),
        ("X-Real-IP: 6.6.6.6\r\n", "dnserr\n"),
    ] {
        assert_eq!(rig.call_with(CALL, headers).await.body, body, "{headers}");
    }
    // An address that the router names counts, whoever calls.
    let named = rig.call_with("hostname=home.example.org&myip=8.8.8.8", "X-Forwarded-For: 6.6.6.6\r\n").await;
    assert_eq!(named.body, "good 8.8.8.8\n");
    // Duck DNS never takes IPv6 from the caller.
    let duck = "GET /update?domains=home.example.org&token=router.se-cret_1 HTTP/1.0\r\nX-Forwarded-For: ";
    assert_eq!(rig.send(&format!("{duck}2a00:1450::9\r\n\r\n")).await.body, "KO");
    assert_eq!(rig.send(&format!("{duck}8.8.8.9\r\n\r\n")).await.body, "OK");
    assert_eq!(rig.stands("home").await.0.as_deref(), Some("8.8.8.9"));
    assert_eq!(rig.stands("home").await.1.as_deref(), Some("2a00:1450::4"));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn whoever_is_not_trusted_is_not_believed(db: PgPool) {
    let rig = Rig::behind(db, &["10.0.0.0/8"]).await;
    for headers in ["X-Forwarded-For: 6.6.6.6\r\n", "Forwarded: for=6.6.6.6\r\n"] {
        let answer = rig.call_with(CALL, headers).await;
        assert_eq!(answer.body, "dnserr\n", "{headers}");
        // It may be a proxy: its own address is nobody's home either.
        assert!(answer.head.contains("syncfleet_trusted_proxies"), "{}", answer.head);
    }
    assert_eq!(rig.stands("home").await, (None, None, 0));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn without_a_proxy_the_caller_is_the_peer(db: PgPool) {
    let rig = Rig::start(db).await;
    // As `dns address set --allow` does: the caller of this test is of the loopback.
    sqlx::query("update dns_addresses set allowed = '{127.0.0.0/8}' where name = 'office'")
        .execute(&rig.db)
        .await
        .unwrap();
    let call = "hostname=office.example.org";
    for (query, headers, body) in [
        (call, "", "good 127.0.0.1\n"),
        (call, "", "nochg 127.0.0.1\n"),
        // One that calls for others is a proxy, and nobody trusts it.
        (call, "X-Forwarded-For: 127.0.0.9\r\n", "dnserr\n"),
        ("hostname=office.example.org&myip=", "", "nochg 127.0.0.1\n"),
        // Another address of the name's is not allowed to be there.
        ("hostname=home.example.org", "", "dnserr\n"),
    ] {
        assert_eq!(rig.call_with(query, headers).await.body, body, "{query} {headers}");
    }
    assert_eq!(rig.stands("office").await.0.as_deref(), Some("127.0.0.1"));
    assert_eq!(
        rig.call_with("hostname=office.example.org&myip=127.0.0.2", "").await.body,
        "good 127.0.0.2\n"
    );
    let duck = "GET /update?domains=office.example.org&token=router.se-cret_1&verbose=true HTTP/1.0\r\n\r\n";
    assert_eq!(rig.send(duck).await.body, "OK\n127.0.0.1\n\nUPDATED");
    assert_eq!(rig.stands("office").await.0.as_deref(), Some("127.0.0.1"));
    assert_eq!(rig.stands("home").await, (None, None, 0));
    rig.end().await;
}
