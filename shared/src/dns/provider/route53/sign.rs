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

/// Signs host, date and body. The request must have no parameters.
pub(super) fn sign(request: &mut Request, key: &Key<'_>, now: DateTime<Utc>) {
    let date = now.format("%Y%m%dT%H%M%SZ").to_string();
    let host = host(&request.url);
    let body =
        hex(digest::digest(&digest::SHA256, request.body.as_deref().unwrap_or_default().as_bytes()).as_ref());
    let canonical = format!(
        "{}\n{}\n\nhost:{host}\nx-amz-date:{date}\n\nhost;x-amz-date\n{body}",
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
    use secrecy::ExposeSecret as _;

    use super::*;

    /// `get-vanilla` of AWS's own test suite:
    /// <https://docs.aws.amazon.com/general/latest/gr/samples/aws-sig-v4-test-suite.zip>.
    #[test]
    fn a_signature_is_that_of_the_test_suite() {
        let mut request = Request::get("https://example.amazonaws.com/".parse().unwrap(), Auth::None);
        let key = Key {
            id: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
        };
        sign(&mut request, &key, "2015-08-30T12:36:00Z".parse().unwrap());
        let Auth::Made { shown, sent } = &request.auth else { panic!("{request}") };
        assert_eq!(
            sent.expose_secret(),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert!(shown.ends_with("Signature=***"), "{shown}");
    }
}
