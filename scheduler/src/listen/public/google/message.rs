use axum::http::HeaderMap;

/// A notification's headers, as far as they are of use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) channel: &'a str,
    /// Empty if there is none.
    pub(super) token: &'a str,
    pub(super) resource_id: &'a str,
    /// The channel's first message. Any other state, whatever its word, tells of a change.
    pub(super) sync: bool,
}

impl<'a> Message<'a> {
    /// Reads the headers. The error names the one that is missing or cannot be.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, &'static str> {
        let number = header(headers, "x-goog-message-number", 20)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("x-goog-message-number");
        }
        Ok(Self {
            channel: header(headers, "x-goog-channel-id", 64)?,
            token: if headers.contains_key("x-goog-channel-token") {
                header(headers, "x-goog-channel-token", 256)?
            } else {
                ""
            },
            resource_id: header(headers, "x-goog-resource-id", 256)?,
            sync: header(headers, "x-goog-resource-state", 64)? == "sync",
        })
    }
}

/// A header of visible ASCII that comes once.
fn header<'a>(headers: &'a HeaderMap, name: &'static str, longest: usize) -> Result<&'a str, &'static str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).ok_or(name)?;
    let fits = (1..=longest).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && values.next().is_none() { Ok(value) } else { Err(name) }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("x-goog-channel-id", "c"),
        ("x-goog-channel-token", "t"),
        ("x-goog-message-number", "10"),
        ("x-goog-resource-id", "r"),
        ("x-goog-resource-state", "exists"),
    ];

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn any_state_but_sync_tells_of_a_change() {
        for (state, sync) in [("sync", true), ("exists", false), ("not_exists", false), ("changed", false)] {
            let all = headers(&[&GOOD[..4], &[("x-goog-resource-state", state)]].concat());
            let message = Message { channel: "c", token: "t", resource_id: "r", sync };
            assert_eq!(Message::read(&all), Ok(message));
        }
    }

    #[test]
    fn what_is_missing_or_odd_is_named() {
        for (place, (name, _)) in GOOD.iter().enumerate() {
            let mut some = GOOD.to_vec();
            some.remove(place);
            let some = headers(&some);
            let read = Message::read(&some);
            // A token that is missing is as good as a wrong one, which is told by who checks it.
            if *name == "x-goog-channel-token" {
                assert_eq!(read.unwrap().token, "");
            } else {
                assert_eq!(read, Err(*name));
            }
            for bad in ["", "a b", "ä", &"x".repeat(300)] {
                let mut some = headers(&GOOD);
                some.insert(*name, HeaderValue::from_bytes(bad.as_bytes()).unwrap());
                assert_eq!(Message::read(&some), Err(*name), "{bad:?}");
            }
            let mut some = headers(&GOOD);
            some.append(*name, HeaderValue::from_static("1"));
            assert_eq!(Message::read(&some), Err(*name), "twice");
        }
    }
}
