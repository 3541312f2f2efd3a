//! Fakes of those who answer with words: dyndns2 (<https://help.dyn.com/return-codes/>), INWX, deSEC, Duck DNS
//! (<https://www.duckdns.org/spec.jsp>) and key-systems.

use std::time::Duration;

use serde_json::{Value, json};
use shared::dns::{Outcome, Park, Wanted};

use crate::{
    SECRET, a, aaaa,
    fake::{Fake, Says, says},
    update, wanted,
};

const V4: Option<&str> = Some("192.0.2.7");
const V6: Option<&str> = Some("2001:db8::7");
const HALF_AN_HOUR: Duration = Duration::from_mins(30);

fn dyndns2(fake: &Fake, dual: &str) -> Value {
    json!({"provider": "dyndns2", "url": format!("{}/nic/update", fake.url), "user": "u", "dual": dual})
}

#[tokio::test]
async fn each_code_of_dyndns2_has_its_outcome_at_all_who_speak_it() {
    for (status, body, outcome) in [
        (200, "good 192.0.2.7", Outcome::Good),
        (200, "nochg 192.0.2.7", Outcome::NoChange),
        (200, "badauth", Outcome::Park(Park::BadAuth)),
        (401, "badauth", Outcome::Park(Park::BadAuth)),
        (200, "badagent", Outcome::Park(Park::BadAgent)),
        (200, "good 127.0.0.1", Outcome::Park(Park::BadAgent)),
        (200, "!donator", Outcome::Park(Park::NotPermitted)),
        (200, "badsys", Outcome::Park(Park::BadSetting)),
        (200, "badparam", Outcome::Park(Park::BadSetting)),
        (200, "notfqdn", Outcome::Park(Park::NotFqdn)),
        (200, "nohost", Outcome::Park(Park::NoHost)),
        (200, "!yours", Outcome::Park(Park::NoHost)),
        (200, "!active", Outcome::Park(Park::NoHost)),
        (200, "numhost", Outcome::Park(Park::NumHost)),
        (200, "abuse", Outcome::Park(Park::Abuse)),
        (403, "abuse", Outcome::Park(Park::Abuse)),
        (200, "911", Outcome::Wait(HALF_AN_HOUR)),
        (503, "911", Outcome::Wait(HALF_AN_HOUR)),
        (200, "dnserr", Outcome::Retry),
        (200, "goodness me", Outcome::Refused),
        (200, "good 198.51.100.1", Outcome::Refused),
        (200, "nochg 198.51.100.1", Outcome::Refused),
        (500, "good 192.0.2.7", Outcome::Retry),
        (200, "{\"status\": \"good\"}", Outcome::Refused),
    ] {
        for settings in [json!({"provider": "inwx", "user": "u"}), json!({"provider": "desec", "user": "u"})]
        {
            let fake = Fake::start([says(status, body)]).await;
            let mut settings = settings;
            settings["url"] = json!(fake.url);
            let answers = update(settings, SECRET, &wanted("home.example.org", V4, None)).await;
            assert_eq!(a(&answers).0, outcome, "{status} {body}");
        }
        let fake = Fake::start([says(status, body)]).await;
        let answers = update(dyndns2(&fake, "combined"), SECRET, &wanted("home.example.org", V4, None)).await;
        assert_eq!(a(&answers).0, outcome, "{status} {body}");
        let asked = &fake.asked()[0];
        assert_eq!(asked.line(), "GET /nic/update?hostname=home.example.org&myip=192.0.2.7");
        assert_eq!(asked.basic(), format!("u:{SECRET}"));
        assert!(asked.agent.starts_with("syncfleet"), "{}", asked.agent);
    }
}

#[tokio::test]
async fn both_families_go_as_the_dialect_has_it() {
    let both = wanted("home.example.org", V4, V6);
    let fake = Fake::start([says(200, "good 2001:db8::7\nnochg 192.0.2.7\n")]).await;
    let answers = update(dyndns2(&fake, "combined"), SECRET, &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::NoChange, Outcome::Good));
    assert_eq!(
        fake.lines(),
        ["GET /nic/update?hostname=home.example.org&myip=192.0.2.7%2C2001%3Adb8%3A%3A7"]
    );

    let fake = Fake::start([says(200, "good"), says(200, "abuse")]).await;
    let answers = update(dyndns2(&fake, "separate"), SECRET, &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Good, Outcome::Park(Park::Abuse)));
    assert_eq!(
        fake.lines(),
        [
            "GET /nic/update?hostname=home.example.org&myip=192.0.2.7",
            "GET /nic/update?hostname=home.example.org&myip=2001%3Adb8%3A%3A7",
        ]
    );

    let fake = Fake::start([says(200, "good 192.0.2.7,2001:db8::7")]).await;
    let answers = update(dyndns2(&fake, "myipv6"), SECRET, &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Good, Outcome::Good));
    assert_eq!(
        fake.lines(),
        ["GET /nic/update?hostname=home.example.org&myip=192.0.2.7&myipv6=2001%3Adb8%3A%3A7"]
    );
}

#[tokio::test]
async fn of_two_requests_the_second_is_not_sent_after_what_only_a_person_can_mend() {
    let both = wanted("home.example.org", V4, V6);
    for (word, park) in [
        ("badauth", Park::BadAuth),
        ("badagent", Park::BadAgent),
        ("abuse", Park::Abuse),
        ("nohost", Park::NoHost),
        ("notfqdn", Park::NotFqdn),
        ("badsys", Park::BadSetting),
        ("numhost", Park::NumHost),
        ("!yours", Park::NoHost),
        ("!active", Park::NoHost),
        ("!donator", Park::NotPermitted),
    ] {
        for provider in ["dyndns2", "inwx"] {
            let fake = Fake::start([says(200, word)]).await;
            let mut settings = json!({"provider": provider, "url": fake.url, "user": "u"});
            if provider == "dyndns2" {
                settings["dual"] = json!("separate");
            }
            let answers = update(settings, SECRET, &both).await;
            let outcome = Outcome::Park(park);
            assert_eq!((a(&answers).0, aaaa(&answers).0), (outcome, outcome), "{provider} {word}");
            assert_eq!(fake.asked().len(), 1, "{provider} {word}");
        }
    }
    // What may go better later is of one address.
    for (word, outcome) in
        [("dnserr", Outcome::Retry), ("odd", Outcome::Refused), ("nochg", Outcome::NoChange)]
    {
        let fake = Fake::start([says(200, word), says(200, "good")]).await;
        let answers = update(dyndns2(&fake, "separate"), SECRET, &both).await;
        assert_eq!((a(&answers).0, aaaa(&answers).0), (outcome, Outcome::Good), "{word}");
        assert_eq!(fake.asked().len(), 2);
    }
}

#[tokio::test]
async fn with_myipv6_the_family_that_stays_goes_too_as_no_ip_takes_the_caller_for_it() {
    let of = |v4: Option<&str>, v6, beside: Option<&str>| Wanted {
        beside: beside.map(|address| address.parse().unwrap()),
        ..wanted("home.example.org", v4, v6)
    };
    let both = "GET /nic/update?hostname=home.example.org&myip=192.0.2.7&myipv6=2001%3Adb8%3A%3A7";
    for (wanted, line) in [
        (of(None, V6, V4), both),
        (of(V4, None, V6), both),
        (of(None, V6, None), "GET /nic/update?hostname=home.example.org&myipv6=2001%3Adb8%3A%3A7"),
    ] {
        let fake = Fake::start([says(200, "good 192.0.2.7")]).await;
        let answers = update(dyndns2(&fake, "myipv6"), SECRET, &wanted).await;
        let of_both = [&answers.a, &answers.aaaa].into_iter().flatten().collect::<Vec<_>>();
        assert!(matches!(&of_both[..], [one] if one.outcome == Outcome::Good), "{answers:?}");
        assert_eq!(fake.lines(), [line]);
    }
    // Others leave alone what is left out.
    let fake = Fake::start([says(200, "good")]).await;
    update(dyndns2(&fake, "combined"), SECRET, &of(None, V6, V4)).await;
    assert_eq!(fake.lines(), ["GET /nic/update?hostname=home.example.org&myip=2001%3Adb8%3A%3A7"]);
}

#[tokio::test]
async fn inwx_has_a_request_for_each_family() {
    let fake = Fake::start([says(200, "good 192.0.2.7"), says(200, "nochg")]).await;
    let settings = json!({"provider": "inwx", "url": format!("{}/nic/update", fake.url), "user": "dyn"});
    let answers = update(settings, SECRET, &wanted("home.example.org", V4, V6)).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Good, Outcome::NoChange));
    assert_eq!(
        fake.lines(),
        [
            "GET /nic/update?hostname=home.example.org&myip=192.0.2.7",
            "GET /nic/update?hostname=home.example.org&myipv6=2001%3Adb8%3A%3A7",
        ]
    );
}

#[tokio::test]
async fn desec_preserves_the_family_that_is_not_sent() {
    for (v4, v6, sent) in [
        (V4, None, "myipv4=192.0.2.7&myipv6=preserve"),
        (None, V6, "myipv4=preserve&myipv6=2001%3Adb8%3A%3A7"),
        (V4, V6, "myipv4=192.0.2.7&myipv6=2001%3Adb8%3A%3A7"),
    ] {
        let fake = Fake::start([says(200, "good")]).await;
        let settings = json!({"provider": "desec", "url": fake.url, "user": "home.dedyn.io"});
        let answers = update(settings, SECRET, &wanted("home.dedyn.io", v4, v6)).await;
        assert!(
            [&answers.a, &answers.aaaa].into_iter().flatten().all(|answer| answer.outcome == Outcome::Good)
        );
        assert_eq!(fake.lines(), [format!("GET /?hostname=home.dedyn.io&{sent}")]);
        assert_eq!(fake.asked()[0].basic(), format!("home.dedyn.io:{SECRET}"));
    }
    for (answer, outcome) in [
        (says(401, r#"{"detail":"Invalid token."}"#), Outcome::Park(Park::BadAuth)),
        (says(404, "nohost"), Outcome::Park(Park::NoHost)),
        (
            Says::With(429, "retry-after", "37".to_owned(), "slow".to_owned()),
            Outcome::Wait(Duration::from_secs(37)),
        ),
        (says(400, r#"{"detail":"malformed"}"#), Outcome::Refused),
    ] {
        let fake = Fake::start([answer]).await;
        let settings = json!({"provider": "desec", "url": fake.url, "user": "home.dedyn.io"});
        let answers = update(settings, SECRET, &wanted("home.dedyn.io", V4, None)).await;
        assert_eq!(a(&answers).0, outcome);
    }
}

#[tokio::test]
async fn duck_dns_answers_in_lines() {
    for (body, outcome) in [
        ("OK\n192.0.2.7\n2001:db8::7\nUPDATED", Outcome::Good),
        ("OK\n192.0.2.7\n2001:db8::7\nNOCHANGE", Outcome::NoChange),
        ("KO", Outcome::Refused),
        ("OK\n203.0.113.9\n2001:db8::7\nUPDATED", Outcome::Refused),
    ] {
        let fake = Fake::start([says(200, body)]).await;
        let settings = json!({"provider": "duckdns", "url": format!("{}/update", fake.url)});
        let answers = update(settings, SECRET, &wanted("home.duckdns.org", V4, V6)).await;
        assert_eq!((a(&answers).0, aaaa(&answers).0), (outcome, outcome), "{body}");
        assert_eq!(
            fake.lines(),
            [
                "GET /update?domains=home&token=s3cret%26%2B%23%25%2F%3D&verbose=true&ip=192.0.2.7&ipv6=2001%3Adb8%3A%3A7"
            ]
        );
    }
}

#[tokio::test]
async fn key_systems_takes_one_address_in_half_an_hour() {
    let good = "[RESPONSE]\ncode = 200\ndescription = Command completed successfully\nqueuetime = 0\nruntime = 0.099\nEOF\n";
    let fake = Fake::start([says(200, good)]).await;
    let settings = json!({"provider": "key-systems", "url": format!("{}/update.php", fake.url)});
    let answers = update(settings.clone(), SECRET, &wanted("home.example.org", V4, V6)).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Good, Outcome::Wait(HALF_AN_HOUR)));
    assert_eq!(
        fake.lines(),
        ["GET /update.php?hostname=home.example.org&password=s3cret%26%2B%23%25%2F%3D&ip=192.0.2.7"]
    );

    // What was refused is no update: the other address is sent.
    let refused = "[RESPONSE]\ncode = 541\ndescription = Invalid attribute value; ip\nEOF\n";
    let fake = Fake::start([says(200, refused), says(200, good)]).await;
    let settings = json!({"provider": "key-systems", "url": format!("{}/update.php", fake.url)});
    let answers = update(settings, SECRET, &wanted("home.example.org", V4, V6)).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Refused, Outcome::Good));
    assert_eq!(fake.asked().len(), 2);

    // One that was not answered may have been taken.
    let fake = Fake::start([Says::BrokenOff("[RESPONSE]")]).await;
    let settings = json!({"provider": "key-systems", "url": format!("{}/update.php", fake.url)});
    let answers = update(settings, SECRET, &wanted("home.example.org", V4, V6)).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Retry, Outcome::Retry));
    assert_eq!(fake.asked().len(), 1);

    // A password that is wrong is not sent twice.
    let refused =
        "[RESPONSE]\ncode = 531\ndescription = Authorization failed for password s3cret&+#%/=\nEOF\n";
    let fake = Fake::start([says(200, refused)]).await;
    let settings = json!({"provider": "key-systems", "url": format!("{}/update.php", fake.url)});
    let answers = update(settings, SECRET, &wanted("home.example.org", V4, V6)).await;
    assert_eq!(
        (a(&answers).0, aaaa(&answers).0),
        (Outcome::Park(Park::BadAuth), Outcome::Park(Park::BadAuth))
    );
    assert_eq!(a(&answers).1, "531 Authorization failed for password ***");
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_template_decides_by_its_rules() {
    for (answer, outcome) in [
        (says(200, r#"{"result": "updated"}"#), Outcome::Good),
        (says(200, r#"{"result": "same"}"#), Outcome::NoChange),
        (says(400, "no such token s3cret&+#%/="), Outcome::Park(Park::BadAuth)),
        (says(200, r#"{"result": "odd"}"#), Outcome::Refused),
        (says(500, r#"{"result": "updated"}"#), Outcome::Retry),
        (says(200, "<html>updated</html>"), Outcome::Retry),
        (says(200, ""), Outcome::Retry),
        (says(418, "tea"), Outcome::Refused),
    ] {
        let fake = Fake::start([answer]).await;
        let field = |value: &str| json!({"json": {"pointer": "/result", "is": value}});
        let settings = json!({"provider": "template", "url": format!("{}/u?v=1", fake.url), "method": "POST",
            "good": field("updated"), "no_change": field("same"), "bad_auth": {"status": [400]},
            "parameters": [{"name": "h", "is": "host"}, {"name": "ip", "is": "ipv4"}, {"name": "ip6", "is": "ipv6"},
                {"name": "token", "is": "secret"}]});
        let answers = update(settings, SECRET, &wanted("home.example.org", V4, V6)).await;
        assert_eq!((a(&answers).0, aaaa(&answers).0), (outcome, outcome), "{answers:?}");
        let asked = &fake.asked()[0];
        assert_eq!(asked.line(), "POST /u?v=1");
        assert_eq!(
            asked.body,
            "h=home.example.org&ip=192.0.2.7&ip6=2001%3Adb8%3A%3A7&token=s3cret%26%2B%23%25%2F%3D"
        );
    }
}
