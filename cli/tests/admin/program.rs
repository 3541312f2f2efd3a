//! The program under test.

use std::{
    io::Write,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use sqlx::{ConnectOptions, PgPool};

/// The program with its settings.
pub struct Program {
    env: Vec<(String, String)>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Without any setting.
    pub fn bare() -> Self {
        Self { env: vec![("USER".to_owned(), "ada".to_owned())] }
    }

    /// With the test's database.
    pub fn with(db: &PgPool) -> Self {
        Self::bare().env("DATABASE_URL", db.connect_options().to_url_lossy().as_str())
    }

    /// With one more setting.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With more settings.
    pub fn envs<const N: usize>(self, settings: [(&'static str, String); N]) -> Self {
        settings.into_iter().fold(self, |program, (name, value)| program.env(name, &value))
    }

    /// Starts it. Nobody sits at a terminal.
    pub fn start(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_syncfleet"))
            .args(args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs it with something on stdin.
    pub fn fed(&self, args: &[&str], stdin: &str) -> Ended {
        let mut child = self.start(args);
        // A program that has refused its flags does not read any more.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        ended(child.wait_with_output().unwrap())
    }

    /// Runs it.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.fed(args, "")
    }

    /// Runs it, expects success and gives stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        ended.stdout
    }

    /// Runs it with `-o json`, expects success and gives the JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["-o", "json"]].concat())).unwrap()
    }

    /// Runs it and expects that exit code, and those words on stderr, and no result.
    pub fn refused(&self, args: &[&str], code: i32, words: &[&str]) -> Ended {
        let ended = self.run(args);
        ended.is_refusal(code, words);
        ended
    }
}

impl Ended {
    /// Checks that it is a clear error with that code.
    pub fn is_refusal(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing: {}", self.stderr);
        }
        for noise in ["panicked", "RUST_BACKTRACE", "Error {", "Some("] {
            assert!(!self.stderr.contains(noise), "{}", self.stderr);
        }
    }
}

pub fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
