//! What may be done to the world.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fake_google::{
    calendar::Role,
    drive::{Content, FileDraft, PermissionRole},
    event::{EventDraft, When},
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
