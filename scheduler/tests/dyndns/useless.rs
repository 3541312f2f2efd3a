//! What a router tells that cannot be used, as it stands at the address afterwards.

use futures_util::future::join_all;
use shared::store::{PgPool, dns_hosts, dns_logins};

use crate::rig::{PASSWORD, Rig};

const CALL: &str = "hostname=home.example.org&myip=";

/// Why a family of an address fails, and the number of its last write.
async fn stands(rig: &Rig, address: &str, family: &str) -> (Option<String>, String) {
    sqlx::query_as(
        "select f.failing_why, f.xmin::text
        from dns_address_families f join dns_addresses a on a.id = f.address_id
        where a.name = $1 and f.family = $2::address_family",
    )
    .bind(address)
    .bind(family)
    .fetch_one(&rig.db)
    .await
    .unwrap()
}

async fn why(rig: &Rig, address: &str, family: &str) -> Option<String> {
    stands(rig, address, family).await.0
}

/// What those who listen were told.
async fn told(rig: &Rig) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', resource, key, what, detail) from changes order by epoch, xid, id",
    )
    .fetch_all(&rig.db)
    .await
    .unwrap()
}

async fn run(rig: &Rig, sql: &'static str) {
    assert!(sqlx::query(sql).execute(&rig.db).await.unwrap().rows_affected() > 0, "{sql}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn it_is_noted_and_told_once_and_ends_with_the_next_good_word(db: PgPool) {
    let rig = Rig::start(db).await;
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "good 8.8.8.8\n");
    let useless = format!("{CALL}100.64.3.2");
    let answer = rig.call_with(&useless, "").await;
    assert_eq!(answer.body, "dnserr\n");
    let command = "`syncfleet dns address set home --allow 100.64.0.0/10`";
    assert!(answer.head.contains(command), "{}", answer.head);
    let first = stands(&rig, "home", "ipv4").await;
    let said = format!(
        "the router router told 100.64.3.2, which is shared by a provider's customers: nobody outside could reach it. \
         If it is meant, {command} allows its network; if not, choose another source (`--ipv4 SOURCE`) or none (`--no-ipv4`)"
    );
    assert_eq!(first.0.as_ref(), Some(&said));
    let failing = format!("dns_address home failing IPv4: {said}");
    assert_eq!(told(&rig).await, std::slice::from_ref(&failing));
    // The address stays what it was, and the records with it.
    assert_eq!(rig.stands("home").await, (Some("8.8.8.8".to_owned()), None, 2));

    // The same again writes nothing; another useless one is noted, and is no turn.
    for _ in 0..5 {
        assert_eq!(rig.call(&useless).await, "dnserr\n");
    }
    assert_eq!(stands(&rig, "home", "ipv4").await, first);
    assert_eq!(rig.call(&format!("{CALL}10.1.2.3")).await, "dnserr\n");
    assert!(why(&rig, "home", "ipv4").await.unwrap().contains("told 10.1.2.3, which is private"));
    assert_eq!(told(&rig).await.len(), 1);

    // The address that it was ends it, although nothing else is written of it; then nothing is.
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "nochg 8.8.8.8\n");
    let well = stands(&rig, "home", "ipv4").await;
    assert_eq!(well.0, None);
    assert_eq!(told(&rig).await, [failing, "dns_address home recovered".to_owned()]);
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "nochg 8.8.8.8\n");
    assert_eq!(stands(&rig, "home", "ipv4").await, well);
    assert_eq!(rig.stands("home").await.2, 2, "no record was wanted for it");

    // And so does another one.
    assert_eq!(rig.call(&useless).await, "dnserr\n");
    assert_eq!(rig.call(&format!("{CALL}8.8.4.4")).await, "good 8.8.4.4\n");
    assert_eq!((why(&rig, "home", "ipv4").await, told(&rig).await.len()), (None, 4));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_that_nobody_has_told_yet_says_what_was_tried(db: PgPool) {
    let rig = Rig::start(db).await;
    // The caller's own, which is that of a machine in between.
    assert_eq!(rig.call("hostname=home.example.org").await, "dnserr\n");
    let noted = why(&rig, "home", "ipv4").await.unwrap();
    assert!(noted.starts_with("the router router named no address and called from 127.0.0.1"), "{noted}");
    // What is allowed already stays so.
    assert_eq!(rig.call("hostname=office.example.org&myip=192.168.1.2").await, "dnserr\n");
    let noted = why(&rig, "office", "ipv4").await.unwrap();
    assert!(noted.contains("set office --allow 10.0.0.0/8 --allow 192.168.0.0/16`"), "{noted}");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn only_who_may_tell_an_address_makes_it_fail(db: PgPool) {
    let rig = Rig::start(db).await;
    let call = format!("{CALL}100.64.3.2");
    assert_eq!(rig.call_as("router", "wrong", &call, "").await.status, 401);
    assert_eq!(rig.call_as("other", PASSWORD, &call, "").await.body, "nohost\n");
    let mut conn = rig.db.acquire().await.unwrap();
    assert_eq!(dns_logins::block(&mut conn, "router", Some("broken")).await.unwrap(), Some(true));
    assert_eq!(rig.call(&call).await, "abuse\n");
    assert_eq!(why(&rig, "home", "ipv4").await, None);
    assert_eq!(told(&rig).await, Vec::<String>::new());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_family_fails_for_itself_and_the_address_while_one_does(db: PgPool) {
    let rig = Rig::start(db).await;
    // Duck DNS: all or nothing is told, and noted all the same.
    let duck = "/update?domains=home.example.org&token=router.se-cret_1&ip=100.64.3.2&ipv6=2a00:1450::1";
    let answer = rig.send(&format!("GET {duck} HTTP/1.0\r\nHost: sync.example\r\n\r\n")).await;
    assert_eq!(answer.body, "KO");
    assert_eq!(rig.stands("home").await, (None, None, 0));
    assert!(why(&rig, "home", "ipv4").await.is_some());
    assert_eq!(rig.call(&format!("{CALL}100.64.3.2,2a00:1450::1")).await, "dnserr\n");
    assert_eq!(rig.stands("home").await, (None, Some("2a00:1450::1".to_owned()), 2));
    assert_eq!(why(&rig, "home", "ipv6").await, None);
    // Both, then one, then none.
    assert_eq!(rig.call(&format!("{CALL}100.64.3.2,fd00::1")).await, "dnserr\n");
    assert!(why(&rig, "home", "ipv6").await.unwrap().contains("--allow fc00::/7`"));
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8,fd00::1")).await, "dnserr\n");
    assert_eq!(why(&rig, "home", "ipv4").await, None);
    assert_eq!(told(&rig).await.len(), 1, "it fails still");
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8,2a00:1450::1")).await, "nochg 8.8.8.8,2a00:1450::1\n");
    assert_eq!(told(&rig).await[1..], ["dns_address home recovered"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn where_a_source_is_asked_the_source_has_the_say(db: PgPool) {
    let rig = Rig::start(db).await;
    run(&rig, "update dns_address_families set source = '{\"interface\": {\"name\": \"eth0\"}}'").await;
    assert_eq!(rig.call(&format!("{CALL}100.64.3.2")).await, "dnserr\n");
    assert_eq!(why(&rig, "home", "ipv4").await, None);
    // Nor does a router's good word end what the source fails with.
    run(&rig, "update dns_address_families set failing_since = clock(), failing_why = 'no interface'").await;
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "good 8.8.8.8\n");
    assert_eq!(rig.call(&format!("{CALL}100.64.3.2")).await, "dnserr\n");
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "nochg 8.8.8.8\n");
    assert_eq!(why(&rig, "home", "ipv4").await.as_deref(), Some("no interface"));
    assert_eq!(told(&rig).await, Vec::<String>::new());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_that_another_login_tells_well_does_not_fail(db: PgPool) {
    let rig = Rig::start(db).await;
    let (login, address): (i64, i64) = sqlx::query_as(
        "select (select id from dns_logins where username = 'other'), (select id from dns_addresses where name = 'home')",
    )
    .fetch_one(&rig.db)
    .await
    .unwrap();
    let mut conn = rig.db.acquire().await.unwrap();
    dns_hosts::insert(&mut conn, login, address, &["lan.example.org".to_owned()]).await.unwrap();
    let other = async |ip: &str| {
        rig.call_as("other", PASSWORD, &format!("hostname=lan.example.org&myip={ip}"), "").await.body
    };
    // A program in the home that knows its own address alone, beside the router.
    for _ in 0..3 {
        assert!(rig.call(&format!("{CALL}8.8.8.8")).await.contains("8.8.8.8"));
        assert_eq!(other("192.168.1.2").await, "dnserr\n");
    }
    assert_eq!(why(&rig, "home", "ipv4").await, None);
    assert_eq!(told(&rig).await, Vec::<String>::new(), "it does not turn with each of their calls");
    // When the router tells nothing any more, the other is the one to be heard.
    run(
        &rig,
        "update dns_address_families set told_at = clock() - interval '3 hours' where told_at is not null",
    )
    .await;
    assert_eq!(other("192.168.1.2").await, "dnserr\n");
    assert!(why(&rig, "home", "ipv4").await.unwrap().starts_with("the router other told 192.168.1.2"));
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "nochg 8.8.8.8\n");
    assert_eq!(why(&rig, "home", "ipv4").await, None);
    // Or when it is not served.
    dns_logins::block(&mut conn, "router", Some("lost")).await.unwrap();
    assert_eq!(other("192.168.1.2").await, "dnserr\n");
    assert!(why(&rig, "home", "ipv4").await.is_some());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_turn_is_told_once_however_many_call_at_once(db: PgPool) {
    let rig = Rig::start(db).await;
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "good 8.8.8.8\n");
    for round in 0..5 {
        let calls = join_all((0..20).map(async |nth: usize| {
            let ip = if nth.is_multiple_of(2) { "100.64.3.2" } else { "8.8.8.8" };
            rig.call(&format!("{CALL}{ip}")).await
        }));
        for (nth, answer) in calls.await.into_iter().enumerate() {
            let right = if nth.is_multiple_of(2) { "dnserr\n" } else { "nochg 8.8.8.8\n" };
            assert_eq!(answer, right, "round {round}");
        }
    }
    assert_eq!(rig.call(&format!("{CALL}100.64.3.2")).await, "dnserr\n");
    assert!(why(&rig, "home", "ipv4").await.is_some());
    assert_eq!(rig.call(&format!("{CALL}8.8.8.8")).await, "nochg 8.8.8.8\n");
    assert_eq!(why(&rig, "home", "ipv4").await, None);
    let told = told(&rig).await;
    assert!(told.len() >= 2 && told.len().is_multiple_of(2), "{told:?}");
    for turn in told.chunks(2) {
        assert!(turn[0].starts_with("dns_address home failing IPv4: "), "{told:?}");
        assert_eq!(turn[1], "dns_address home recovered", "{told:?}");
    }
    rig.end().await;
}
