//! `completions`: for shells.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{command::Cli, exit::Exit};

/// Print a shell's completions
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet completions bash > /etc/bash_completion.d/syncfleet
  syncfleet completions zsh > \"${fpath[1]}/_syncfleet\"")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "syncfleet", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(Exit::Done)
}
