//! What the two lists share: where a call begins, and what it must repeat.

use serde_json::{Value, json};

use super::{
    cursor::{self, PageToken, Scope, SyncToken},
    query::Params,
    refusal::Refusal,
};

/// Where the collection stands now.
pub(super) struct Current {
    pub(super) scope: Scope,
    pub(super) epoch: u32,
    pub(super) version: u64,
}

/// Where a call begins: at the top of a full list, at the top of an incremental one, or within one of them.
#[derive(Debug)]
pub(super) struct Walk {
    /// The version after which changes are wanted; none for a full list.
    pub(super) since: Option<u64>,
    /// The last key or version that was looked at by the page before.
    pub(super) after: Option<String>,
    /// How many pages before this one began there.
    turn: u32,
    /// The sync token of the last page. Its version is that of the first page: what changes during the walk
    /// comes with the next incremental list.
    pub(super) then: SyncToken,
}

impl Walk {
    /// The place where it begins, as the page before would say it.
    pub(super) fn start(&self) -> String {
        let first = || self.since.map_or_else(String::new, |version| format!("{version:020}"));
        self.after.clone().unwrap_or_else(first)
    }
}

/// Reads `syncToken` and `pageToken` and checks that they fit the collection, the parameters and each other.
pub(super) fn begin(params: &Params, current: Current, repeated: String) -> Result<Walk, Refusal> {
    let since = params.get("syncToken").map(|token| since(token, &current, &repeated)).transpose()?;
    let Some(page) = params.get("pageToken") else {
        let then = SyncToken {
            scope: current.scope,
            epoch: current.epoch,
            version: current.version,
            params: repeated,
        };
        return Ok(Walk { since, after: None, turn: 0, then });
    };
    let page: PageToken = cursor::decode(page)
        .filter(|page: &PageToken| page.then.scope == current.scope)
        .ok_or_else(|| Refusal::invalid("Invalid page token value."))?;
    if page.since != since {
        return Err(Refusal::bad_request("The page token belongs to a list with another syncToken."));
    }
    if page.then.params != repeated {
        return Err(differs(&page.then.params, &repeated));
    }
    Ok(Walk { since, after: Some(page.after), turn: page.turn, then: page.then })
}

fn since(token: &str, current: &Current, repeated: &str) -> Result<u64, Refusal> {
    let token: SyncToken = cursor::decode(token)
        .filter(|token: &SyncToken| token.scope == current.scope)
        .ok_or_else(|| Refusal::invalid("Invalid sync token value."))?;
    if token.epoch != current.epoch {
        return Err(Refusal::full_sync_required());
    }
    if token.params != repeated {
        return Err(differs(&token.params, repeated));
    }
    Ok(token.version)
}

/// Google calls this undefined behaviour; here it is an error, so that tests notice.
fn differs(first: &str, now: &str) -> Refusal {
    Refusal::bad_request(&format!("The first request had the parameters [{first}], this one has [{now}]."))
}

/// Adds `nextPageToken` or `nextSyncToken`, never both.
pub(super) fn finish(answer: &mut Value, walk: Walk, next: Option<String>) {
    match next {
        Some(after) => {
            let turn = if walk.after.as_ref() == Some(&after) { walk.turn + 1 } else { 0 };
            let page = PageToken { then: walk.then, since: walk.since, after, turn };
            answer["nextPageToken"] = json!(cursor::encode(&page));
        }
        None => answer["nextSyncToken"] = json!(cursor::encode(&walk.then)),
    }
}
