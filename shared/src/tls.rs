//! TLS by rustls with ring: the one place that makes a client's configuration, and knows whom it trusts.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::Context;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Certificates of authorities that are trusted beside the system's.
#[derive(Debug)]
pub struct Beside {
    /// The file that they were read from.
    pub file: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

impl Beside {
    /// How many they are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.certificates.len()
    }
}

/// One for the process, as the system's are.
static BESIDE: OnceLock<Beside> = OnceLock::new();

/// What is trusted beside the system's certificates; none: nothing.
#[must_use]
pub fn beside() -> Option<&'static Beside> {
    BESIDE.get()
}

/// Trusts the certificates of a PEM file, too. To be called once, at the start of the process, before any client is made.
pub fn trust(file: &Path) -> anyhow::Result<()> {
    let file = file.canonicalize().context("cannot find the file")?;
    let certificates = CertificateDer::pem_file_iter(&file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| anyhow::anyhow!("cannot read certificates in PEM form: {error}"))?;
    let beside = Beside { file, certificates };
    anyhow::ensure!(
        beside.count() > 0,
        "there is no certificate in it: PEM is wanted, -----BEGIN CERTIFICATE-----"
    );
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(&beside.certificates) {
        roots.add(certificate.clone()).with_context(|| format!("certificate {number} in it is not good"))?;
    }
    BESIDE.set(beside).map_err(|_| anyhow::anyhow!("certificates were read before"))
}

/// Who is trusted: read once, as it takes a while.
fn roots() -> anyhow::Result<Arc<RootCertStore>> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(beside().iter().flat_map(|beside| beside.certificates.iter().cloned()));
    // What is not there now may be installed before the next client is made.
    anyhow::ensure!(
        !roots.is_empty(),
        "the system's root certificates cannot be read: install them (ca-certificates), or name a file of your own in \
         SYNCFLEET_CA_FILE"
    );
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}

/// Trusts the system's certificates, and what [`trust`] has added. A client that only calls loopback addresses without encryption
/// needs none.
pub(crate) fn client(encrypted: bool) -> anyhow::Result<ClientConfig> {
    let roots = if encrypted { roots()? } else { Arc::new(RootCertStore::empty()) };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no TLS version is left to speak")?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
