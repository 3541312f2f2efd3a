//! A fake of Hetzner, made from <https://docs.hetzner.cloud/reference/cloud#zone-rrsets>.

use serde_json::{Value, json};
use shared::dns::{Outcome, Park};

use crate::{
    SECRET, a, aaaa,
    fake::{Fake, Says, says},
    observe, probe, update, wanted,
};

fn settings(fake: &Fake) -> Value {
    json!({"provider": "hetzner", "url": format!("{}/v1", fake.url), "zone": "example.org"})
}

fn set(values: &[&str]) -> Says {
    let records: Vec<_> = values.iter().map(|value| json!({"value": value, "comment": ""})).collect();
    says(
        200,
        json!({"rrset": {"id": "home/A", "name": "home", "type": "A", "ttl": 3600, "records": records}}),
    )
}

fn action(status: &str) -> Says {
    says(
        201,
        json!({"action": {"id": 216_094, "command": "set_rrset_records", "status": status, "progress": 50,
        "error": if status == "error" { json!({"code": "action_failed", "message": "Action failed"}) } else { Value::Null }}}),
    )
}

fn refused(status: u16, code: &str) -> Says {
    says(status, json!({"error": {"code": code, "message": "it says", "details": {}}}))
}

#[tokio::test]
async fn a_set_is_set_and_its_action_awaited() {
    let fake =
        Fake::start([set(&["192.0.2.1"]), action("running"), action("running"), action("success")]).await;
    let answers = update(settings(&fake), SECRET, &wanted("home.example.org", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Good);
    assert_eq!(
        fake.lines(),
        [
            "GET /v1/zones/example.org/rrsets/home/A",
            "POST /v1/zones/example.org/rrsets/home/A/actions/set_records",
            "GET /v1/zones/actions/216094",
            "GET /v1/zones/actions/216094",
        ]
    );
    assert_eq!(fake.asked()[1].json(), json!({"records": [{"value": "192.0.2.7"}]}));
}

#[tokio::test]
async fn what_is_right_is_not_written_and_what_is_missing_is_made() {
    let fake = Fake::start([set(&["192.0.2.7"]), refused(404, "not_found"), action("success")]).await;
    let both = wanted("example.org", Some("192.0.2.7"), Some("2001:db8::7"));
    let answers = update(settings(&fake), SECRET, &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::NoChange, Outcome::Good));
    assert_eq!(
        fake.lines(),
        [
            "GET /v1/zones/example.org/rrsets/@/A",
            "GET /v1/zones/example.org/rrsets/@/AAAA",
            "POST /v1/zones/example.org/rrsets",
        ]
    );
    assert_eq!(
        fake.asked()[2].json(),
        json!({"name": "@", "type": "AAAA", "records": [{"value": "2001:db8::7"}]})
    );
}

#[tokio::test]
async fn each_end_has_its_outcome() {
    for (answers, outcome) in [
        (vec![refused(401, "unauthorized")], Outcome::Park(Park::BadAuth)),
        (vec![refused(403, "forbidden")], Outcome::Park(Park::NotPermitted)),
        (vec![refused(404, "not_found"), refused(404, "not_found")], Outcome::Park(Park::NoHost)),
        (vec![refused(403, "token_readonly")], Outcome::Park(Park::NotPermitted)),
        (vec![refused(409, "conflict")], Outcome::Retry),
        (vec![refused(409, "uniqueness_error")], Outcome::Retry),
        (vec![refused(500, "service_error")], Outcome::Retry),
        (vec![refused(504, "timeout")], Outcome::Retry),
        (vec![refused(429, "rate_limit_exceeded")], Outcome::Wait(std::time::Duration::from_mins(5))),
        (vec![refused(422, "invalid_input")], Outcome::Refused),
        (vec![refused(423, "locked")], Outcome::Retry),
        (vec![refused(503, "maintenance")], Outcome::Retry),
        (vec![set(&["192.0.2.1"]), action("error")], Outcome::Refused),
        (vec![set(&["192.0.2.1"]), says(201, "{}")], Outcome::Retry),
        (vec![says(200, "{}")], Outcome::Retry),
        (vec![says(404, "no such page")], Outcome::Park(Park::NoHost)),
        (
            [set(&["192.0.2.1", "192.0.2.7"])].into_iter().chain((0..5).map(|_| action("running"))).collect(),
            Outcome::Retry,
        ),
    ] {
        let fake = Fake::start(answers).await;
        let answers =
            update(settings(&fake), SECRET, &wanted("home.example.org", Some("192.0.2.7"), None)).await;
        assert_eq!(a(&answers).0, outcome, "{answers:?}");
        fake.asked();
    }
}

#[tokio::test]
async fn what_was_taken_stays_open_whatever_comes_of_asking_for_it() {
    let five = std::time::Duration::from_mins(5);
    for (answer, outcome) in [
        (refused(429, "rate_limit_exceeded"), Outcome::Unknown(five)),
        (refused(401, "unauthorized"), Outcome::Retry),
        (refused(403, "forbidden"), Outcome::Retry),
        (refused(404, "not_found"), Outcome::Retry),
        (refused(422, "invalid_input"), Outcome::Retry),
        (refused(503, "maintenance"), Outcome::Retry),
        (says(200, "<html>sign in</html>"), Outcome::Retry),
        (Says::BrokenOff("{\"action\": {"), Outcome::Retry),
    ] {
        let fake = Fake::start([set(&["192.0.2.1"]), action("running"), answer]).await;
        let name = wanted("home.example.org", Some("192.0.2.7"), None);
        let answers = update(settings(&fake), SECRET, &name).await;
        assert_eq!(a(&answers).0, outcome, "{answers:?}");
        assert!(a(&answers).1.starts_with("taken, its end is not known: "), "{answers:?}");
        assert_eq!(fake.asked().len(), 3);
    }
    // Of the other family nothing is sent then, and of that it is known.
    let busy = refused(429, "rate_limit_exceeded");
    let fake = Fake::start([set(&["192.0.2.1"]), action("running"), busy]).await;
    let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
    let answers = update(settings(&fake), SECRET, &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Unknown(five), Outcome::Wait(five)));
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test]
async fn zone_and_records_are_read_and_nothing_is_written() {
    let zone = |mode: &str| says(200, json!({"zone": {"id": 42, "name": "example.org", "mode": mode}}));
    let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
    let fake = Fake::start([set(&["192.0.2.7", "192.0.2.8"]), refused(404, "not_found")]).await;
    let held = observe(settings(&fake), SECRET, &both).await.unwrap();
    assert_eq!(held.addresses, ["192.0.2.7", "192.0.2.8"].map(|a| a.parse::<std::net::IpAddr>().unwrap()));

    let good = Outcome::Good;
    for (answers, found) in [
        (
            vec![zone("primary"), set(&["192.0.2.7"]), refused(404, "not_found")],
            vec![("zone", good), ("records", good)],
        ),
        (vec![zone("secondary")], vec![("zone", Outcome::Park(Park::NotZone))]),
        (vec![refused(404, "not_found")], vec![("zone", Outcome::Park(Park::NoHost))]),
        (vec![refused(401, "unauthorized")], vec![("zone", Outcome::Park(Park::BadAuth))]),
        (vec![says(200, "<html>sign in</html>")], vec![("zone", Outcome::Retry)]),
        (vec![zone("primary"), says(500, "")], vec![("zone", good), ("records", Outcome::Retry)]),
    ] {
        let fake = Fake::start(answers).await;
        assert_eq!(probe(settings(&fake), SECRET, &both).await, found);
        let asked = fake.asked();
        assert!(asked.iter().all(|asked| asked.method == "GET"));
        assert_eq!(asked[0].path, "/v1/zones/example.org");
    }
}

#[tokio::test]
async fn records_of_others_are_left_alone_and_comments_stay() {
    let commented = |comments: &[&str]| {
        let records: Vec<_> =
            comments.iter().map(|comment| json!({"value": "192.0.2.1", "comment": comment})).collect();
        says(200, json!({"rrset": {"id": "home/A", "ttl": 3600, "records": records}}))
    };
    let name = wanted("home.example.org", Some("192.0.2.7"), None);
    let owned = |fake: &Fake| {
        let mut settings = settings(fake);
        settings["owner"] = json!("syncfleet");
        settings
    };
    for comments in [&["the mail team's"][..], &[""], &["syncfleet", ""]] {
        let fake = Fake::start([commented(comments)]).await;
        let answers = update(owned(&fake), SECRET, &name).await;
        assert_eq!(a(&answers).0, Outcome::Park(Park::NotOurs), "{comments:?}");
        assert_eq!(fake.asked().len(), 1);
    }
    let record = |comment: &str| json!([{"value": "192.0.2.7", "comment": comment}]);
    let fake = Fake::start([commented(&["syncfleet"]), action("success")]).await;
    assert_eq!(a(&update(owned(&fake), SECRET, &name).await).0, Outcome::Good);
    assert_eq!(fake.asked()[1].json()["records"], record("syncfleet"));
    let fake = Fake::start([refused(404, "not_found"), action("success")]).await;
    assert_eq!(a(&update(owned(&fake), SECRET, &name).await).0, Outcome::Good);
    assert_eq!(fake.asked()[1].json()["records"], record("syncfleet"));
    // Without an owner what people have noted is kept.
    let fake = Fake::start([commented(&["the mail team's"]), action("success")]).await;
    assert_eq!(a(&update(settings(&fake), SECRET, &name).await).0, Outcome::Good);
    assert_eq!(fake.asked()[1].json()["records"], record("the mail team's"));
}
