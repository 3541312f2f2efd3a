//! Rules that say which calls go wrong, how, and how often.

use serde::{Deserialize, Serialize};

use crate::fake_google::{
    api::Api,
    id_token::Wrong,
    stats::{Call, ListKind},
};

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
    /// A list of what is in several folders leaves out what is in one of them, and does not say so.
    /// <https://github.com/rclone/rclone/issues/9810>
    ForgottenFolder,
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

    pub(in crate::fake_google) fn check(&self) -> anyhow::Result<()> {
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

    pub(super) fn fits(&self, call: &Call) -> bool {
        self.api.is_none_or(|api| api == call.api)
            && self.path_prefix.as_ref().is_none_or(|prefix| call.path.starts_with(prefix))
            && self.account.as_ref().is_none_or(|email| call.account.as_ref() == Some(email))
            && self.count != Some(0)
            && (self.fault != FaultKind::ForgottenFolder
                || matches!(call.list, Some(ListKind::Folders(several)) if several > 1))
    }
}
