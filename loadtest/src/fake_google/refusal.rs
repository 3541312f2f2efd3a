//! Answers that are not 2xx, in the shapes that Google uses.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// An answer that refuses: a status and the JSON body that explains it.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Refusal {
    /// Calendar's error shape: <https://developers.google.com/workspace/calendar/api/guides/errors>.
    pub(super) fn api(status: StatusCode, domain: &str, reason: &str, message: &str) -> Self {
        let body = json!({"error": {
            "code": status.as_u16(),
            "message": message,
            "errors": [{"domain": domain, "reason": reason, "message": message}],
        }});
        Self { status, body }
    }

    /// The token endpoint's error shape: RFC 6749, section 5.2.
    pub(super) fn oauth(status: StatusCode, error: &str, description: &str) -> Self {
        Self { status, body: json!({"error": error, "error_description": description}) }
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::api(StatusCode::BAD_REQUEST, "global", "badRequest", message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::api(StatusCode::BAD_REQUEST, "global", "invalid", message)
    }

    pub(super) fn auth() -> Self {
        Self::api(StatusCode::UNAUTHORIZED, "global", "authError", "Invalid Credentials")
    }

    pub(super) fn not_found() -> Self {
        Self::api(StatusCode::NOT_FOUND, "global", "notFound", "Not Found")
    }

    /// A sync token that counts no more: the caller must forget what it has and list without one.
    pub(super) fn full_sync_required() -> Self {
        let message = "Sync token is no longer valid, a full sync is required.";
        Self::api(StatusCode::GONE, "calendar", "fullSyncRequired", message)
    }
}
