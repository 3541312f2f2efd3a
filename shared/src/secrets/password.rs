//! Passwords that people may have chosen: Argon2id (RFC 9106), as PHC strings.
//!
//! 19 MiB of memory, two passes, one lane: the least that OWASP's password storage cheat sheet advises for Argon2id, some tens of
//! milliseconds of a core. A stored hash carries its own parameters, so that these can grow.

use std::sync::LazyLock;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

/// Memory in KiB.
const MEMORY: u32 = 19 * 1024;

/// Passes over it.
const PASSES: u32 = 2;

/// Bytes of salt.
const SALT: usize = 16;

/// The system gave no random bytes, or the password cannot be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(String);

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY, PASSES, 1, None).map_err(|error| HashError(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn random<const N: usize>() -> Result<[u8; N], HashError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| HashError("the system gave no random bytes".to_owned()))?;
    Ok(bytes)
}

/// A password to be: 24 letters, digits, `-` and `_`, 144 bits of chance.
pub fn generate() -> Result<SecretString, HashError> {
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(random::<18>()?)))
}

/// Hashes a password. Takes tens of milliseconds.
pub fn hash(password: &SecretString) -> Result<String, HashError> {
    let salt = random::<SALT>()?;
    let hashed = argon2()?
        .hash_password_with_salt(password.expose_secret().as_bytes(), &salt)
        .map_err(|error| HashError(error.to_string()))?;
    Ok(hashed.to_string())
}

/// Whether the password is the one of that hash. Takes tens of milliseconds; as long if there is no hash, so that nobody learns by the
/// time whose there is one.
#[must_use]
pub fn verify(password: &SecretString, hash: Option<&str>) -> bool {
    static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| self::hash(&generate().ok()?).ok());
    let Some(against) = hash.or(NOBODY.as_deref()) else { return false };
    let fits = Argon2::default().verify_password(password.expose_secret().as_bytes(), against).is_ok();
    fits && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_its_parameters() {
        let (one, other) = (SecretString::from("correct horse"), SecretString::from("correct Horse"));
        let hashed = hash(&one).unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert_ne!(hashed, hash(&one).unwrap(), "each has its salt");
        assert!(verify(&one, Some(&hashed)));
        assert!(!verify(&other, Some(&hashed)));
        assert!(!verify(&one, None));
        assert!(!verify(&one, Some("$argon2id$nonsense")));
        // With other parameters.
        let old = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify(&SecretString::from("password"), Some(old)));
    }

    #[test]
    fn generated_passwords_need_no_escaping() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.expose_secret().len(), 24);
        assert!(one.expose_secret().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_ne!(one.expose_secret(), other.expose_secret());
    }
}
