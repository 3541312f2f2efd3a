//! Faults on demand: which calls go wrong, and what they are answered instead.

mod rule;

use std::sync::Mutex;

use axum::http::StatusCode;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

pub use self::rule::{FaultBody, FaultKind, FaultRule};
use super::{
    lock,
    refusal::Refusal,
    stats::{Call, ListKind},
};

/// What strikes one call.
#[derive(Debug, Default)]
pub(super) struct Strike {
    pub(super) delay_ms: u64,
    pub(super) fault: Option<FaultKind>,
}

pub(super) struct Faults(Mutex<(Vec<FaultRule>, StdRng)>);

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new((Vec::new(), StdRng::seed_from_u64(seed))))
    }

    pub(super) fn add(&self, rule: FaultRule) {
        lock(&self.0).0.push(rule);
    }

    pub(super) fn clear(&self) {
        lock(&self.0).0.clear();
    }

    pub(super) fn rules(&self) -> Vec<FaultRule> {
        lock(&self.0).0.clone()
    }

    /// What happens to a call. Malformed items are for [`Self::spoil`].
    pub(super) fn strike(&self, call: &Call) -> Strike {
        let mut strike = Strike::default();
        let (rules, rng) = &mut *lock(&self.0);
        for rule in rules.iter_mut().filter(|rule| rule.fault != FaultKind::Malformed && rule.fits(call)) {
            if !draw(rule, rng) {
                continue;
            }
            match rule.fault {
                FaultKind::Delay { ms } => strike.delay_ms += ms,
                FaultKind::Circle { ref mut to } => {
                    let Some(ListKind::Page(page)) = &call.list else { continue };
                    if to.get_or_insert_with(|| page.clone()) != page {
                        strike.fault = Some(FaultKind::Circle { to: to.clone() });
                        break;
                    }
                }
                ref fault => {
                    strike.fault = Some(fault.clone());
                    break;
                }
            }
        }
        rules.retain(|rule| rule.count != Some(0));
        strike
    }

    /// Adds a malformed item to a list that has items, if a rule says so.
    pub(super) fn spoil(&self, call: &Call, answer: &mut Value) {
        let list =
            ["items", "files", "changes", "drives"].into_iter().find(|name| answer.get(name).is_some());
        let items = list.and_then(|name| answer.get_mut(name)).and_then(Value::as_array_mut);
        let Some(items) = items.filter(|items| !items.is_empty()) else { return };
        let (rules, rng) = &mut *lock(&self.0);
        let fitting = rules.iter_mut().find(|rule| rule.fault == FaultKind::Malformed && rule.fits(call));
        if fitting.is_some_and(|rule| draw(rule, rng)) {
            items.insert(
                items.len() / 2,
                json!({"id": 12345, "fileId": [], "start": {"date": "0000-13-40"}, "accessRole": []}),
            );
        }
        rules.retain(|rule| rule.count != Some(0));
    }
}

/// What [`FaultKind::IncompleteSearch`] does to a list of files.
pub(super) fn leave_out_half(answer: &mut Value) {
    if let Some(files) = answer.get_mut("files").and_then(Value::as_array_mut) {
        files.truncate(files.len() / 2);
        answer["incompleteSearch"] = json!(true);
    }
}

/// What [`FaultKind::ForgottenFolder`] does to a list of files: it forgets the folder of the first one.
pub(super) fn forget_a_folder(answer: &mut Value) {
    if let Some(files) = answer.get_mut("files").and_then(Value::as_array_mut) {
        let forgotten = files.first().map(|file| file["parents"].clone());
        files.retain(|file| Some(&file["parents"]) != forgotten.as_ref());
    }
}

fn draw(rule: &mut FaultRule, rng: &mut StdRng) -> bool {
    let strikes = rule.probability.is_none_or(|share| rng.random_bool(share));
    if strikes {
        rule.count = rule.count.map(|count| count - 1);
    }
    strikes
}

/// The usual reason of a status.
fn usual_reason(status: u16) -> &'static str {
    match status {
        401 => "authError",
        403 | 429 => "rateLimitExceeded",
        404 => "notFound",
        410 => "fullSyncRequired",
        400..500 => "badRequest",
        _ => "backendError",
    }
}

/// The refusal of a [`FaultKind::Status`] with a JSON body.
pub(super) fn refusal(status: StatusCode, reason: Option<&str>, body: FaultBody) -> Refusal {
    let reason = reason.unwrap_or_else(|| usual_reason(status.as_u16()));
    let message = match reason {
        "rateLimitExceeded" => "Rate Limit Exceeded",
        "userRateLimitExceeded" => "User Rate Limit Exceeded",
        "quotaExceeded" => "Calendar usage limits exceeded.",
        other => other,
    };
    if body == FaultBody::Rpc {
        let details = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": {"service": "calendar-json.googleapis.com", "quota_limit": "defaultPerMinutePerUser"},
        }]);
        let error = json!({
            "code": status.as_u16(),
            "message": "Quota exceeded for quota metric 'Queries'.",
            "status": "RESOURCE_EXHAUSTED",
            "details": details,
        });
        return Refusal { status, body: json!({"error": error}) };
    }
    let domain = if reason.ends_with("Exceeded") { "usageLimits" } else { "global" };
    Refusal::api(status, domain, reason, message)
}
