//! Connections: TLS by rustls, HTTP/1.1, time limits.

use std::time::Duration;

use anyhow::Context;
use google_calendar3::common;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::ClientConfig;

use crate::config::google::GoogleConfig;

/// How long a connection may take to come about.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long a request to the token endpoint may take. Under the lease of a refresh.
pub(super) const TOKEN_LIMIT: Duration = Duration::from_secs(6);

/// How long a connection that nobody uses is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// How long content that comes may stand still.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// What carries API calls.
pub(super) type ApiConnector = HttpsConnector<HttpConnector>;

/// The client below google-calendar3 and google-drive3.
pub(super) type ApiClient = common::Client<ApiConnector>;

/// Trusts the system's certificates. Only loopback addresses need none.
pub(super) fn tls(config: &GoogleConfig) -> anyhow::Result<ClientConfig> {
    let encrypted = config.issuer.starts_with("https:")
        || [&config.token_url, &config.calendar_url, &config.drive_url]
            .iter()
            .any(|url| url.scheme() == "https");
    crate::tls::client(encrypted)
}

/// The client below yup-oauth2.
pub(super) type AssertionClient = Client<ApiConnector, String>;

pub(super) fn api_client(tls: ClientConfig) -> ApiClient {
    Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_LIMIT).build(connector(tls))
}

pub(super) fn assertion_client(tls: ClientConfig) -> AssertionClient {
    Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_LIMIT).build(connector(tls))
}

fn connector(tls: ClientConfig) -> ApiConnector {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_LIMIT));
    http.set_nodelay(true);
    http.enforce_http(false);
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http)
}

pub(super) fn oauth_client(tls: ClientConfig) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_LIMIT)
        .timeout(TOKEN_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("cannot make a client for the token endpoint")
}

/// What carries contents: no limit for the whole, but for each wait. Google may lead to another host, which gets no token.
pub(super) fn media_client(tls: ClientConfig) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(READ_LIMIT)
        .redirect(reqwest::redirect::Policy::limited(3))
        .user_agent(concat!("syncfleet/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot make a client for contents")
}
