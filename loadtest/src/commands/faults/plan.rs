//! Which fault strikes when. Drawn from the seed before anything starts, so the same seed strikes the same way.

use std::{ops::Range, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::fault::{Fault, INNER, OUTER, Role};

/// A fault and its time since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub at: Duration,
    pub fault: Fault,
}

/// The faults of so much time, in their order. One worker, one scheduler and one ingress are left in peace at every moment: a
/// fleet of which nobody is left proves nothing.
pub fn plan(seed: u64, time: Duration) -> Vec<Planned> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut planned = Vec::new();
    draw(&mut rng, &INNER, 2.0..7.0, time, &mut planned);
    draw(&mut rng, &OUTER, 5.0..11.0, time, &mut planned);
    planned.sort_by_key(|planned| planned.at);
    planned
}

/// Faults of these kinds, with such pauses in seconds, which go with those that are planned already.
fn draw(
    rng: &mut StdRng,
    kinds: &[&'static str],
    pauses: Range<f64>,
    time: Duration,
    planned: &mut Vec<Planned>,
) {
    let mut deck = Vec::new();
    let mut at = Duration::from_secs(5);
    while at < time {
        let mut passed_over = Vec::new();
        loop {
            let Some(kind) = deck.pop() else {
                deck = kinds.to_vec();
                deck.shuffle(rng);
                if passed_over.len() > kinds.len() * 2 {
                    break;
                }
                continue;
            };
            let fault = Fault::draw(kind, rng);
            if fits(planned, at, &fault) {
                planned.push(Planned { at, fault });
                break;
            }
            passed_over.push(kind);
        }
        // What did not fit now is the first to come next.
        deck.extend(passed_over.into_iter().take(kinds.len()).rev());
        at += Duration::from_secs_f64(rng.random_range(pauses.clone()));
    }
}

fn fits(planned: &[Planned], at: Duration, fault: &Fault) -> bool {
    // A while for a process to start, and for what follows from its fault.
    let rest = Duration::from_secs(4);
    let end = at + fault.lasts();
    let open = || {
        let is_open = |old: &&Planned| at < old.at + old.fault.lasts() + rest && old.at < end + rest;
        planned.iter().filter(is_open).map(|old| old.fault)
    };
    match fault.member() {
        Some(member) => {
            let mut others: Vec<_> =
                open().filter_map(|old| old.member()).filter(|other| other.role == member.role).collect();
            others.sort_unstable();
            others.dedup();
            let most = if member.role == Role::Worker { 2 } else { 1 };
            !others.contains(&member) && others.len() < most
        }
        None if matches!(fault, Fault::Outside { .. }) => {
            open().all(|old| !matches!(old, Fault::Outside { .. }))
        }
        None => open().all(|old| old.kind() != fault.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan() {
        let time = Duration::from_mins(10);
        assert_eq!(plan(7, time), plan(7, time));
        assert_ne!(plan(7, time), plan(8, time));
    }

    #[test]
    fn all_kinds_strike_and_somebody_is_left() {
        for seed in 0..50 {
            let planned = plan(seed, Duration::from_mins(5));
            for kind in INNER.iter().chain(&OUTER) {
                assert!(planned.iter().any(|planned| planned.fault.kind() == *kind), "{kind}, seed {seed}");
            }
            for at in (0..300).map(Duration::from_secs) {
                let struck = |role: Role| {
                    let open =
                        planned.iter().filter(|one| (one.at..=one.at + one.fault.lasts()).contains(&at));
                    let mut members: Vec<_> = open
                        .filter_map(|one| one.fault.member())
                        .filter(|member| member.role == role)
                        .collect();
                    members.sort_unstable();
                    members.dedup();
                    members.len()
                };
                assert!(struck(Role::Worker) < 3, "at {at:?}, seed {seed}");
                assert!(struck(Role::Scheduler) < 2, "at {at:?}, seed {seed}");
                assert!(struck(Role::Ingress) < 2, "at {at:?}, seed {seed}");
            }
        }
    }
}
