//! The key ring of sealed values.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use super::Invalid;
use crate::secrets::KeyRing;

const KEYS: &str = "SYNCFLEET_KEYS";
const KEYS_FILE: &str = "SYNCFLEET_KEYS_FILE";

/// Where the key ring comes from.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Keys")]
pub struct Keys {
    /// Keys that seal tokens: ID:BASE64KEY[,ID:BASE64KEY...]; the first one seals. Better in the environment than here
    #[arg(long, env = KEYS, hide_env_values = true, value_name = "KEYS")]
    pub keys: Option<SecretString>,
    /// A file with the keys, one per line
    #[arg(long, env = KEYS_FILE, value_name = "FILE")]
    pub keys_file: Option<PathBuf>,
}

impl Keys {
    /// Whether a key ring was named at all.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.keys.is_some() || self.keys_file.is_some()
    }

    /// Reads the key ring.
    pub fn key_ring(&self) -> Result<KeyRing, Invalid> {
        match (&self.keys, &self.keys_file) {
            (Some(_), Some(_)) => {
                Err(Invalid::new(KEYS, "SYNCFLEET_KEYS_FILE is set, too: keep one of the two"))
            }
            (None, None) => Err(Invalid::new(KEYS, "no key ring: set SYNCFLEET_KEYS or SYNCFLEET_KEYS_FILE")),
            (Some(keys), None) => KeyRing::parse(keys).map_err(|error| Invalid::new(KEYS, error)),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    let file = file.display();
                    Invalid::new(KEYS_FILE, format_args!("cannot read the key file {file}: {error}"))
                })?;
                KeyRing::parse(&SecretString::from(text)).map_err(|error| {
                    Invalid::new(KEYS_FILE, format_args!("the key file {}: {error}", file.display()))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::secrets::generate_key;

    #[test]
    fn a_file_with_a_key_per_line_is_a_ring() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let [first, second] = ["a", "b"].map(|id| generate_key(id).unwrap().expose_secret().to_owned());
        std::fs::write(file.path(), format!("{first}\n{second}\n")).unwrap();
        let args = Keys { keys: None, keys_file: Some(file.path().to_owned()) };
        assert_eq!(args.key_ring().unwrap().ids().collect::<Vec<_>>(), ["a", "b"]);
        let both = Keys { keys: Some(first.into()), ..args };
        assert!(both.key_ring().unwrap_err().to_string().contains("keep one of the two"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Keys::default().key_ring().unwrap_err().to_string();
        assert!(error.contains("set SYNCFLEET_KEYS or SYNCFLEET_KEYS_FILE"), "{error}");
        let args = Keys { keys: None, keys_file: Some("/nowhere/keys".into()) };
        let error = args.key_ring().unwrap_err().to_string();
        assert!(error.contains("cannot read the key file /nowhere/keys: No such file"), "{error}");
        let args = Keys { keys: Some("a:AAAA".into()), keys_file: None };
        let error = args.key_ring().unwrap_err().to_string();
        assert_eq!(error, "SYNCFLEET_KEYS: the key a has 3 bytes; AES-256 takes 32");
    }
}
