//! The routes of Drive.

use axum::{
    Router,
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, Uri},
    response::Response,
    routing::get,
};
use serde_json::Value;

use super::{changes, drives, files, media};
use crate::fake_google::{
    Shared, answer,
    api::Api,
    connection::Connection,
    lock, oauth,
    query::Params,
    refusal::Refusal,
    stats::{Call, ListKind},
    world::World,
};

pub(super) type Caller = ConnectInfo<Connection>;
pub(super) type QueryPairs = Query<Vec<(String, String)>>;

pub(in crate::fake_google) fn routes() -> Router<Shared> {
    Router::new()
        .route("/drive/v3/files", get(list_files))
        .route("/drive/v3/files/{id}", get(get_file))
        .route("/drive/v3/files/{id}/export", get(media::export))
        .route("/drive/v3/changes", get(list_changes))
        .route("/drive/v3/changes/startPageToken", get(start_page_token))
        .route("/drive/v3/drives", get(list_drives))
}

async fn list_files(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    call(&shared, &caller, Api::Files, &uri, &headers, Params(pairs), files::list).await
}

async fn get_file(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    let params = Params(pairs);
    if params.get("alt") == Some("media") {
        return media::get(&shared, &caller, &id, &uri, &headers, &params).await;
    }
    let work = |world: &World, account, params: &Params, _| files::get(world, account, &id, params);
    call(&shared, &caller, Api::File, &uri, &headers, params, work).await
}

async fn list_changes(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    call(&shared, &caller, Api::Changes, &uri, &headers, Params(pairs), changes::list).await
}

async fn start_page_token(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    let work = |world: &World, account, params: &Params, _| changes::start(world, account, params);
    call(&shared, &caller, Api::StartPageToken, &uri, &headers, Params(pairs), work).await
}

async fn list_drives(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(pairs): QueryPairs,
) -> Response {
    call(&shared, &caller, Api::Drives, &uri, &headers, Params(pairs), drives::list).await
}

async fn call(
    shared: &Shared,
    caller: &Caller,
    api: Api,
    uri: &Uri,
    headers: &HeaderMap,
    params: Params,
    work: impl FnOnce(&World, usize, &Params, usize) -> Result<Value, Refusal>,
) -> Response {
    let token = oauth::bearer(headers);
    let folders = params.get("q").map(|query| query.matches(" in parents").count());
    let list = match (api, params.get("pageToken")) {
        (Api::Changes, _) => Some(ListKind::Incremental),
        (Api::Files, None) => Some(folders.map_or(ListKind::Full, ListKind::Folders)),
        (Api::Drives, None) => Some(ListKind::Full),
        (Api::Files | Api::Drives, Some(page)) => Some(ListKind::Page(page.to_owned())),
        _ => None,
    };
    let call = Call {
        api,
        path: uri.path().to_owned(),
        account: answer::account_of(shared, token),
        collection: list.as_ref().map(|_| params.get("driveId").unwrap_or("my drive").to_owned()),
        list,
    };
    answer::answer(shared, &caller.0, call, |cap| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        oauth::permit(&world, account, api)?;
        work(&world, account, &params, cap)
    })
    .await
}
