use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use crate::listen::sources::{Charge, Sources};

/// So many good tokens are remembered.
const REMEMBERED: usize = 10_000;

/// A limit for those who come without a good token, by their source. Whether a token is good only the database knows, so a
/// source that has failed too often is not let through to it, but with a token that was good here before.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    sources: Sources,
    /// Fingerprints of tokens that were good when they were last looked at.
    good: Mutex<HashSet<[u8; 32]>>,
}

impl Strangers {
    /// Whether the token may be looked at.
    pub(super) fn may_try(&self, from: IpAddr, token: &SecretString, now: Instant) -> bool {
        self.sources.has(from, Charge::Bad, now) || self.good().contains(&fingerprint(token))
    }

    /// What looking at the token has come to.
    pub(super) fn learn(&self, token: &SecretString, is_good: bool) {
        let mut good = self.good();
        if !is_good {
            good.remove(&fingerprint(token));
            return;
        }
        if good.len() >= REMEMBERED {
            // They are learnt again.
            good.clear();
        }
        good.insert(fingerprint(token));
    }

    /// Counts a failure. False: there were too many.
    pub(super) fn failed(&self, from: IpAddr, now: Instant) -> bool {
        self.sources.charge(from, Charge::Bad, now)
    }

    fn good(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        // Each change is whole between any two locks.
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(token: &SecretString) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.expose_secret().as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_good_comes_in_when_its_source_has_failed_too_often() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let (from, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let (good, new) = (SecretString::from("sft_1_good"), SecretString::from("sft_1_new"));
        strangers.learn(&good, true);
        while strangers.failed(from, now) {}
        assert!(strangers.may_try(from, &good, now) && !strangers.may_try(from, &new, now));
        assert!(strangers.may_try(other, &new, now), "another source has its own");
        strangers.learn(&good, false);
        assert!(!strangers.may_try(from, &good, now), "it was removed");
    }
}
