//! Channels of drives' logs.

use loadtest::fake_google::{Consent, FileDraft};
use serde_json::{Value, json};

use super::{
    channel, fake,
    hook::{hook, text},
    life,
};
use crate::client::{ME, Setup, reason};

/// Opens all of Drive.
const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";

impl Setup {
    async fn post_to_drive(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_to(&format!("{}{path}", self.google.drive_url()), body).await
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
    let (_, made) = fake.watch_log(None, &channel("usual", "https://a.example/hook")).await;
    assert!((3_500..=3_600).contains(&life(&made)), "{made}");
    let mut asked = channel("long", "https://a.example/hook");
    asked["params"] = json!({"ttl": "99999999"});
    let (_, made) = fake.watch_log(None, &asked).await;
    assert!((604_700..=604_800).contains(&life(&made)), "{made}");
}
