use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use shared::store::dns_logins::LoginId;

/// Calls with nothing new that a login may make at once.
const AT_ONCE: f64 = 120.0;

/// After so many seconds it may make one more.
const SECONDS_EACH: f64 = 10.0;

/// Logins are forgotten that may make all of them again, when so many are remembered.
const REMEMBERED: usize = 10_000;

/// How often logins have called lately with nothing new.
#[derive(Debug, Default)]
pub(super) struct Often {
    /// The calls that each has left, and when that was.
    left: Mutex<HashMap<LoginId, (f64, Instant)>>,
}

impl Often {
    /// Counts a call with nothing new. False: there were far too many.
    pub(super) fn may(&self, login: LoginId, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= REMEMBERED && !left.contains_key(&login) {
            left.retain(|_, (calls, since)| later(*calls, *since, now) < AT_ONCE);
        }
        let (calls, since) = left.entry(login).or_insert((AT_ONCE, now));
        *calls = later(*calls, *since, now);
        *since = now;
        let may = *calls >= 1.0;
        if may {
            *calls -= 1.0;
        }
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
    fn what_is_remembered_is_bounded_by_those_who_call_often() {
        let (often, now) = (Often::default(), Instant::now());
        for login in 0..20_000 {
            assert!(often.may(login, now + Duration::from_millis(login.unsigned_abs() * 10)));
        }
        assert!(often.left.lock().unwrap().len() <= REMEMBERED + 1);
    }
}
