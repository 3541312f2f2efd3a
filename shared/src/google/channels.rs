//! Push channels, as Google makes and ends them: <https://developers.google.com/workspace/calendar/api/guides/push>.
//!
//! Another API's watch is one more variant of [`Resource`]; its channels end at that API's own `channels.stop`.

pub mod token;

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use google_calendar3::api::Channel;
use serde_json::Value;
use sqlx::PgPool;

use self::token::Named;
use super::{
    Api, Google,
    errors::{CallError, Class},
    execute::Method,
    transport::ApiConnector,
};
use crate::{
    job::{AccountId, JobId},
    store::channels,
};

type Hub = google_calendar3::CalendarHub<ApiConnector>;

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
}

impl Resource<'_> {
    /// The API that pushes it.
    #[must_use]
    pub const fn api(&self) -> &'static str {
        match self {
            Self::CalendarList | Self::Events(_) => Api::Calendar.name(),
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
        let request = Channel {
            id: Some(channel.id.to_owned()),
            type_: Some("web_hook".to_owned()),
            address: Some(channel.address.to_owned()),
            token: Some(self.channel_tokens().make(channel.id, Named { account, job: channel.job })),
            expiration: Some(channel.expires_at.timestamp_millis()),
            ..Channel::default()
        };
        let name = match resource {
            Resource::CalendarList => "calendarList.watch",
            Resource::Events(_) => "events.watch",
        };
        let method = Method { name, with_token: false, cost: 1 };
        let body = match resource {
            Resource::CalendarList => {
                self.execute(db, account, method, move |hub: &Hub, recorder| {
                    let call = hub.calendar_list().watch(request.clone()).delegate(recorder);
                    async { call.doit().await.map(|(response, _)| response) }.boxed()
                })
                .await?
            }
            Resource::Events(calendar) => {
                let calendar = calendar.to_owned();
                self.execute(db, account, method, move |hub: &Hub, recorder| {
                    let call = hub.events().watch(request.clone(), &calendar).delegate(recorder);
                    async { call.doit().await.map(|(response, _)| response) }.boxed()
                })
                .await?
            }
        };
        made(&body).ok_or_else(|| CallError::Call {
            method: method.name,
            class: Class::Retry,
            after: None,
            what: "the answer names no resource".to_owned(),
        })
    }

    /// Ends a channel. One that Google does not know any more is ended, too.
    pub async fn stop_channel(
        &self,
        db: &PgPool,
        account: AccountId,
        id: &str,
        resource_id: &str,
    ) -> Result<(), CallError> {
        let request = Channel {
            id: Some(id.to_owned()),
            resource_id: Some(resource_id.to_owned()),
            ..Channel::default()
        };
        let method = Method { name: "channels.stop", with_token: false, cost: 1 };
        let stopped = self
            .execute(db, account, method, move |hub: &Hub, recorder| {
                let call = hub.channels().stop(request.clone()).delegate(recorder);
                async { call.doit().await }.boxed()
            })
            .await;
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
            let stop = self.stop_channel(db, account, &channel.id, resource_id);
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
