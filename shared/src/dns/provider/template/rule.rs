use serde::{Deserialize, Serialize};

use crate::dns::{http::Reply, provider::FieldError};

/// A rule for answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// A status of 200 to 299, and the first word of the text is one of these.
    FirstWord(Vec<String>),
    /// A status of 200 to 299, and one line of the text is just this.
    Line(String),
    /// A status of 200 to 299, and a field of the JSON has this value.
    Json {
        /// Where: RFC 6901, as `/result/0/ok`.
        pointer: String,
        /// What stands there.
        is: serde_json::Value,
    },
    /// One of these statuses, and no web page.
    Status(Vec<u16>),
}

impl Rule {
    pub(super) fn check(&self, field: &str) -> Result<(), FieldError> {
        let fits = match self {
            Self::FirstWord(words) => {
                !words.is_empty()
                    && words.iter().all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
            }
            Self::Line(line) => !line.trim().is_empty() && !line.contains('\n'),
            Self::Json { pointer, .. } => pointer.starts_with('/'),
            Self::Status(statuses) => {
                !statuses.is_empty()
                    && statuses
                        .iter()
                        .all(|status| (200..600).contains(status) && !(300..400).contains(status))
            }
        };
        if fits {
            return Ok(());
        }
        Err(FieldError::new(
            field,
            "allowed are words without blanks, a line that is not empty, a pointer that begins with /, statuses from 200, none of 300 to 399",
        ))
    }

    pub(super) fn holds(&self, reply: &Reply) -> bool {
        let good = reply.status.is_success();
        !reply.is_page()
            && match self {
                Self::FirstWord(words) => {
                    let first = reply.body.split_whitespace().next();
                    good && first.is_some_and(|first| words.iter().any(|word| word == first))
                }
                Self::Line(line) => good && reply.body.lines().any(|found| found.trim() == line.trim()),
                Self::Json { pointer, is } => {
                    good && reply.json().is_some_and(|body| body.pointer(pointer) == Some(is))
                }
                Self::Status(statuses) => statuses.contains(&reply.status.as_u16()),
            }
    }
}
