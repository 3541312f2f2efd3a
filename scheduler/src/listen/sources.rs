//! Who calls, as far as it can be told, and a limit for each.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// What a source may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Units that a source has each second.
    pub(super) rate: f64,
    /// Units that a source has at the most.
    pub(super) burst: f64,
    /// What a bad request costs; a good one costs one unit.
    pub(super) bad: f64,
}

impl Allowance {
    /// Behind a proxy all of Google is one source, so there are many units; a hundred requests a second without a good token are
    /// answered as such.
    const WEBHOOKS: Self = Self { rate: 50_000.0, burst: 100_000.0, bad: 500.0 };
}

/// Sources are told apart as well as their hashes: two of the same share what they have.
const SLOTS: u64 = 4096;

/// What a request costs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Charge {
    /// Its token is good.
    Good,
    /// It has none, or another's.
    Bad,
}

/// A limit for each source, in bounded memory.
///
/// What is bad may take no more than the upper half of what a source has, so that a stranger behind the same proxy cannot
/// use up what Google needs.
pub(super) struct Sources {
    allowance: Allowance,
    hasher: RandomState,
    slots: Box<[Mutex<Option<Left>>]>,
}

/// The units that a source has left, and when that was.
type Left = (f64, Instant);

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Default for Sources {
    fn default() -> Self {
        Self::new(Allowance::WEBHOOKS)
    }
}

impl Sources {
    pub(super) fn new(allowance: Allowance) -> Self {
        let slots = (0..SLOTS).map(|_| Mutex::new(None)).collect();
        Self { allowance, hasher: RandomState::new(), slots }
    }

    /// Whether the source has enough for the request; then it has less.
    pub(super) fn charge(&self, source: IpAddr, charge: Charge, now: Instant) -> bool {
        self.ask(source, charge, now, true)
    }

    /// Whether the source has enough for the request.
    pub(super) fn has(&self, source: IpAddr, charge: Charge, now: Instant) -> bool {
        self.ask(source, charge, now, false)
    }

    /// Gives back what a request was charged.
    pub(super) fn give_back(&self, source: IpAddr, charge: Charge) {
        let Allowance { burst, bad, .. } = self.allowance;
        let cost = match charge {
            Charge::Good => 1.0,
            Charge::Bad => bad,
        };
        if let Some((units, _)) = &mut *self.slot(source).lock().unwrap_or_else(PoisonError::into_inner) {
            *units = (*units + cost).min(burst);
        }
    }

    fn slot(&self, source: IpAddr) -> &Mutex<Option<Left>> {
        let place = usize::try_from(self.hasher.hash_one(network(source)) % SLOTS).unwrap_or_default();
        &self.slots[place]
    }

    fn ask(&self, source: IpAddr, charge: Charge, now: Instant, take: bool) -> bool {
        let Allowance { rate, burst, bad } = self.allowance;
        let (cost, least) = match charge {
            Charge::Good => (1.0, 0.0),
            Charge::Bad => (bad, burst / 2.0),
        };
        let mut slot = self.slot(source).lock().unwrap_or_else(PoisonError::into_inner);
        let (units, since) = slot.unwrap_or((burst, now));
        let units = (units + now.saturating_duration_since(since).as_secs_f64() * rate).min(burst);
        let enough = units - cost >= least;
        *slot = Some((if enough && take { units - cost } else { units }, now.max(since)));
        enough
    }
}

/// The network of a caller: whoever has an IPv6 address has 2^64 of them.
pub(super) fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn taken(sources: &Sources, charge: Charge, now: Instant) -> usize {
        (0..1_000_000).take_while(|_| sources.charge(SOURCE, charge, now)).count()
    }

    #[test]
    fn bad_ones_leave_half_to_the_good_ones() {
        let (sources, now) = (Sources::default(), Instant::now());
        assert_eq!(taken(&sources, Charge::Bad, now), 100);
        assert_eq!(taken(&sources, Charge::Good, now), 50_000);
        assert_eq!(taken(&sources, Charge::Bad, now), 0);
        assert_eq!(taken(&sources, Charge::Good, now + Duration::from_millis(100)), 5_000);
        let later = now + Duration::from_mins(1);
        for _ in 0..1_000 {
            assert!(sources.has(SOURCE, Charge::Bad, later), "to ask takes nothing");
        }
        assert_eq!(taken(&sources, Charge::Bad, later), 100);
        assert!(!sources.has(SOURCE, Charge::Bad, later));
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:127.0.0.1"), SOURCE);
    }
}
