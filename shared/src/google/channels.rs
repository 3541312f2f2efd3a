//! Push channels, as Google makes and ends them: <https://developers.google.com/workspace/calendar/api/guides/push>,
//! <https://developers.google.com/workspace/drive/api/guides/push>. A channel ends at the `channels.stop` of the API that made it.

pub mod token;

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::PgPool;

use self::token::Named;
use super::{
    Api, Google,
    drive::{DriveId, READ},
    errors::{CallError, Class},
    execute::Method,
    transport::ApiConnector,
};
use crate::{
    job::{AccountId, JobId},
    store::channels,
};

type Calendar = google_calendar3::CalendarHub<ApiConnector>;
type Drive = google_drive3::DriveHub<ApiConnector>;

/// The path of the webhook below the public address, by API.
#[must_use]
pub fn webhook(api: &str) -> String {
    format!("webhooks/google/{api}")
}

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The account's list of calendars.
    CalendarList,
    /// The events of a calendar, by Google's id of it.
    Events(&'a str),
    /// The log of changes of the account's My Drive, or of a shared drive.
    Changes(DriveId<'a>),
}

impl Resource<'_> {
    /// The API that pushes it.
    #[must_use]
    pub const fn api(&self) -> &'static str {
        match self {
            Self::CalendarList | Self::Events(_) => Api::Calendar.name(),
            Self::Changes(_) => Api::Drive.name(),
        }
    }
}

/// A channel to be made.
#[derive(Debug, Clone)]
pub struct NewChannel<'a> {
    /// Its id: at most 64 characters, never used before.
    pub id: &'a str,
    /// The job that its notifications want.
    pub job: JobId,
    /// Where Google is to call.
    pub address: &'a str,
    /// When it is to end; Google may end it sooner.
    pub expires_at: DateTime<Utc>,
}

/// A channel to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its id.
    pub id: String,
    /// The API that made it, as in [`Resource::api`].
    pub api: String,
    /// Google's id of what it watches.
    pub resource_id: String,
}

/// A channel that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Google's id of what is watched.
    pub resource_id: String,
    /// When it ends, if Google has said so.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Google {
    /// Has Google tell of a resource's changes. Its first message may come before this returns.
    pub async fn watch(
        &self,
        db: &PgPool,
        account: AccountId,
        resource: Resource<'_>,
        channel: &NewChannel<'_>,
    ) -> Result<Made, CallError> {
        let token = self.channel_tokens().make(channel.id, Named { account, job: channel.job });
        let (name, body) = match resource {
            Resource::CalendarList => {
                let request = calendar_channel(channel, token);
                let method = Method { name: "calendarList.watch", with_token: false, cost: 1 };
                let call = self.execute(db, account, method, move |hub: &Calendar, recorder| {
                    let call = hub.calendar_list().watch(request.clone()).delegate(recorder);
                    async { call.doit().await.map(|(response, _)| response) }.boxed()
                });
                (method.name, call.await?)
            }
            Resource::Events(calendar) => {
                let (request, calendar) = (calendar_channel(channel, token), calendar.to_owned());
                let method = Method { name: "events.watch", with_token: false, cost: 1 };
                let call = self.execute(db, account, method, move |hub: &Calendar, recorder| {
                    let call = hub.events().watch(request.clone(), &calendar).delegate(recorder);
                    async { call.doit().await.map(|(response, _)| response) }.boxed()
                });
                (method.name, call.await?)
            }
            Resource::Changes(drive) => {
                ("changes.watch", self.watch_changes(db, account, drive, channel, token).await?)
            }
        };
        made(&body).ok_or_else(|| CallError::Call {
            method: name,
            class: Class::Retry,
            after: None,
            what: "the answer names no resource".to_owned(),
        })
    }

    /// A watch of a log begins at a place in it: that of now. What was before is found by the pass that a new channel wants.
    async fn watch_changes(
        &self,
        db: &PgPool,
        account: AccountId,
        drive: DriveId<'_>,
        channel: &NewChannel<'_>,
        token: String,
    ) -> Result<String, CallError> {
        let place = self.start_page_token(db, account, drive).await?;
        let (request, drive) = (drive_channel(channel, token), drive.map(str::to_owned));
        let method = Method { name: "changes.watch", with_token: false, cost: READ };
        self.execute(db, account, method, move |hub: &Drive, recorder| {
            let mut call = hub
                .changes()
                .watch(request.clone(), &place)
                .spaces("drive")
                .supports_all_drives(true)
                .include_items_from_all_drives(true)
                .include_corpus_removals(true)
                .include_removed(true)
                .delegate(recorder);
            if let Some(drive) = &drive {
                call = call.drive_id(drive);
            }
            async { call.doit().await.map(|(response, _)| response) }.boxed()
        })
        .await
    }

    /// Ends a channel of this API. One that Google does not know any more is ended, too.
    pub async fn stop_channel(
        &self,
        db: &PgPool,
        account: AccountId,
        channel: &Ending,
    ) -> Result<(), CallError> {
        let (id, resource_id) = (Some(channel.id.clone()), Some(channel.resource_id.clone()));
        let stopped = if channel.api == Api::Drive.name() {
            let request = google_drive3::api::Channel { id, resource_id, ..Default::default() };
            let method = Method { name: "channels.stop", with_token: false, cost: READ };
            let call = self.execute(db, account, method, move |hub: &Drive, recorder| {
                let call = hub.channels().stop(request.clone()).delegate(recorder);
                async { call.doit().await }.boxed()
            });
            call.await
        } else {
            let request = google_calendar3::api::Channel { id, resource_id, ..Default::default() };
            let method = Method { name: "channels.stop", with_token: false, cost: 1 };
            let call = self.execute(db, account, method, move |hub: &Calendar, recorder| {
                let call = hub.channels().stop(request.clone()).delegate(recorder);
                async { call.doit().await }.boxed()
            });
            call.await
        };
        match stopped {
            Ok(_) => Ok(()),
            Err(error) if error.class() == Some(Class::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends all channels of an account as far as that goes within `limit`, for an account that is about to go: afterwards
    /// nobody can end them. Says how many were ended, and how many are left to run out by themselves.
    pub async fn stop_channels(
        &self,
        db: &PgPool,
        account: AccountId,
        limit: Duration,
    ) -> Result<Stopped, sqlx::Error> {
        let until = tokio::time::Instant::now() + limit;
        let (all, now) = {
            let mut conn = db.acquire().await?;
            channels::of_account(&mut conn, account).await?
        };
        let mut count = Stopped::default();
        for channel in all.iter().filter(|one| one.state != channels::State::Stopped && one.expires_at > now)
        {
            let known = |one: &&channels::Channel| one.job == channel.job && one.resource_id.is_some();
            let sibling = || all.iter().find(known).and_then(|one| one.resource_id.as_ref());
            let Some(resource_id) = channel.resource_id.as_ref().or_else(sibling) else {
                count.left += 1;
                continue;
            };
            let ending =
                Ending { id: channel.id.clone(), api: channel.api.clone(), resource_id: resource_id.clone() };
            let stop = self.stop_channel(db, account, &ending);
            match tokio::time::timeout_at(until, stop).await {
                Ok(Ok(())) => {
                    channels::stopped(&mut *db.acquire().await?, &channel.id, None).await?;
                    count.stopped += 1;
                }
                Ok(Err(error)) => {
                    tracing::warn!(channel = channel.id, "a push channel could not be stopped: {error}");
                    count.left += 1;
                }
                Err(_) => count.left += 1,
            }
        }
        Ok(count)
    }
}

fn calendar_channel(new: &NewChannel<'_>, token: String) -> google_calendar3::api::Channel {
    google_calendar3::api::Channel {
        id: Some(new.id.to_owned()),
        type_: Some("web_hook".to_owned()),
        address: Some(new.address.to_owned()),
        token: Some(token),
        expiration: Some(new.expires_at.timestamp_millis()),
        ..Default::default()
    }
}

/// The same in the other crate's words.
fn drive_channel(new: &NewChannel<'_>, token: String) -> google_drive3::api::Channel {
    google_drive3::api::Channel {
        id: Some(new.id.to_owned()),
        type_: Some("web_hook".to_owned()),
        address: Some(new.address.to_owned()),
        token: Some(token),
        expiration: Some(new.expires_at.timestamp_millis()),
        ..Default::default()
    }
}

/// What stopping all channels of an account came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stopped {
    /// Ended.
    pub stopped: u64,
    /// Left to run out by themselves.
    pub left: u64,
}

/// Reads the answer of a watch. Google writes the time as a string of milliseconds; a number is as good.
fn made(body: &str) -> Option<Made> {
    let answer: Value = serde_json::from_str(body).ok()?;
    let resource_id = answer.get("resourceId")?.as_str().filter(|id| !id.is_empty())?.to_owned();
    let expiration = answer.get("expiration");
    let millis = expiration
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .or_else(|| expiration.and_then(Value::as_i64));
    Some(Made { resource_id, expires_at: millis.and_then(DateTime::from_timestamp_millis) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_answer_is_a_string_or_a_number() {
        let of = |expiration: &str| made(&format!(r#"{{"resourceId": "r"{expiration}}}"#)).unwrap();
        let at = DateTime::from_timestamp_millis(1_526_248_563_000);
        for text in [r#", "expiration": "1526248563000""#, r#", "expiration": 1526248563000"#] {
            assert_eq!(of(text), Made { resource_id: "r".to_owned(), expires_at: at });
        }
        for text in ["", r#", "expiration": "soon""#, r#", "expiration": null"#] {
            assert_eq!(of(text).expires_at, None);
        }
        for bad in ["{}", "[]", "x", r#"{"resourceId": ""}"#, r#"{"resourceId": 5}"#] {
            assert_eq!(made(bad), None, "{bad}");
        }
    }
}
