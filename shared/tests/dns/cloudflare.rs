//! A fake of Cloudflare, made from <https://developers.cloudflare.com/api/resources/dns/subresources/records/>.

use serde_json::{Value, json};
use shared::dns::{Outcome, Park};

use crate::{
    SECRET, a, aaaa,
    fake::{Fake, Says, says},
    observe, probe, update, wanted,
};

const ZONE: &str = "0123456789abcdef0123456789abcdef";
const RECORD: &str = "372e67954025e0ba6aaa6d586b9e0b59";

fn result(result: impl serde::Serialize) -> Says {
    says(200, json!({"success": true, "errors": [], "messages": [], "result": result}))
}

fn record(content: &str) -> Value {
    json!({"id": RECORD, "type": "A", "name": "home.example.org", "content": content, "ttl": 120,
        "proxied": true, "comment": "syncfleet"})
}

fn refused(status: u16, code: u32, message: &str) -> Says {
    says(
        status,
        json!({"success": false, "errors": [{"code": code, "message": message}], "messages": [], "result": null}),
    )
}

fn settings(fake: &Fake, zone: Option<&str>, owner: Option<&str>) -> Value {
    json!({"provider": "cloudflare", "url": format!("{}/client/v4", fake.url), "zone_id": zone, "owner": owner})
}

#[tokio::test]
async fn the_zone_is_looked_up_and_the_address_alone_is_patched() {
    let fake = Fake::start([
        result(json!([])),
        result(json!([{"id": ZONE, "name": "example.org"}])),
        result(json!([record("192.0.2.1")])),
        result(record("192.0.2.7")),
    ])
    .await;
    let answers = update(
        settings(&fake, None, Some("syncfleet")),
        SECRET,
        &wanted("home.example.org", Some("192.0.2.7"), None),
    )
    .await;
    assert_eq!(a(&answers).0, Outcome::Good);
    let root = format!("/client/v4/zones/{ZONE}/dns_records");
    assert_eq!(
        fake.lines(),
        [
            "GET /client/v4/zones?name=home.example.org".to_owned(),
            "GET /client/v4/zones?name=example.org".to_owned(),
            format!("GET {root}?type=A&name=home.example.org"),
            format!("PATCH {root}/{RECORD}"),
        ]
    );
    let patch = &fake.asked()[3];
    // TTL, proxying and comment stay, as they are not sent.
    assert_eq!(patch.json(), json!({"content": "192.0.2.7"}));
    assert_eq!(patch.authorization, format!("Bearer {SECRET}"));
}

#[tokio::test]
async fn what_is_right_is_not_written_and_what_is_missing_is_made() {
    let fake = Fake::start([
        result(json!([record("192.0.2.7")])),
        result(json!([])),
        result(json!({"id": RECORD, "content": "2001:db8:0::7"})),
    ])
    .await;
    let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
    let answers = update(settings(&fake, Some(ZONE), Some("syncfleet")), SECRET, &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::NoChange, Outcome::Good));
    let asked = fake.asked();
    assert_eq!(asked[2].method, "POST");
    assert_eq!(
        asked[2].json(),
        json!({"type": "AAAA", "name": "home.example.org", "content": "2001:db8::7", "ttl": 1,
            "proxied": false, "comment": "syncfleet"})
    );
}

#[tokio::test]
async fn records_of_others_are_left_alone() {
    let mut foreign = record("192.0.2.1");
    foreign["comment"] = json!("the mail team's");
    let mut without = record("192.0.2.1");
    without["comment"] = Value::Null;
    for records in [json!([foreign]), json!([without])] {
        let fake = Fake::start([result(records)]).await;
        let answers = update(
            settings(&fake, Some(ZONE), Some("syncfleet")),
            SECRET,
            &wanted("home.example.org", Some("192.0.2.7"), None),
        )
        .await;
        assert_eq!(a(&answers).0, Outcome::Park(Park::NotOurs));
        assert_eq!(fake.asked().len(), 1);
    }
    let fake = Fake::start([result(json!([record("192.0.2.1"), record("192.0.2.2")]))]).await;
    let answers = update(
        settings(&fake, Some(ZONE), None),
        SECRET,
        &wanted("home.example.org", Some("192.0.2.7"), None),
    )
    .await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::NumHost));
}

#[tokio::test]
async fn each_error_has_its_outcome() {
    for (answer, outcome) in [
        (refused(403, 9109, "Invalid access token"), Outcome::Park(Park::BadAuth)),
        (refused(400, 6003, "Invalid request headers"), Outcome::Park(Park::BadAuth)),
        (refused(403, 10_000, "Authentication error"), Outcome::Park(Park::BadAuth)),
        (refused(404, 7003, "Could not route to /zones/x"), Outcome::Park(Park::NoHost)),
        (refused(400, 81_058, "An identical record already exists."), Outcome::NoChange),
        (refused(400, 9005, "Content for A record must be a valid IPv4 address."), Outcome::Refused),
        (refused(200, 1, "odd"), Outcome::Refused),
        (refused(503, 10_000, "Authentication error"), Outcome::Retry),
        (refused(429, 10_000, "slow down"), Outcome::Wait(std::time::Duration::from_mins(5))),
        (refused(400, 6111, "Invalid format for Authorization header"), Outcome::Park(Park::BadAuth)),
        (refused(400, 9106, "Missing X-Auth-Key"), Outcome::Park(Park::BadAuth)),
        (
            refused(405, 10_001, "Method not allowed for this authentication scheme"),
            Outcome::Park(Park::BadAuth),
        ),
        (refused(400, 1001, "Invalid zone identifier"), Outcome::Park(Park::NoHost)),
        (refused(404, 7000, "No route for that URI"), Outcome::Park(Park::NoHost)),
        (refused(404, 81_044, "Record does not exist."), Outcome::Park(Park::NoHost)),
        (result(json!([])), Outcome::Park(Park::NoHost)),
        (result(json!("odd")), Outcome::Park(Park::NoHost)),
        (says(200, "{\"success\": true"), Outcome::Retry),
        (says(200, "{\"success\": true}"), Outcome::Retry),
        (says(200, "good"), Outcome::Retry),
    ] {
        // The first answer is to the look-up of a zone; a zone of two labels has only one.
        let fake = Fake::start([answer]).await;
        let answers =
            update(settings(&fake, None, None), SECRET, &wanted("example.org", Some("192.0.2.7"), None))
                .await;
        assert_eq!(a(&answers).0, outcome, "{answers:?}");
        assert_eq!(fake.asked().len(), 1);
    }
    let fake = Fake::start([result(json!([record("192.0.2.1")])), result(record("192.0.2.1"))]).await;
    let answers = update(
        settings(&fake, Some(ZONE), None),
        SECRET,
        &wanted("home.example.org", Some("192.0.2.7"), None),
    )
    .await;
    assert_eq!(a(&answers).0, Outcome::Refused, "the answer has the old address");
}

#[tokio::test]
async fn what_it_holds_is_read_and_nothing_is_written() {
    let mut plain = record("2001:db8::7");
    plain["proxied"] = json!(false);
    let fake = Fake::start([result(json!([record("192.0.2.7")])), result(json!([plain]))]).await;
    let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::8"));
    let held = observe(settings(&fake, Some(ZONE), None), SECRET, &both).await.unwrap();
    assert!(
        held.proxied && held.just("192.0.2.7".parse().unwrap()) && !held.just("2001:db8::8".parse().unwrap())
    );
    assert!(fake.asked().iter().all(|asked| asked.method == "GET"));

    let fake = Fake::start([result(json!([])), refused(403, 9109, "Invalid access token")]).await;
    let error = observe(settings(&fake, Some(ZONE), None), SECRET, &both).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::Park(Park::BadAuth));
}

#[tokio::test]
async fn token_zone_and_records_are_probed() {
    let token = |status: &str| result(json!({"id": "ed17574386854bf78a67040be0a770b0", "status": status}));
    let zones = || result(json!([{"id": ZONE, "name": "example.org"}]));
    let records = || result(json!([record("192.0.2.1")]));
    let invalid = || refused(401, 1000, "Invalid API Token");
    let (good, bad, none) = (Outcome::Good, Outcome::Park(Park::BadAuth), Outcome::Park(Park::NoHost));
    for (answers, found) in [
        (vec![token("active"), zones(), records()], vec![("token", good), ("zone", good), ("records", good)]),
        (vec![token("active"), result(json!([]))], vec![("token", good), ("zone", none)]),
        (
            vec![token("active"), zones(), refused(403, 10_000, "Authentication error")],
            vec![("token", good), ("zone", good), ("records", bad)],
        ),
        // One of an account is not known as a user's.
        (vec![invalid(), zones(), records()], vec![("token", good), ("zone", good), ("records", good)]),
        (vec![invalid(), refused(403, 9109, "Invalid access token")], vec![("token", bad)]),
        (vec![refused(400, 1000, "Invalid API Token"), result(json!([]))], vec![("token", bad)]),
        (vec![token("expired"), result(json!([]))], vec![("token", bad)]),
        (vec![says(503, "")], vec![("token", Outcome::Retry)]),
        (vec![token("odd")], vec![("token", Outcome::Retry)]),
    ] {
        let fake = Fake::start(answers).await;
        let name = wanted("example.org", Some("192.0.2.7"), None);
        assert_eq!(probe(settings(&fake, None, None), SECRET, &name).await, found);
        let asked = fake.asked();
        assert!(
            asked
                .iter()
                .all(|asked| asked.method == "GET" && asked.authorization == format!("Bearer {SECRET}"))
        );
        assert_eq!(asked[0].path, "/client/v4/user/tokens/verify");
    }
}
