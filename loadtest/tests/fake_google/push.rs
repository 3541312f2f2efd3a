//! `watch`, `channels.stop`, and what is sent.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use loadtest::fake_google::{Consent, FileDraft, Options, PushCounts, PushFaults};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use crate::client::{ME, Setup, reason, setup};

/// A webhook that answers with these statuses, then with 200.
struct Hook {
    address: String,
    heard: Mutex<mpsc::UnboundedReceiver<HeaderMap>>,
    /// Dropping the set ends it.
    _server: JoinSet<std::io::Result<()>>,
}

type Answers = (mpsc::UnboundedSender<HeaderMap>, Arc<std::sync::Mutex<Vec<u16>>>);

async fn hook(answers: &[u16]) -> Hook {
    async fn receive(State((say, answers)): State<Answers>, headers: HeaderMap) -> StatusCode {
        say.send(headers).unwrap();
        let mut answers = answers.lock().unwrap();
        if answers.is_empty() { StatusCode::OK } else { StatusCode::from_u16(answers.remove(0)).unwrap() }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (say, heard) = mpsc::unbounded_channel();
    let state: Answers = (say, Arc::new(std::sync::Mutex::new(answers.to_vec())));
    let app = Router::new().route("/hook", post(receive)).with_state(state);
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await });
    Hook { address, heard: Mutex::new(heard), _server: server }
}

impl Hook {
    async fn next(&self) -> HeaderMap {
        let mut heard = self.heard.lock().await;
        tokio::time::timeout(Duration::from_secs(30), heard.recv()).await.unwrap().unwrap()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(format!("x-goog-{name}")).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}

async fn fake() -> Setup {
    setup(Options { http_callbacks: true, ..Options::default() }).await
}

impl Setup {
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.google.calendar_url());
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
    let life = |made: &Value| {
        let millis: i64 = made["expiration"].as_str().unwrap().parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        (millis - i64::try_from(now.as_millis()).unwrap()) / 1000
    };
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

/// Opens all of Drive.
const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";

impl Setup {
    async fn post_to_drive(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.google.drive_url());
        let response = self.http.post(url).bearer_auth(&self.token).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    }

    /// Watches a log from its place of now on.
    async fn watch_log(&self, drive: Option<&str>, body: &Value) -> (u16, Value) {
        let all = "supportsAllDrives=true&includeItemsFromAllDrives=true";
        let of = drive.map_or_else(String::new, |drive| format!("&driveId={drive}"));
        let url = format!("{}changes/startPageToken?supportsAllDrives=true{of}", self.google.drive_url());
        let place: Value =
            self.http.get(url).bearer_auth(&self.token).send().await.unwrap().json().await.unwrap();
        let place = place["startPageToken"].as_str().unwrap().to_owned();
        self.post_to_drive(&format!("changes/watch?pageToken={place}&{all}{of}"), body).await
    }
}

#[tokio::test]
async fn case_53_a_channel_of_a_drives_log_tells_of_that_log_alone() {
    let (fake, hook) = (fake().await, hook(&[]).await);
    fake.google.world().set_consent(ME, Consent::to(&[DRIVE])).unwrap();
    fake.google.world().add_drive(ME, Some("team"), "Team").unwrap();
    assert_eq!(fake.watch_log(Some("team"), &channel("team", &hook.address)).await.0, 200);
    let first = hook.next().await;
    assert_eq!((text(&first, "resource-state"), text(&first, "message-number")), ("sync", "1"));
    let (status, made) = fake.watch_log(None, &channel("mine", &hook.address)).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(text(&hook.next().await, "channel-id"), "mine");
    for (parent, id) in [(None, "mine"), (Some("team"), "team"), (None, "mine")] {
        let draft = FileDraft::text("news", "1");
        let draft = if let Some(parent) = parent { draft.within(parent) } else { draft };
        fake.google.world().put_file(ME, draft).unwrap();
        let headers = hook.next().await;
        assert_eq!((text(&headers, "channel-id"), text(&headers, "resource-state")), (id, "change"));
        assert_eq!(headers.get("content-type").unwrap(), "application/json; utf-8");
    }
    // Calendar does not know it, and ends nothing of Drive's.
    let stop = json!({"id": "mine", "resourceId": made["resourceId"]});
    assert_eq!(fake.post("channels/stop", &stop).await.0, 404);
    assert_eq!(fake.post_to_drive("channels/stop", &stop).await, (204, Value::Null));
    for (path, status, why) in [
        ("changes/watch", 400, "required"),
        ("changes/watch?pageToken=nonsense", 400, "invalid"),
        (
            "changes/watch?pageToken=1&driveId=nowhere&supportsAllDrives=true&includeItemsFromAllDrives=true",
            404,
            "notFound",
        ),
    ] {
        let (answered, answer) = fake.post_to_drive(path, &channel("odd", &hook.address)).await;
        assert_eq!((answered, reason(&answer)), (status, why), "{path}");
    }
}

#[tokio::test]
async fn case_59_a_channel_of_drive_lasts_an_hour_unless_more_is_asked_for_and_a_week_at_the_most() {
    let fake = fake().await;
    fake.google.world().set_consent(ME, Consent::to(&[DRIVE])).unwrap();
    let life = |made: &Value| {
        let millis: i64 = made["expiration"].as_str().unwrap().parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        (millis - i64::try_from(now.as_millis()).unwrap()) / 1000
    };
    let (_, made) = fake.watch_log(None, &channel("usual", "https://a.example/hook")).await;
    assert!((3_500..=3_600).contains(&life(&made)), "{made}");
    let mut asked = channel("long", "https://a.example/hook");
    asked["params"] = json!({"ttl": "99999999"});
    let (_, made) = fake.watch_log(None, &asked).await;
    assert!((604_700..=604_800).contains(&life(&made)), "{made}");
}
