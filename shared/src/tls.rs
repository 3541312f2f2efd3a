//! TLS by rustls with ring: the one place that makes a client's configuration.

use std::sync::Arc;

use anyhow::Context;
use hyper_rustls::ConfigBuilderExt;
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Trusts the system's certificates. A client that only calls loopback addresses without encryption needs none.
pub(crate) fn client(encrypted: bool) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no TLS version is left to speak")?;
    let builder = if encrypted {
        builder
            .with_native_roots()
            .context("the system's root certificates cannot be read: install them (ca-certificates)")?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
