//! The admin nouns, as their users run them: the real program against a real database.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod bad_input;
mod channels;
mod dns;
mod dns_logins;
mod events;
mod feed;
mod jobs;
mod keys;
mod program;
mod quota;
mod settings;
mod sign_in;
mod tenants;
mod tls;
mod webhooks;
mod workspaces;
