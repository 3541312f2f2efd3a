//! The binary `syncfleet`: one role or admin noun per subcommand, each in the file of its name.

mod admin;
mod command;
mod exit;
mod ingress;
mod migrate;
mod output;
mod progress;
mod role;
mod scheduler;
mod up;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use command::Cli;

fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return exit::unparsed(error, Cli::command()),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(&anyhow::Error::new(error).context("cannot start")),
    };
    match runtime.block_on(command::run(cli, &matches)) {
        Ok(exit) => exit.into(),
        Err(error) => exit::failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_cli() {
        Cli::command().debug_assert();
    }

    /// What clap wraps cannot be pasted into a shell. Where there is no terminal it wraps at 100.
    #[test]
    fn examples_are_not_wrapped() {
        fn look(command: &clap::Command, examples: &mut usize) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.starts_with("  ")) {
                *examples += usize::from(line.trim_start().starts_with("syncfleet"));
                assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(|sub| look(sub, examples));
        }
        let mut examples = 0;
        look(&Cli::command(), &mut examples);
        assert!(examples > 50, "{examples}");
    }
}
