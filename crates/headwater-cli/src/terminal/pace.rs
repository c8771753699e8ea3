//! How fast a counter grows, lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples of a counter over the last few seconds.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    samples: VecDeque<(Instant, u64)>,
}

const WINDOW: Duration = Duration::from_secs(5);
const SAMPLES_MAX: usize = 64;

impl Pace {
    /// Adds a sample and says the rate a second.
    pub(crate) fn sample(&mut self, now: Instant, count: u64) -> f64 {
        while let Some((oldest, _)) = self.samples.front()
            && (now.duration_since(*oldest) > WINDOW || self.samples.len() >= SAMPLES_MAX)
            && self.samples.len() > 1
        {
            self.samples.pop_front();
        }
        self.samples.push_back((now, count));
        let Some((oldest, first)) = self.samples.front() else {
            return 0.0;
        };
        let seconds = now.duration_since(*oldest).as_secs_f64();
        if seconds < 0.05 {
            return 0.0;
        }
        as_f64(count.saturating_sub(*first)) / seconds
    }
}

/// A rate with one decimal, for log lines.
pub(crate) fn tenths(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

/// Close enough for people.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

/// `1,234/s`, with one decimal where it is slow.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 10.0 {
        return format!("{per_second:.1}/s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is neither negative nor beyond 2^64"
    )]
    let whole = per_second.round() as u64;
    format!("{}/s", indicatif::HumanCount(whole))
}

/// `8 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        let start = Instant::now();
        assert!(pace.sample(start, 0) < 0.1);
        let now = start + Duration::from_secs(2);
        assert!((pace.sample(now, 200) - 100.0).abs() < 0.1);
        let later = start + Duration::from_secs(60);
        assert!(pace.sample(later, 200) < 4.0);
    }

    #[test]
    fn times_and_rates_read_well() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(200), "3 min 20 s");
        assert_eq!(duration(7500), "2 h 5 min");
        assert_eq!(duration(90_000), "1 d 1 h");
        assert_eq!(rate(1234.4), "1,234/s");
        assert_eq!(rate(2.54), "2.5/s");
        assert_eq!(rate(0.0), "0/s");
    }
}
