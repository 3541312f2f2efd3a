use std::time::Duration;

use serde_json::Value;

use super::quote;
use crate::job::GateScope;

/// What is to be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may go better later.
    Retry,
    /// Fewer calls, for a while.
    SlowDown {
        /// Of one account, or of all.
        scope: GateScope,
        /// Of which limit.
        limit: Limit,
        /// How long if Google does not say.
        usual: Duration,
    },
    /// The access token is not good, even after a refresh.
    Unauthorized,
    /// The account has not granted what the call needs.
    MissingScope,
    /// The sync token or page token counts no more.
    Resync,
    /// The next page of a list is the one that was asked for, or one that the pass has had.
    Circle,
    /// What was asked for is not there, or not for this account.
    Gone,
    /// The channel's id was used before.
    ChannelIdTaken,
    /// Changes of this are not pushed.
    PushUnsupported,
    /// It will not go better by itself.
    Permanent,
}

/// A limit that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// That of a minute: a lower rate keeps below it.
    Rate,
    /// That of a day, or of something that is not counted in calls.
    Other,
}

impl Class {
    /// The same for a call that counted to `project`; none: the OAuth client's. A limit of a service account's project is none of
    /// all others, so that it closes the account's gate only.
    pub(in crate::google) const fn of_project(self, project: Option<&str>) -> Self {
        match (self, project) {
            (Self::SlowDown { limit, usual, .. }, Some(_)) => {
                Self::SlowDown { scope: GateScope::Account, limit, usual }
            }
            (class, _) => class,
        }
    }
}

/// An answer that is not 2xx.
#[derive(Debug, Clone)]
pub(in crate::google) struct Answer {
    pub(in crate::google) status: u16,
    /// None: the body was not Google's own error object.
    pub(in crate::google) error: Option<ApiError>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::google) struct ApiError {
    reason: String,
    message: String,
    /// Which limit was hit, where `google.rpc` says so.
    limit: Option<String>,
}

impl Answer {
    /// Reads Google's two shapes of errors.
    pub(in crate::google) fn new(status: u16, body: Option<&Value>) -> Self {
        let error = body.and_then(|body| body.get("error")).filter(|error| error.is_object()).map(|error| {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            let old = error.pointer("/errors/0/reason");
            let info = error.get("details").and_then(Value::as_array).and_then(|details| {
                details.iter().find(|detail| {
                    detail
                        .get("@type")
                        .and_then(Value::as_str)
                        .is_some_and(|name| name.ends_with("ErrorInfo"))
                })
            });
            let new = info.and_then(|info| info.get("reason"));
            ApiError {
                reason: text(new.or(old)).or_else(|| text(error.get("status"))).unwrap_or_default(),
                message: text(error.get("message")).unwrap_or_default(),
                limit: text(info.and_then(|info| info.pointer("/metadata/quota_limit"))),
            }
        });
        Self { status, error }
    }

    /// Google's word for it; none: the answer is not Google's own.
    pub(in crate::google) fn reason(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.reason.as_str())
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.error {
            Some(error) => {
                write!(
                    f,
                    "Google answered {} {}: {}",
                    self.status,
                    quote(&error.reason),
                    quote(&error.message)
                )
            }
            None => write!(f, "Google answered {} without an error object", self.status),
        }
    }
}

const MINUTE: Duration = Duration::from_mins(1);

/// What is to be done about an answer. `with_token`: a sync token or page token was sent.
///
/// An answer that is not Google's own tells nothing of the thing asked for: something on the way has answered.
pub(in crate::google) fn classify(answer: &Answer, with_token: bool) -> Class {
    let slow_down = |scope, limit, usual| Class::SlowDown { scope, limit, usual };
    let (account, project) = (GateScope::Account, GateScope::Provider);
    let reason = answer.error.as_ref().map(|error| error.reason.as_str());
    match (answer.status, reason) {
        // Of a watch: <https://developers.google.com/workspace/calendar/api/guides/push>. Some come as 401 and have nothing
        // to do with the account.
        (_, Some("channelIdNotUnique")) => Class::ChannelIdTaken,
        (_, Some("pushNotSupportedForRequestedResource")) => Class::PushUnsupported,
        (_, Some(reason)) if reason.starts_with("push.") || reason.starts_with("webhookUrl") => {
            Class::Permanent
        }
        (401, _) => Class::Unauthorized,
        (_, Some("dailyLimitExceeded")) => slow_down(project, Limit::Other, 60 * MINUTE),
        (_, Some("quotaExceeded" | "calendarUsageLimitsExceeded" | "sharingRateLimitExceeded")) => {
            slow_down(account, Limit::Other, 10 * MINUTE)
        }
        (403 | 429, _) if limit_of(answer).is_some_and(|limit| limit.contains("perday")) => {
            slow_down(project, Limit::Other, 60 * MINUTE)
        }
        // A limit is taken for the account's own unless it says otherwise: one user must not hold up all others, while a
        // project over its limit shows in each of its accounts.
        (429, _)
        | (
            403,
            Some(
                "rateLimitExceeded" | "userRateLimitExceeded" | "RATE_LIMIT_EXCEEDED" | "RESOURCE_EXHAUSTED",
            ),
        ) => {
            if limit_of(answer).is_some_and(|limit| !limit.contains("user")) {
                slow_down(project, Limit::Rate, MINUTE)
            } else {
                slow_down(account, Limit::Rate, MINUTE / 2)
            }
        }
        (403, Some("insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT")) => Class::MissingScope,
        (
            403,
            Some("accessNotConfigured" | "SERVICE_DISABLED" | "domainPolicy" | "forbiddenForServiceAccounts"),
        ) => Class::Permanent,
        (410, Some(_)) => Class::Resync,
        // An invalid or foreign token; a full pass sends none.
        (400, Some(_)) if with_token => Class::Resync,
        (403 | 404, Some(_)) => Class::Gone,
        (400..500, Some(_)) if !matches!(answer.status, 408 | 409 | 412 | 425) => Class::Permanent,
        _ => Class::Retry,
    }
}

/// The name of the limit that was hit, in small letters without spaces: from the error's details, or from its message, which
/// says `limit 'Queries per minute per user' of service`.
fn limit_of(answer: &Answer) -> Option<String> {
    let error = answer.error.as_ref()?;
    let in_message = || error.message.split_once("limit '")?.1.split_once('\'').map(|(limit, _)| limit);
    let limit = error.limit.as_deref().or_else(in_message)?;
    Some(limit.to_ascii_lowercase().replace(' ', ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn old(status: u16, reason: &str) -> Answer {
        let body = json!({"error": {"code": status, "message": "m", "errors": [{"reason": reason}]}});
        Answer::new(status, Some(&body))
    }

    /// The old shape, with the limit's name in the message only.
    fn says(limit: &str) -> Answer {
        let message =
            format!("Quota exceeded for quota metric 'Queries' and limit '{limit}' of service 'x'.");
        let body =
            json!({"error": {"code": 403, "message": message, "errors": [{"reason": "rateLimitExceeded"}]}});
        Answer::new(403, Some(&body))
    }

    fn rpc(limit: Option<&str>) -> Answer {
        let body = json!({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.Help"},
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
             "metadata": {"quota_limit": limit}},
        ]}});
        Answer::new(429, Some(&body))
    }

    #[test]
    fn a_service_accounts_project_is_its_own_accounts_concern() {
        let all = Class::SlowDown { scope: GateScope::Provider, limit: Limit::Rate, usual: MINUTE };
        let own = Class::SlowDown { scope: GateScope::Account, limit: Limit::Rate, usual: MINUTE };
        assert_eq!((all.of_project(None), all.of_project(Some("p"))), (all, own));
        assert_eq!(Class::Gone.of_project(Some("p")), Class::Gone);
    }

    #[test]
    fn each_answer_has_its_class() {
        let limit = |usual| if usual <= MINUTE { Limit::Rate } else { Limit::Other };
        let account = |usual| Class::SlowDown { scope: GateScope::Account, limit: limit(usual), usual };
        let project = |usual| Class::SlowDown { scope: GateScope::Provider, limit: limit(usual), usual };
        for (answer, class) in [
            (old(400, "channelIdNotUnique"), Class::ChannelIdTaken),
            (old(400, "pushNotSupportedForRequestedResource"), Class::PushUnsupported),
            (old(401, "push.webhookUrlUnauthorized"), Class::Permanent),
            (old(400, "badRequest"), Class::Permanent),
            (old(401, "authError"), Class::Unauthorized),
            (old(403, "rateLimitExceeded"), account(MINUTE / 2)),
            (old(403, "userRateLimitExceeded"), account(MINUTE / 2)),
            (old(403, "quotaExceeded"), account(10 * MINUTE)),
            (old(403, "dailyLimitExceeded"), project(60 * MINUTE)),
            (old(403, "insufficientPermissions"), Class::MissingScope),
            (old(403, "accessNotConfigured"), Class::Permanent),
            (old(403, "forbidden"), Class::Gone),
            (old(404, "notFound"), Class::Gone),
            (old(410, "fullSyncRequired"), Class::Resync),
            (old(410, "updatedMinTooLongAgo"), Class::Resync),
            (old(412, "conditionNotMet"), Class::Retry),
            (old(429, "rateLimitExceeded"), account(MINUTE / 2)),
            (rpc(Some("defaultPerMinutePerUser")), account(MINUTE / 2)),
            (rpc(Some("defaultPerMinutePerProject")), project(MINUTE)),
            (rpc(Some("defaultPerDayPerProject")), project(60 * MINUTE)),
            (rpc(None), account(MINUTE / 2)),
            (says("Queries per minute"), project(MINUTE)),
            (says("Queries per minute per user"), account(MINUTE / 2)),
            (says("Queries per day"), project(60 * MINUTE)),
            (old(403, "RESOURCE_EXHAUSTED"), account(MINUTE / 2)),
            (old(403, "calendarUsageLimitsExceeded"), account(10 * MINUTE)),
            (old(403, "sharingRateLimitExceeded"), account(10 * MINUTE)),
            (old(500, "backendError"), Class::Retry),
            (old(503, "backendError"), Class::Retry),
        ] {
            assert_eq!(classify(&answer, false), class, "{answer}");
        }
    }

    #[test]
    fn a_bad_request_with_a_token_is_the_tokens_fault() {
        assert_eq!(classify(&old(400, "invalid"), true), Class::Resync);
    }

    #[test]
    fn what_is_not_googles_own_answer_tells_nothing() {
        for status in [400, 403, 404, 410, 500, 502] {
            assert_eq!(classify(&Answer::new(status, None), true), Class::Retry, "{status}");
            assert_eq!(
                classify(&Answer::new(status, Some(&json!({"a": 1}))), true),
                Class::Retry,
                "{status}"
            );
        }
        assert!(matches!(classify(&Answer::new(429, None), false), Class::SlowDown { .. }));
    }
}
