//! The contents of Drive's files: <https://developers.google.com/workspace/drive/api/guides/manage-downloads>.
//!
//! The generated crates can send no `Range` and no resource key, so these calls are made by reqwest. The status is looked at before a
//! byte is given on: what explains a refusal is never content. Files that Google calls abusive are not asked for again with
//! `acknowledgeAbuse`.

use std::time::Duration;

use reqwest::{
    Response, StatusCode,
    header::{CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, RANGE},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;
use url::Url;

use super::{
    Api, Google,
    auth::AccessToken,
    errors::{Answer, CallError, Class, classify},
    execute::{Method, count},
    item::lenient,
};
use crate::{job::AccountId, retry_after::retry_after};

/// How long Google may take to begin its answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// No explanation of a refusal is read further.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Units: <https://developers.google.com/workspace/drive/api/guides/limits>.
const DOWNLOAD: u32 = 200;
const READ: u32 = 5;

/// Reasons for which Google gives the content of this file to nobody, or not to this account:
/// <https://developers.google.com/workspace/drive/api/guides/handle-errors>.
const REFUSALS: [&str; 8] = [
    "cannotDownloadAbusiveFile",
    "cannotDownloadFile",
    "downloadQuotaExceeded",
    "exportSizeLimitExceeded",
    "fileNotDownloadable",
    "fileNotExportable",
    "insufficientFilePermissions",
    "invalidSharingRequest",
];

/// A file, as a call names it.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Google's id.
    pub id: &'a str,
    /// What its link needs.
    pub resource_key: Option<&'a str>,
}

/// What is there now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The revision of the content; none: Google's own documents.
    #[serde(default, deserialize_with = "lenient")]
    pub head_revision_id: Option<String>,
    /// The checksum of the content.
    #[serde(default, deserialize_with = "lenient")]
    pub md5_checksum: Option<String>,
}

/// Why there is no content.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A state of the content: Google does not give it, and says why.
    #[error("{what}")]
    Refused {
        /// Google's word for it.
        reason: String,
        /// Its sentence.
        what: String,
    },
    /// The part that was asked for does not fit what is there: it is other content by now.
    #[error("the content is not what it was: {0}")]
    Other(String),
}

/// Content that comes.
#[derive(Debug)]
pub struct Content {
    method: Method,
    response: Response,
    /// Bytes that were not asked for and come all the same.
    skip: u64,
}

impl Content {
    /// More bytes; none: that was all. One that says its length and ends before is an error.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            let Some(chunk) = self.response.chunk().await.map_err(|error| broken(self.method, error))? else {
                return Ok(None);
            };
            let length = chunk.len() as u64;
            if self.skip >= length {
                self.skip -= length;
                continue;
            }
            let from = usize::try_from(self.skip).unwrap_or_default();
            self.skip = 0;
            return Ok(Some(chunk[from..].to_vec()));
        }
    }
}

impl Google {
    /// The content of a file from a byte on. A server that sends all of it is as good: what comes before is left out.
    pub async fn content(
        &self,
        db: &PgPool,
        account: AccountId,
        file: File<'_>,
        from: u64,
    ) -> Result<Content, MediaError> {
        let method = Method { name: "files.get media", with_token: false, cost: DOWNLOAD };
        let mut url = self.file_url(file, &[]);
        url.query_pairs_mut().append_pair("alt", "media").append_pair("supportsAllDrives", "true");
        let mut headers = headers(file);
        if from > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        let response = self.get(db, account, method, &url, &headers).await?;
        let skip = match (response.status(), from) {
            (StatusCode::OK, from) => from,
            (StatusCode::PARTIAL_CONTENT, 1..) => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
                if range.and_then(first) != Some(from) {
                    let range = super::errors::quote(range.unwrap_or("nothing"));
                    return Err(MediaError::Other(format!(
                        "the part from byte {from} was answered with {range}"
                    )));
                }
                0
            }
            (status, _) => {
                return Err(
                    failed(method, format!("Google answered {status} where content was asked for")).into()
                );
            }
        };
        Ok(Content { method, response, skip })
    }

    /// One of Google's own documents, exported. Google exports no more than 10 MB.
    pub async fn export(
        &self,
        db: &PgPool,
        account: AccountId,
        file: File<'_>,
        format: &str,
    ) -> Result<Content, MediaError> {
        let method = Method { name: "files.export", with_token: false, cost: DOWNLOAD };
        let mut url = self.file_url(file, &["export"]);
        url.query_pairs_mut().append_pair("mimeType", format);
        let response = self.get(db, account, method, &url, &headers(file)).await?;
        match response.status() {
            StatusCode::OK => Ok(Content { method, response, skip: 0 }),
            status => {
                Err(failed(method, format!("Google answered {status} where an export was asked for")).into())
            }
        }
    }

    /// What is there now.
    pub async fn head(&self, db: &PgPool, account: AccountId, file: File<'_>) -> Result<Head, MediaError> {
        let method = Method { name: "files.get", with_token: false, cost: READ };
        let mut url = self.file_url(file, &[]);
        url.query_pairs_mut()
            .append_pair("fields", "headRevisionId,md5Checksum")
            .append_pair("supportsAllDrives", "true");
        let response = self.get(db, account, method, &url, &headers(file)).await?;
        let body = response.text().await.map_err(|error| broken(method, error))?;
        Ok(serde_json::from_str(&body)
            .map_err(|error| failed(method, format!("the answer is not JSON ({error})")))?)
    }

    fn file_url(&self, file: File<'_>, more: &[&str]) -> Url {
        let mut url = self.0.config.drive_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["files", file.id]).extend(more);
        }
        url
    }

    /// Makes a call, if the budget has units for it. After a 401 the access token is refreshed once and the call is made again.
    async fn get(
        &self,
        db: &PgPool,
        account: AccountId,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response, MediaError> {
        let token = self.access_token(db, account, None).await.map_err(CallError::from)?;
        match self.get_once(db, account, &token, method, url, headers).await {
            Err(MediaError::Call(CallError::Call { class: Class::Unauthorized, .. })) => {
                let token = self.access_token(db, account, Some(&token)).await.map_err(CallError::from)?;
                self.get_once(db, account, &token, method, url, headers).await
            }
            result => result,
        }
    }

    async fn get_once(
        &self,
        db: &PgPool,
        account: AccountId,
        token: &AccessToken,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response, MediaError> {
        self.spend(db, Api::Drive, account, token.project(), method.cost).await.map_err(CallError::from)?;
        let request = self
            .0
            .media
            .get(url.clone())
            .headers(headers.clone())
            .bearer_auth(token.secret().expose_secret());
        let response = match tokio::time::timeout(ANSWER_LIMIT, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                count(Api::Drive, method.name, "none");
                return Err(broken(method, error).into());
            }
            Err(_) => {
                count(Api::Drive, method.name, "none");
                let what = format!("no answer within {} s", ANSWER_LIMIT.as_secs());
                return Err(failed(method, what).into());
            }
        };
        count(Api::Drive, method.name, response.status().as_str());
        if response.status().is_success() {
            return Ok(response);
        }
        let mut error = refusal(method, response).await;
        if let MediaError::Call(CallError::Call { class, .. }) = &mut error {
            *class = self.refused(db, Api::Drive, account, token.project(), *class).await;
        }
        Err(error)
    }
}

/// Sorts an answer that is not 2xx.
async fn refusal(method: Method, mut response: Response) -> MediaError {
    let (status, after) = (response.status(), retry_after(response.headers()));
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        return MediaError::Other("it ends before the part that was asked for".to_owned());
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_REFUSAL {
            break;
        }
    }
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    let answer = Answer::new(status.as_u16(), body.as_ref());
    let class = classify(&answer, false);
    let what = answer.to_string();
    match answer.reason() {
        Some(reason)
            if status == StatusCode::FORBIDDEN && REFUSALS.contains(&reason) || class == Class::Gone =>
        {
            MediaError::Refused { reason: super::errors::quote(answer.reason().unwrap_or(reason)), what }
        }
        _ => CallError::Call { method: method.name, class, after, what }.into(),
    }
}

fn headers(file: File<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let key = file.resource_key.and_then(|key| HeaderValue::try_from(format!("{}/{key}", file.id)).ok());
    if let Some(key) = key {
        headers.insert(HeaderName::from_static("x-goog-drive-resource-keys"), key);
    }
    headers
}

/// The first byte of a `Content-Range` (RFC 9110, section 14.4).
fn first(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

fn broken(method: Method, error: reqwest::Error) -> CallError {
    let error = error.without_url();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    failed(method, causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn failed(method: Method, what: String) -> CallError {
    CallError::Call { method: method.name, class: Class::Retry, after: None, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_a_range() {
        assert_eq!(first("bytes 42-99/100"), Some(42));
        assert_eq!(first("bytes 6442450944-6442450999/*"), Some(6 << 30));
        for bad in ["", "bytes */100", "items 0-1/2", "bytes -5/10", "bytes x-5/10"] {
            assert_eq!(first(bad), None, "{bad}");
        }
    }
}
