//! `channels.stop`: a channel is ended.

use axum::{http::StatusCode, response::Response};
use serde_json::Value;

use super::{asked::Asked, posted::Posted};
use crate::fake_google::{
    answer::{account_of, answer},
    api::Api,
    lock, oauth,
    refusal::Refusal,
    stats::Call,
};

/// `POST /calendar/v3/channels/stop`.
pub(in crate::fake_google) async fn stop_calendar(posted: Posted) -> Response {
    stop(posted, Api::StopChannel).await
}

/// `POST /drive/v3/channels/stop`.
pub(in crate::fake_google) async fn stop_drive(posted: Posted) -> Response {
    stop(posted, Api::StopDriveChannel).await
}

/// An API ends its own channels, and knows no others.
async fn stop(Posted { shared, caller, uri, headers, body }: Posted, api: Api) -> Response {
    let token = oauth::bearer(&headers);
    let account = account_of(&shared, token);
    let call = Call { api, path: uri.path().to_owned(), account, collection: None, list: None };
    answer(&shared, &caller.0, call, |_| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        let asked: Asked =
            serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(&error.to_string()))?;
        let (Some(id), Some(resource_id)) = (asked.id, asked.resource_id) else {
            return Err(Refusal::api(StatusCode::BAD_REQUEST, "global", "required", "id and resourceId"));
        };
        let now = world.now();
        let live = &mut lock(&shared.push.inner).live;
        let place = live.iter().position(|channel| {
            channel.id == id
                && channel.resource_id == resource_id
                && channel.account == account
                && channel.watched.is_drive() == api.is_drive()
                && channel.expires > now
        });
        let Some(place) = place else {
            let text = format!("Channel '{id}' not found for project 'fake'");
            return Err(Refusal::api(StatusCode::NOT_FOUND, "global", "notFound", &text));
        };
        live.remove(place);
        // No content.
        Ok(Value::Null)
    })
    .await
}
