//! A list of users: one address a line; `#` begins a comment.

use std::collections::HashMap;

use crate::admin::account::is_address;

/// The most users of one list.
const MOST: usize = 20_000;

/// So many faults are told.
const TOLD: usize = 20;

/// Users, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// Their addresses, in the order of the list.
    pub addresses: Vec<String>,
    /// Lines that repeat an earlier one, which stands first: they are left out.
    pub repeated: Vec<(usize, usize)>,
}

/// A line that is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which line, from 1.
    pub line: usize,
    /// What stands there, cut if it is long.
    pub text: String,
}

/// Why a list cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// Some lines are no addresses.
    #[error("{}", told(.0))]
    Lines(Vec<Fault>),
    /// It names nobody.
    #[error("it names nobody: one e-mail address a line is wanted")]
    Nobody,
    /// It names too many.
    #[error("it names {0} users: up to {MOST} are allowed")]
    TooMany(usize),
}

fn told(faults: &[Fault]) -> String {
    let one = |fault: &Fault| format!("line {}: {:?} is not an e-mail address", fault.line, fault.text);
    let mut lines: Vec<String> = faults.iter().take(TOLD).map(one).collect();
    if faults.len() > TOLD {
        lines.push(format!("and {} more lines", faults.len() - TOLD));
    }
    lines.join("; ")
}

impl Users {
    /// Reads a list. Addresses that differ only in case are one.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let (mut addresses, mut repeated, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut first: HashMap<String, usize> = HashMap::new();
        for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            if !is_address(text) {
                faults.push(Fault { line, text: text.chars().take(80).collect() });
                continue;
            }
            if let Some(earlier) = first.get(&text.to_ascii_lowercase()) {
                repeated.push((*earlier, line));
            } else {
                first.insert(text.to_ascii_lowercase(), line);
                addresses.push(text.to_owned());
            }
        }
        match addresses.len() {
            _ if !faults.is_empty() => Err(UsersError::Lines(faults)),
            0 => Err(UsersError::Nobody),
            many if many > MOST => Err(UsersError::TooMany(many)),
            _ => Ok(Self { addresses, repeated }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_passed_over_and_the_first_of_a_name_counts() {
        let text = "\u{feff}# sales\nada@example.com\r\n\n bob@example.com # the boss\nADA@example.com\n";
        let users = Users::parse(text).unwrap();
        assert_eq!(users.addresses, ["ada@example.com", "bob@example.com"]);
        assert_eq!(users.repeated, [(2, 5)]);
    }

    #[test]
    fn all_faults_are_told_with_their_lines() {
        let error = Users::parse("ada@example.com\nbob\na b@example.com\n@example.com\nx@y@z\n").unwrap_err();
        let text = error.to_string();
        for words in [
            "line 2: \"bob\"",
            "line 3: \"a b@example.com\"",
            "line 4: \"@example.com\"",
            "line 5: \"x@y@z\"",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let many = "x\n".repeat(23);
        assert!(Users::parse(&many).unwrap_err().to_string().ends_with("and 3 more lines"));
    }

    #[test]
    fn a_list_without_anybody_is_refused() {
        assert_eq!(Users::parse("# nobody\n\n"), Err(UsersError::Nobody));
        let many: Vec<String> = (0..=MOST).map(|n| format!("u{n}@example.com")).collect();
        let many = many.join("\n");
        assert_eq!(Users::parse(&many), Err(UsersError::TooMany(MOST + 1)));
    }
}
