//! Google, as this fleet calls it: one executor for all API calls, one caller at a time who refreshes an account's access
//! token, errors sorted by what is to be done about them.

pub mod auth;
pub mod calendar;
pub mod channels;
pub mod drive;
pub mod errors;
mod execute;
pub mod formats;
mod item;
pub mod media;
pub mod quota;
pub mod scopes;
pub mod sign_in;
mod transport;
pub mod workspace;

use std::sync::Arc;

use metrics::{counter, describe_counter};
use sqlx::PgPool;

use self::{
    channels::token::Tokens,
    errors::{CallError, Class, Limit},
    execute::Method,
    quota::{Call, Projects, QuotaError},
    transport::{ApiClient, AssertionClient},
};
use crate::{
    config::google::GoogleConfig,
    job::{AccountId, GateScope, Lane},
    secrets::KeyRing,
};

/// The APIs that are called. Each has its own root, its own budget and its own name in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Calendar,
    Drive,
}

impl Api {
    const ALL: [Self; 2] = [Self::Calendar, Self::Drive];

    /// Its name, as in metrics, scopes and the budget.
    const fn name(self) -> &'static str {
        match self {
            Self::Calendar => scopes::CALENDAR,
            Self::Drive => scopes::DRIVE,
        }
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pages<'a> {
    /// Its token; none: the first one.
    pub token: Option<&'a str>,
    /// The token of a page that the pass has had. None: none is remembered.
    pub mark: Option<&'a str>,
}

impl Pages<'_> {
    /// Refuses a next page that is the one that was asked for, or that the pass has had: the list would never end.
    fn check(&self, method: Method, next: Option<&str>) -> Result<(), CallError> {
        let what = match next {
            Some(next) if self.token == Some(next) => "the answer's next page is the page that was asked for",
            Some(next) if self.mark == Some(next) => "the answer's next page is one that the pass has had",
            _ => return Ok(()),
        };
        Err(CallError::Call { method: method.name, class: Class::Circle, after: None, what: what.to_owned() })
    }
}

/// A client of Google for all accounts, and the lane whose work calls by it. Cheap to clone.
#[derive(Clone)]
pub struct Google(Arc<Inner>, Lane);

struct Inner {
    config: GoogleConfig,
    keys: KeyRing,
    api: ApiClient,
    oauth: reqwest::Client,
    media: reqwest::Client,
    channel_tokens: Tokens,
    /// For the tokens of service accounts.
    assertions: AssertionClient,
    calendar_budget: Projects,
    drive_budget: Projects,
}

impl Inner {
    const fn budgets(&self, api: Api) -> &Projects {
        match api {
            Api::Calendar => &self.calendar_budget,
            Api::Drive => &self.drive_budget,
        }
    }
}

fn describe_metrics() {
    describe_counter!("syncfleet_google_requests_total", "Calls of Google's APIs, by method and status");
    describe_counter!("syncfleet_google_skipped_items_total", "Items of Google's that could not be read");
    describe_counter!("syncfleet_google_throttled_total", "Answers of Google's that asked for fewer calls");
    describe_counter!(
        "syncfleet_oauth_refresh_failures_total",
        "Access tokens that could not be had, by the reason"
    );
    for api in Api::ALL {
        counter!("syncfleet_google_throttled_total", "api" => api.name()).absolute(0);
    }
    for reason in auth::REFRESH_FAILURES {
        counter!("syncfleet_oauth_refresh_failures_total", "reason" => reason).absolute(0);
    }
}

impl Google {
    /// Makes a client, for work that somebody waits for. Connects to nothing yet.
    pub fn new(config: GoogleConfig, keys: KeyRing) -> anyhow::Result<Self> {
        let tls = transport::tls(&config)?;
        let api = transport::api_client(tls.clone());
        let assertions = transport::assertion_client(tls.clone());
        let oauth = transport::oauth_client(tls.clone())?;
        let media = transport::media_client(tls)?;
        describe_metrics();
        let calendar_budget = Projects::new(Api::Calendar.name(), config.project(), config.calendar_limits);
        let drive_budget = Projects::new(Api::Drive.name(), config.project(), config.drive_limits);
        let channel_tokens = Tokens::new(&keys)?;
        let inner = Arc::new(Inner {
            config,
            keys,
            api,
            oauth,
            media,
            channel_tokens,
            assertions,
            calendar_budget,
            drive_budget,
        });
        Ok(Self(inner, Lane::Interactive))
    }

    /// The same client for the work of a lane. All but the lane interactive leave alone what the budget keeps for pushes.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self(Arc::clone(&self.0), lane)
    }

    /// Asks the budget for a call, which must follow at once. It is that of the `project` to which the call counts (none: the OAuth
    /// client's). A service account's project is no other account's concern: what it lacks closes the account's own gate.
    async fn spend(
        &self,
        db: &PgPool,
        api: Api,
        account: AccountId,
        project: Option<&str>,
        cost: u32,
    ) -> Result<(), QuotaError> {
        let call = Call { account, cost, urgent: self.1 == Lane::Interactive };
        match (self.0.budgets(api).of(project).spend(db, call).await, project) {
            (Err(QuotaError::Spent { api, account: None, urgent, after }), Some(project)) => {
                Err(QuotaError::ProjectSpent { api, project: project.to_owned(), urgent, after })
            }
            (spent, _) => spent,
        }
    }

    /// Counts a refusal that asks for fewer calls, and slows the budget of the `project` down if it is for their rate. Says what is
    /// to be done about it.
    async fn refused(
        &self,
        db: &PgPool,
        api: Api,
        account: AccountId,
        project: Option<&str>,
        class: Class,
    ) -> Class {
        let Class::SlowDown { scope, limit, .. } = class else { return class };
        counter!("syncfleet_google_throttled_total", "api" => api.name()).increment(1);
        if limit == Limit::Rate {
            let account = (scope == GateScope::Account).then_some(account);
            self.0.budgets(api).of(project).slow(db, account).await;
        }
        class.of_project(project)
    }

    /// The keys that seal the accounts' tokens.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    /// What makes and checks the tokens of push channels.
    #[must_use]
    pub fn channel_tokens(&self) -> &Tokens {
        &self.0.channel_tokens
    }
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google")
            .field("config", &self.0.config)
            .field("keys", &self.0.keys)
            .field("lane", &self.1)
            .finish_non_exhaustive()
    }
}
