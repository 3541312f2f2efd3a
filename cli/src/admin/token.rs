//! Reading a secret: from a file, a pipe, or a terminal that does not show it. Never from an argument, which others could see.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::Path,
};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

/// More is no token.
const LONGEST: u64 = 64 * 1024;

/// Reads from the file; `-` is stdin.
pub fn file_or_stdin(path: &Path) -> anyhow::Result<SecretString> {
    if path == Path::new("-") {
        all(io::stdin().lock()).context("cannot read stdin")
    } else {
        read(Some(path), "")
    }
}

/// Reads from the file if one is named, else from stdin, with a prompt if that is a terminal.
pub fn read(file: Option<&Path>, what: &str) -> anyhow::Result<SecretString> {
    let stdin = io::stdin();
    match file {
        Some(path) => {
            let place = || format!("cannot read {}", path.display());
            all(File::open(path).with_context(place)?).with_context(place)
        }
        None if stdin.is_terminal() => typed(what),
        None => all(stdin.lock()).context("cannot read stdin"),
    }
}

fn all(from: impl Read) -> io::Result<SecretString> {
    let mut text = String::new();
    // Half a secret would be taken for a whole one.
    if from.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {} KiB, which no secret is", LONGEST >> 10)));
    }
    Ok(SecretString::from(text.trim()))
}

fn typed(what: &str) -> anyhow::Result<SecretString> {
    let stdin = io::stdin();
    let mut stderr = io::stderr();
    write!(stderr, "{what} (not shown): ")?;
    stderr.flush()?;
    let silent = Silent::new().context("cannot silence the terminal: give the token by a pipe or a file")?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    drop(silent);
    writeln!(stderr)?;
    read?;
    Ok(SecretString::from(line.trim()))
}

/// The terminal shows nothing that is typed for as long as this lives.
struct Silent {
    before: Termios,
}

impl Silent {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &modes)?;
        Ok(Self { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // The shell restores its terminal, too.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
