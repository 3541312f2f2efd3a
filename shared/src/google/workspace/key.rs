use rustls::{
    crypto::ring::sign::RsaSigningKey,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;
use yup_oauth2::ServiceAccountKey;

use crate::config;

/// What is wrong with a key file. What it says is never told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It is not a JSON object.
    #[error(
        "line {line}, column {column}: that is not JSON; Google Cloud's console gives a service account's key as a JSON file"
    )]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is of something else.
    #[error("type: {0}")]
    Type(String),
    /// A field is missing or empty.
    #[error("{0}: it is missing, or no text")]
    Missing(&'static str),
    /// A field does not make sense.
    #[error("{field}: {why}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong, and what is allowed.
        why: &'static str,
    },
}

/// A service account's key file that can be used.
#[derive(Clone)]
pub struct Key {
    file: SecretString,
    key: ServiceAccountKey,
}

impl Key {
    /// Reads a key file, as Google Cloud's console gives it.
    pub fn parse(file: &SecretString) -> Result<Self, KeyFileError> {
        let fields: Map<String, Value> = serde_json::from_str(file.expose_secret())
            .map_err(|error| KeyFileError::Json { line: error.line(), column: error.column() })?;
        match text(&fields, "type") {
            Some("service_account") => {}
            Some(other) => return Err(KeyFileError::Type(of_something_else(other))),
            None if fields.contains_key("installed") || fields.contains_key("web") => {
                return Err(KeyFileError::Type(of_something_else("oauth_client")));
            }
            None => return Err(KeyFileError::Missing("type")),
        }
        let needed = |name| text(&fields, name).ok_or(KeyFileError::Missing(name));
        let client_email = needed("client_email")?;
        if !client_email.contains('@') {
            return Err(KeyFileError::Field { field: "client_email", why: "that is not an e-mail address" });
        }
        let client_id = needed("client_id")?;
        let private_key = needed("private_key")?;
        check_private_key(private_key)?;
        let token_uri = needed("token_uri")?;
        check_token_uri(token_uri)?;
        let key = ServiceAccountKey {
            key_type: None,
            project_id: text(&fields, "project_id").map(str::to_owned),
            private_key_id: text(&fields, "private_key_id").map(str::to_owned),
            private_key: private_key.to_owned(),
            client_email: client_email.to_owned(),
            client_id: Some(client_id.to_owned()),
            auth_uri: None,
            token_uri: token_uri.to_owned(),
            auth_provider_x509_cert_url: None,
            client_x509_cert_url: None,
        };
        Ok(Self { file: file.clone(), key })
    }

    /// The service account's address.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.key.client_email
    }

    /// Its client id, which an administrator authorises.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.key.client_id.as_deref().unwrap_or_default()
    }

    /// The project of the service account, to which its calls count; none: neither the file nor the address names it.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        let of_address = || self.email().split_once('@')?.1.strip_suffix(".iam.gserviceaccount.com");
        self.key.project_id.as_deref().or_else(of_address)
    }

    /// The key's id; `-`: the file does not say.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.private_key_id.as_deref().unwrap_or("-")
    }

    /// The file's text, to be sealed.
    pub(crate) const fn file(&self) -> &SecretString {
        &self.file
    }

    pub(crate) fn service_account(&self) -> ServiceAccountKey {
        self.key.clone()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("email", &self.email()).field("id", &self.id()).finish_non_exhaustive()
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

fn of_something_else(kind: &str) -> String {
    let what = match kind {
        "authorized_user" => "a user's own credentials",
        "oauth_client" => "an OAuth client's secrets",
        "external_account" => "a workload identity's configuration",
        _ => "something else",
    };
    format!("the file holds {what}; a service account's key has the type service_account")
}

fn check_private_key(pem: &str) -> Result<(), KeyFileError> {
    let wrong = |why| KeyFileError::Field { field: "private_key", why };
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| wrong("that is not a private key in PEM form; was the file edited or cut?"))?;
    RsaSigningKey::new(&key).map(drop).map_err(|_| wrong("that is not an RSA key of 2048 bits or more"))
}

/// The signed assertion goes to this address, so it travels encrypted or does not leave the machine.
fn check_token_uri(uri: &str) -> Result<(), KeyFileError> {
    let wrong = |why| Err(KeyFileError::Field { field: "token_uri", why });
    match uri.parse::<Url>() {
        Ok(url) if url.scheme() == "https" && url.host_str().is_some() => Ok(()),
        Ok(url) if url.scheme() == "http" && config::local(&url) => Ok(()),
        Ok(_) => wrong("that address is not allowed: https, or http to a loopback address"),
        Err(_) => wrong("that is not a URL"),
    }
}
