use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use shared::store::dns_logins::LoginId;

/// Calls with nothing new that a login may make at once.
const AT_ONCE: f64 = 120.0;

/// After so many seconds it may make one more.
const SECONDS_EACH: f64 = 10.0;

/// When so many logins have called since the last time, those that have not are forgotten.
const REMEMBERED: usize = 10_000;

/// How often logins have called lately with nothing new.
///
/// Two generations are remembered: at most twice [`REMEMBERED`], and whoever goes on calling is always in the younger one. None is gone
/// through to make room: the older one goes as a whole.
#[derive(Debug, Default)]
pub(super) struct Often {
    left: Mutex<Generations>,
}

/// The calls that each has left, and when that was.
type Left = HashMap<LoginId, (f64, Instant)>;

#[derive(Debug, Default)]
struct Generations {
    young: Left,
    old: Left,
}

impl Often {
    /// Counts a call with nothing new. False: there were far too many.
    pub(super) fn may(&self, login: LoginId, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let young = left.young.get(&login).copied();
        let (calls, since) = young.or_else(|| left.old.remove(&login)).unwrap_or((AT_ONCE, now));
        if young.is_none() && left.young.len() >= REMEMBERED {
            left.old = mem::take(&mut left.young);
        }
        let calls = later(calls, since, now);
        let may = calls >= 1.0;
        left.young.insert(login, (if may { calls - 1.0 } else { calls }, now));
        may
    }
}

fn later(calls: f64, since: Instant, now: Instant) -> f64 {
    (calls + now.saturating_duration_since(since).as_secs_f64() / SECONDS_EACH).min(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_login_has_so_many_calls_and_gets_them_back() {
        let (often, now) = (Often::default(), Instant::now());
        let made = |login, now| (0..1_000).take_while(|_| often.may(login, now)).count();
        assert_eq!(made(1, now), 120);
        assert_eq!(made(2, now), 120, "another has its own");
        assert_eq!(made(1, now + Duration::from_secs(9)), 0);
        assert_eq!(made(1, now + Duration::from_secs(10)), 1);
        assert_eq!(made(1, now + Duration::from_hours(10)), 120);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_who_does_not_stop_is_not_forgotten() {
        let (often, now) = (Often::default(), Instant::now());
        while often.may(0, now) {}
        for login in 1..60_000 {
            assert!(often.may(login, now));
            if login % 1_000 == 0 {
                assert!(!often.may(0, now), "after {login} others");
            }
            let left = often.left.lock().unwrap();
            assert!(left.young.len() <= REMEMBERED && left.old.len() <= REMEMBERED);
        }
        // One that has stopped is, and may call again.
        while often.may(1, now) {}
        for login in 100_000..(100_001 + 2 * LoginId::try_from(REMEMBERED).unwrap()) {
            often.may(login, now);
        }
        assert!(often.may(1, now));
    }
}
