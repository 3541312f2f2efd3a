//! The control API under `/control/`, for tests and drivers in other processes. JSON in, JSON out.

use anyhow::{Context, bail};
use axum::{
    Json, Router,
    extract::{Query, State},
    response::Response,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Shared,
    answer::control,
    calendar::Role,
    churn::{self, Churned},
    drive::{Content, FileDraft, PermissionRole},
    event::{EventDraft, When},
    faults::FaultRule,
    lock,
    world::{Consent, World},
};

/// An operation on the world, as `POST /control/world` takes it: `{"op": "add_account", ...}`. Each does what the
/// method of [`World`] with that name does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the arguments of the methods of World")]
pub enum Operation {
    AddClient {
        id: String,
        secret: String,
    },
    AddAccount {
        email: String,
        refresh_token: String,
        client: Option<String>,
    },
    AddPerson {
        email: String,
    },
    SetRedirectUris {
        client: String,
        uris: Vec<String>,
    },
    ExpireCodes {},
    AddCalendar {
        owner: String,
        id: Option<String>,
        summary: String,
    },
    ListCalendar {
        email: String,
        calendar: String,
        role: Role,
    },
    RemoveCalendar {
        email: String,
        calendar: String,
    },
    HideCalendar {
        email: String,
        calendar: String,
        hidden: bool,
    },
    SetRole {
        email: String,
        calendar: String,
        role: Role,
        #[serde(default)]
        announce: bool,
    },
    PutEvent {
        calendar: String,
        event: EventDraft,
    },
    PutException {
        calendar: String,
        series: String,
        original: When,
        event: EventDraft,
    },
    CancelOccurrence {
        calendar: String,
        series: String,
        original: When,
    },
    DeleteEvent {
        calendar: String,
        id: String,
    },
    RestoreEvent {
        calendar: String,
        id: String,
    },
    MoveEvent {
        from: String,
        to: String,
        id: String,
    },
    InvalidateEventTokens {
        calendar: Option<String>,
    },
    InvalidateListTokens {
        email: Option<String>,
    },
    PutFile {
        owner: String,
        file: FileDraft,
    },
    EditFile {
        id: String,
        name: Option<String>,
        content: Option<Content>,
    },
    MoveFile {
        owner: String,
        id: String,
        parent: Option<String>,
    },
    TrashFile {
        id: String,
    },
    UntrashFile {
        id: String,
    },
    DeleteFile {
        id: String,
    },
    ShareFile {
        id: String,
        email: String,
        role: PermissionRole,
    },
    UnshareFile {
        id: String,
        email: String,
    },
    ViewFile {
        email: String,
        id: String,
    },
    AddDrive {
        owner: String,
        id: Option<String>,
        name: String,
    },
    RenameDrive {
        id: String,
        name: String,
    },
    AddMember {
        id: String,
        email: String,
        role: PermissionRole,
    },
    RemoveMember {
        id: String,
        email: String,
    },
    DeleteDrive {
        id: String,
    },
    SeedFiles {
        owner: String,
        drive: Option<String>,
        files: usize,
    },
    Revoke {
        email: String,
    },
    Reconnect {
        email: String,
        refresh_token: String,
    },
    Grant {
        email: String,
        refresh_token: String,
    },
    SetConsent {
        email: String,
        consent: Consent,
    },
    ExpireAccessTokens {
        email: Option<String>,
    },
    AddServiceAccount {
        email: String,
    },
    ReplaceKey {
        email: String,
    },
    Delegate {
        email: String,
        domain: String,
        scopes: Vec<String>,
    },
    Seed {
        accounts: usize,
        calendars_per_account: usize,
        events_per_calendar: usize,
    },
}

impl World {
    /// Carries out an operation. The answer has `id` where something was added or changed under an id.
    pub fn apply(&mut self, operation: Operation) -> anyhow::Result<Value> {
        use Operation as Op;
        let id = |id: String| json!({ "id": id });
        let nothing = |(): ()| json!({});
        Ok(match operation {
            Op::AddClient { id, secret } => {
                self.add_client(&id, &secret);
                json!({})
            }
            Op::AddAccount { email, refresh_token, client } => {
                nothing(self.add_account(&email, &refresh_token, client.as_deref())?)
            }
            Op::AddPerson { email } => nothing(self.add_person(&email)?),
            Op::SetRedirectUris { client, uris } => nothing(self.set_redirect_uris(&client, &uris)?),
            Op::ExpireCodes {} => {
                self.expire_codes();
                json!({})
            }
            Op::AddCalendar { owner, id: wanted, summary } => {
                id(self.add_calendar(&owner, wanted.as_deref(), &summary)?)
            }
            Op::ListCalendar { email, calendar, role } => {
                nothing(self.list_calendar(&email, &calendar, role)?)
            }
            Op::RemoveCalendar { email, calendar } => nothing(self.remove_calendar(&email, &calendar)?),
            Op::HideCalendar { email, calendar, hidden } => {
                nothing(self.hide_calendar(&email, &calendar, hidden)?)
            }
            Op::SetRole { email, calendar, role, announce } => {
                nothing(self.set_role(&email, &calendar, role, announce)?)
            }
            Op::PutEvent { calendar, event } => id(self.put_event(&calendar, event)?),
            Op::PutException { calendar, series, original, event } => {
                id(self.put_exception(&calendar, &series, &original, event)?)
            }
            Op::CancelOccurrence { calendar, series, original } => {
                id(self.cancel_occurrence(&calendar, &series, &original)?)
            }
            Op::DeleteEvent { calendar, id } => nothing(self.delete_event(&calendar, &id)?),
            Op::RestoreEvent { calendar, id } => nothing(self.restore_event(&calendar, &id)?),
            Op::MoveEvent { from, to, id } => nothing(self.move_event(&from, &to, &id)?),
            Op::InvalidateEventTokens { calendar } => {
                nothing(self.invalidate_event_tokens(calendar.as_deref())?)
            }
            Op::InvalidateListTokens { email } => nothing(self.invalidate_list_tokens(email.as_deref())?),
            Op::PutFile { owner, file } => id(self.put_file(&owner, file)?),
            Op::EditFile { id, name, content } => nothing(self.edit_file(&id, name.as_deref(), content)?),
            Op::MoveFile { owner, id, parent } => nothing(self.move_file(&owner, &id, parent.as_deref())?),
            Op::TrashFile { id } => nothing(self.trash_file(&id)?),
            Op::UntrashFile { id } => nothing(self.untrash_file(&id)?),
            Op::DeleteFile { id } => nothing(self.delete_file(&id)?),
            Op::ShareFile { id, email, role } => nothing(self.share_file(&id, &email, role)?),
            Op::UnshareFile { id, email } => nothing(self.unshare_file(&id, &email)?),
            Op::ViewFile { email, id } => nothing(self.view_file(&email, &id)?),
            Op::AddDrive { owner, id: wanted, name } => {
                id(self.add_drive(&owner, wanted.as_deref(), &name)?)
            }
            Op::RenameDrive { id, name } => nothing(self.rename_drive(&id, &name)?),
            Op::AddMember { id, email, role } => nothing(self.add_member(&id, &email, role)?),
            Op::RemoveMember { id, email } => nothing(self.remove_member(&id, &email)?),
            Op::DeleteDrive { id } => nothing(self.delete_drive(&id)?),
            Op::SeedFiles { owner, drive, files } => {
                json!({"files": self.seed_files(&owner, drive.as_deref(), files)?.len()})
            }
            Op::Revoke { email } => nothing(self.revoke(&email)?),
            Op::Reconnect { email, refresh_token } => nothing(self.reconnect(&email, &refresh_token)?),
            Op::Grant { email, refresh_token } => nothing(self.grant(&email, &refresh_token)?),
            Op::SetConsent { email, consent } => nothing(self.set_consent(&email, consent)?),
            Op::ExpireAccessTokens { email } => nothing(self.expire_access_tokens(email.as_deref())?),
            Op::AddServiceAccount { email } => nothing(self.add_service_account(&email)?),
            Op::ReplaceKey { email } => nothing(self.replace_key(&email)?),
            Op::Delegate { email, domain, scopes } => nothing(self.delegate(&email, &domain, &scopes)?),
            Op::Seed { accounts, calendars_per_account, events_per_calendar } => {
                json!({"accounts": self.seed(accounts, calendars_per_account, events_per_calendar)?})
            }
        })
    }
}

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
