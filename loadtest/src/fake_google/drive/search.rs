//! `q` of `files.list`, as far as it is played: what is in one of these folders.
//! <https://developers.google.com/workspace/drive/api/guides/search-files>

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::json;

use super::{Drive, Viewer, root_of};
use crate::fake_google::refusal::Refusal;

/// Reads `'a' in parents or 'b' in parents`; in an id `\` stands before `\` and `'`. Anything else is refused.
pub(super) fn parents(query: &str) -> Result<Vec<String>, Refusal> {
    read(query).ok_or_else(|| {
        let mut refusal = Refusal::invalid("Invalid Value");
        refusal.body["error"]["errors"][0]["location"] = json!("q");
        refusal.body["error"]["errors"][0]["locationType"] = json!("parameter");
        refusal
    })
}

fn read(query: &str) -> Option<Vec<String>> {
    let (mut rest, mut ids) = (query, Vec::new());
    loop {
        let (id, after) = quoted(rest)?;
        ids.push(id);
        rest = after.strip_prefix(" in parents")?;
        if rest.is_empty() {
            return Some(ids);
        }
        rest = rest.strip_prefix(" or ")?;
    }
}

/// A text in quotes, and what is after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('\'')?;
    let (mut value, mut chars) = (String::new(), inner.char_indices());
    while let Some((place, next)) = chars.next() {
        match next {
            '\'' if value.is_empty() => return None,
            '\'' => return Some((value, &inner[place + 1..])),
            '\\' => match chars.next()? {
                (_, escaped @ ('\\' | '\'')) => value.push(escaped),
                _ => return None,
            },
            other => value.push(other),
        }
    }
    None
}

impl Drive {
    /// What of the user's corpus, or of a shared drive, is directly in these folders, after an id, in the order of ids, so many at
    /// the most. A folder that the user does not see is not found.
    pub(super) fn in_folders<'a>(
        &'a self,
        viewer: Viewer<'_>,
        drive: Option<&str>,
        folders: &[String],
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<&'a str>, Refusal> {
        let is_seen = |id: &&String| {
            self.sees(viewer, id) || self.is_member(viewer.email, id) || **id == root_of(viewer.account)
        };
        if !folders.iter().all(|id| is_seen(&id)) {
            return Err(Refusal::api(StatusCode::NOT_FOUND, "global", "notFound", "File not found: ."));
        }
        let is_asked_for = |id: &str| match drive {
            Some(drive) => self.files.get(id).is_some_and(|file| file.drive.as_deref() == Some(drive)),
            None => self.in_corpus(viewer, id),
        };
        let inside = folders.iter().filter_map(|id| self.children.get(id.as_str())).flatten();
        let inside: BTreeSet<&str> = inside.map(|id| &**id).collect();
        let wanted = inside.into_iter().filter(|id| after.is_none_or(|after| *id > after));
        Ok(wanted.filter(|id| is_asked_for(id)).take(most).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_in_quotes_and_nothing_else_is_understood() {
        assert_eq!(read("'a' in parents").unwrap(), ["a"]);
        assert_eq!(read(r"'a-_' in parents or 'b\'\\' in parents").unwrap(), ["a-_", r"b'\"]);
        for odd in [
            "",
            "a in parents",
            "'a'",
            "'' in parents",
            "'a in parents",
            r"'a\n' in parents",
            "'a' in parents or",
            "'a' in parents or trashed = true",
            "'a' in parents and 'b' in parents",
            "('a' in parents)",
            "trashed=false",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
