//! Asking before something is lost.

use std::io::{self, IsTerminal, Write};

use crate::exit::Usage;

/// Says what will go and has the name typed, unless `yes`. Without a terminal to ask on, `--yes` is needed.
pub fn confirm(what: &str, name: &str, holdings: &str, yes: bool) -> anyhow::Result<()> {
    let mut stderr = io::stderr();
    writeln!(stderr, "removing {what} {name} removes for good: {holdings}")?;
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(
            Usage("there is no terminal to ask on: give --yes if that is what you want".to_owned()).into()
        );
    }
    write!(stderr, "Type the name to confirm: ")?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    anyhow::ensure!(line.trim() == name, "not confirmed: nothing was removed");
    Ok(())
}
