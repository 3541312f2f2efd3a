//! The one executor of API calls: token in, budget asked, status and `Retry-After` recorded, time limit on, raw body kept.

use std::time::Duration;

use futures_util::future::BoxFuture;
use google_calendar3::{
    CalendarHub, Delegate,
    common::{self, Error, Response, Retry},
    hyper,
};
use google_drive3::DriveHub;
use http_body_util::BodyExt;
use metrics::counter;
use secrecy::ExposeSecret;
use serde::de::IgnoredAny;
use serde_json::Value;
use sqlx::PgPool;

use super::{
    Api, Google, Inner,
    auth::AccessToken,
    errors::{Answer, CallError, Class, classify},
    transport::ApiConnector,
};
use crate::{job::AccountId, retry_after::retry_after};

/// How long one call may take, its body included. Two of them, each after a wait for its token, fit into a step.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// The typed request builders of an API, for one call.
pub(super) trait Hub: Send + Sync {
    /// Whose.
    const API: Api;

    /// The builders, with an access token. The crates ask for scopes that are too narrow; the account's token is what it is.
    fn new(inner: &Inner, token: String) -> Self;
}

/// What calls say of their maker.
const USER_AGENT: &str = concat!("syncfleet/", env!("CARGO_PKG_VERSION"));

impl Hub for CalendarHub<ApiConnector> {
    const API: Api = Api::Calendar;

    fn new(inner: &Inner, token: String) -> Self {
        let mut hub = Self::new(inner.api.clone(), token);
        hub.base_url(inner.config.calendar_url.to_string());
        hub.user_agent(USER_AGENT.to_owned());
        hub
    }
}

impl Hub for DriveHub<ApiConnector> {
    const API: Api = Api::Drive;

    fn new(inner: &Inner, token: String) -> Self {
        let mut hub = Self::new(inner.api.clone(), token);
        hub.base_url(inner.config.drive_url.to_string());
        hub.user_agent(USER_AGENT.to_owned());
        hub
    }
}

/// One call to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    /// Its name, as in metrics.
    pub(super) name: &'static str,
    /// Whether a sync token or page token is sent along.
    pub(super) with_token: bool,
    /// What it costs of the budget, in Google's units.
    pub(super) cost: u32,
}

/// Notes what the generated crates tell nobody else, and never makes it sleep or try again.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    answer: Option<Answer>,
    after: Option<Duration>,
    quota_user: Option<String>,
}

impl Recorder {
    /// `quotaUser`, which the call is to carry; none: it has none.
    pub(super) fn quota_user(&self) -> Option<String> {
        self.quota_user.clone()
    }
}

impl Delegate for Recorder {
    fn http_failure(&mut self, response: &Response, error: Option<&Value>) -> Retry {
        self.answer = Some(Answer::new(response.status().as_u16(), error));
        self.after = retry_after(response.headers());
        Retry::Abort
    }
}

impl Google {
    /// Makes a call for an account, if the budget has units for it, and gives its raw body. After a 401 the access token is
    /// refreshed once and the call is made again.
    pub(super) async fn execute<H, F>(
        &self,
        db: &PgPool,
        account: AccountId,
        method: Method,
        call: F,
    ) -> Result<String, CallError>
    where
        H: Hub,
        F: for<'a> Fn(&'a H, &'a mut Recorder) -> BoxFuture<'a, common::Result<Response>> + Send + Sync,
    {
        let token = self.access_token(db, account, None).await?;
        match self.once(db, account, &token, method, &call).await {
            Err(CallError::Call { class: Class::Unauthorized, .. }) => {
                let token = self.access_token(db, account, Some(&token)).await?;
                self.once(db, account, &token, method, &call).await
            }
            result => result,
        }
    }

    async fn once<H, F>(
        &self,
        db: &PgPool,
        account: AccountId,
        token: &AccessToken,
        method: Method,
        call: &F,
    ) -> Result<String, CallError>
    where
        H: Hub,
        F: for<'a> Fn(&'a H, &'a mut Recorder) -> BoxFuture<'a, common::Result<Response>> + Send + Sync,
    {
        let hub = <H as Hub>::new(&self.0, token.secret().expose_secret().to_owned());
        let mut recorder = Recorder { quota_user: token.quota_user(), ..Recorder::default() };
        self.spend(db, H::API, account, token.project(), method.cost).await?;
        let result = tokio::time::timeout(CALL_LIMIT, call(&hub, &mut recorder)).await;
        let outcome = match result {
            Ok(result) => body(result).await,
            Err(_) => Err(format!("no answer within {} s", CALL_LIMIT.as_secs())),
        };
        let error = match (outcome, recorder.answer) {
            (Ok(body), _) => {
                count(H::API, method.name, "200");
                return Ok(body);
            }
            (Err(_), Some(answer)) => {
                count(H::API, method.name, &answer.status.to_string());
                let class = classify(&answer, method.with_token);
                let class = self.refused(db, H::API, account, token.project(), class).await;
                CallError::Call {
                    method: method.name,
                    class,
                    after: recorder.after,
                    what: answer.to_string(),
                }
            }
            (Err(what), None) => {
                count(H::API, method.name, "none");
                CallError::Call { method: method.name, class: Class::Retry, after: None, what }
            }
        };
        Err(error)
    }
}

/// The body of a 2xx answer. One that the typed structs do not take is as good, if it is JSON at all: items are parsed one by
/// one later.
async fn body(result: common::Result<Response>) -> Result<String, String> {
    let text = match result {
        Ok(response) if response.status() == hyper::StatusCode::NO_CONTENT => return Ok(String::new()),
        Ok(response) => {
            let bytes = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            String::from_utf8(bytes.into()).map_err(|_| "the answer is not UTF-8".to_owned())?
        }
        Err(Error::JsonDecodeError(text, _)) => text,
        Err(Error::HttpError(error)) => return Err(chain(&error)),
        Err(Error::BadRequest(_) | Error::Failure(_)) => return Err("an error status".to_owned()),
        // Its text may hold what was sent.
        Err(_) => return Err("the call could not be made".to_owned()),
    };
    if text.is_empty() {
        // The client swallows a body that broke off.
        return Err("the answer broke off".to_owned());
    }
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(format!("the answer is not JSON ({error})")),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Counts a request; `code` is its status, or `none`.
pub(super) fn count(api: Api, method: &'static str, code: &str) {
    counter!(
        "syncfleet_google_requests_total",
        "api" => api.name(), "method" => method, "code" => code.to_owned()
    )
    .increment(1);
}
