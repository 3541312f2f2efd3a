//! Signing in with Google: the page behind a link, the way to Google, the way back. What each step leaves behind, and the
//! races, are told in `shared::admin::account::sign_in`; the pages stand in [`page`].
//!
//! - `GET /oauth2/start?link=` shows who asks for what, and changes nothing.
//! - `POST /oauth2/start` is its button: it begins a sign-in, sets the cookie, and leads to Google.
//! - `GET /oauth2/callback` is where Google leads back to.
//!
//! The cookie is what binds a sign-in to its browser: `HttpOnly`, `SameSite=Lax` (Google leads back by a link, which `Strict`
//! would take for somebody else's), `Secure` and with the prefix `__Host-` under https, so that no other host of the domain can
//! plant it. It lives as long as a sign-in may take, and one browser may have several under way.

mod page;

use std::time::{Duration, Instant};

use axum::{
    Form, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics::{counter, describe_counter};
use secrecy::SecretString;
use serde::Deserialize;
use shared::{
    admin::{
        AdminError,
        account::{
            Added,
            sign_in::{self, Refused},
        },
    },
    google::{
        Google,
        sign_in::{Attempt, Secret, SignInError},
    },
    store::{job_state::Wanted, limited, sign_in_links::LinkRow},
};
use url::Url;

use self::page::Page;
use super::Ingress;

/// How long the database may take for a page.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to store what was granted.
const STORE: Duration = Duration::from_secs(20);

const COOKIE: &str = "syncfleet-sign-in";

/// What a step came to, as in metrics.
const OUTCOMES: [&str; 14] = [
    "begun",
    "signed_in",
    "denied",
    "link_refused",
    "not_under_way",
    "other_browser",
    "too_late",
    "code_refused",
    "nothing_granted",
    "other_account",
    "no_refresh_token",
    "no_address",
    "provider",
    "database",
];

/// Its routes.
pub(super) fn routes() -> Router<Ingress> {
    describe_counter!(
        "syncfleet_sign_ins_total",
        "Steps of sign-ins that changed something or failed, by outcome"
    );
    for outcome in OUTCOMES {
        counter!("syncfleet_sign_ins_total", "outcome" => outcome).absolute(0);
    }
    Router::new().route("/oauth2/start", get(start).post(begin)).route("/oauth2/callback", get(callback))
}

/// Why a step does not go on.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// No OAuth client or no public address is configured.
    #[error("signing in is not set up")]
    NotSetUp,
    /// The form was sent by another site.
    #[error("the form was sent from another site")]
    Foreign,
    /// The person said no.
    #[error("access was denied")]
    Denied,
    /// Google led back with another error.
    #[error("Google says {0}")]
    Provider(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Google(#[from] SignInError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl Failed {
    /// The word in metrics.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Refused(
                Refused::LinkUnknown | Refused::LinkExpired | Refused::LinkUsed | Refused::TooMany,
            )
            | Self::Foreign => "link_refused",
            Self::Refused(Refused::NotUnderWay) => "not_under_way",
            Self::Refused(Refused::OtherBrowser) => "other_browser",
            Self::Refused(Refused::TooLate) => "too_late",
            Self::Refused(Refused::NothingGranted) => "nothing_granted",
            Self::Refused(Refused::Admin(AdminError::OtherAccount { .. })) => "other_account",
            Self::Refused(Refused::Admin(AdminError::NoRefreshToken)) => "no_refresh_token",
            Self::Refused(Refused::Admin(_)) => "database",
            Self::Google(SignInError::CodeRefused(_)) => "code_refused",
            Self::Google(SignInError::NoAddress) => "no_address",
            Self::NotSetUp | Self::Provider(_) | Self::Google(_) => "provider",
        }
    }

    /// Tells operators what people cannot mend, and people what they can do.
    fn page(&self) -> Page {
        let outcome = self.outcome();
        counter!("syncfleet_sign_ins_total", "outcome" => outcome).increment(1);
        match outcome {
            "provider" | "database" => tracing::warn!(outcome, "a sign-in failed: {self}"),
            _ => tracing::info!(outcome, "a sign-in does not go on: {self}"),
        }
        page::failed(self)
    }
}

/// What signing in needs of the settings.
struct Desk<'a> {
    google: &'a Google,
    redirect_uri: Url,
    /// Whether people come by https.
    secure: bool,
}

fn desk(ingress: &Ingress) -> Result<Desk<'_>, Failed> {
    let (Some(google), Some(public_url)) = (&ingress.google, &ingress.public_url) else {
        return Err(Failed::NotSetUp);
    };
    let redirect_uri = public_url.join("oauth2/callback").map_err(|_| Failed::NotSetUp)?;
    Ok(Desk { google, redirect_uri, secure: public_url.scheme() == "https" })
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    link: String,
}

/// Shows whom the link lets sign in, for what.
async fn start(State(ingress): State<Ingress>, Query(query): Query<Link>) -> Response {
    match invited(&ingress, &query.link).await {
        Ok((desk, link)) => {
            page::invitation(desk.google, &link, &query.link).response(&desk.google.sign_in_origin())
        }
        Err(failed) => failed.page().response(""),
    }
}

async fn invited<'a>(ingress: &'a Ingress, link: &str) -> Result<(Desk<'a>, LinkRow), Failed> {
    let desk = desk(ingress)?;
    let secret = Secret::read(link).ok_or(Refused::LinkUnknown)?;
    let link = limited(PATIENCE, async {
        let mut connection = ingress.db.acquire().await?;
        sign_in::link(&mut connection, &secret).await
    });
    Ok((desk, link.await?))
}

/// Begins a sign-in.
async fn begin(State(ingress): State<Ingress>, headers: HeaderMap, Form(form): Form<Link>) -> Response {
    match begun(&ingress, &headers, &form.link).await {
        Ok((url, cookie)) => {
            counter!("syncfleet_sign_ins_total", "outcome" => "begun").increment(1);
            let leads = [(header::LOCATION, url.to_string()), (header::SET_COOKIE, cookie)];
            (StatusCode::SEE_OTHER, leads, page::headers("")).into_response()
        }
        Err(failed) => failed.page().response(""),
    }
}

async fn begun(ingress: &Ingress, headers: &HeaderMap, link: &str) -> Result<(Url, String), Failed> {
    // Browsers tell who has sent a form: https://www.w3.org/TR/fetch-metadata/
    if headers.get("sec-fetch-site").is_some_and(|site| site != HeaderValue::from_static("same-origin")) {
        return Err(Failed::Foreign);
    }
    let (desk, link) = invited(ingress, link).await?;
    let browser = match browser(headers, &desk) {
        Some(browser) => browser,
        None => Secret::draw()?,
    };
    let cookie = cookie(&desk, &browser);
    let attempt = Attempt::new(browser)?;
    let url = desk.google.sign_in_url(&attempt, &desk.redirect_uri, link.email.as_deref()).await?;
    limited(PATIENCE, async {
        let mut connection = ingress.db.acquire().await?;
        sign_in::begin(&mut connection, &link, &attempt).await
    })
    .await?;
    Ok((url, cookie))
}

fn cookie_name(desk: &Desk<'_>) -> String {
    if desk.secure { format!("__Host-{COOKIE}") } else { COOKIE.to_owned() }
}

/// The cookie that binds a sign-in to its browser: RFC 6265, section 4.1.
fn cookie(desk: &Desk<'_>, browser: &Secret) -> String {
    let secure = if desk.secure { "; Secure" } else { "" };
    format!(
        "{}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(desk),
        browser.expose(),
        sign_in::TIME.as_secs()
    )
}

/// The browser's secret, if it has one.
fn browser(headers: &HeaderMap, desk: &Desk<'_>) -> Option<Secret> {
    let name = cookie_name(desk);
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).and_then(|(_, value)| Secret::read(value))
}

/// What Google leads back with: RFC 6749, sections 4.1.2 and 4.1.2.1.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
}

async fn callback(
    State(ingress): State<Ingress>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Response {
    match come_back(&ingress, &headers, answer).await {
        Ok((google, added)) => {
            counter!("syncfleet_sign_ins_total", "outcome" => "signed_in").increment(1);
            let account = &added.account;
            tracing::info!(account = account.id, new = added.new, "an account has signed in");
            ingress.bell.offer(added.bell.iter().filter_map(Wanted::ring), Instant::now()).await;
            page::signed_in(google, account, added.new).response("")
        }
        Err(failed) => failed.page().response(""),
    }
}

async fn come_back<'a>(
    ingress: &'a Ingress,
    headers: &HeaderMap,
    answer: Answer,
) -> Result<(&'a Google, Added), Failed> {
    let desk = desk(ingress)?;
    let state = Secret::read(&answer.state).ok_or(Refused::NotUnderWay)?;
    let browser = browser(headers, &desk);
    let (attempt, link) = limited(PATIENCE, async {
        let mut connection = ingress.db.acquire().await?;
        sign_in::resume(&mut connection, state, browser).await
    })
    .await?;
    let code = match (answer.code, answer.error) {
        (Some(code), None) => SecretString::from(code),
        (_, Some(error)) if error == "access_denied" => return Err(Failed::Denied),
        (_, error) => return Err(Failed::Provider(error.unwrap_or_else(|| "nothing".to_owned()))),
    };
    let who = desk.google.signed_in(&attempt, &desk.redirect_uri, &code).await?;
    let stored = sign_in::finish(&ingress.db, desk.google, &ingress.policies, &link, &who);
    Ok((desk.google, limited(STORE, stored).await?))
}
