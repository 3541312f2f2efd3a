//! The admin nouns, as their users run them: the real program against a real database.

mod accounts;
mod bad_input;
mod jobs;
mod program;
mod settings;
mod tenants;
