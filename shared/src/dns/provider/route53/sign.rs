//! Signature Version 4 (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use ring::{digest, hmac};
use url::Url;

use crate::dns::http::{Auth, MASK, Request};

/// What a request is signed with.
pub(super) struct Key<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// What stands as it is in a canonical request: all else is percent-encoded, so that what is sent is what is signed.
const UNRESERVED: [u8; 4] = *b"-._~";

/// Signs host, date, parameters and body.
pub(super) fn sign(request: &mut Request, key: &Key<'_>, now: DateTime<Utc>) {
    let date = now.format("%Y%m%dT%H%M%SZ").to_string();
    let host = host(&request.url);
    let parameters = parameters(&request.url);
    request.url.set_query(Some(parameters.as_str()).filter(|parameters| !parameters.is_empty()));
    let body =
        hex(digest::digest(&digest::SHA256, request.body.as_deref().unwrap_or_default().as_bytes()).as_ref());
    let canonical = format!(
        "{}\n{}\n{parameters}\nhost:{host}\nx-amz-date:{date}\n\nhost;x-amz-date\n{body}",
        request.method,
        request.url.path(),
    );
    let scope = format!("{}/{}/{}/aws4_request", &date[..8], key.region, key.service);
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let first = format!("AWS4{}", key.secret).into_bytes();
    let signing = [&date[..8], key.region, key.service, "aws4_request"]
        .iter()
        .fold(first, |key, part| mac(&key, part.as_bytes()));
    let header = |signature: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}",
            key.id
        )
    };
    request.auth =
        Auth::Made { shown: header(MASK), sent: header(&hex(&mac(&signing, text.as_bytes()))).into() };
    request.headers.push(("x-amz-date".to_owned(), date));
}

/// The parameters in order, each percent-encoded.
fn parameters(url: &Url) -> String {
    let mut pairs: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (encoded(&name), encoded(&value))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use secrecy::ExposeSecret as _;

    use super::*;

    /// Of AWS's own test suite: <https://docs.aws.amazon.com/general/latest/gr/samples/aws-sig-v4-test-suite.zip>.
    #[test]
    fn signatures_are_those_of_the_test_suite() {
        let key = Key {
            id: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
        };
        for (name, method, path, signature) in [
            (
                "get-vanilla",
                Method::GET,
                "/",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "post-vanilla",
                Method::POST,
                "/",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-unreserved",
                Method::GET,
                "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "get-vanilla-empty-query-key",
                Method::GET,
                "/?Param1=value1",
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "get-vanilla-query-order-key-case",
                Method::GET,
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-query-unreserved",
                Method::GET,
                "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
            ),
            (
                "get-vanilla-utf8-query",
                Method::GET,
                "/?ሴ=bar",
                "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
            ),
        ] {
            let url = format!("https://example.amazonaws.com{path}").parse().unwrap();
            let mut request = Request::new(method, url, Auth::None);
            sign(&mut request, &key, "2015-08-30T12:36:00Z".parse().unwrap());
            let Auth::Made { shown, sent } = &request.auth else { panic!("{request}") };
            let wanted = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature={signature}"
            );
            assert_eq!(sent.expose_secret(), wanted, "{name}");
            assert!(shown.ends_with("Signature=***"), "{shown}");
        }
    }

    #[test]
    fn what_is_sent_is_what_is_signed() {
        let mut request = Request::get("https://a.example/x?b=*.c d&a=%2B".parse().unwrap(), Auth::None);
        let key = Key { id: "A", secret: "s", region: "r", service: "s" };
        sign(&mut request, &key, DateTime::UNIX_EPOCH);
        assert_eq!(request.url.as_str(), "https://a.example/x?a=%2B&b=%2A.c%20d");
    }
}
