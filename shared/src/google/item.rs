//! Lenient reading: a field that is not as promised is as good as missing, an item that cannot be used is left out, and the
//! rest of the page stands.

use metrics::counter;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use super::{Api, execute::Method};

/// A page of a list, its items unparsed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPage<'a> {
    #[serde(borrow, default, deserialize_with = "items")]
    pub(super) items: Vec<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) next_page_token: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) next_sync_token: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) access_role: Option<String>,
}

/// Tells of items that were left out.
pub(super) fn skipped(api: Api, method: Method, skipped: usize) {
    tracing::warn!(method = method.name, skipped, "items of a page could not be read and were left out");
    counter!("syncfleet_google_skipped_items_total", "api" => api.name(), "method" => method.name)
        .increment(skipped as u64);
}

/// `null` is as good as no items.
fn items<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The field, or none if it is null or of another shape. Works on text only, not on a [`Value`].
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw: &RawValue = Deserialize::deserialize(deserializer)?;
    Ok(serde_json::from_str::<Option<T>>(raw.get()).ok().flatten())
}

/// An item's text as `PostgreSQL` takes it: JSON may hold a zero character or half a surrogate pair, jsonb may not. None: it
/// cannot be made so.
pub(super) fn storable(raw: &str) -> Option<String> {
    // Escapes that are in order (an escaped backslash, a pair) come out as they were.
    let suspicious = raw
        .match_indices("\\u")
        .any(|(at, _)| raw.get(at + 2..at + 6).is_some_and(|code| code == "0000" || is_surrogate(code)));
    if !suspicious {
        return Some(raw.to_owned());
    }
    let mut value: Value = serde_json::from_str(raw).ok()?;
    drop_zeros(&mut value);
    Some(value.to_string())
}

fn is_surrogate(code: &str) -> bool {
    matches!(code.as_bytes(), [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
}

fn drop_zeros(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|c| c != '\0'),
        Value::Array(values) => values.iter_mut().for_each(drop_zeros),
        Value::Object(fields) => {
            let odd: Vec<String> = fields.keys().filter(|key| key.contains('\0')).cloned().collect();
            for key in odd {
                fields.remove(&key);
            }
            fields.values_mut().for_each(drop_zeros);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_does_not_take_is_dropped() {
        assert_eq!(storable(r#"{"a":"x y"}"#).unwrap(), r#"{"a":"x y"}"#);
        assert_eq!(
            storable(r#"{"a":"x\u0000y","b\u0000":1,"c":["\u0000"]}"#).unwrap(),
            r#"{"a":"xy","c":[""]}"#
        );
        assert_eq!(storable(r#"{"a":"\ud83d\ude00"}"#).unwrap(), "{\"a\":\"\u{1f600}\"}");
        assert_eq!(storable(r#"{"a":"\ud83d"}"#), None);
        assert_eq!(storable(r#"{"a":"\\u0000"}"#).unwrap(), r#"{"a":"\\u0000"}"#);
    }
}
