//! Objects in a bucket: `<prefix>/<key>`. Parts are those of a multipart upload.
//!
//! A worker that dies between the beginning of an upload and the note of it in the database leaves an upload without parts. A
//! rule of the bucket's life cycle that aborts old multipart uploads takes it away.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    ClientOptions, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::{HttpClient, HttpConnector},
    multipart::{MultipartStore, PartId},
    path::Path,
};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::{Bucket, ObjectError, PART, PartSize, Upload};
use crate::tls;

/// No part but the last may be shorter, no upload has more parts, and no object is larger:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>. Other services have these limits, too.
const LEAST_PART: u64 = 5 << 20;
const PARTS: u64 = 10_000;
pub(super) const LARGEST: u64 = 5 << 40;

/// How long a request may take, its body included: a part, over a slow line.
const LIMIT: Duration = Duration::from_mins(1);

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The length of a part after so many others, with so many bytes to come. Whatever the parts are that this allows, there are no more
/// than [`PARTS`]: a short one is allowed only while usual ones after it can hold the rest.
pub(super) fn next_part(parts: u64, rest: u64) -> PartSize {
    let left = PARTS.saturating_sub(parts).max(1);
    let usual = rest.div_ceil(left).max(PART as u64);
    let least = if rest <= (left - 1) * PART as u64 { LEAST_PART } else { usual };
    PartSize { least, usual }
}

#[derive(Debug, Clone)]
pub(super) struct S3 {
    store: Arc<AmazonS3>,
    prefix: Path,
}

/// Makes clients with the TLS of all others here.
#[derive(Debug)]
struct Connector {
    encrypted: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
            store: "S3",
            source,
        };
        let tls = tls::client(self.encrypted).map_err(|error| failed(error.into()))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| failed(error.into()))?;
        Ok(HttpClient::new(client))
    }
}

impl S3 {
    pub(super) fn new(bucket: &Bucket) -> anyhow::Result<Self> {
        let plain = bucket.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
        let retry =
            RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.access_key_id)
            .with_secret_access_key(bucket.secret_access_key.expose_secret())
            .with_allow_http(plain)
            .with_retry(retry)
            .with_http_connector(Connector { encrypted: !plain });
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        let store = Arc::new(builder.build().context("the bucket's settings cannot be used")?);
        Ok(Self { store, prefix: Path::from(bucket.prefix.as_str()) })
    }

    fn path(&self, key: Uuid) -> Path {
        self.prefix.clone().join(key.to_string())
    }

    pub(super) async fn put(&self, key: Uuid, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.store
            .put(&self.path(key), bytes.into())
            .await
            .with_context(|| format!("cannot write the object {key}"))?;
        Ok(())
    }

    pub(super) async fn begin(&self, key: Uuid) -> anyhow::Result<String> {
        let begun = self.store.create_multipart(&self.path(key)).await;
        begun.with_context(|| format!("cannot begin the upload {key}"))
    }

    pub(super) async fn part(&self, upload: &Upload, bytes: Vec<u8>) -> Result<String, ObjectError> {
        let (key, id) = (upload.key, id(upload)?);
        match self.store.put_part(&self.path(key), id, upload.parts.len(), bytes.into()).await {
            Ok(part) => Ok(part.content_id),
            Err(error) => Err(failed(key, error)),
        }
    }

    pub(super) async fn finish(&self, upload: &Upload) -> Result<(), ObjectError> {
        let (key, path) = (upload.key, self.path(upload.key));
        let parts = upload.parts.iter().map(|tag| PartId { content_id: tag.clone() }).collect();
        let Err(error) = self.store.complete_multipart(&path, id(upload)?, parts).await else {
            return Ok(());
        };
        // Somebody may have finished it before: then the upload is gone and the object is there.
        match self.store.head(&path).await {
            Ok(whole) if whole.size == upload.received => Ok(()),
            _ => Err(failed(key, error)),
        }
    }

    pub(super) async fn read(
        &self,
        key: Uuid,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Vec<u8>>>> {
        let found =
            self.store.get(&self.path(key)).await.with_context(|| format!("cannot read the object {key}"))?;
        Ok(found.into_stream().map_ok(Vec::from).map_err(anyhow::Error::from).boxed())
    }

    pub(super) async fn remove(&self, key: Uuid, upload: Option<&str>) -> anyhow::Result<()> {
        let path = self.path(key);
        if let Some(upload) = upload {
            gone(self.store.abort_multipart(&path, &upload.to_owned()).await)?;
        }
        gone(self.store.delete(&path).await)
    }
}

fn id(upload: &Upload) -> Result<&String, ObjectError> {
    upload
        .id
        .as_ref()
        .ok_or_else(|| ObjectError::Lost { key: upload.key, why: "it was never begun".to_owned() })
}

/// What is not there is as good as gone.
fn gone(result: object_store::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(error.into()),
        _ => Ok(()),
    }
}

/// An upload that the service does not know, or whose parts are not those that were named, is lost:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>.
fn failed(key: Uuid, error: object_store::Error) -> ObjectError {
    let text = error.to_string();
    let lost = matches!(error, object_store::Error::NotFound { .. })
        || ["NoSuchUpload", "InvalidPart", "EntityTooSmall"].iter().any(|code| text.contains(code));
    if lost {
        return ObjectError::Lost { key, why: text };
    }
    anyhow::Error::new(error).context(format!("cannot write a part of {key}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of an object if each is as short as it may be, or as long as usual. The longest, too.
    fn parts(size: u64, short: bool) -> (u64, u64) {
        let (mut parts, mut rest, mut longest) = (0, size, 0);
        while rest > 0 {
            let part = next_part(parts, rest);
            assert!(LEAST_PART <= part.least && part.least <= part.usual, "{part:?}");
            let length = if short { part.least } else { part.usual }.min(rest);
            (parts, rest, longest) = (parts + 1, rest - length, longest.max(length));
        }
        (parts, longest)
    }

    #[test]
    fn no_object_has_too_many_parts_and_small_ones_have_short_ones() {
        for size in [1, 2 << 30, 100 << 30, PARTS * PART as u64, PARTS * PART as u64 + 1, 1 << 40, LARGEST] {
            for short in [false, true] {
                let (parts, longest) = parts(size, short);
                assert!(parts <= PARTS, "{size}: {parts} parts");
                assert!(longest <= size.div_ceil(PARTS).max(PART as u64), "{size}: a part of {longest}");
            }
        }
    }
}
