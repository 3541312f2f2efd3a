use std::path::PathBuf;

use super::Invalid;

const CA_FILE: &str = "SYNCFLEET_CA_FILE";

/// Whom connections by TLS trust.
#[derive(Debug, Clone, clap::Args)]
pub struct Tls {
    /// Certificates in PEM form that are trusted beside the system's: of a company's proxy, or of your own authority
    #[arg(long, env = CA_FILE, value_name = "FILE", global = true, help_heading = "Settings")]
    ca_file: Option<PathBuf>,
}

impl Tls {
    /// Trusts the file's certificates from now on, in the whole process.
    pub fn trust(&self) -> Result<(), Invalid> {
        let Some(file) = self.ca_file.as_deref().filter(|file| !file.as_os_str().is_empty()) else {
            return Ok(());
        };
        crate::tls::trust(file)
            .map_err(|error| Invalid::new(CA_FILE, format_args!("{}: {error:#}", file.display())))
    }
}
