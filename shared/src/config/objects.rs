//! The object store.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Invalid, given, local};
use crate::objects::{self, Bucket};

const OBJECTS: &str = "SYNCFLEET_OBJECTS";
const ENDPOINT: &str = "SYNCFLEET_OBJECTS_ENDPOINT";
const ACCESS_KEY: &str = "SYNCFLEET_OBJECTS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "SYNCFLEET_OBJECTS_SECRET_ACCESS_KEY";

/// Where the contents of files are kept.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Object store")]
pub struct Objects {
    /// A folder that all workers share, or the URL of a bucket
    #[arg(id = "objects", long = "objects", env = OBJECTS, value_name = "FOLDER|URL")]
    pub store: Option<String>,
    /// The S3-compatible service, if it is not AWS
    #[arg(id = "objects_endpoint", long = "objects-endpoint", env = ENDPOINT, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The region of the bucket
    #[arg(
        id = "objects_region",
        long = "objects-region",
        env = "SYNCFLEET_OBJECTS_REGION",
        value_name = "REGION",
        default_value = "us-east-1"
    )]
    pub region: String,
    /// The access key of the bucket
    #[arg(id = "objects_access_key_id", long = "objects-access-key-id", env = ACCESS_KEY, value_name = "ID")]
    pub access_key_id: Option<String>,
    /// Its secret. Better in the environment than here
    #[arg(
        id = "objects_secret_access_key",
        long = "objects-secret-access-key",
        env = SECRET_KEY,
        hide_env_values = true,
        value_name = "SECRET",
        value_parser = super::secret
    )]
    pub secret_access_key: Option<SecretString>,
}

/// What the settings name.
#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Bucket(Bucket),
}

impl Objects {
    /// Whether a store is named.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.store.as_deref().is_some_and(|place| !place.trim().is_empty())
    }

    /// The store; none: none is named.
    pub fn open(&self) -> anyhow::Result<Option<objects::Objects>> {
        match self.place()? {
            None => Ok(None),
            Some(Place::Folder(folder)) => objects::Objects::in_folder(&folder).map(Some),
            Some(Place::Bucket(bucket)) => objects::Objects::in_bucket(&bucket).map(Some),
        }
    }

    /// The store, for a command that cannot do without.
    pub fn required(&self) -> anyhow::Result<objects::Objects> {
        let missing =
            || Invalid::new(OBJECTS, "not set: name the folder or the bucket in which the contents are kept");
        Ok(self.open()?.ok_or_else(missing)?)
    }

    fn place(&self) -> Result<Option<Place>, Invalid> {
        let Some(text) = self.store.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let Some(rest) = text.strip_prefix("s3://") else {
            if text.contains("://") {
                return Err(Invalid::new(
                    OBJECTS,
                    format_args!("{text:?}: a folder or s3://BUCKET[/PREFIX] is allowed"),
                ));
            }
            return Ok(Some(Place::Folder(PathBuf::from(text))));
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        {
            return Err(Invalid::new(
                OBJECTS,
                format_args!("{text:?} names no bucket: s3://BUCKET[/PREFIX] is allowed"),
            ));
        }
        let access_key_id = self.access_key_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        let missing =
            |setting| Invalid::new(setting, "not set: a bucket needs both, the access key and its secret");
        let secret = given(self.secret_access_key.as_ref()).ok_or_else(|| missing(SECRET_KEY))?;
        Ok(Some(Place::Bucket(Bucket {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: self.endpoint()?,
            region: self.region.trim().to_owned(),
            access_key_id: access_key_id.ok_or_else(|| missing(ACCESS_KEY))?.to_owned(),
            secret_access_key: secret.expose_secret().into(),
        })))
    }

    fn endpoint(&self) -> Result<Option<Url>, Invalid> {
        let Some(text) = self.endpoint.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let url: Url =
            text.parse().map_err(|error| Invalid::new(ENDPOINT, format_args!("{text:?}: {error}")))?;
        match url.scheme() {
            "https" => Ok(Some(url)),
            "http" if local(&url) => Ok(Some(url)),
            _ => Err(Invalid::new(
                ENDPOINT,
                format_args!("{text:?}: https is needed, or http to this machine"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(objects: &str) -> Objects {
        Objects {
            store: Some(objects.to_owned()),
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            region: "us-east-1".to_owned(),
            access_key_id: Some("id".to_owned()),
            secret_access_key: Some("hunter2".into()),
        }
    }

    #[test]
    fn a_folder_or_a_bucket() {
        assert!(
            matches!(args("/var/objects\n").place().unwrap(), Some(Place::Folder(folder)) if folder.ends_with("objects"))
        );
        assert!(args(" ").place().unwrap().is_none());
        let Some(Place::Bucket(bucket)) = args("s3://files/a/b/").place().unwrap() else {
            panic!("no bucket")
        };
        assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("files", "a/b"));
        assert!(!format!("{bucket:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, why) in [
            (args("gs://files"), "SYNCFLEET_OBJECTS: "),
            (args("s3://"), "names no bucket"),
            (args("s3://a b/c"), "names no bucket"),
            (
                Objects { endpoint: Some("http://example.com".to_owned()), ..args("s3://files") },
                "SYNCFLEET_OBJECTS_ENDPOINT: ",
            ),
            (
                Objects { endpoint: Some("files".to_owned()), ..args("s3://files") },
                "SYNCFLEET_OBJECTS_ENDPOINT: ",
            ),
            (
                Objects { access_key_id: None, ..args("s3://files") },
                "SYNCFLEET_OBJECTS_ACCESS_KEY_ID: not set",
            ),
            (
                Objects { secret_access_key: None, ..args("s3://files") },
                "SYNCFLEET_OBJECTS_SECRET_ACCESS_KEY: not set",
            ),
        ] {
            let error = wrong.place().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
