//! Google's rate limits: units in a sliding minute, of the whole project and of each user, for each API by itself. A call of
//! Calendar is one unit.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::StatusCode, response::Response, routing::get};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FakeGoogle, Shared, answer::control, api::Api, lock, refusal::Refusal, stats::Call};

const MINUTE: Duration = Duration::from_mins(1);

/// Units that are served in any minute; none: as many as come. Refused calls count, calls for tokens do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaLimits {
    /// Of all users.
    pub per_project: Option<usize>,
    /// Of each user.
    pub per_user: Option<usize>,
}

/// What came, since the limits were set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaCounts {
    /// The most units that came within a minute.
    pub most: usize,
    /// The most units that came within a minute, by the user's e-mail address.
    pub most_of: BTreeMap<String, usize>,
    /// Calls that were refused for the project's limit.
    pub refused_to_project: u64,
    /// Calls that were refused for their user's limit.
    pub refused_to_user: u64,
}

/// What each API has.
#[derive(Default)]
pub(super) struct Quotas {
    calendar: Quota,
    drive: Quota,
}

impl Quotas {
    /// Counts a call.
    pub(super) fn admit(&self, call: &Call, now: Instant) -> Result<(), Refusal> {
        match call.api {
            Api::Token => Ok(()),
            api if api.is_drive() => self.drive.admit(call, now),
            _ => self.calendar.admit(call, now),
        }
    }
}

#[derive(Default)]
struct Quota(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    limits: QuotaLimits,
    counts: QuotaCounts,
    project: Window,
    users: BTreeMap<String, Window>,
}

/// The calls of the last minute, each with its units.
#[derive(Default)]
struct Window {
    calls: VecDeque<(Instant, usize)>,
    units: usize,
}

impl Window {
    /// Counts a call, and says how many units came within the minute that ends with it.
    fn count(&mut self, now: Instant, units: usize) -> usize {
        while let Some((_, old)) = self.calls.pop_front_if(|(at, _)| now.duration_since(*at) >= MINUTE) {
            self.units -= old;
        }
        self.calls.push_back((now, units));
        self.units += units;
        self.units
    }
}

impl Quota {
    /// Counts a call. Which one is refused, and how, is as Google's.
    fn admit(&self, call: &Call, now: Instant) -> Result<(), Refusal> {
        let (service, cost) = (if call.api.is_drive() { "drive" } else { "calendar-json" }, call.api.cost());
        let Inner { limits, counts, project, users } = &mut *lock(&self.0);
        let units = project.count(now, cost);
        counts.most = counts.most.max(units);
        if let Some(email) = &call.account {
            let units = users.entry(email.clone()).or_default().count(now, cost);
            let most = counts.most_of.entry(email.clone()).or_default();
            *most = units.max(*most);
            if limits.per_user.is_some_and(|limit| units > limit) {
                counts.refused_to_user += 1;
                return Err(refusal(service, "Queries per minute per user", "defaultPerMinutePerUser"));
            }
        }
        if limits.per_project.is_some_and(|limit| units > limit) {
            counts.refused_to_project += 1;
            return Err(refusal(service, "Queries per minute", "defaultPerMinutePerProject"));
        }
        Ok(())
    }
}

fn refusal(service: &str, name: &str, limit: &str) -> Refusal {
    let message = format!(
        "Quota exceeded for quota metric 'Queries' and limit '{name}' of service '{service}.googleapis.com' \
         for consumer 'project_number:1'."
    );
    let mut refusal = Refusal::api(StatusCode::FORBIDDEN, "usageLimits", "rateLimitExceeded", &message);
    refusal.body["error"]["status"] = json!("PERMISSION_DENIED");
    refusal.body["error"]["details"] = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {"service": format!("{service}.googleapis.com"), "quota_limit": limit},
    }]);
    refusal
}

impl FakeGoogle {
    /// Sets the limits. The calls of the minute before still count to them; the counts begin anew.
    pub fn limit(&self, limits: QuotaLimits) {
        set(&self.shared.quota.calendar, limits);
    }

    /// The same of Drive.
    pub fn limit_drive(&self, limits: QuotaLimits) {
        set(&self.shared.quota.drive, limits);
    }

    /// What came since.
    #[must_use]
    pub fn quota(&self) -> QuotaCounts {
        lock(&self.shared.quota.calendar.0).counts.clone()
    }

    /// The same of Drive.
    #[must_use]
    pub fn drive_quota(&self) -> QuotaCounts {
        lock(&self.shared.quota.drive.0).counts.clone()
    }
}

fn set(quota: &Quota, limits: QuotaLimits) {
    let mut inner = lock(&quota.0);
    inner.limits = limits;
    inner.counts = QuotaCounts::default();
}

/// `/control/quota`: PUT sets the limits, GET tells what came; `/control/quota/drive` the same of Drive.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/control/quota", get(counts).put(put))
        .route("/control/quota/drive", get(drive_counts).put(put_drive))
}

async fn counts(State(shared): State<Shared>) -> Response {
    told(&shared.quota.calendar)
}

async fn drive_counts(State(shared): State<Shared>) -> Response {
    told(&shared.quota.drive)
}

fn told(quota: &Quota) -> Response {
    control(serde_json::to_value(&lock(&quota.0).counts).map_err(Into::into))
}

async fn put_drive(State(shared): State<Shared>, Json(limits): Json<QuotaLimits>) -> Json<Value> {
    set(&shared.quota.drive, limits);
    Json(json!({}))
}

async fn put(State(shared): State<Shared>, Json(limits): Json<QuotaLimits>) -> Json<Value> {
    set(&shared.quota.calendar, limits);
    Json(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(account: &str) -> Call {
        Call {
            api: Api::Events,
            path: String::new(),
            account: Some(account.to_owned()),
            collection: None,
            list: None,
        }
    }

    #[test]
    fn the_minute_slides() {
        let (quota, start) = (Quota::default(), Instant::now());
        lock(&quota.0).limits = QuotaLimits { per_project: Some(3), per_user: Some(2) };
        let at = |seconds, who: &str| {
            let refusal = quota.admit(&call(who), start + Duration::from_secs(seconds)).err()?;
            let limit = &refusal.body["error"]["details"][0]["metadata"]["quota_limit"];
            Some(limit.as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(at(0, "a"), None);
        assert_eq!(at(30, "a"), None);
        assert_eq!(at(40, "a").as_deref(), Some("defaultPerMinutePerUser"));
        assert_eq!(at(45, "b").as_deref(), Some("defaultPerMinutePerProject"));
        // The first call is a minute old, the one at 30 is not.
        assert_eq!(at(60, "b").as_deref(), Some("defaultPerMinutePerProject"));
        assert_eq!(at(101, "c"), None);
        let counts = lock(&quota.0).counts.clone();
        assert_eq!((counts.most, counts.most_of["a"], counts.most_of["b"]), (4, 3, 2));
        assert_eq!((counts.refused_to_user, counts.refused_to_project), (1, 2));
    }
}
