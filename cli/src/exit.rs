//! How the program ends: exit codes, and the one place where errors are printed.

use std::{io::Write, process::ExitCode};

use clap::error::{ContextKind, ContextValue};
use shared::{admin::AdminError, config::Invalid, store};

/// What `--help` says of exit codes.
pub const HELP: &str = "Exit codes:
  0  done
  1  failed
  2  wrong usage: unknown flag, kind or setting
  3  not what was asked for: nothing of that name, or the jobs were parked
  4  not done in time (--wait --timeout)";

/// An end that is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// As asked.
    Done,
    /// A check failed; it has said so itself.
    Failed,
    /// Not what was asked for; it has said so itself.
    Other,
    /// Not done in time.
    Late,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Other => 3,
            Exit::Late => 4,
        })
    }
}

/// The command makes no sense as it was given: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Prints the error with its causes, on one line, and says the exit code.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    if let Some(io) = error.downcast_ref::<std::io::Error>()
        && io.kind() == std::io::ErrorKind::BrokenPipe
    {
        // The reader has seen enough: `syncfleet job ls | head`.
        return ExitCode::SUCCESS;
    }
    // If even stderr is closed, the exit code has to do.
    let _ = writeln!(std::io::stderr(), "error: {}", chain(error));
    ExitCode::from(code(error))
}

/// Prints what clap has to say: help, or what is wrong with the flags. A wrong value may come from the environment, so that
/// name is told, too.
pub fn unparsed(mut error: clap::Error, mut command: clap::Command) -> ExitCode {
    if let Some(usage) = usage(&error, command.clone()) {
        error.insert(ContextKind::Usage, usage);
    }
    // Only a built command can print its flags.
    command.build();
    // As clap's own exit: what cannot be printed has to be left.
    let _ = error.print();
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && let Some(variable) = variable(&command, flag)
    {
        let _ = writeln!(std::io::stderr(), "\nThe value may come from the environment variable {variable}.");
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The usage line, of what was typed alone. What the environment gives counts for clap as typed, and would stand there as if it had to be.
fn usage(error: &clap::Error, command: clap::Command) -> Option<ContextValue> {
    fn without_environment(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.env(None::<&'static str>)).mut_subcommands(without_environment)
    }
    let again = without_environment(command).try_get_matches().err()?;
    again.get(ContextKind::Usage).filter(|_| again.kind() == error.kind()).cloned()
}

/// The environment variable behind a flag as clap prints it: `--runs-keep <TIME>`.
fn variable(command: &clap::Command, flag: &str) -> Option<String> {
    let here = command.get_arguments().filter(|arg| arg.to_string() == flag).find_map(clap::Arg::get_env);
    here.map(|name| name.to_string_lossy().into_owned())
        .or_else(|| command.get_subcommands().find_map(|sub| variable(sub, flag)))
}

fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<AdminError>() {
        Some(AdminError::NotFound { .. }) => return 3,
        Some(AdminError::UnknownKind { .. } | AdminError::Invalid(_)) => return 2,
        Some(
            AdminError::Refused(_)
            | AdminError::OtherAccount { .. }
            | AdminError::NoRefreshToken
            | AdminError::Database(_),
        )
        | None => {}
    }
    if error.is::<Invalid>() || error.is::<Usage>() { 2 } else { 1 }
}

/// The error and its causes. A cause that its error has told already is not told again.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let database = cause.downcast_ref::<sqlx::Error>();
        let said = database.map_or_else(|| cause.to_string(), store::said);
        if text.is_empty() {
            text = said;
        } else if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        // What comes below it says the same once more.
        if database.is_some() {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("refused").context("cannot reach it: refused").context("no list");
        assert_eq!(chain(&error), "no list: cannot reach it: refused");
    }

    #[test]
    fn codes_tell_bad_usage_from_what_is_not_there() {
        assert_eq!(code(&anyhow::anyhow!("x")), 1);
        assert_eq!(code(&Usage("x".to_owned()).into()), 2);
        assert_eq!(code(&Invalid::new("DATABASE_URL", "not set").into()), 2);
        assert_eq!(code(&AdminError::Invalid("x".to_owned()).into()), 2);
        assert_eq!(code(&AdminError::Refused("x".to_owned()).into()), 1);
        let missing = AdminError::NotFound { what: "tenant", which: "x".to_owned(), hint: String::new() };
        assert_eq!(code(&anyhow::Error::new(missing).context("while looking")), 3);
    }
}
