//! Waiting between tries: exponential, with full jitter (uniform in zero to the delay), so that many processes that lost
//! one server do not come back at one moment.

use std::time::Duration;

use rand::Rng;

/// How long to wait, and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait.
    pub first: Duration,
    /// The bound of every wait.
    pub longest: Duration,
    /// Tries without any progress before giving up; none: for ever.
    pub attempts_max: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            longest: Duration::from_secs(15),
            attempts_max: None,
        }
    }
}

impl Backoff {
    /// The bound of the wait before try number `attempt` (from 0): doubling up to the longest.
    #[must_use]
    pub fn bound(&self, attempt: u32) -> Duration {
        let factor = 1u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// How long to wait before try number `attempt`: uniform in zero to its bound.
    pub fn wait(&self, attempt: u32, random: &mut impl Rng) -> Duration {
        self.bound(attempt).mul_f64(random.random::<f64>())
    }

    /// Whether `attempt` tries without progress are enough.
    #[must_use]
    pub fn is_exhausted(&self, attempt: u32) -> bool {
        self.attempts_max.is_some_and(|most| attempt >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn waits_double_up_to_the_longest_and_are_uniform_below() {
        let backoff = Backoff::default();
        assert_eq!(backoff.bound(0), Duration::from_millis(50));
        assert_eq!(backoff.bound(3), Duration::from_millis(400));
        assert_eq!(backoff.bound(40), Duration::from_secs(15));
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        let waits: Vec<_> = (0..1000).map(|_| backoff.wait(3, &mut random)).collect();
        assert!(waits.iter().all(|wait| *wait <= backoff.bound(3)));
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(40)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(360)));
    }
}
