use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use rand::{Rng, RngExt};

use super::Lane;

/// How a kind's jobs are run. Stands beside the kind's code.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The kind's name, as in SQL, logs, metrics and the CLI.
    pub kind: &'static str,
    /// What a job of the kind does, in one line for `kind ls`.
    pub about: &'static str,
    /// The lane of its jobs while nobody raises or lowers it.
    pub lane: Lane,
    /// How often a job runs when nobody wants it; none: on a want only.
    pub interval: Option<Duration>,
    /// The provider's minimum between two passes; nothing shortens it.
    pub min_interval: Duration,
    /// How long one step may take.
    pub limit: Duration,
    /// What follows a step that failed in passing.
    pub retry: Retry,
    /// The provider whose accounts have one job of this kind each, from the moment they are added.
    pub per_account: Option<&'static str>,
    /// The API that all jobs of the kind call: when it throttles the whole project, the kind waits. An account that has granted
    /// other APIs, and nothing of this one, gets no job of the kind. None: they call none, or several.
    pub api: Option<&'static str>,
}

impl Policy {
    /// The time to the next pass: the interval, spread evenly over a quarter to each side so that no herd forms.
    pub fn next(&self, rng: &mut impl Rng) -> Option<Duration> {
        self.interval.map(|interval| Self::spread(interval, rng))
    }

    /// An interval, spread evenly over a quarter to each side.
    pub fn spread(interval: Duration, rng: &mut impl Rng) -> Duration {
        interval.mul_f64(rng.random_range(0.75..=1.25))
    }
}

/// Exponential backoff with full jitter and a cap.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// The ceiling of the first delay; it doubles with each attempt.
    pub base: Duration,
    /// The highest ceiling.
    pub cap: Duration,
    /// Failed attempts after which the job is parked; none: it is retried for ever.
    pub attempts: Option<u32>,
}

impl Retry {
    /// The delay after the failed attempt number `attempt` (from 1): evenly from nothing to the ceiling.
    pub fn delay(&self, attempt: u32, rng: &mut impl Rng) -> Duration {
        // Past 2^32 times the base every ceiling is the cap.
        let place = attempt.clamp(1, 32) as usize - 1;
        let ceiling = ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_max_delay(self.cap)
            .with_factor(2.0)
            .without_max_times()
            .build()
            .nth(place)
            .unwrap_or(self.cap);
        ceiling.mul_f64(rng.random_range(0.0..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_use_the_whole_range() {
        let retry = Retry { base: Duration::from_secs(2), cap: Duration::from_mins(1), attempts: None };
        let mut rng = StdRng::seed_from_u64(1);
        for (attempt, ceiling) in [(1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (7, 60), (4_000_000_000, 60)] {
            let ceiling = Duration::from_secs(ceiling);
            let delays: Vec<_> = (0..2_000).map(|_| retry.delay(attempt, &mut rng)).collect();
            assert!(delays.iter().all(|delay| *delay <= ceiling), "attempt {attempt} went over {ceiling:?}");
            assert!(
                delays.iter().any(|delay| *delay > ceiling.mul_f64(0.9)),
                "attempt {attempt}: no high delay"
            );
            assert!(
                delays.iter().any(|delay| *delay < ceiling.mul_f64(0.1)),
                "attempt {attempt}: no low delay"
            );
        }
    }
}
