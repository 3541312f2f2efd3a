use std::collections::HashSet;

use futures_util::future::join_all;
use shared::store::PgPool;

use crate::rig::Rig;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_burst_of_the_same_is_told_once(db: PgPool) {
    let rig = Rig::start(db).await;
    rig.call("hostname=home.example.org&myip=8.8.4.4").await;
    // 100 calls are less than a login may make with nothing new.
    let calls = (0..100).map(|_| rig.call("hostname=home.example.org,nas.example.org&myip=8.8.8.8"));
    let answers = join_all(calls).await;
    for answer in &answers {
        let words: Vec<_> = answer.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert!(words == ["good", "good"] || words == ["nochg", "nochg"], "{answer}");
    }
    let (address, _, wanted) = rig.stands("home").await;
    assert_eq!(address.as_deref(), Some("8.8.8.8"));
    assert_eq!(wanted, 4, "each of two records for each of two addresses");
    assert!(answers.iter().any(|answer| answer.starts_with("good")));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn many_addresses_at_once_are_all_durable_when_they_are_answered(db: PgPool) {
    let rig = Rig::start(db).await;
    rig.call("hostname=home.example.org&myip=8.8.4.4").await;
    let ips: Vec<String> = (1..=150).map(|n| format!("8.8.7.{n}")).collect();
    let answers = join_all(ips.iter().map(async |ip| {
        let answer = rig.call(&format!("hostname=home.example.org&myip={ip}")).await;
        (ip.clone(), answer)
    }))
    .await;
    for (ip, answer) in &answers {
        assert_eq!(*answer, format!("good {ip}\n"), "each is another one than before");
    }
    let stands = rig.stands("home").await.0.unwrap();
    assert!(ips.iter().collect::<HashSet<_>>().contains(&stands), "{stands}");
    // What was sent after the answers is the last word.
    assert_eq!(rig.call("hostname=home.example.org&myip=8.8.8.8").await, "good 8.8.8.8\n");
    assert_eq!(rig.stands("home").await.0.as_deref(), Some("8.8.8.8"));
    rig.end().await;
}
