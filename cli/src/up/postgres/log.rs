//! The server's log: a file that the server writes itself, kept small.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{self, StartError};
use super::folder::make;

/// Above this many bytes the log is moved to `postgres.log.1`, whose old contents go.
const LARGEST: u64 = 4 * 1024 * 1024;
/// How many lines an error shows.
const LINES: usize = 15;

/// Makes the folder of the log and returns the log's path.
pub fn open_folder(data: &Path) -> Result<PathBuf, StartError> {
    let folder = data.join("log");
    make(&folder, 0o700)?;
    Ok(folder.join("postgres.log"))
}

/// Opens the log to append to it, and says where it ends now.
pub fn open(log: &Path) -> Result<(File, u64), StartError> {
    rotate(log, LARGEST);
    let open = || {
        let mut file = OpenOptions::new().create(true).append(true).open(log)?;
        let end = file.seek(SeekFrom::End(0))?;
        Ok((file, end))
    };
    open().map_err(error::folder("open", log))
}

/// Moves a log that has grown too large to its older piece. The server goes on writing to the same file, which it
/// has open for appending; a line that it writes in this very moment may be lost.
pub fn rotate(log: &Path, largest: u64) {
    let rotate = || {
        if fs::metadata(log)?.len() <= largest {
            return Ok(());
        }
        fs::copy(log, log.with_extension("log.1"))?;
        OpenOptions::new().write(true).open(log)?.set_len(0)
    };
    match rotate() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(log = %log.display(), %error, "cannot shorten the log of PostgreSQL");
        }
        _ => {}
    }
}

/// Shortens a log that has grown too large.
pub fn keep_small(log: &Path) {
    rotate(log, LARGEST);
}

/// The last lines that were written after `from`.
pub fn tail(log: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.min(end).max(end.saturating_sub(16 * 1024))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => last_lines(&text),
        Err(error) => format!("(cannot be read: {error})"),
    }
}

/// The last lines of a text.
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_writer_goes_on_after_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("postgres.log");
        let (mut file, start) = open(&log).unwrap();
        assert_eq!(start, 0);
        writeln!(file, "old line").unwrap();
        rotate(&log, 100);
        assert!(!log.with_extension("log.1").exists(), "a small log stays");
        rotate(&log, 5);
        writeln!(file, "new line").unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "new line\n");
        assert_eq!(fs::read_to_string(log.with_extension("log.1")).unwrap(), "old line\n");
    }

    #[test]
    fn shows_only_the_last_lines_of_this_start() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("postgres.log");
        fs::write(&log, "before\n").unwrap();
        let (mut file, start) = open(&log).unwrap();
        for n in 0..40 {
            writeln!(file, "line {n}").unwrap();
        }
        let tail = tail(&log, start);
        assert!(tail.starts_with("line 25\n") && tail.ends_with("line 39"), "{tail}");
        assert_eq!(last_lines("one\ntwo\n"), "one\ntwo");
    }
}
