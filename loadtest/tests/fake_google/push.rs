//! `watch`, `channels.stop`, and what is sent.

mod drive;
mod hook;

use std::time::{Duration, SystemTime};

use loadtest::fake_google::{Options, PushCounts, PushFaults};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener};

use self::hook::{Hook, hook, text};
use crate::client::{ME, Setup, reason, setup};

async fn fake() -> Setup {
    setup(Options { http_callbacks: true, ..Options::default() }).await
}

impl Setup {
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_to(&format!("{}{path}", self.google.calendar_url()), body).await
    }

    async fn post_to(&self, url: &str, body: &Value) -> (u16, Value) {
        let response = self.http.post(url).bearer_auth(&self.token).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    }

    async fn watch(&self, body: &Value) -> (u16, Value) {
        self.post("calendars/primary/events/watch", body).await
    }

    /// Watches by another channel, and changes something: when that is heard, all channels have been told that are to be.
    async fn heard_by_another(&self, id: &str, hook: &Hook) {
        self.watch(&channel(id, &hook.address)).await;
        assert_eq!(text(&hook.next().await, "channel-id"), id);
        self.put("something changes");
        assert_eq!(text(&hook.next().await, "channel-id"), id);
    }

    async fn counts(&self, fits: impl Fn(&PushCounts) -> bool) -> PushCounts {
        for _ in 0..3000 {
            let counts = self.google.push().counts;
            if fits(&counts) {
                return counts;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.google.push().counts)
    }
}

fn channel(id: &str, address: &str) -> Value {
    json!({"id": id, "type": "web_hook", "address": address, "token": "t"})
}

/// The seconds until a channel ends.
fn life(made: &Value) -> i64 {
    let millis: i64 = made["expiration"].as_str().unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (millis - i64::try_from(now.as_millis()).unwrap()) / 1000
}

#[tokio::test]
async fn case_53_a_channel_says_first_that_it_delivers_and_then_tells_of_each_change() {
    let (fake, hook) = (fake().await, hook(&[]).await);
    let (status, made) = fake.watch(&channel("one", &hook.address)).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(
        (&made["kind"], &made["id"], &made["token"]),
        (&json!("api#channel"), &json!("one"), &json!("t"))
    );
    let first = hook.next().await;
    assert_eq!((text(&first, "resource-state"), text(&first, "message-number")), ("sync", "1"));
    fake.put("news");
    let second = hook.next().await;
    assert_eq!((text(&second, "resource-state"), text(&second, "message-number")), ("exists", "2"));
    for headers in [first, second] {
        assert_eq!((text(&headers, "channel-id"), text(&headers, "channel-token")), ("one", "t"));
        assert_eq!(text(&headers, "resource-id"), made["resourceId"].as_str().unwrap());
        assert_eq!(text(&headers, "resource-uri"), made["resourceUri"].as_str().unwrap());
        assert!(text(&headers, "channel-expiration").ends_with(" GMT"));
    }
}

#[tokio::test]
async fn case_59_the_time_of_a_channel_is_a_string_of_milliseconds_and_may_be_shorter() {
    let (fake, hook) = (fake().await, hook(&[]).await);
    let (_, made) = fake.watch(&channel("usual", &hook.address)).await;
    assert!((604_700..=604_800).contains(&life(&made)), "{made}");
    let mut asked = channel("long", &hook.address);
    asked["params"] = json!({"ttl": "99999999"});
    let (_, made) = fake.watch(&asked).await;
    assert!((2_591_900..=2_592_000).contains(&life(&made)), "{made}");
    fake.google.push_faults(PushFaults { lifetime_s: Some(60), ..PushFaults::default() }).unwrap();
    let (_, made) = fake.watch(&channel("short", &hook.address)).await;
    assert!((55..=60).contains(&life(&made)), "{made}");
}

#[tokio::test]
async fn what_google_refuses_of_a_watch_is_refused() {
    let fake = fake().await;
    let good = channel("good", "https://a.example/hook");
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    for (body, why) in [
        (without("id"), "required"),
        (without("address"), "required"),
        (with("id", json!("a b")), "channelIdInvalid"),
        (with("id", json!("x".repeat(65))), "channelIdInvalid"),
        (with("type", json!("email")), "push.channelTypeNotSupported"),
        (with("token", json!("x".repeat(257))), "channelTokenTooLong"),
        (with("address", json!("http://a.example/hook")), "push.webhookUrlNotHttps"),
        (with("address", json!("ftp://127.0.0.1/")), "push.webhookUrlNotHttps"),
        (with("expiration", json!("1000")), "invalid"),
        (with("expiration", json!("soon")), "invalid"),
        (with("resourceId", json!("r")), "invalid"),
        (with("colour", json!("red")), "badRequest"),
    ] {
        let (status, answer) = fake.watch(&body).await;
        assert_eq!((status, reason(&answer)), (400, why), "{body}");
    }
    let (status, answer) = fake.post("calendars/nowhere/events/watch", &good).await;
    assert_eq!((status, reason(&answer)), (404, "notFound"));
    assert_eq!(fake.google.push().channels, []);
}

#[tokio::test]
async fn case_62_and_the_other_refusals_that_faults_make() {
    let fake = fake().await;
    let good = |id: &str| channel(id, "https://a.example/hook");
    let faults = PushFaults { unsupported: vec![ME.to_owned()], ..PushFaults::default() };
    fake.google.push_faults(faults).unwrap();
    let (status, answer) = fake.watch(&good("a")).await;
    assert_eq!((status, reason(&answer)), (400, "pushNotSupportedForRequestedResource"));
    assert_eq!(fake.post("users/me/calendarList/watch", &good("b")).await.0, 200);
    fake.google.push_faults(PushFaults { unauthorized: true, ..PushFaults::default() }).unwrap();
    let (status, answer) = fake.watch(&good("c")).await;
    assert_eq!((status, reason(&answer)), (401, "push.webhookUrlUnauthorized"));
    assert!(fake.google.push_faults(PushFaults { lost: 2.0, ..PushFaults::default() }).is_err());
}

#[tokio::test]
async fn case_63_an_id_counts_once_even_after_its_channel_was_stopped() {
    let (fake, hook) = (fake().await, hook(&[]).await);
    let (_, made) = fake.watch(&channel("one", &hook.address)).await;
    let stop = json!({"id": "one", "resourceId": made["resourceId"]});
    assert_eq!(fake.post("channels/stop", &json!({"id": "one", "resourceId": "another"})).await.0, 404);
    assert_eq!(fake.post("channels/stop", &stop).await, (204, Value::Null));
    assert_eq!(fake.post("channels/stop", &stop).await.0, 404);
    let (status, answer) = fake.watch(&channel("one", &hook.address)).await;
    assert_eq!((status, reason(&answer)), (400, "channelIdNotUnique"));
    assert_eq!(text(&hook.next().await, "channel-id"), "one");
    fake.heard_by_another("two", &hook).await;
    assert_eq!(fake.google.push().counts.sent, 3, "of the first channel its first message alone");
}

#[tokio::test]
async fn case_64_some_answers_are_tried_again_and_others_are_final() {
    let (fake, hook) = (fake().await, hook(&[200, 503, 500, 204, 404]).await);
    fake.watch(&channel("one", &hook.address)).await;
    hook.next().await;
    fake.put("tried again");
    for number in ["2", "2", "2"] {
        assert_eq!(text(&hook.next().await, "message-number"), number);
    }
    fake.put("lost");
    hook.next().await;
    let counts = fake.counts(|counts| counts.given_up == 1).await;
    assert_eq!((counts.sent, counts.answers["404"], counts.answers["503"]), (3, 1, 1), "{counts:?}");
}

#[tokio::test]
async fn case_64_an_invalid_certificate_delivers_nothing() {
    let fake = fake().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/hook", listener.local_addr().unwrap());
    let (status, made) = fake.watch(&channel("one", &address)).await;
    assert_eq!(status, 200, "{made}");
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    assert_eq!(byte, [22], "a handshake of TLS");
    // No such server: it speaks no TLS, and has no certificate.
    drop(stream);
    let counts = fake.counts(|counts| counts.given_up == 1).await;
    assert_eq!(counts.answers, [("none".to_owned(), 1)].into());
}

#[tokio::test]
async fn without_the_option_http_is_refused_even_on_loopback() {
    let (fake, hook) = (setup(Options::default()).await, hook(&[]).await);
    let (status, answer) = fake.watch(&channel("one", &hook.address)).await;
    assert_eq!((status, reason(&answer)), (400, "push.webhookUrlNotHttps"));
}

#[tokio::test]
async fn case_54_messages_are_lost_sent_twice_and_numbered_with_gaps() {
    let (fake, hook) = (fake().await, hook(&[]).await);
    let faults = PushFaults { twice: 1.0, gaps: true, ..PushFaults::default() };
    fake.google.push_faults(faults).unwrap();
    fake.watch(&channel("one", &hook.address)).await;
    hook.next().await;
    let mut last = 1;
    let mut gaps = 0;
    for change in 0..8 {
        fake.put(&format!("change {change}"));
        let numbers = [hook.next().await, hook.next().await]
            .map(|headers| -> u64 { text(&headers, "message-number").parse().unwrap() });
        assert_eq!(numbers[0], numbers[1]);
        assert!(numbers[0] > last);
        gaps += u64::from(numbers[0] > last + 1);
        last = numbers[0];
    }
    assert!(gaps > 0);
    fake.google.push_faults(PushFaults { lost: 1.0, ..PushFaults::default() }).unwrap();
    fake.put("lost");
    fake.counts(|counts| counts.lost == 1 && counts.sent == 17).await;
}

#[tokio::test]
async fn case_65_a_channel_ends_at_its_time_without_a_word() {
    let (fake, hook) = (fake().await, hook(&[]).await);
    fake.watch(&channel("one", &hook.address)).await;
    hook.next().await;
    fake.google.end_channels();
    assert_eq!(fake.google.push().channels, []);
    fake.heard_by_another("two", &hook).await;
    assert_eq!(fake.google.push().counts.sent, 3, "of the first channel its first message alone");
}

#[tokio::test]
async fn push_is_controlled_over_http() {
    let (fake, hook) = (fake().await, hook(&[]).await);
    fake.watch(&channel("one", &hook.address)).await;
    let url = format!("{}/control/push", fake.google.base_url());
    let state: Value = fake.http.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&state["channels"][0]["id"], &state["channels"][0]["account"]), (&json!("one"), &json!(ME)));
    let set = async |body: Value| fake.http.put(&url).json(&body).send().await.unwrap().status().as_u16();
    assert_eq!(set(json!({"lost": 0.5, "burst": 3})).await, 200);
    assert_eq!(fake.google.push().faults.burst, 3);
    assert_eq!(set(json!({"lost": 1.5})).await, 400);
    assert_eq!(set(json!({"colour": 1})).await, 422);
    assert_eq!(fake.http.delete(&url).send().await.unwrap().status(), 200);
    assert_eq!(fake.google.push().channels, []);
}
