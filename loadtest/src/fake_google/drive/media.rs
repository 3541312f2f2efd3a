//! The contents of files: `alt=media` with `Range`, and exports.
//! <https://developers.google.com/workspace/drive/api/guides/manage-downloads>

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{
    Content, Viewer,
    answer::{Caller, QueryPairs},
    files,
};
use crate::fake_google::{
    Shared,
    answer::{self, faulty, refused},
    api::Api,
    connection::Connection,
    faults::FaultKind,
    lock, oauth,
    query::Params,
    refusal::Refusal,
    stats::Call,
    world::World,
};

/// How much is drawn and sent at once.
const CHUNK: u64 = 1 << 18;

/// Google exports no more: <https://developers.google.com/workspace/drive/api/reference/rest/v3/files/export>.
const LARGEST_EXPORT: u64 = 10 << 20;

const NATIVE: &str = "application/vnd.google-apps.";

/// Google's own types that can be exported.
const EXPORTED: [&str; 5] = ["document", "spreadsheet", "presentation", "drawing", "script"];

/// What is asked for of a file, found while the world was locked.
struct Found {
    id: String,
    content: Content,
    mime_type: String,
}

/// `GET /drive/v3/files/{id}?alt=media`.
pub(super) async fn get(
    shared: &Shared,
    caller: &Caller,
    id: &str,
    uri: &Uri,
    headers: &HeaderMap,
    params: &Params,
) -> Response {
    serve(shared, &caller.0, Api::Media, uri, headers, |world, account| {
        params.only(&["alt", "supportsAllDrives", "acknowledgeAbuse", "prettyPrint"])?;
        binary(world, files::viewer(world, account), id, params, headers)
    })
    .await
}

/// `GET /drive/v3/files/{id}/export`.
pub(super) async fn export(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    let params = Params(pairs);
    serve(&shared, &caller.0, Api::Export, &uri, &headers, |world, account| {
        params.only(&["mimeType", "prettyPrint", "alt"])?;
        exported(world, files::viewer(world, account), &id, &params, &headers)
    })
    .await
}

fn forbidden(reason: &str, message: &str) -> Refusal {
    Refusal::api(StatusCode::FORBIDDEN, "global", reason, message)
}

fn not_found(id: &str) -> Refusal {
    Refusal::api(StatusCode::NOT_FOUND, "global", "notFound", &format!("File not found: {id}."))
}

/// The file, if the caller may know of it: what has a resource key is found by its owner, or with that key.
fn visible<'a>(
    world: &'a World,
    viewer: Viewer<'_>,
    id: &str,
    headers: &HeaderMap,
) -> Result<&'a super::file::File, Refusal> {
    let file =
        world.drive.files.get(id).filter(|_| world.drive.sees(viewer, id)).ok_or_else(|| not_found(id))?;
    let Some(key) = file.draft.resource_key.as_deref().filter(|_| file.owner != Some(viewer.account)) else {
        return Ok(file);
    };
    let pair = format!("{id}/{key}");
    let given =
        headers.get("x-goog-drive-resource-keys").and_then(|keys| keys.to_str().ok()).unwrap_or_default();
    if given.split(',').any(|given| given.trim() == pair) { Ok(file) } else { Err(not_found(id)) }
}

fn binary(
    world: &World,
    viewer: Viewer<'_>,
    id: &str,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Found, Refusal> {
    let file = visible(world, viewer, id, headers)?;
    if file.drive.is_some() && !params.flag("supportsAllDrives")? {
        return Err(not_found(id));
    }
    let mime_type = file.draft.kind().to_owned();
    let Some(revision) = file.revision.as_ref().filter(|_| !mime_type.starts_with(NATIVE)) else {
        let message = "Only files with binary content can be downloaded. Use Export with Docs Editors files.";
        return Err(forbidden("fileNotDownloadable", message));
    };
    let role = world.drive.role(viewer, id);
    if file.draft.no_download && role.is_none_or(|role| role < super::PermissionRole::Writer) {
        return Err(forbidden("cannotDownloadFile", "This file cannot be downloaded by the user."));
    }
    Ok(Found { id: id.to_owned(), content: revision.content.clone(), mime_type })
}

fn exported(
    world: &World,
    viewer: Viewer<'_>,
    id: &str,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Found, Refusal> {
    let file = visible(world, viewer, id, headers)?;
    let Some(format) = params.get("mimeType") else {
        return Err(Refusal::api(
            StatusCode::BAD_REQUEST,
            "global",
            "required",
            "Required parameter: mimeType",
        ));
    };
    let kind = file.draft.kind();
    if !kind.strip_prefix(NATIVE).is_some_and(|kind| EXPORTED.contains(&kind)) {
        return Err(forbidden("fileNotExportable", "Export only supports Docs Editors files."));
    }
    if !format.contains('/') {
        return Err(Refusal::api(
            StatusCode::BAD_REQUEST,
            "global",
            "badRequest",
            "The requested conversion is not supported.",
        ));
    }
    if file.draft.export_length.is_some_and(|length| length > LARGEST_EXPORT) {
        return Err(forbidden("exportSizeLimitExceeded", "This file is too large to be exported."));
    }
    let content = export_of(file, format);
    Ok(Found { id: id.to_owned(), content, mime_type: format.to_owned() })
}

fn export_of(file: &super::file::File, format: &str) -> Content {
    match file.draft.export_length {
        Some(length) => Content::Drawn { seed: file.version, length },
        None => Content::Text(format!(
            "{} as {format}, changed {}\n",
            file.draft.name,
            file.modified.to_rfc3339()
        )),
    }
}

impl World {
    /// What a document is exported as now, in this format.
    #[must_use]
    pub fn export(&self, id: &str, format: &str) -> Option<Content> {
        self.drive.files.get(id).map(|file| export_of(file, format))
    }
}

async fn serve(
    shared: &Shared,
    connection: &Connection,
    api: Api,
    uri: &Uri,
    headers: &HeaderMap,
    find: impl FnOnce(&World, usize) -> Result<Found, Refusal>,
) -> Response {
    let token = oauth::bearer(headers);
    let account = answer::account_of(shared, token);
    let call = Call { api, path: uri.path().to_owned(), account, collection: None, list: None };
    let _under_way = shared.counters.enter(&call);
    let answered = |response: Response| {
        shared.counters.answered(api, response.status().as_str());
        response
    };
    if let Err(refusal) = shared.quota.admit(&call, Instant::now()) {
        return answered(refused(&refusal));
    }
    let strike = shared.faults.strike(&call);
    let delay = shared.options.latency + std::time::Duration::from_millis(strike.delay_ms);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match &strike.fault {
        Some(FaultKind::Status { status, reason, retry_after_s, body }) => {
            return answered(faulty(*status, reason.as_deref(), *retry_after_s, *body));
        }
        Some(FaultKind::InvalidGrant) => return answered(refused(&Refusal::auth())),
        _ => {}
    }
    let found = {
        let world = lock(&shared.world);
        oauth::authenticate(&world, token).and_then(|account| {
            oauth::permit(&world, account, api)?;
            find(&world, account)
        })
    };
    match found {
        Ok(found) => answered(body(shared, connection, found, headers, strike.fault.as_ref())),
        Err(refusal) => answered(refused(&refusal)),
    }
}

/// `bytes=a-` or `bytes=a-b`; the end is exclusive. Others are left alone, as a server may (RFC 9110, section 14.2).
fn range(headers: &HeaderMap, length: u64) -> Option<(u64, u64)> {
    let (from, to) = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let to = if to.is_empty() { length } else { to.parse::<u64>().ok()?.saturating_add(1).min(length) };
    Some((from.parse().ok()?, to))
}

fn body(
    shared: &Shared,
    connection: &Connection,
    found: Found,
    headers: &HeaderMap,
    fault: Option<&FaultKind>,
) -> Response {
    let length = found.content.length();
    let asked = range(headers, length).filter(|_| fault != Some(&FaultKind::IgnoredRange));
    let call = shared.counters.asked(&found.id, asked.map_or(0, |(from, _)| from));
    let (from, to) = match asked {
        Some((from, _)) if from >= length || fault == Some(&FaultKind::NotSatisfiable) => {
            let range = format!("bytes */{length}");
            return (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, range)]).into_response();
        }
        Some(range) => range,
        None => (0, length),
    };
    let corrupt = fault == Some(&FaultKind::Corrupt);
    let (counters, id, content) = (shared.counters.clone(), found.id, Arc::new(found.content));
    let chunks = stream::unfold(from, move |at| {
        let (counters, id, content) = (counters.clone(), id.clone(), Arc::clone(&content));
        async move {
            let mut chunk = content.bytes(at, CHUNK.min(to - at));
            let first = chunk.first_mut()?;
            if corrupt && at == from {
                *first ^= 1;
            }
            counters.sent(&id, call, chunk.len() as u64);
            let next = at + chunk.len() as u64;
            Some((Ok::<_, std::convert::Infallible>(chunk), next))
        }
    });
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, found.mime_type);
    set(header::CONTENT_LENGTH, (to - from).to_string());
    if asked.is_some() {
        let shown = if fault == Some(&FaultKind::WrongRange) { from + 1 } else { from };
        set(header::CONTENT_RANGE, format!("bytes {shown}-{}/{length}", to.saturating_sub(1)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    match fault {
        Some(FaultKind::Cut) => connection.cut_after(0),
        Some(FaultKind::Reset) => connection.reset(),
        Some(FaultKind::Truncated) => {
            connection.cut_after(120 + usize::try_from((to - from) / 2).unwrap_or(usize::MAX / 2));
        }
        _ => {}
    }
    response
}
