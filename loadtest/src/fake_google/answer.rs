//! The way of every call: count it, let faults strike, answer it.

use std::time::{Duration, Instant};

use axum::{
    Json,
    body::Bytes,
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Shared,
    api::Api,
    assertion, calendar_list,
    connection::Connection,
    events,
    faults::{self, FaultBody, FaultKind},
    id_token, lock, oauth,
    query::Params,
    refusal::Refusal,
    sign_in,
    stats::{Call, ListKind},
};

pub(super) type Caller = ConnectInfo<Connection>;
type QueryPairs = Query<Vec<(String, String)>>;

/// `POST /token`.
pub(super) async fn token(State(shared): State<Shared>, caller: Caller, uri: Uri, body: Bytes) -> Response {
    let form = Params(form(&body));
    let is_assertion = form.get("grant_type") == Some(assertion::GRANT);
    let account = if is_assertion {
        assertion::user(&form)
    } else {
        let world = lock(&shared.world);
        let of_code = || form.get("code").and_then(|code| world.codes.get(code)).map(|code| code.account);
        let index = form.get("refresh_token").and_then(|token| world.by_token(token)).or_else(of_code);
        index.map(|index| world.accounts[index].email.clone())
    };
    let call = Call { api: Api::Token, path: uri.path().to_owned(), account, collection: None, list: None };
    answer(&shared, &caller.0, call, |_| {
        let mut world = lock(&shared.world);
        let lifetime = shared.options.access_token_lifetime;
        let (account, answer) = if is_assertion {
            assertion::exchange(&mut world, &form, &shared.token_url(), lifetime)?
        } else {
            oauth::token(&mut world, &form, lifetime)?
        };
        shared.counters.refreshed(&world.accounts[account].email);
        Ok(answer)
    })
    .await
}

/// `POST /revoke`.
pub(super) async fn revoke(State(shared): State<Shared>, caller: Caller, uri: Uri, body: Bytes) -> Response {
    let form = Params(form(&body));
    let account = {
        let world = lock(&shared.world);
        let index = form.get("token").and_then(|token| world.by_token(token));
        index.map(|index| world.accounts[index].email.clone())
    };
    let call = Call { api: Api::Revoke, path: uri.path().to_owned(), account, collection: None, list: None };
    answer(&shared, &caller.0, call, |_| sign_in::revoke(&mut lock(&shared.world), &form)).await
}

/// `GET /.well-known/openid-configuration`.
pub(super) async fn discovery(State(shared): State<Shared>, caller: Caller, uri: Uri) -> Response {
    let call = Call {
        api: Api::Discovery,
        path: uri.path().to_owned(),
        account: None,
        collection: None,
        list: None,
    };
    answer(&shared, &caller.0, call, |_| Ok(sign_in::discovery(&lock(&shared.world).issuer))).await
}

/// `GET /oauth2/v3/certs`.
pub(super) async fn certs(State(shared): State<Shared>, caller: Caller, uri: Uri) -> Response {
    let call =
        Call { api: Api::Certs, path: uri.path().to_owned(), account: None, collection: None, list: None };
    answer(&shared, &caller.0, call, |_| id_token::keys()).await
}

/// Reads an `application/x-www-form-urlencoded` body, which has the syntax of a query.
pub(super) fn form(body: &[u8]) -> Vec<(String, String)> {
    let uri = std::str::from_utf8(body).ok().and_then(|text| format!("/?{text}").parse().ok());
    uri.and_then(|uri| Query::try_from_uri(&uri).ok()).map(|Query(pairs)| pairs).unwrap_or_default()
}

/// `GET /calendar/v3/users/me/calendarList`.
pub(super) async fn calendar_list(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    let params = Params(pairs);
    let token = oauth::bearer(&headers);
    let call = list_call(&shared, Api::CalendarList, &uri, token, None, &params);
    answer(&shared, &caller.0, call, |cap| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        oauth::permit(&world, account, Api::CalendarList)?;
        calendar_list::page(&world, account, &params, cap)
    })
    .await
}

/// `GET /calendar/v3/users/me/calendarList/primary`.
pub(super) async fn primary_calendar(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let token = oauth::bearer(&headers);
    let account = account_of(&shared, token);
    let call = Call {
        api: Api::PrimaryCalendar,
        path: uri.path().to_owned(),
        account,
        collection: None,
        list: None,
    };
    answer(&shared, &caller.0, call, |_| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        oauth::permit(&world, account, Api::PrimaryCalendar)?;
        calendar_list::primary(&world, account)
    })
    .await
}

/// `GET /calendar/v3/calendars/{id}/events`.
pub(super) async fn events(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    let params = Params(pairs);
    let token = oauth::bearer(&headers);
    let call = list_call(&shared, Api::Events, &uri, token, Some(&calendar), &params);
    answer(&shared, &caller.0, call, |cap| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        oauth::permit(&world, account, Api::Events)?;
        events::page(&world, account, &calendar, &params, cap)
    })
    .await
}

/// Anything else under the API's roots.
pub(super) async fn unknown(uri: Uri) -> Response {
    let refusal =
        Refusal::api(StatusCode::NOT_FOUND, "global", "notFound", &format!("No method at {}", uri.path()));
    (refusal.status, Json(refusal.body)).into_response()
}

/// The address of the account whose access token this is, good or not.
pub(super) fn account_of(shared: &Shared, token: Option<&str>) -> Option<String> {
    let world = lock(&shared.world);
    token.and_then(|token| world.access.get(token)).map(|access| world.accounts[access.account].email.clone())
}

fn list_call(
    shared: &Shared,
    api: Api,
    uri: &Uri,
    token: Option<&str>,
    calendar: Option<&str>,
    params: &Params,
) -> Call {
    let account = account_of(shared, token);
    let is_delegated = |token| lock(&shared.world).access.get(token).is_some_and(|access| access.delegated);
    if token.is_some_and(is_delegated) {
        shared.counters.charged(params.get("quotaUser").unwrap_or("service account"));
    }
    let list = match (params.get("pageToken"), params.get("syncToken")) {
        (Some(page), _) => ListKind::Page(page.to_owned()),
        (None, Some(_)) => ListKind::Incremental,
        (None, None) => ListKind::Full,
    };
    let calendar = match calendar {
        Some("primary") => account.clone(),
        other => other.map(str::to_owned),
    };
    Call { api, path: uri.path().to_owned(), account, collection: calendar, list: Some(list) }
}

/// `work` is told how many items a page may have at most; 0 is an empty page before the one that was asked for.
pub(super) async fn answer(
    shared: &Shared,
    connection: &Connection,
    call: Call,
    work: impl FnOnce(usize) -> Result<Value, Refusal>,
) -> Response {
    let _under_way = shared.counters.enter(&call);
    if let Err(refusal) = shared.quota.admit(&call, Instant::now()) {
        shared.counters.answered(call.api, refusal.status.as_str());
        return refused(&refusal);
    }
    let strike = shared.faults.strike(&call);
    let delay = shared.options.latency + Duration::from_millis(strike.delay_ms);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let response = match strike.fault {
        Some(FaultKind::Status { status, reason, retry_after_s, body }) => {
            faulty(status, reason.as_deref(), retry_after_s, body)
        }
        Some(FaultKind::InvalidGrant) if call.api == Api::Token => refused(&Refusal::oauth(
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "Token has been expired or revoked.",
        )),
        Some(FaultKind::InvalidGrant) => refused(&Refusal::auth()),
        fault => {
            let is_empty = matches!(fault, Some(FaultKind::EmptyPage));
            let mut result = work(if is_empty { 0 } else { shared.options.page_size_cap });
            if let (Some(FaultKind::SamePage), Ok(answer), Some(ListKind::Page(page))) =
                (&fault, &mut result, &call.list)
            {
                lead_back(answer, page);
            }
            if let (Some(FaultKind::Circle { to: Some(page) }), Ok(answer)) = (&fault, &mut result) {
                lead_back(answer, page);
            }
            if let Ok(answer) = &mut result {
                shared.faults.spoil(&call, answer);
                if matches!(fault, Some(FaultKind::IncompleteSearch)) {
                    faults::leave_out_half(answer);
                }
                if matches!(fault, Some(FaultKind::ForgottenFolder)) {
                    faults::forget_a_folder(answer);
                }
            }
            if let (Ok(Value::Object(fields)), Some(FaultKind::NoRefreshToken)) = (&mut result, &fault) {
                fields.remove("refresh_token");
            }
            if let (Ok(answer), Some(FaultKind::IdToken { wrong })) = (&mut result, &fault)
                && let Err(refusal) = id_token::spoil(answer, *wrong)
            {
                result = Err(refusal);
            }
            let (status, body) = match result {
                Ok(Value::Null) => (StatusCode::NO_CONTENT, Value::Null),
                Ok(answer) => (StatusCode::OK, answer),
                Err(refusal) => (refusal.status, refusal.body),
            };
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let length = body.len();
            let mut response = json_response(status, body);
            match fault {
                Some(FaultKind::Cut) => connection.cut_after(0),
                Some(FaultKind::Reset) => connection.reset(),
                // The head of the answer takes about 120 bytes; some of the body follows.
                Some(FaultKind::Truncated) => connection.cut_after(120 + length / 2),
                Some(FaultKind::Drip { ms }) => {
                    connection.drip(ms);
                    // The next call must not suffer from this one's fault.
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                _ => {}
            }
            if matches!(fault, Some(FaultKind::Cut | FaultKind::Reset | FaultKind::Truncated)) {
                shared.counters.answered(call.api, "cut");
                return response;
            }
            response
        }
    };
    shared.counters.answered(call.api, response.status().as_str());
    response
}

/// The list's next page becomes the one that was asked for.
fn lead_back(answer: &mut Value, page: &str) {
    if let Value::Object(fields) = answer {
        fields.remove("nextSyncToken");
        fields.insert("nextPageToken".to_owned(), json!(page));
    }
}

fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

pub(super) fn refused(refusal: &Refusal) -> Response {
    json_response(refusal.status, refusal.body.to_string())
}

pub(super) fn faulty(
    status: u16,
    reason: Option<&str>,
    retry_after_s: Option<u32>,
    body: FaultBody,
) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match body {
        FaultBody::Json | FaultBody::Rpc => refused(&faults::refusal(status, reason, body)),
        FaultBody::Empty => status.into_response(),
        FaultBody::Html => {
            let page =
                format!("<!DOCTYPE html>\n<html><title>Error {status}</title><p>Please try again.</html>\n");
            (status, [(header::CONTENT_TYPE, "text/html; charset=UTF-8")], page).into_response()
        }
    };
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The answer of a control call.
pub(super) fn control(result: anyhow::Result<Value>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": format!("{error:#}")}))).into_response(),
    }
}
