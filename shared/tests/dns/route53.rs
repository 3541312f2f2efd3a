//! A fake of Route 53, made from <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>. That
//! signatures are right is shown by AWS's own example, beside the code that makes them.

use serde_json::{Value, json};
use shared::dns::{Outcome, Park, Wanted};

use crate::{
    SECRET, a, aaaa,
    fake::{Fake, Says, says},
    observe, probe, update, wanted,
};

fn settings(fake: &Fake) -> Value {
    json!({"provider": "route53", "url": fake.url, "zone_id": "Z1D633PJN98FT9", "access_key_id": "AKIDEXAMPLE"})
}

fn change(outer: &str, status: &str) -> Says {
    says(
        200,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{outer} xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <ChangeInfo><Id>/change/C2682N5HXP0BZ4</Id><Status>{status}</Status>\
             <SubmittedAt>2026-11-21T12:00:00.000Z</SubmittedAt></ChangeInfo></{outer}>"
        ),
    )
}

fn refused(status: u16, code: &str, message: &str) -> Says {
    says(
        status,
        format!(
            "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>b25f48e8</RequestId></ErrorResponse>"
        ),
    )
}

#[tokio::test]
async fn both_families_go_in_one_batch_and_insync_is_awaited() {
    let fake = Fake::start([
        list(""),
        list(""),
        change("ChangeResourceRecordSetsResponse", "PENDING"),
        change("GetChangeResponse", "PENDING"),
        change("GetChangeResponse", "INSYNC"),
    ])
    .await;
    let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
    let answers = update(settings(&fake), SECRET, &both).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Good, Outcome::Good));
    assert_eq!(a(&answers).1, "C2682N5HXP0BZ4 INSYNC");
    let asked = fake.asked();
    assert_eq!(
        fake.lines(),
        [
            "GET /2013-04-01/hostedzone/Z1D633PJN98FT9/rrset?maxitems=20&name=home.example.org.&type=A",
            "GET /2013-04-01/hostedzone/Z1D633PJN98FT9/rrset?maxitems=20&name=home.example.org.&type=AAAA",
            "POST /2013-04-01/hostedzone/Z1D633PJN98FT9/rrset/",
            "GET /2013-04-01/change/C2682N5HXP0BZ4",
            "GET /2013-04-01/change/C2682N5HXP0BZ4",
        ]
    );
    assert_eq!(asked[2].body.matches("<Action>UPSERT</Action>").count(), 2);
    for part in [
        "<Name>home.example.org.</Name><Type>A</Type><TTL>300</TTL>",
        "<Value>192.0.2.7</Value>",
        "<Type>AAAA</Type>",
        "<Value>2001:db8::7</Value>",
    ] {
        assert!(asked[2].body.contains(part), "{}", asked[2].body);
    }
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/route53/aws4_request, SignedHeaders=host;x-amz-date, Signature=";
    for asked in &asked {
        let signature = asked.authorization.strip_prefix(scope).unwrap();
        assert!(signature.len() == 64 && !asked.authorization.contains(SECRET), "{}", asked.authorization);
    }
}

#[tokio::test]
async fn each_end_has_its_outcome() {
    let batch = "<?xml version=\"1.0\"?><InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
                 <Messages><Message>Tried to create resource record set, but it already exists</Message></Messages></InvalidChangeBatch>";
    for (answer, outcome) in [
        (
            refused(403, "InvalidClientTokenId", "The security token is invalid."),
            Outcome::Park(Park::BadAuth),
        ),
        (
            refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match"),
            Outcome::Park(Park::BadAuth),
        ),
        (
            refused(
                403,
                "SignatureDoesNotMatch",
                "Signature expired: 20261121T120000Z is now earlier than 20261121T125000Z",
            ),
            Outcome::Park(Park::BadTime),
        ),
        (
            refused(403, "AccessDenied", "User is not authorized to perform"),
            Outcome::Park(Park::NotPermitted),
        ),
        (refused(404, "NoSuchHostedZone", "No hosted zone found with ID"), Outcome::Park(Park::NoHost)),
        (refused(400, "Throttling", "Rate exceeded"), Outcome::Wait(std::time::Duration::from_mins(5))),
        (
            refused(400, "ThrottlingException", "Rate exceeded"),
            Outcome::Wait(std::time::Duration::from_mins(5)),
        ),
        (refused(403, "IncompleteSignature", "no"), Outcome::Park(Park::BadAuth)),
        (refused(403, "MissingAuthenticationToken", "no"), Outcome::Park(Park::BadAuth)),
        (refused(400, "UnrecognizedClientException", "no"), Outcome::Park(Park::BadAuth)),
        (refused(400, "RequestExpired", "no"), Outcome::Park(Park::BadTime)),
        (refused(403, "RequestTimeTooSkewed", "no"), Outcome::Park(Park::BadTime)),
        (
            refused(
                403,
                "SignatureDoesNotMatch",
                "Signature not yet current: 20261121T120000Z is still later",
            ),
            Outcome::Park(Park::BadTime),
        ),
        (refused(403, "AccessDeniedException", "no"), Outcome::Park(Park::NotPermitted)),
        (refused(403, "OptInRequired", "no"), Outcome::Park(Park::NotPermitted)),
        (refused(400, "NotAuthorized", "no"), Outcome::Park(Park::NotPermitted)),
        (refused(503, "ServiceUnavailable", "no"), Outcome::Retry),
        (refused(400, "ValidationError", "no"), Outcome::Refused),
        (refused(400, "InvalidChangeBatch", "no"), Outcome::Refused),
        (refused(400, "PriorRequestNotComplete", "The request was rejected"), Outcome::Retry),
        (refused(400, "InvalidInput", "bad"), Outcome::Refused),
        (says(400, batch), Outcome::Refused),
        (refused(500, "InternalFailure", "oops"), Outcome::Retry),
        (says(200, "<a><b>c</b></a>"), Outcome::Retry),
        (says(200, "<ChangeInfo>"), Outcome::Retry),
        (change("x", "ODD"), Outcome::Retry),
    ] {
        let fake = Fake::start([list(""), answer]).await;
        let answers =
            update(settings(&fake), SECRET, &wanted("home.example.org", Some("192.0.2.7"), None)).await;
        assert_eq!(a(&answers).0, outcome, "{answers:?}");
        assert_eq!(fake.asked().len(), 2);
    }
    let pending = (0..5).map(|_| change("x", "PENDING"));
    let fake = Fake::start(std::iter::once(list("")).chain(pending)).await;
    let answers = update(settings(&fake), SECRET, &wanted("home.example.org", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers), (Outcome::Good, "C2682N5HXP0BZ4 is still PENDING"));
    assert_eq!(fake.asked().len(), 6);
}

#[tokio::test]
async fn what_was_taken_stays_open_whatever_comes_of_asking_for_it() {
    let five = std::time::Duration::from_mins(5);
    for (answer, outcome) in [
        (refused(400, "Throttling", "Rate exceeded"), Outcome::Unknown(five)),
        (says(429, ""), Outcome::Unknown(five)),
        // A key without GetChange.
        (refused(403, "AccessDenied", "not authorized to perform: route53:GetChange"), Outcome::Retry),
        (refused(403, "RequestExpired", "no"), Outcome::Retry),
        (refused(404, "NoSuchChange", "no"), Outcome::Retry),
        (refused(400, "InvalidInput", "no"), Outcome::Retry),
        (refused(503, "ServiceUnavailable", "no"), Outcome::Retry),
        (says(200, "<html>sign in</html>"), Outcome::Retry),
        (Says::BrokenOff("<ChangeInfo>"), Outcome::Retry),
    ] {
        let taken = change("ChangeResourceRecordSetsResponse", "PENDING");
        let fake = Fake::start([list(""), list(""), taken, answer]).await;
        let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
        let answers = update(settings(&fake), SECRET, &both).await;
        assert_eq!((a(&answers).0, aaaa(&answers).0), (outcome, outcome), "{answers:?}");
        assert!(a(&answers).1.starts_with("taken, its end is not known: "), "{answers:?}");
        assert_eq!(fake.asked().len(), 4);
    }
}

fn set(kind: &str, ttl: u32, value: &str) -> String {
    format!(
        "<ResourceRecordSet><Name>home.example.org.</Name><Type>{kind}</Type><TTL>{ttl}</TTL><ResourceRecords>\
         <ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
    )
}

#[tokio::test]
async fn a_set_keeps_its_ttl_unless_the_name_has_one() {
    let good = || change("ChangeResourceRecordSetsResponse", "INSYNC");
    let name = wanted("home.example.org", Some("192.0.2.7"), None);
    for (ttl, written) in [(None, "<TTL>77</TTL>"), (Some(120), "<TTL>120</TTL>")] {
        let fake = Fake::start([list(&set("A", 77, "192.0.2.1")), good()]).await;
        let answers = update(settings(&fake), SECRET, &Wanted { ttl, ..name.clone() }).await;
        assert_eq!(a(&answers).0, Outcome::Good);
        assert!(fake.asked()[1].body.contains(written), "{}", fake.asked()[1].body);
    }
    // What is as it is to be is not written; another TTL is.
    let fake = Fake::start([list(&set("A", 77, "192.0.2.7"))]).await;
    assert_eq!(a(&update(settings(&fake), SECRET, &name).await).0, Outcome::NoChange);
    assert_eq!(fake.asked().len(), 1);
    let fake = Fake::start([list(&set("A", 77, "192.0.2.7")), good()]).await;
    let answers = update(settings(&fake), SECRET, &Wanted { ttl: Some(120), ..name }).await;
    assert_eq!((a(&answers).0, fake.asked().len()), (Outcome::Good, 2));
}

#[tokio::test]
async fn what_is_no_plain_set_is_not_overwritten() {
    let alias = "<ResourceRecordSet><Name>home.example.org.</Name><Type>A</Type><AliasTarget><HostedZoneId>Z2</HostedZoneId>\
                 <DNSName>d1.cloudfront.net.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>";
    let weighted = set("A", 60, "192.0.2.1")
        .replace("<TTL>", "<SetIdentifier>one</SetIdentifier><Weight>10</Weight><TTL>");
    let twice = weighted.repeat(2);
    for (there, park, why) in [
        (alias, Park::NotOurs, "the A record of home.example.org is an alias of d1.cloudfront.net."),
        (&weighted, Park::NumHost, "has a routing policy"),
        (&twice, Park::NumHost, "has 2 sets of the type A"),
    ] {
        let insync = change("ChangeResourceRecordSetsResponse", "INSYNC");
        let fake = Fake::start([list(there), list(""), insync]).await;
        let both = wanted("home.example.org", Some("192.0.2.7"), Some("2001:db8::7"));
        let answers = update(settings(&fake), SECRET, &both).await;
        assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Park(park), Outcome::Good), "{answers:?}");
        assert!(a(&answers).1.contains(why), "{answers:?}");
        let body = &fake.asked()[2].body;
        assert!(body.contains("<Type>AAAA</Type>") && !body.contains("<Type>A</Type>"), "{body}");
    }
}

fn list(sets: &str) -> Says {
    says(
        200,
        format!(
            "<?xml version=\"1.0\"?><ListResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <ResourceRecordSets>{sets}</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>20</MaxItems>\
             </ListResourceRecordSetsResponse>"
        ),
    )
}

fn zone(name: &str) -> Says {
    says(
        200,
        format!(
            "<?xml version=\"1.0\"?><GetHostedZoneResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <HostedZone><Id>/hostedzone/Z1D633PJN98FT9</Id><Name>{name}</Name><CallerReference>x</CallerReference>\
             </HostedZone></GetHostedZoneResponse>"
        ),
    )
}

#[tokio::test]
async fn zone_and_records_are_read_and_nothing_is_written() {
    let name = wanted("home.example.org", Some("192.0.2.7"), None);
    let set = &set("A", 60, "192.0.2.7");
    let fake = Fake::start([list(set)]).await;
    let held = observe(settings(&fake), SECRET, &name).await.unwrap();
    assert!(held.just("192.0.2.7".parse().unwrap()));
    assert_eq!(
        fake.lines(),
        ["GET /2013-04-01/hostedzone/Z1D633PJN98FT9/rrset?maxitems=20&name=home.example.org.&type=A"]
    );

    let good = Outcome::Good;
    for (answers, found) in [
        (vec![zone("example.org."), list(set)], vec![("zone", good), ("records", good)]),
        (vec![zone("example.org."), list("")], vec![("zone", good), ("records", good)]),
        (vec![zone("example.net.")], vec![("zone", Outcome::Park(Park::NoHost))]),
        (
            vec![refused(404, "NoSuchHostedZone", "No hosted zone found with ID")],
            vec![("zone", Outcome::Park(Park::NoHost))],
        ),
        (
            vec![refused(403, "AccessDenied", "not authorized")],
            vec![("zone", Outcome::Park(Park::NotPermitted))],
        ),
        (vec![says(200, "<a><b>c</b></a>")], vec![("zone", Outcome::Retry)]),
        (
            vec![zone("example.org."), says(200, "<a><b>c</b></a>")],
            vec![("zone", good), ("records", Outcome::Retry)],
        ),
    ] {
        let fake = Fake::start(answers).await;
        assert_eq!(probe(settings(&fake), SECRET, &name).await, found);
        assert!(fake.asked().iter().all(|asked| asked.method == "GET" && asked.body.is_empty()));
    }
}
