//! Faults on demand: rules that say which calls go wrong, how, and how often.

use std::sync::Mutex;

use axum::http::StatusCode;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    id_token::Wrong,
    lock,
    refusal::Refusal,
    stats::{Call, ListKind},
};

/// The parts of Google that are played here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `POST /token`.
    Token,
    /// `calendarList.list`.
    CalendarList,
    /// `calendarList.get` of the primary calendar.
    PrimaryCalendar,
    /// `events.list`.
    Events,
    /// `calendarList.watch` and `events.watch`.
    Watch,
    /// Calendar's `channels.stop`.
    StopChannel,
    /// `changes.watch`.
    WatchChanges,
    /// Drive's `channels.stop`.
    StopDriveChannel,
    /// `POST /revoke`.
    Revoke,
    /// The discovery document.
    Discovery,
    /// The keys of ID tokens.
    Certs,
    /// `files.list`.
    Files,
    /// `files.get`.
    File,
    /// `changes.list`.
    Changes,
    /// `changes.getStartPageToken`.
    StartPageToken,
    /// `drives.list`.
    Drives,
    /// `files.get` with `alt=media`: the content.
    Media,
    /// `files.export`.
    Export,
}

impl Api {
    /// Whether it is Drive's.
    pub(super) const fn is_drive(self) -> bool {
        // Whatever is Calendar's or of signing in costs one.
        self.cost() > 1
    }

    /// What a call costs of the quota: in Calendar a request is a request, in Drive a list is worth many reads.
    /// <https://developers.google.com/workspace/drive/api/guides/limits>
    pub(super) const fn cost(self) -> usize {
        match self {
            Self::Files | Self::Changes | Self::Drives => 100,
            Self::File | Self::StartPageToken | Self::WatchChanges | Self::StopDriveChannel => 5,
            Self::Media | Self::Export => 200,
            Self::Token
            | Self::CalendarList
            | Self::PrimaryCalendar
            | Self::Events
            | Self::Watch
            | Self::StopChannel
            | Self::Revoke
            | Self::Discovery
            | Self::Certs => 1,
        }
    }
}

/// The body that goes with a faulty status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultBody {
    /// Calendar's error shape, with the fault's reason.
    #[default]
    Json,
    /// The newer `google.rpc` shape, with an `ErrorInfo` whose reason is `RATE_LIMIT_EXCEEDED`.
    Rpc,
    /// A page for people, as front ends send.
    Html,
    /// Nothing.
    Empty,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// An error status, 400 to 599; or 200 with a body that is not the API's, `html` or `empty`.
    Status {
        /// The HTTP status.
        status: u16,
        /// The reason in the JSON body; one that fits the status when missing.
        #[serde(default)]
        reason: Option<String>,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u32>,
        /// The body.
        #[serde(default)]
        body: FaultBody,
    },
    /// `invalid_grant` from the token endpoint; the grant itself stays good. Elsewhere 401.
    InvalidGrant,
    /// The token endpoint gives an ID token that is not good.
    IdToken {
        /// What is wrong with it.
        wrong: Wrong,
    },
    /// The token endpoint gives no refresh token, whatever was asked for.
    NoRefreshToken,
    /// The connection ends in the middle of the answer's body.
    Truncated,
    /// A list gets one more item, which has no usable id and an impossible date. Lists without items stay whole.
    Malformed,
    /// A list answers with a page without items, whose next page is the one that was asked for.
    EmptyPage,
    /// A page of a list, asked for by a page token, names itself as the next page.
    SamePage,
    /// A page of a list, asked for by a page token, names the first page that was asked for so as the next one.
    Circle {
        /// That page's token, as soon as it is known.
        #[serde(default)]
        to: Option<String>,
    },
    /// A list of files leaves out half of what it should have, and says that it has not looked everywhere.
    IncompleteSearch,
    /// The answer comes late; the next rules apply too.
    Delay {
        /// How late.
        ms: u64,
    },
    /// The connection ends without an answer, although the call was carried out.
    Cut,
    /// The same, but the connection is reset (RST).
    Reset,
    /// All of the content comes, with 200, although a part was asked for.
    IgnoredRange,
    /// A part that was asked for is answered with 416.
    NotSatisfiable,
    /// A part that was asked for comes with the place of another one.
    WrongRange,
    /// The first byte of the content that comes is wrong.
    Corrupt,
    /// The answer comes byte by byte.
    Drip {
        /// The time between two bytes.
        ms: u64,
    },
}

/// One rule. The first rule that fits a call strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// Only calls of this part; all when missing.
    #[serde(default)]
    pub api: Option<Api>,
    /// Only calls whose path begins so, e.g. `/calendar/v3/calendars/`.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Only calls of this account, by its e-mail address.
    #[serde(default)]
    pub account: Option<String>,
    /// The share of fitting calls that are struck, 0 to 1; all when missing.
    #[serde(default)]
    pub probability: Option<f64>,
    /// How often it strikes before it is gone; for ever when missing.
    #[serde(default)]
    pub count: Option<u64>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: FaultKind,
}

impl FaultRule {
    /// A rule that strikes every call.
    #[must_use]
    pub fn new(fault: FaultKind) -> Self {
        Self { api: None, path_prefix: None, account: None, probability: None, count: None, fault }
    }

    /// Only calls of this part.
    #[must_use]
    pub fn on(self, api: Api) -> Self {
        Self { api: Some(api), ..self }
    }

    /// Only calls of this account.
    #[must_use]
    pub fn account(self, email: &str) -> Self {
        Self { account: Some(email.to_owned()), ..self }
    }

    /// Strikes so often, then is gone.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// Strikes this share of the calls.
    #[must_use]
    pub fn probability(self, share: f64) -> Self {
        Self { probability: Some(share), ..self }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        let share = self.probability.unwrap_or(1.0);
        anyhow::ensure!((0.0..=1.0).contains(&share), "probability {share}: 0 to 1 is allowed");
        match self.fault {
            FaultKind::Status { status: 200, body: FaultBody::Html | FaultBody::Empty, .. } => {}
            FaultKind::Status { status, .. } => anyhow::ensure!(
                (400..600).contains(&status),
                "status {status}: 400 to 599 is allowed, and 200 with the body html or empty"
            ),
            FaultKind::Drip { ms } => anyhow::ensure!(ms > 0, "ms 0: at least 1 is allowed"),
            _ => {}
        }
        Ok(())
    }

    fn fits(&self, call: &Call) -> bool {
        self.api.is_none_or(|api| api == call.api)
            && self.path_prefix.as_ref().is_none_or(|prefix| call.path.starts_with(prefix))
            && self.account.as_ref().is_none_or(|email| call.account.as_ref() == Some(email))
            && self.count != Some(0)
    }
}

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
