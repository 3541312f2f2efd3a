//! `/control/push`: GET tells how push stands, PUT sets what goes wrong, DELETE ends all channels.

use axum::{Json, Router, extract::State, response::Response, routing::get};
use serde_json::{Value, json};

use super::{PushFaults, end_all, set, state};
use crate::fake_google::{Shared, answer::control};

pub(in crate::fake_google) fn routes() -> Router<Shared> {
    Router::new().route("/control/push", get(tell).put(put).delete(end))
}

async fn tell(State(shared): State<Shared>) -> Response {
    control(serde_json::to_value(state(&shared)).map_err(Into::into))
}

async fn put(State(shared): State<Shared>, Json(faults): Json<PushFaults>) -> Response {
    control(set(&shared, faults).map(|()| json!({})))
}

async fn end(State(shared): State<Shared>) -> Json<Value> {
    end_all(&shared);
    Json(json!({}))
}
