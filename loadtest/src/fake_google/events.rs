//! `events.list`: <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>.

use std::{ops::Bound, sync::Arc};

use serde_json::{Value, json};

use super::{
    calendar::Calendar,
    cursor::Scope,
    event::{Row, time},
    list::{self, Current, Walk},
    query::Params,
    refusal::Refusal,
    world::{Entry, World},
};

/// Parameters that a later request with a sync token must repeat as they were.
const REPEATED: [&str; 6] =
    ["alwaysIncludeEmail", "eventTypes", "maxAttendees", "showHiddenInvitations", "singleEvents", "timeZone"];
/// Parameters that cannot go with a sync token.
const NOT_WITH_TOKEN: [&str; 8] = [
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMax",
    "timeMin",
    "updatedMin",
];

/// The kinds of events that there are.
const KINDS: [&str; 6] = ["birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"];

/// One page of a calendar's events, as the account sees them.
pub(super) fn page(
    world: &World,
    account: usize,
    calendar: &str,
    params: &Params,
    cap: usize,
) -> Result<Value, Refusal> {
    let (index, entry) = find(world, account, calendar).ok_or_else(Refusal::not_found)?;
    let calendar = &world.calendars[index];
    let size = params.max_results(250, 2500)?.min(cap);
    let filter = Filter::read(params)?;
    let current =
        Current { scope: Scope::Events(account, index), epoch: entry.epoch, version: calendar.version };
    let walk = list::begin(params, current, params.repeated(&REPEATED))?;

    let (rows, next) = match walk.since {
        _ if size == 0 => (Vec::new(), Some(walk.start())),
        Some(since) => changes(calendar, &walk, since, size)?,
        None => all(calendar, &walk, size),
    };
    let shown = rows.into_iter().filter(|(_, row)| filter.shows(calendar, row, walk.since.is_some()));
    let items = shown.map(|(id, row)| calendar.serve(id, row, entry.role, filter.max_attendees));
    let mut answer = json!({
        "kind": "calendar#events",
        "etag": format!("\"p{}\"", calendar.version),
        "summary": calendar.summary,
        "updated": time(calendar.updated),
        "timeZone": params.get("timeZone").unwrap_or(&calendar.time_zone),
        "accessRole": entry.role,
        "defaultReminders": [],
        "items": items.collect::<Vec<_>>(),
    });
    list::finish(&mut answer, walk, next);
    Ok(answer)
}

/// Resolves `primary`; none if the account does not have the calendar.
fn find<'a>(world: &'a World, account: usize, calendar: &str) -> Option<(usize, &'a Entry)> {
    let account = &world.accounts[account];
    let id = if calendar == "primary" { &account.email } else { calendar };
    let entry = account.list.get(id).filter(|entry| !entry.deleted)?;
    Some((entry.calendar, entry))
}

struct Filter {
    show_deleted: bool,
    max_attendees: Option<usize>,
    kinds: Vec<String>,
}

impl Filter {
    fn read(params: &Params) -> Result<Self, Refusal> {
        let others = ["maxResults", "pageToken", "showDeleted", "syncToken"];
        params.only(&[&REPEATED[..], &NOT_WITH_TOKEN, &others].concat())?;
        if params.get("syncToken").is_some() {
            params.none_with_sync_token(&NOT_WITH_TOKEN)?;
            if params.get("showDeleted") == Some("false") {
                return Err(Refusal::bad_request(
                    "showDeleted=false cannot be used together with syncToken.",
                ));
            }
        }
        if let Some(name) = NOT_WITH_TOKEN.iter().find(|name| params.get(name).is_some()) {
            return Err(Refusal::bad_request(&format!(
                "{name} is not supported: this fake serves whole calendars."
            )));
        }
        if params.flag("singleEvents")? {
            return Err(Refusal::bad_request(
                "singleEvents=true is not supported: this fake expands no series.",
            ));
        }
        for name in ["alwaysIncludeEmail", "showHiddenInvitations"] {
            params.flag(name)?;
        }
        let max_attendees = params.get("maxAttendees").map(|text| {
            let number = text.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| Refusal::invalid("Invalid value for maxAttendees: at least 1 is allowed."))
        });
        let kinds: Vec<String> =
            params.0.iter().filter(|(key, _)| key == "eventTypes").map(|(_, value)| value.clone()).collect();
        if let Some(kind) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(Refusal::invalid(&format!("Invalid value '{kind}' for eventTypes.")));
        }
        Ok(Self {
            show_deleted: params.flag("showDeleted")?,
            max_attendees: max_attendees.transpose()?,
            kinds,
        })
    }

    fn shows(&self, calendar: &Calendar, row: &Row, incremental: bool) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == row.body.kind());
        // Deletions always come with an incremental list; a full one shows cancelled occurrences of live series.
        kind && (incremental || self.show_deleted || calendar.is_mirrored(row))
    }
}

type Rows<'a> = (Vec<(&'a Arc<str>, &'a Row)>, Option<String>);

/// A page of a full list, in the order of ids. It is cut before it is filtered, so it may be short or empty.
fn all<'a>(calendar: &'a Calendar, walk: &Walk, size: usize) -> Rows<'a> {
    let from = walk.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = calendar.events.range::<str, _>((from, Bound::Unbounded));
    let rows: Vec<_> = rest.by_ref().take(size).collect();
    let next = rest.next().and(rows.last()).map(|(id, _)| id.to_string());
    (rows, next)
}

/// A page of changes, in the order in which they happened, up to the version at which the walk began.
fn changes<'a>(calendar: &'a Calendar, walk: &Walk, since: u64, size: usize) -> Result<Rows<'a>, Refusal> {
    let after = match &walk.after {
        Some(after) => after.parse().map_err(|_| Refusal::invalid("Invalid page token value."))?,
        None => since,
    };
    let upto = walk.then.version;
    if after >= upto {
        return Ok((Vec::new(), None));
    }
    let mut rest = calendar.log.range((Bound::Excluded(after), Bound::Included(upto)));
    let mut last = None;
    let mut rows = Vec::new();
    for (version, id) in rest.by_ref().take(size) {
        last = Some(*version);
        rows.extend(calendar.events.get_key_value(id));
    }
    let next = rest.next().and(last).map(|version| version.to_string());
    Ok((rows, next))
}
