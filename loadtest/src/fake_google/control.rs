//! The control API under `/control/`, for tests and drivers in other processes. JSON in, JSON out.

mod operation;

use anyhow::{Context, bail};
use axum::{
    Json, Router,
    extract::{Query, State},
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::operation::Operation;
use super::{
    Shared,
    answer::control,
    churn::{self, Churned},
    faults::FaultRule,
    lock,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/control/world", post(world))
        .route("/control/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/control/churn", post(start_churn).delete(stop_churn))
        .route("/control/stats", get(stats).delete(reset_stats))
        .route("/control/key_file", get(key_file))
        .route("/control/truth", get(truth))
        .route("/control/truth/rows", get(truth_rows))
        .route("/control/truth/files", get(truth_files))
}

async fn world(State(shared): State<Shared>, Json(operation): Json<Operation>) -> Response {
    control(lock(&shared.world).apply(operation))
}

async fn faults(State(shared): State<Shared>) -> Json<Vec<FaultRule>> {
    Json(shared.faults.rules())
}

/// Takes one rule or a list of them: all, or none if one of them is wrong.
async fn add_faults(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let bodies = if let Value::Array(bodies) = body { bodies } else { vec![body] };
    let rules: anyhow::Result<Vec<FaultRule>> = bodies.iter().map(fault_rule).collect();
    control(rules.map(|rules| {
        for rule in rules {
            shared.faults.add(rule);
        }
        json!({})
    }))
}

pub(super) fn fault_rule(body: &Value) -> anyhow::Result<FaultRule> {
    let rule: FaultRule = serde_json::from_value(body.clone()).context("no fault rule")?;
    rule.check()?;
    // serde cannot refuse unknown fields beside a flattened enum; a rule writes all fields that it knows.
    let known = serde_json::to_value(&rule)?;
    let is_known = |name: &&String| known.get(name.as_str()).is_some();
    if let Some(unknown) = body.as_object().and_then(|fields| fields.keys().find(|name| !is_known(name))) {
        let known: Vec<_> = known.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        bail!("unknown field `{unknown}` in a fault rule of this kind: allowed are {}", known.join(", "));
    }
    Ok(rule)
}

async fn clear_faults(State(shared): State<Shared>) -> Json<Value> {
    shared.faults.clear();
    Json(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartChurn {
    #[serde(default)]
    of: Churned,
    rate_per_s: f64,
    seed: Option<u64>,
}

async fn start_churn(State(shared): State<Shared>, Json(wanted): Json<StartChurn>) -> Response {
    let seed = wanted.seed.unwrap_or(shared.options.seed);
    control(churn::start(&shared, wanted.of, wanted.rate_per_s, seed).map(|()| json!({})))
}

async fn stop_churn(State(shared): State<Shared>) -> Json<Value> {
    churn::stop(&shared);
    Json(json!({}))
}

async fn stats(State(shared): State<Shared>) -> Response {
    control(serde_json::to_value(shared.counters.snapshot()).map_err(Into::into))
}

async fn reset_stats(State(shared): State<Shared>) -> Json<Value> {
    shared.counters.reset();
    Json(json!({}))
}

#[derive(Deserialize)]
struct Whose {
    service_account: String,
}

async fn key_file(State(shared): State<Shared>, Query(whose): Query<Whose>) -> Response {
    let key_file = lock(&shared.world).key_file(&whose.service_account, &shared.token_url());
    control(key_file)
}

#[derive(Deserialize)]
struct Of {
    account: Option<String>,
}

async fn truth(State(shared): State<Shared>, Query(of): Query<Of>) -> Response {
    let truth = lock(&shared.world).truth(of.account.as_deref());
    control(serde_json::to_value(truth).map_err(Into::into))
}

async fn truth_files(State(shared): State<Shared>, Query(of): Query<Of>) -> Response {
    let files = lock(&shared.world).truth_files(of.account.as_deref());
    control(serde_json::to_value(files).map_err(Into::into))
}

async fn truth_rows(State(shared): State<Shared>) -> Response {
    let rows = lock(&shared.world).truth_rows();
    control(serde_json::to_value(rows).map_err(Into::into))
}
