//! Passwords, checked with bounded means.
//!
//! Argon2 takes tens of milliseconds and 19 MiB, which strangers must not be able to spend as they like: few are checked at once, on
//! threads of their own, and few wait. Whoever was right before is known by a keyed hash of user name and password, bound to the
//! stored hash: it costs microseconds, says nothing to who reads the memory of another process, and ends with a new password.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ring::{
    digest::{SHA256, digest},
    hmac,
    rand::SystemRandom,
};
use secrecy::{ExposeSecret, SecretString};
use shared::secrets::password;
use tokio::sync::Semaphore;

/// So many good passwords are remembered.
const REMEMBERED: usize = 100_000;

/// Passwords that wait to be checked, at the most.
const WAITING: usize = 256;

/// How long a password waits, at the most: its caller is still there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Too many passwords wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

/// A user name and a password, as they are remembered.
type Fingerprint = [u8; 32];

pub(super) struct Verifier {
    key: hmac::Key,
    /// Those that were right, with a digest of the stored hash that they were right for.
    good: Mutex<HashMap<Fingerprint, [u8; 32]>>,
    waiting: Arc<Semaphore>,
    checking: Arc<Semaphore>,
}

impl Verifier {
    /// Checks on half of the processor's cores at once, and on four at the most.
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with(WAITING, (cores / 2).clamp(1, 4))
    }

    fn with(waiting: usize, checking: usize) -> Result<Self, ring::error::Unspecified> {
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            good: Mutex::default(),
            waiting: Arc::new(Semaphore::new(waiting)),
            checking: Arc::new(Semaphore::new(checking)),
        })
    }

    fn fingerprint(&self, username: &str, password: &SecretString) -> Fingerprint {
        // A user name has no zero byte, so no two pairs are the same bytes.
        let both = [username.as_bytes(), password.expose_secret().as_bytes()].join(&0);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&self.key, &both).as_ref());
        bytes
    }

    /// Whether the password was right when it was checked last.
    pub(super) fn knows(&self, username: &str, password: &SecretString) -> bool {
        self.good().contains_key(&self.fingerprint(username, password))
    }

    /// Whether the password is the one of the stored hash; none: nobody has that user name, which takes as long to find out.
    pub(super) async fn check(
        &self,
        username: &str,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<bool, Busy> {
        let fingerprint = self.fingerprint(username, password);
        let stored = hash.map(sha256);
        let is_known = || stored.is_some() && self.good().get(&fingerprint) == stored.as_ref();
        if is_known() {
            return Ok(true);
        }
        let place = self.waiting.try_acquire().map_err(|_| Busy)?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.checking).acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        drop(place);
        // It may have been found right while this one waited.
        if is_known() {
            return Ok(true);
        }
        let (password, hash) = (password.clone(), hash.map(str::to_owned));
        let checked = tokio::task::spawn_blocking(move || {
            let is_right = password::verify(&password, hash.as_deref());
            // Only now: whoever called may be gone, but the core was taken.
            drop(turn);
            is_right
        });
        let is_right = checked.await.map_err(|_| Busy)?;
        let mut good = self.good();
        match stored.filter(|_| is_right) {
            Some(stored) => {
                if good.len() >= REMEMBERED {
                    // They are learnt again.
                    good.clear();
                }
                good.insert(fingerprint, stored);
            }
            None => {
                good.remove(&fingerprint);
            }
        }
        Ok(is_right)
    }

    fn good(&self) -> MutexGuard<'_, HashMap<Fingerprint, [u8; 32]>> {
        // Each change is whole between any two locks.
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn who_was_right_is_known_until_the_password_changes() {
        let verifier = Verifier::new().unwrap();
        let (old, new) = (SecretString::from("old"), SecretString::from("new"));
        let (old_hash, new_hash) = (password::hash(&old).unwrap(), password::hash(&new).unwrap());
        assert!(!verifier.knows("ada", &old));
        assert_eq!(verifier.check("ada", &old, Some(&old_hash)).await, Ok(true));
        assert!(verifier.knows("ada", &old) && !verifier.knows("bob", &old) && !verifier.knows("ada", &new));
        assert_eq!(verifier.check("ada", &old, Some(&new_hash)).await, Ok(false), "it was changed");
        assert!(!verifier.knows("ada", &old));
        assert_eq!(verifier.check("ada", &new, Some(&new_hash)).await, Ok(true));
        assert_eq!(verifier.check("ada", &new, None).await, Ok(false), "the login was removed");
        assert!(!verifier.knows("ada", &new));
    }

    #[tokio::test]
    async fn a_flood_waits_in_a_bounded_queue_and_the_known_pass_it() {
        let verifier = Verifier::with(10, 1).unwrap();
        let right = SecretString::from("right");
        let hash = password::hash(&right).unwrap();
        assert_eq!(verifier.check("ada", &right, Some(&hash)).await, Ok(true));
        let wrong = SecretString::from("wrong");
        let flood = join_all((0..1_000).map(|_| verifier.check("ada", &wrong, Some(&hash))));
        let known = async {
            tokio::task::yield_now().await;
            // Nothing is free for it, and it needs nothing.
            assert_eq!(verifier.checking.available_permits(), 0);
            verifier.check("ada", &right, Some(&hash)).await
        };
        let (flood, known) = tokio::join!(flood, known);
        assert_eq!(known, Ok(true));
        let checked = flood.iter().filter(|answer| **answer == Ok(false)).count();
        let refused = flood.iter().filter(|answer| **answer == Err(Busy)).count();
        assert_eq!(checked + refused, 1_000);
        assert!((1..=20).contains(&checked), "{checked} were checked");
    }
}
