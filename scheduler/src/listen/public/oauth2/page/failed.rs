//! What people are told when signing in does not go on.

use axum::http::StatusCode;
use shared::{
    admin::{AdminError, account::sign_in::Refused},
    google::sign_in::SignInError,
};

use super::{super::Failed, Page, escaped, paragraph};

/// What to do next, as pages say it.
const AGAIN: &str = "Open your link again to start anew.";
const LATER: &str = "Wait a few minutes, then open your link again to start anew.";
const NEW_LINK: &str = "Ask whoever sent you the link for a new one.";
const TELL: &str = "Open your link again to start anew. If it happens again, tell whoever sent you the link.";

/// Why it does not go on, and what to do.
pub(in super::super) fn failed(failed: &Failed) -> Page {
    match failed {
        Failed::NotSetUp => bad(
            StatusCode::SERVICE_UNAVAILABLE,
            "Signing in is not possible here",
            "This service is not set up for signing in.",
            "Tell whoever sent you the link.",
        ),
        Failed::Foreign => bad(
            StatusCode::FORBIDDEN,
            "This came from another site",
            "A sign-in begins on the page that your link opens.",
            "Open your link, and go on from there.",
        ),
        Failed::Denied => plain(
            StatusCode::OK,
            "Nothing was shared",
            "You did not allow access, so nothing was connected and nothing was stored.",
            "If you change your mind, open your link again.",
        ),
        Failed::Provider(what) => bad(
            StatusCode::BAD_GATEWAY,
            "Google did not sign you in",
            &format!("Google says: {}. Nothing was stored.", short(what)),
            TELL,
        ),
        Failed::Refused(refused) => refusal(refused),
        Failed::Google(SignInError::CodeRefused(_)) => bad(
            StatusCode::BAD_REQUEST,
            "This sign-in is over",
            "Google does not take its answer any more: it was used before, or is too old. Nothing was stored.",
            AGAIN,
        ),
        Failed::Google(SignInError::NoAddress) => bad(
            StatusCode::BAD_REQUEST,
            "Your e-mail address is missing",
            "Google did not tell a verified e-mail address of your account, without which it cannot be connected. \
            Nothing was stored.",
            TELL,
        ),
        Failed::Google(SignInError::IdToken(_)) => bad(
            StatusCode::BAD_GATEWAY,
            "Google did not sign you in",
            "What came from Google does not prove who you are. Nothing was stored.",
            TELL,
        ),
        Failed::Google(_) => {
            bad(StatusCode::BAD_GATEWAY, "Google cannot be reached", "Nothing was stored.", LATER)
        }
    }
}

fn refusal(refused: &Refused) -> Page {
    match refused {
        Refused::LinkUnknown | Refused::Admin(AdminError::NotFound { .. }) => bad(
            StatusCode::NOT_FOUND,
            "This link is not known",
            "Was it cut off when it was copied? It may also have been withdrawn.",
            NEW_LINK,
        ),
        Refused::LinkExpired => bad(StatusCode::GONE, "This link has expired", "Its time is over.", NEW_LINK),
        Refused::LinkUsed => plain(
            StatusCode::GONE,
            "This link was used already",
            "A link is good for one sign-in. If that was yours, all is done.",
            "If it was not, ask whoever sent you the link for a new one.",
        ),
        Refused::TooMany => bad(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many attempts",
            "This link was begun with many times without an end.",
            "Wait ten minutes, and open it again.",
        ),
        Refused::OtherBrowser => bad(
            StatusCode::BAD_REQUEST,
            "Another browser began this",
            "A sign-in ends in the browser that it was begun in, with its cookies.",
            "Go on in that browser, or open your link here to start anew.",
        ),
        Refused::NotUnderWay => plain(
            StatusCode::BAD_REQUEST,
            "This sign-in is over",
            "It was completed before, or never begun. If you have just signed in, all is done.",
            "If you have not, open your link again to start anew.",
        ),
        Refused::TooLate => bad(
            StatusCode::BAD_REQUEST,
            "That took too long",
            "A sign-in has to be completed within ten minutes. Nothing was stored.",
            AGAIN,
        ),
        Refused::NothingGranted => plain(
            StatusCode::OK,
            "Nothing was shared",
            "You signed in, but ticked nothing of what is asked for, so nothing was connected and nothing was stored.",
            "If you change your mind, open your link again, and tick at Google what you want to share.",
        ),
        Refused::Admin(AdminError::OtherAccount { expected, came, .. })
            if expected.eq_ignore_ascii_case(came) =>
        {
            let text = format!(
                "{came} belongs to another Google account now than the one that is connected here under this address. \
                Nothing was stored."
            );
            bad(StatusCode::CONFLICT, "That is another account", &text, "Tell whoever sent you the link.")
        }
        Refused::Admin(AdminError::OtherAccount { expected, came, .. }) => {
            let text = format!("{expected} was expected, and you signed in as {came}. Nothing was stored.");
            let next = format!("Open your link again, and choose {expected} at Google.");
            bad(StatusCode::CONFLICT, "That is another account", &text, &next)
        }
        Refused::Admin(AdminError::NoRefreshToken) => bad(
            StatusCode::CONFLICT,
            "Google gave no lasting access",
            "Without it your account cannot be kept in step, and nothing was stored.",
            "Take away this app's access at myaccount.google.com/connections, then open your link again.",
        ),
        Refused::Admin(_) => bad(
            StatusCode::SERVICE_UNAVAILABLE,
            "It could not be stored",
            "Something went wrong on our side, and nothing was stored.",
            LATER,
        ),
    }
}

/// A page of something that went wrong: what, and what to do next.
fn bad(status: StatusCode, title: &str, text: &str, next: &str) -> Page {
    Page { class: "bad", ..plain(status, title, text, next) }
}

fn plain(status: StatusCode, title: &str, text: &str, next: &str) -> Page {
    let body = format!("{}<p class=\"next\">{}</p>\n", paragraph(text), escaped(next));
    Page { status, class: "", title: title.to_owned(), body }
}

/// As much of a foreign text as a page can bear.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}
