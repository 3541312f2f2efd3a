//! `fields`: which parts of an answer are wanted. <https://developers.google.com/workspace/drive/api/guides/fields-parameter>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::fake_google::refusal::Refusal;

/// What is wanted of an object: each field, and what of it; no fields: all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(BTreeMap<String, Mask>);

impl Mask {
    /// Reads `a,b(c,d/e),*`. A field that is not in `known` (all names at any depth) is refused.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Self, Refusal> {
        let invalid = || {
            Refusal::api(
                axum::http::StatusCode::BAD_REQUEST,
                "global",
                "invalidParameter",
                &format!("Invalid field selection {text}"),
            )
        };
        let mut rest = text;
        let mask = list(&mut rest).filter(|_| rest.is_empty()).ok_or_else(invalid)?;
        if mask.names().all(|name| name == "*" || known.contains(&name)) { Ok(mask) } else { Err(invalid()) }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        let mut left = vec![self];
        while let Some(mask) = left.pop() {
            names.extend(mask.0.keys().map(String::as_str));
            left.extend(mask.0.values());
        }
        names.into_iter()
    }

    /// Takes away what is not wanted.
    pub(super) fn apply(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(fields) if !self.0.is_empty() && !self.0.contains_key("*") => {
                let all = std::mem::take(fields);
                *fields =
                    all.into_iter().filter_map(|(name, value)| self.pick(name, value)).collect::<Map<_, _>>();
            }
            _ => {}
        }
    }

    fn pick(&self, name: String, mut value: Value) -> Option<(String, Value)> {
        self.0.get(&name)?.apply(&mut value);
        Some((name, value))
    }
}

/// A list up to a closing bracket or the end.
fn list(rest: &mut &str) -> Option<Mask> {
    let mut mask = Mask::default();
    loop {
        let (name, inner) = one(rest)?;
        mask.0.insert(name, inner);
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Some(mask),
        }
    }
}

fn one(rest: &mut &str) -> Option<(String, Mask)> {
    let end = rest.find([',', '(', ')', '/']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() {
        return None;
    }
    *rest = after;
    let mut inner = Mask::default();
    if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        inner = list(rest)?;
        *rest = rest.strip_prefix(')')?;
    } else if let Some(after) = rest.strip_prefix('/') {
        *rest = after;
        let (name, deeper) = one(rest)?;
        inner.0.insert(name, deeper);
    }
    Some((name.to_owned(), inner))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mask_picks_what_it_names_at_any_depth() {
        let known = ["a", "b", "c", "d"];
        let mask = Mask::read("a,b(c,d/a)", &known).unwrap();
        let mut value = json!({"a": {"x": 1}, "b": [{"c": 1, "x": 2, "d": {"a": 3, "b": 4}}], "c": 5});
        mask.apply(&mut value);
        assert_eq!(value, json!({"a": {"x": 1}, "b": [{"c": 1, "d": {"a": 3}}]}));
        Mask::read("*", &known).unwrap().apply(&mut value);
        assert_eq!(value["b"][0]["d"]["a"], 3);
    }

    #[test]
    fn a_mask_that_is_none_is_refused() {
        for text in ["", "a,", "a(b", "a(b))", "e", "a(e)", "a b"] {
            assert!(Mask::read(text, &["a", "b"]).is_err(), "{text:?}");
        }
    }
}
