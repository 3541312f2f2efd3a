//! The pages that people see when they sign in: plain HTML, no script, nothing from elsewhere.

mod failed;

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;
use shared::{
    admin::account::Account,
    google::{Google, scopes::Need},
    store::sign_in_links::LinkRow,
};

pub(super) use self::failed::failed;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2430; --soft: #566273; --paper: #f4f6f9; --card: #fff; --line: #d9dfe7;
  --act: #1a56c4; --on-act: #fff; --good: #0f7a3d; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9edf3; --soft: #a5b1c2; --paper: #11161d; --card: #1a212b;
  --line: #333e4d; --act: #8ab4ff; --on-act: #0b1526; --good: #6fd694; --bad: #ff9a90; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }
main { width: 100%; max-width: 33rem; padding: 2rem 2.25rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; }
.brand { margin: 0 0 1.25rem; color: var(--soft); font-size: .875rem; font-weight: 600; letter-spacing: .04em; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; }
.good h1 { color: var(--good); }
.bad h1 { color: var(--bad); }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
ul { margin: 0 0 1.25rem; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: 10px; }
li { display: flex; gap: .75rem; padding: .65rem .9rem; }
li + li { border-top: 1px solid var(--line); }
li b { flex: 1; font-weight: 500; }
li span { color: var(--soft); }
li .yes { color: var(--good); font-weight: 600; }
li .no { color: var(--bad); font-weight: 600; }
button { width: 100%; padding: .8rem 1rem; border: 0; border-radius: 10px; background: var(--act); color: var(--on-act);
  font: inherit; font-weight: 600; cursor: pointer; }
button:hover { filter: brightness(1.08); }
button:focus-visible { outline: 3px solid var(--act); outline-offset: 3px; }
.next { margin-bottom: 0; font-weight: 600; }
.note { margin: 1.25rem 0 0; color: var(--soft); font-size: .875rem; }
";

/// The hash by which the policy knows the style sheet: <https://www.w3.org/TR/CSP3/#match-element-to-source-list>.
static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes())));

/// A page.
pub(super) struct Page {
    status: StatusCode,
    /// The class of the page: good, bad or none.
    class: &'static str,
    title: String,
    /// HTML.
    body: String,
}

/// What goes with every answer: nothing of it is kept, framed, or told to where a link leads. `form_to`: where else than here
/// the page's form may lead.
pub(super) fn headers(form_to: &str) -> [(HeaderName, HeaderValue); 6] {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action 'self' {form_to}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH
    );
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ]
}

impl Page {
    /// The answer with this page.
    pub(super) fn response(self, form_to: &str) -> Response {
        let Self { status, class, title, body } = self;
        let title = escaped(&title);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
            <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
            <title>{title} - syncfleet</title>\n<style>{STYLE}</style>\n</head>\n\
            <body>\n<main class=\"{class}\">\n<p class=\"brand\">syncfleet</p>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
        );
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (status, headers(form_to), kind, html).into_response()
    }
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
    html
}

/// A paragraph of text.
fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

/// Each thing that is asked for, with a word on it.
fn features(google: &Google, word: impl Fn(&Need) -> (&'static str, &'static str)) -> String {
    let mut html = "<ul>\n".to_owned();
    for need in google.asked_for() {
        let (class, word) = word(need);
        // Writing to a string does not fail.
        let _ = writeln!(
            html,
            "<li><b>{}</b><span class=\"{class}\">{word}</span></li>",
            escaped(&sentence(need.what))
        );
    }
    html + "</ul>\n"
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a link asks for, with the button that leads to Google. `secret`: the link's.
pub(super) fn invitation(google: &Google, link: &LinkRow, secret: &str) -> Page {
    let tenant = &link.tenant_name;
    let (title, asks) = match &link.email {
        Some(email) => (
            "Sign in again".to_owned(),
            format!("{tenant} asks you to sign in again as {email}, so that this account is kept in step."),
        ),
        None => (
            format!("Connect your Google account with {tenant}"),
            format!(
                "{tenant} asks for leave to read the following of your Google account, and to keep its copy up to date."
            ),
        ),
    };
    let body = format!(
        "{}{}<form method=\"post\" action=\"start\">\n<input type=\"hidden\" name=\"link\" value=\"{}\">\n\
        <button type=\"submit\">Sign in with Google</button>\n</form>\n<p class=\"note\">{}</p>\n",
        paragraph(&asks),
        features(google, |_| ("", "read only")),
        escaped(secret),
        escaped(
            "Google asks you to confirm, and you may leave out what you do not want to share. Nothing of your account is \
            changed. If you did not expect this page, close it."
        ),
    );
    Page { status: StatusCode::OK, class: "", title, body }
}

/// The end of a sign-in that was stored.
pub(super) fn signed_in(google: &Google, account: &Account, is_new: bool) -> Page {
    let granted = account.scopes.as_deref().unwrap_or_default();
    let title = if is_new { "Your account is connected" } else { "You are signed in again" };
    let mut body = paragraph(&format!(
        "{} is connected with {}. The first copy is on its way; you need not wait for it.",
        account.email, account.tenant
    ));
    if !is_new {
        body = paragraph(&format!(
            "{} is connected with {} and is kept in step again.",
            account.email, account.tenant
        ));
    }
    body +=
        &features(google, |need| if need.is_met(granted) { ("yes", "shared") } else { ("no", "not shared") });
    if !google.asked_for().all(|need| need.is_met(granted)) {
        body += &paragraph(
            "What you did not share is not read. To share it after all, ask for a new link and tick it at Google.",
        );
    }
    body += "<p class=\"note\">You may close this page. Access can be taken back at any time, at \
        myaccount.google.com/connections.</p>\n";
    Page { status: StatusCode::OK, class: "good", title: title.to_owned(), body }
}
