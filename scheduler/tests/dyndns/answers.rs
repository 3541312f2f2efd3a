use shared::store::{PgPool, dns_logins};
use sqlx::postgres::PgPoolOptions;

use crate::rig::{PASSWORD, Rig, send};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_name_has_its_line_in_the_order_of_the_call(db: PgPool) {
    let rig = Rig::start(db).await;
    let told = rig
        .call("hostname=nas.example.org,office.example.org,nobody.example.org,home,other.example.org,home.example.org&myip=8.8.8.8")
        .await;
    assert_eq!(told, "good 8.8.8.8\ngood 8.8.8.8\nnohost\nnotfqdn\nnohost\ngood 8.8.8.8\n");
    assert_eq!(rig.stands("home").await, (Some("8.8.8.8".to_owned()), None, 2));
    assert_eq!(rig.stands("office").await, (Some("8.8.8.8".to_owned()), None, 0));
    assert_eq!(rig.stands("other").await.0, None, "it is another login's");
    // One name of two with news, the other without.
    let told = rig.call("hostname=home.example.org,office.example.org&myip=8.8.8.8,2a00:1450::1").await;
    assert_eq!(told, "good 8.8.8.8,2a00:1450::1\nnochg 8.8.8.8\n", "the office keeps IPv4 alone");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_refusal_has_its_word_and_changes_nothing(db: PgPool) {
    let rig = Rig::start(db).await;
    let many = format!("hostname={}&myip=8.8.8.8", vec!["home.example.org"; 21].join(","));
    for (query, body, why) in [
        ("", "notfqdn\n", "a name is missing"),
        ("hostname=home&myip=8.8.8.8", "notfqdn\n", "no full name"),
        ("hostname=nobody.example.org&myip=8.8.8.8", "nohost\n", "no name of this login"),
        ("hostname=other.example.org&myip=8.8.8.8", "nohost\n", "no name of this login"),
        (many.as_str(), "numhost\n", "20 are allowed"),
        ("hostname=home.example.org&myip=8.8.8.8&offline=YES", "!donator\n", "offline"),
        ("hostname=home.example.org&myip=%3Cipaddr%3E", "dnserr\n", "is no address"),
        ("hostname=home.example.org&myip=192.168.178.1", "dnserr\n", "private"),
        ("hostname=home.example.org&myip=100.64.1.1", "dnserr\n", "customers"),
        ("hostname=home.example.org&myip=fd00::1", "dnserr\n", "unique local"),
        ("hostname=home.example.org&myip=127.0.0.1", "dnserr\n", "loopback"),
        ("hostname=home.example.org", "dnserr\n", "loopback"),
        ("hostname=office.example.org&myip=2a00:1450::1", "dnserr\n", "not kept in that family"),
    ] {
        let answer = rig.call_with(query, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{query}");
        let reason =
            answer.head.lines().find(|line| line.starts_with("x-syncfleet-reason: ")).unwrap_or_default();
        assert!(reason.contains(why), "{query}: {}", answer.head);
    }
    for headers in ["", "Authorization: Bearer x\r\n", "Authorization: Basic !\r\n"] {
        let request =
            format!("GET /nic/update?hostname=home.example.org&myip=8.8.8.8 HTTP/1.0\r\n{headers}\r\n");
        let answer = rig.send(&request).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, "badauth\n"), "{headers}");
    }
    for query in ["password=x", "pass=x", "token=router.se-cret_1"] {
        let query = format!("hostname=home.example.org&myip=8.8.8.8&user=router&{query}");
        let answer = rig.call_with(&query, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (401, "badauth\n"), "{query}");
        assert!(answer.head.contains("stands in logs"), "{}", answer.head);
    }
    assert_eq!(rig.stands("home").await, (None, None, 0));
    // What an address is allowed, it may be.
    assert_eq!(rig.call("hostname=office.example.org&myip=10.1.2.3").await, "good 10.1.2.3\n");
    assert_eq!(rig.call("hostname=office.example.org&myip=192.168.178.1").await, "dnserr\n");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_family_that_can_be_used_is_told_beside_one_that_cannot(db: PgPool) {
    let rig = Rig::start(db).await;
    assert_eq!(rig.call("hostname=home.example.org&myip=100.64.1.1,2a00:1450::1").await, "dnserr\n");
    assert_eq!(rig.stands("home").await, (None, Some("2a00:1450::1".to_owned()), 2));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_was_told_and_by_whom_is_noted(db: PgPool) {
    let rig = Rig::start(db).await;
    rig.call_with("hostname=home.example.org&myip=8.8.8.8", "User-Agent: Acme - Router - 1.0\r\n").await;
    let login =
        dns_logins::list(&mut rig.db.acquire().await.unwrap(), None, Some("router")).await.unwrap().remove(0);
    assert_eq!(
        (login.used_from.as_deref(), login.agent.as_deref()),
        (Some("127.0.0.1"), Some("Acme - Router - 1.0"))
    );
    let told = async || {
        let sql = "select told_by, told_at > clock() - interval '1 minute' from dns_address_families where address is not null";
        sqlx::query_as::<_, (String, bool)>(sql).fetch_one(&rig.db).await.unwrap()
    };
    assert_eq!(told().await, ("router".to_owned(), true));
    // That it was told again is noted when the last note is an hour old, and wants nothing.
    sqlx::query("update dns_address_families set told_at = clock() - interval '61 minutes'")
        .execute(&rig.db)
        .await
        .unwrap();
    assert_eq!(rig.call("hostname=home.example.org&myip=8.8.8.8").await, "nochg 8.8.8.8\n");
    assert!(told().await.1);
    assert_eq!(rig.stands("home").await.2, 2);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_login_that_is_blocked_or_calls_far_too_often_is_told_abuse(db: PgPool) {
    let rig = Rig::start(db).await;
    let same = "hostname=home.example.org&myip=8.8.8.8";
    assert_eq!(rig.call(same).await, "good 8.8.8.8\n");
    let mut calls = 0;
    while rig.call(same).await == "nochg 8.8.8.8\n" {
        calls += 1;
        assert!(calls < 1_000, "it may call for ever");
    }
    assert!(calls >= 120, "after {calls} calls");
    assert_eq!(
        rig.call("hostname=home.example.org&myip=8.8.4.4").await,
        "good 8.8.4.4\n",
        "news are always taken"
    );
    assert_eq!(
        rig.call_as("other", PASSWORD, "hostname=other.example.org&myip=8.8.8.8", "").await.body,
        "good 8.8.8.8\n"
    );

    let mut conn = rig.db.acquire().await.unwrap();
    assert_eq!(dns_logins::block(&mut conn, "other", Some("a broken router")).await.unwrap(), Some(true));
    assert_eq!(dns_logins::block(&mut conn, "other", Some("again")).await.unwrap(), Some(false));
    let blocked = rig.call_as("other", PASSWORD, "hostname=other.example.org&myip=8.8.4.4", "").await;
    assert_eq!((blocked.status, blocked.body.as_str()), (200, "abuse\n"));
    assert_eq!(rig.stands("other").await.0.as_deref(), Some("8.8.8.8"));
    assert_eq!(dns_logins::block(&mut conn, "other", None).await.unwrap(), Some(true));
    assert_eq!(
        rig.call_as("other", PASSWORD, "hostname=other.example.org&myip=8.8.4.4", "").await.body,
        "good 8.8.4.4\n"
    );
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn while_the_database_is_away_the_answer_is_911(db: PgPool) {
    let rig = Rig::start(db.clone()).await;
    // Nobody listens there.
    let nowhere = PgPoolOptions::new()
        .acquire_timeout(std::time::Duration::from_secs(1))
        .connect_lazy("postgres://nobody@127.0.0.1:1/nothing")
        .unwrap();
    let away = Rig::over(db, nowhere, &[]).await;
    let request =
        |path: &str| format!("GET {path} HTTP/1.0\r\nAuthorization: Basic cm91dGVyOnNlLWNyZXRfMQ==\r\n\r\n");
    let answer = send(away.address, &request("/nic/update?hostname=home.example.org&myip=8.8.8.8")).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "911\n"));
    assert!(answer.head.contains("retry-after: 5"), "{}", answer.head);
    let duck = "/update?domains=home.example.org&token=router.se-cret_1&ip=8.8.8.8";
    let answer = send(away.address, &request(duck)).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "KO"));
    assert_eq!(rig.stands("home").await, (None, None, 0));
    away.end().await;
    rig.end().await;
}
