//! Windows: which bucket of time an event falls into, by when it happened, in a bootstrap and live alike.
//!
//! Buckets do not overlap: they are `every` long, or a day or an hour of a time zone. A sliding window is a number of them, merged
//! when it is asked for. A bucket is known by when it begins. Days and hours of a zone are as long as that zone makes them: a day in
//! which a clock is set has 23 or 25 hours, and the hour that comes twice is two buckets.

use headwater_core::value::{Cell, Date, DateTime};
use headwater_core::{Error, ErrorKind, Result};
use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const SECOND_US: i64 = 1_000_000;
const DAY_S: i64 = 86_400;

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// So many seconds, counted from 1970 in UTC.
    Seconds(u32),
    /// An hour of the zone.
    Hour,
    /// A day of the zone.
    Day,
}

/// A window of a fold.
#[derive(Debug, Clone)]
pub struct Window {
    /// How long a bucket is.
    pub every: Every,
    /// The zone of days and hours, and of times that have none.
    pub zone: TimeZone,
    /// For how long a bucket is kept after its end; none: for good.
    pub keep_s: Option<u64>,
    /// What was asked for last, and its bucket: rows often come in the order of time.
    last: (i64, i64),
}

impl Window {
    /// A window.
    #[must_use]
    pub fn new(every: Every, zone: TimeZone, keep_s: Option<u64>) -> Self {
        Self {
            every,
            zone,
            keep_s,
            last: (0, 0),
        }
    }

    /// When an event happened: microseconds since 1970, UTC. None of what tells no time, a zero date for example.
    ///
    /// A local time that a clock set forward never showed is taken as if it had not been set; of one that comes twice, the first.
    #[must_use]
    pub fn time_us(&self, cell: Cell<'_>) -> Option<i64> {
        match cell {
            Cell::Timestamp(time) => civil_of(time)?
                .to_zoned(TimeZone::UTC)
                .ok()
                .map(|time| time.timestamp().as_microsecond()),
            Cell::DateTime(time) => self.instant_us(civil_of(time)?),
            Cell::Date(date) => self.instant_us(day_of(date)?.at(0, 0, 0, 0)),
            Cell::Int(seconds) => seconds.checked_mul(SECOND_US),
            Cell::UInt(seconds) => i64::try_from(seconds).ok()?.checked_mul(SECOND_US),
            Cell::Double(seconds) if seconds.is_finite() => Some(micros(seconds)),
            Cell::Float(seconds) if seconds.is_finite() => Some(micros(seconds.into())),
            Cell::Decimal(text) => text.parse().ok().map(micros),
            _ => None,
        }
    }

    fn instant_us(&self, local: civil::DateTime) -> Option<i64> {
        let zoned = self.zone.to_ambiguous_zoned(local).compatible().ok()?;
        Some(zoned.timestamp().as_microsecond())
    }

    /// The bucket of a moment: when it begins.
    ///
    /// # Errors
    /// `Malformed` for a time beyond the years that a calendar knows.
    pub fn bucket_s(&mut self, time_us: i64) -> Result<i64> {
        let (from_s, to_s) = self.last;
        let time_s = time_us.div_euclid(SECOND_US);
        if (from_s..to_s).contains(&time_s) {
            return Ok(from_s);
        }
        self.last = self.bucket(time_s)?;
        Ok(self.last.0)
    }

    /// A bucket's beginning and end.
    fn bucket(&self, time_s: i64) -> Result<(i64, i64)> {
        let beyond = |cause| {
            Error::new(
                ErrorKind::Malformed,
                "a time is beyond the years of a calendar",
            )
            .with("seconds since 1970", time_s)
            .caused_by(cause)
        };
        if let Every::Seconds(every) = self.every {
            let every = i64::from(every.max(1));
            let from_s = time_s.div_euclid(every) * every;
            return Ok((from_s, from_s + every));
        }
        let instant = Timestamp::from_second(time_s).map_err(beyond)?;
        if self.every == Every::Hour {
            let offset_s = i64::from(self.zone.to_offset(instant).seconds());
            let from_s = (time_s + offset_s).div_euclid(3600) * 3600 - offset_s;
            return Ok((from_s, from_s + 3600));
        }
        let day = instant.to_zoned(self.zone.clone());
        let from = day.start_of_day().map_err(beyond)?;
        let to = from
            .checked_add(1.day())
            .and_then(|next| next.start_of_day())
            .map_err(beyond)?;
        Ok((from.timestamp().as_second(), to.timestamp().as_second()))
    }

    /// When the bucket begins that holds a second.
    ///
    /// # Errors
    /// As [`Window::bucket_s`].
    pub fn start_s(&self, time_s: i64) -> Result<i64> {
        self.bucket(time_s).map(|(from_s, _)| from_s)
    }

    /// The buckets that begin from `from_s` to before `to_s`, at most `most` of them.
    ///
    /// # Errors
    /// `Configuration` where they are more.
    pub fn buckets_s(&self, from_s: i64, to_s: i64, most: usize) -> Result<Vec<i64>> {
        let mut buckets = Vec::new();
        let (mut start, mut end) = self.bucket(from_s)?;
        if start < from_s {
            (start, end) = self.bucket(end)?;
        }
        while start < to_s {
            if buckets.len() == most {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!("the range holds more than {most} buckets"),
                )
                .hint("ask for a shorter one"));
            }
            buckets.push(start);
            (start, end) = self.bucket(end)?;
        }
        Ok(buckets)
    }

    /// The bucket before which everything is dropped at `now_s`.
    ///
    /// # Errors
    /// As [`Window::bucket_s`].
    pub fn keep_from_s(&self, now_s: i64) -> Result<Option<i64>> {
        let Some(keep_s) = self.keep_s else {
            return Ok(None);
        };
        let oldest_s = now_s.saturating_sub_unsigned(keep_s);
        self.bucket(oldest_s).map(|(from_s, _)| Some(from_s))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a time beyond what fits is beyond any calendar, and refused as such"
)]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

fn day_of(date: Date) -> Option<civil::Date> {
    let [month, day] = [date.month, date.day].map(i8::try_from);
    civil::Date::new(i16::try_from(date.year).ok()?, month.ok()?, day.ok()?).ok()
}

fn civil_of(time: DateTime) -> Option<civil::DateTime> {
    let [hour, minute, second] = [time.hour, time.minute, time.second].map(i8::try_from);
    let nanos = i32::try_from(time.micros).ok()?.checked_mul(1000)?;
    let clock = civil::Time::new(hour.ok()?, minute.ok()?, second.ok()?, nanos).ok()?;
    Some(day_of(time.date)?.to_datetime(clock))
}

/// A length of time: `90d`, `12h`, `15m`, `30s`; in seconds.
///
/// # Errors
/// `Configuration`.
pub fn parse_length_s(text: &str) -> Result<u64> {
    let wrong = || {
        Error::new(
            ErrorKind::Configuration,
            format!("`{text}` is no length of time"),
        )
        .hint("write a whole number and s, m, h or d: 90d, 12h, 15m")
    };
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY_S.cast_unsigned(),
        _ => return Err(wrong()),
    };
    number
        .checked_mul(unit_s)
        .filter(|length| *length > 0)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn window(every: Every, zone: &str) -> Window {
        Window::new(every, TimeZone::get(zone).unwrap(), None)
    }

    fn bucket(window: &mut Window, at: &str) -> i64 {
        window.bucket_s(time(at) * SECOND_US).unwrap()
    }

    #[test]
    fn days_are_those_of_the_zone_and_have_23_or_25_hours_where_a_clock_is_set() {
        let mut days = window(Every::Day, "Europe/Berlin");
        assert_eq!(
            bucket(&mut days, "2026-03-28T23:30:00Z"),
            time("2026-03-28T23:00:00Z")
        );
        assert_eq!(
            bucket(&mut days, "2026-03-29T21:59:59Z"),
            time("2026-03-28T23:00:00Z")
        );
        assert_eq!(
            bucket(&mut days, "2026-03-29T22:00:00Z"),
            time("2026-03-29T22:00:00Z")
        );
        let of_march = days
            .buckets_s(
                time("2026-03-27T23:00:00Z"),
                time("2026-03-30T22:00:00Z"),
                10,
            )
            .unwrap();
        let lengths: Vec<i64> = of_march.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(lengths, [24 * 3600, 23 * 3600]);
    }

    #[test]
    fn the_hour_that_comes_twice_is_two_buckets() {
        let mut hours = window(Every::Hour, "Europe/Berlin");
        let first = bucket(&mut hours, "2026-10-25T00:30:00Z");
        let second = bucket(&mut hours, "2026-10-25T01:30:00Z");
        assert_eq!(
            (first, second - first),
            (time("2026-10-25T00:00:00Z"), 3600)
        );
        let mut half = window(Every::Hour, "Asia/Kolkata");
        assert_eq!(
            bucket(&mut half, "2026-01-01T10:29:59Z"),
            time("2026-01-01T09:30:00Z")
        );
    }

    #[test]
    fn buckets_before_1970_are_as_long_as_others() {
        let mut minutes = window(Every::Seconds(60), "UTC");
        assert_eq!(minutes.bucket_s(-1).unwrap(), -60);
        assert_eq!(minutes.bucket_s(-60 * SECOND_US).unwrap(), -60);
        assert_eq!(minutes.bucket_s(0).unwrap(), 0);
    }

    #[test]
    fn an_event_that_is_late_finds_its_bucket() {
        let mut days = window(Every::Day, "UTC");
        let today = bucket(&mut days, "2026-11-21T10:00:00Z");
        let old = bucket(&mut days, "2026-01-02T10:00:00Z");
        assert_eq!(bucket(&mut days, "2026-11-21T23:59:59Z"), today);
        assert_eq!(old, time("2026-01-02T00:00:00Z"));
    }

    #[test]
    fn local_times_are_those_of_the_zone() {
        let days = window(Every::Day, "America/New_York");
        let at = |hour| DateTime {
            date: Date {
                year: 2026,
                month: 3,
                day: 8,
            },
            hour,
            ..DateTime::default()
        };
        let us = |cell| days.time_us(cell).unwrap() / SECOND_US;
        assert_eq!(us(Cell::DateTime(at(1))), time("2026-03-08T06:00:00Z"));
        // Never shown by any clock there.
        assert_eq!(us(Cell::DateTime(at(2))), time("2026-03-08T07:00:00Z"));
        assert_eq!(us(Cell::Timestamp(at(2))), time("2026-03-08T02:00:00Z"));
        assert_eq!(days.time_us(Cell::Date(Date::default())), None);
        assert_eq!(days.time_us(Cell::Text("today")), None);
    }

    #[test]
    fn a_range_of_too_many_buckets_is_refused_and_lengths_are_read() {
        let seconds = window(Every::Seconds(1), "UTC");
        assert_eq!(seconds.buckets_s(0, 5, 5).unwrap(), [0, 1, 2, 3, 4]);
        assert!(seconds.buckets_s(0, 6, 5).is_err());
        assert_eq!(parse_length_s("90d").unwrap(), 90 * 86_400);
        for wrong in [
            "",
            "d",
            "0s",
            "5",
            "1w",
            "-1d",
            "1.5h",
            "99999999999999999999d",
        ] {
            assert!(parse_length_s(wrong).is_err(), "{wrong}");
        }
    }
}
