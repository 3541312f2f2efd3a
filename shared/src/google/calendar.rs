//! Calendar: <https://developers.google.com/workspace/calendar/api/v3/reference>. Pages of the two lists, each item read
//! leniently on its own from the raw answer.

mod entry;
mod event;

use futures_util::FutureExt;
use sqlx::PgPool;

pub use self::{
    entry::CalendarEntry,
    event::{EventItem, When},
};
use super::{
    Api, Google, Pages,
    errors::{CallError, Class},
    execute::Method,
    item::{self, RawPage},
    transport::ApiConnector,
};
use crate::job::AccountId;

type Hub = google_calendar3::CalendarHub<ApiConnector>;

/// Events in a page, at most. Google allows 2,500; a page stands in memory several times over.
const EVENTS_PAGE: i32 = 1000;

/// Calendars in a page, at most; as Google allows.
const CALENDARS_PAGE: i32 = 250;

/// Where in a list a call begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Only what changed since; none: all.
    pub sync_token: Option<&'a str>,
    /// The page; none: the first.
    pub page_token: Option<&'a str>,
    /// The token of a page that the pass has had, and that must not come again; none: none is remembered.
    pub page_mark: Option<&'a str>,
}

impl Place<'_> {
    const fn has_token(&self) -> bool {
        self.sync_token.is_some() || self.page_token.is_some()
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items that could be read.
    pub items: Vec<T>,
    /// How many could not.
    pub skipped: usize,
    /// What follows.
    pub next: Next,
    /// What the account may do with the calendar, where the list is of events.
    pub access_role: Option<String>,
}

/// What follows a page. A list says exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Another page.
    Page(String),
    /// It was the last one: a sync token for the next pass.
    Sync(String),
}

impl Google {
    /// A page of the account's list of calendars, hidden ones too.
    pub async fn calendar_list(
        &self,
        db: &PgPool,
        account: AccountId,
        place: Place<'_>,
    ) -> Result<Page<CalendarEntry>, CallError> {
        let method = Method { name: "calendarList.list", with_token: place.has_token(), cost: 1 };
        let (sync, page) = owned(place);
        let body = self
            .execute(db, account, method, move |hub: &Hub, recorder| {
                let user = recorder.quota_user();
                let mut call = hub
                    .calendar_list()
                    .list()
                    .show_hidden(true)
                    .max_results(CALENDARS_PAGE)
                    .delegate(recorder);
                if let Some(token) = &sync {
                    call = call.sync_token(token);
                }
                if let Some(token) = &page {
                    call = call.page_token(token);
                }
                if let Some(user) = &user {
                    call = call.param("quotaUser", user);
                }
                async { call.doit().await.map(|(response, _)| response) }.boxed()
            })
            .await?;
        read(method, place, &body, CalendarEntry::read)
    }

    /// A page of a calendar's events, series not expanded.
    ///
    /// All parameters but the tokens are the same in every call: a sync token counts for the parameters that it was made with.
    pub async fn events(
        &self,
        db: &PgPool,
        account: AccountId,
        calendar: &str,
        place: Place<'_>,
    ) -> Result<Page<EventItem>, CallError> {
        let method = Method { name: "events.list", with_token: place.has_token(), cost: 1 };
        let (sync, page) = owned(place);
        let calendar = calendar.to_owned();
        let body = self
            .execute(db, account, method, move |hub: &Hub, recorder| {
                let user = recorder.quota_user();
                let mut call = hub.events().list(&calendar).max_results(EVENTS_PAGE).delegate(recorder);
                if let Some(token) = &sync {
                    call = call.sync_token(token);
                }
                if let Some(token) = &page {
                    call = call.page_token(token);
                }
                if let Some(user) = &user {
                    call = call.param("quotaUser", user);
                }
                async { call.doit().await.map(|(response, _)| response) }.boxed()
            })
            .await?;
        read(method, place, &body, EventItem::read)
    }
}

/// A call may be made twice, so it keeps its own copies.
fn owned(place: Place<'_>) -> (Option<String>, Option<String>) {
    (place.sync_token.map(str::to_owned), place.page_token.map(str::to_owned))
}

fn read<T>(
    method: Method,
    place: Place<'_>,
    body: &str,
    item: impl Fn(&str) -> Option<T>,
) -> Result<Page<T>, CallError> {
    let odd = |what| CallError::Call { method: method.name, class: Class::Retry, after: None, what };
    let page: RawPage<'_> =
        serde_json::from_str(body).map_err(|error| odd(format!("the answer is no list ({error})")))?;
    let pages = Pages { token: place.page_token, mark: place.page_mark };
    pages.check(method, page.next_page_token.as_deref())?;
    let next = match (page.next_page_token, page.next_sync_token) {
        (Some(token), _) => Next::Page(token),
        (None, Some(token)) => Next::Sync(token),
        (None, None) => return Err(odd("the answer has neither a next page nor a sync token".to_owned())),
    };
    let items: Vec<T> = page.items.iter().filter_map(|raw| item(&item::storable(raw.get())?)).collect();
    let skipped = page.items.len() - items.len();
    if skipped > 0 {
        item::skipped(Api::Calendar, method, skipped);
    }
    Ok(Page { items, skipped, next, access_role: page.access_role })
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method = Method { name: "events.list", with_token: false, cost: 1 };

    #[test]
    fn one_bad_item_does_not_cost_the_page() {
        let body =
            r#"{"items": [{"id": "a", "x": 1}, {"id": 5}, 7, null, {"id": "b"}], "nextPageToken": "p"}"#;
        let page = read(METHOD, Place::default(), body, EventItem::read).unwrap();
        assert_eq!(page.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((page.skipped, page.next), (3, Next::Page("p".to_owned())));
    }

    #[test]
    fn a_page_may_be_empty() {
        for items in ["", r#""items": [],"#, r#""items": null,"#] {
            let page = read(
                METHOD,
                Place::default(),
                &format!(r#"{{{items} "nextSyncToken": "s"}}"#),
                EventItem::read,
            )
            .unwrap();
            assert_eq!((page.items.len(), page.next), (0, Next::Sync("s".to_owned())));
        }
    }

    #[test]
    fn a_page_that_leads_back_to_itself_is_no_page() {
        let body = r#"{"items": [], "nextPageToken": "p"}"#;
        let at = |page_token| Place { page_token, ..Place::default() };
        let error = read(METHOD, at(Some("p")), body, EventItem::read).unwrap_err();
        assert_eq!(error.class(), Some(Class::Circle));
        assert!(read(METHOD, at(Some("o")), body, EventItem::read).is_ok());
        assert!(read(METHOD, at(None), body, EventItem::read).is_ok());
        let later = Place { page_token: Some("q"), page_mark: Some("p"), ..Place::default() };
        let error = read(METHOD, later, body, EventItem::read).unwrap_err();
        assert_eq!(error.class(), Some(Class::Circle), "nor is one that leads to an earlier page");
    }

    #[test]
    fn a_page_that_leads_nowhere_is_asked_for_again() {
        for body in ["{}", "[]", r#"{"items": 5, "nextSyncToken": "s"}"#] {
            let error = read(METHOD, Place::default(), body, EventItem::read).unwrap_err();
            assert_eq!(error.class(), Some(Class::Retry), "{body}");
        }
    }
}
