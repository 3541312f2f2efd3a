//! What an account must grant for what. A user may untick scopes one by one when signing in:
//! <https://developers.google.com/identity/protocols/oauth2/resources/granular-permissions>.

/// The name of Calendar, as in metrics and in the budget.
pub const CALENDAR: &str = "calendar";

/// The name of Drive.
pub const DRIVE: &str = "drive";

/// Something that is mirrored, and the scopes of which any one opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// What, for people.
    pub what: &'static str,
    /// The API: [`CALENDAR`] or [`DRIVE`].
    pub api: &'static str,
    /// The API methods that read it.
    pub methods: &'static [&'static str],
    /// Any one of them is enough; the first is the narrowest.
    pub scopes: &'static [&'static str],
}

/// All that is mirrored, with the scopes that its methods' reference pages name:
/// <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList/list>,
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>,
/// <https://developers.google.com/workspace/drive/api/reference/rest/v3/changes/list>,
/// <https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/list>,
/// <https://developers.google.com/workspace/drive/api/reference/rest/v3/files/export>.
pub const NEEDS: [Need; 5] = [
    Need {
        what: "the list of calendars",
        api: CALENDAR,
        methods: &["calendarList.list"],
        scopes: &[
            "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
            "https://www.googleapis.com/auth/calendar.calendarlist",
            "https://www.googleapis.com/auth/calendar.readonly",
            "https://www.googleapis.com/auth/calendar",
        ],
    },
    Need {
        what: "the events of calendars",
        api: CALENDAR,
        methods: &["events.list"],
        scopes: &[
            "https://www.googleapis.com/auth/calendar.events.readonly",
            "https://www.googleapis.com/auth/calendar.events",
            "https://www.googleapis.com/auth/calendar.readonly",
            "https://www.googleapis.com/auth/calendar",
        ],
    },
    Need {
        what: "the files of Drive",
        api: DRIVE,
        methods: &["files.get", "files.list", "changes.getStartPageToken", "changes.list", "changes.watch"],
        scopes: &[
            "https://www.googleapis.com/auth/drive.metadata.readonly",
            "https://www.googleapis.com/auth/drive.metadata",
            "https://www.googleapis.com/auth/drive.readonly",
            "https://www.googleapis.com/auth/drive",
        ],
    },
    Need {
        what: "the list of shared drives",
        api: DRIVE,
        methods: &["drives.list"],
        scopes: &["https://www.googleapis.com/auth/drive.readonly", "https://www.googleapis.com/auth/drive"],
    },
    Need {
        what: "the contents of files",
        api: DRIVE,
        methods: &["files.get media", "files.export"],
        scopes: &["https://www.googleapis.com/auth/drive.readonly", "https://www.googleapis.com/auth/drive"],
    },
];

impl Need {
    /// Whether one of the scopes was granted.
    #[must_use]
    pub fn is_met(&self, granted: &[String]) -> bool {
        self.scopes.iter().any(|scope| granted.iter().any(|had| had == scope))
    }
}

/// What cannot be mirrored with these scopes, of the APIs that the account is here for: see [`is_for`].
pub fn missing(granted: &[String]) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(|need| is_for(Some(granted), need.api) && !need.is_met(granted))
}

/// Whether an account is here for an API: it has granted something of it. An account that has granted nothing of any API is
/// here for all of them, as far as one can tell, and so is one whose scopes are not known yet.
#[must_use]
pub fn is_for(granted: Option<&[String]>, api: &str) -> bool {
    let Some(granted) = granted else { return true };
    let mut met = NEEDS.iter().filter(|need| need.is_met(granted)).peekable();
    met.peek().is_none() || met.any(|need| need.api == api)
}

/// What these APIs need.
pub fn needs(apis: &[String]) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(|need| apis.iter().any(|api| api == need.api))
}

/// The scopes that a sign-in for these APIs asks for: the narrowest of each need, without those whose need is met by the
/// others.
#[must_use]
pub fn requested(apis: &[String]) -> Vec<&'static str> {
    let narrowest: Vec<_> = needs(apis).map(|need| need.scopes[0]).collect();
    let mut scopes = Vec::new();
    for need in needs(apis) {
        let wider = narrowest.iter().any(|scope| *scope != need.scopes[0] && need.scopes.contains(scope));
        if !wider && !scopes.contains(&need.scopes[0]) {
            scopes.push(need.scopes[0]);
        }
    }
    scopes
}

/// What to do about a method that was refused for want of a scope.
pub(super) fn advice(method: &str) -> String {
    NEEDS.iter().find(|need| need.methods.contains(&method)).map_or_else(String::new, |need| {
        format!(
            ": the account has not granted {}, without which {} cannot be read",
            need.scopes[0], need.what
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(granted: &[&str]) -> Vec<&'static str> {
        let granted: Vec<String> = granted.iter().map(|scope| (*scope).to_owned()).collect();
        missing(&granted).map(|need| need.what).collect()
    }

    #[test]
    fn any_one_of_the_scopes_is_enough() {
        assert_eq!(what(&["https://www.googleapis.com/auth/calendar.readonly"]), [""; 0]);
        let events = "https://www.googleapis.com/auth/calendar.events.readonly";
        assert_eq!(what(&["openid", events]), ["the list of calendars"]);
        let metadata = "https://www.googleapis.com/auth/drive.metadata.readonly";
        let beyond = ["the list of shared drives", "the contents of files"];
        assert_eq!(what(&[metadata]), beyond, "nobody asked for Calendar");
        assert_eq!(what(&[events, metadata]), ["the list of calendars", beyond[0], beyond[1]]);
        assert_eq!(what(&["openid"]).len(), 5, "what it is here for cannot be told");
    }

    #[test]
    fn a_sign_in_asks_for_enough_and_for_nothing_twice() {
        let both = [CALENDAR.to_owned(), DRIVE.to_owned()];
        let asked = requested(&both);
        assert_eq!(what(&asked), [""; 0]);
        assert_eq!(asked.len(), 3, "drive.readonly is enough for all of Drive: {asked:?}");
        assert!(asked.iter().all(|scope| scope.ends_with(".readonly")), "{asked:?}");
        assert!(requested(&both[..1]).iter().all(|scope| scope.contains("calendar")));
    }

    #[test]
    fn a_refused_method_names_its_narrowest_scope() {
        assert!(
            advice("events.list")
                .contains("calendar.events.readonly, without which the events of calendars cannot")
        );
        assert!(
            advice("files.get media").contains("drive.readonly, without which the contents of files cannot")
        );
        assert_eq!(advice("unknown"), "");
    }
}
