//! From the source's dates and times to IoTDB's: a count of milli-, micro- or nanoseconds since 1970 in UTC.

use headwater_core::value::{Date, DateTime};
use headwater_core::{Result, zone};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::config::{ExtraDigits, Gap, TimeOptions, TimeUnit};

/// Knows the zone, the precision, and what to do where they do not fit.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    zone: TimeZone,
    fixed: Option<Offset>,
    precision: TimeUnit,
    extra_digits: ExtraDigits,
    gap: Gap,
}

/// Whether a zone has this name.
///
/// # Errors
/// `Configuration`.
pub fn check_zone(name: &str) -> Result<()> {
    zone::parse(name).map(drop)
}

impl Clock {
    /// For a server that counts in `precision`.
    pub(crate) fn new(options: &TimeOptions, precision: TimeUnit) -> Result<Self> {
        let zone = zone::parse(&options.zone)?;
        Ok(Self {
            fixed: zone.to_fixed_offset().ok(),
            zone,
            precision,
            extra_digits: options.extra_digits,
            gap: options.gap,
        })
    }

    /// What becomes of digits without room.
    pub(crate) fn extra_digits(&self) -> ExtraDigits {
        self.extra_digits
    }

    /// The unit that IoTDB counts in.
    pub(crate) fn precision(&self) -> TimeUnit {
        self.precision
    }

    /// A date and time of the zone.
    pub(crate) fn local(&self, value: DateTime) -> Result<i64, String> {
        let seconds = civil_seconds(value).ok_or_else(|| impossible(value))?;
        let offset = match self.fixed {
            Some(offset) => offset.seconds(),
            None => self.offset(value)?,
        };
        self.count(seconds - i64::from(offset), value.micros)
    }

    /// A point in time, in UTC.
    pub(crate) fn utc(&self, value: DateTime) -> Result<i64, String> {
        let seconds = civil_seconds(value).ok_or_else(|| impossible(value))?;
        self.count(seconds, value.micros)
    }

    /// The midnight of the zone that begins a date.
    pub(crate) fn midnight(&self, date: Date) -> Result<i64, String> {
        self.local(DateTime {
            date,
            ..DateTime::default()
        })
    }

    /// A count of some unit since 1970.
    pub(crate) fn counted(&self, value: i64, unit: TimeUnit) -> Result<i64, String> {
        let (from, to) = (unit.per_second(), self.precision.per_second());
        if to >= from {
            return value
                .checked_mul(to / from)
                .ok_or_else(|| format!("{value} {} is beyond IoTDB's times", unit.name()));
        }
        let many = from / to;
        let (whole, rest) = (value.div_euclid(many), value.rem_euclid(many));
        self.rounded(whole, rest, many)
    }

    /// The times in UTC from `slack_s` before `first` to as much after `last`, cut to those that a source can hold.
    pub(crate) fn civil_between(
        &self,
        first: i64,
        last: i64,
        slack_s: i64,
    ) -> (DateTime, DateTime) {
        let per_second = self.precision.per_second();
        let seconds = |time: i64| time.div_euclid(per_second);
        (
            civil_at(seconds(first).saturating_sub(slack_s)),
            civil_at(seconds(last).saturating_add(slack_s)),
        )
    }

    /// The counts of `unit` that may be times from `first` to `last`.
    pub(crate) fn counts_between(&self, first: i64, last: i64, unit: TimeUnit) -> (i64, i64) {
        let (ours, theirs) = (self.precision.per_second(), unit.per_second());
        let count = |time: i64, more: i128| {
            let count = i128::from(time) * i128::from(theirs);
            let near = count.div_euclid(i128::from(ours)) + more;
            let bounded = near.clamp(i64::MIN.into(), i64::MAX.into());
            i64::try_from(bounded).unwrap_or(i64::MAX)
        };
        // A whole unit of ours may come from as many of theirs, and rounding moves by less than one.
        let slack = i128::from((theirs / ours).max(1)) + 1;
        (count(first, -slack), count(last, slack))
    }

    fn offset(&self, value: DateTime) -> Result<i32, String> {
        let civil = civil_time(value).ok_or_else(|| impossible(value))?;
        Ok(match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            // Twice on the clock: the first time.
            AmbiguousOffset::Fold { before, .. } => before.seconds(),
            AmbiguousOffset::Gap { before, .. } if self.gap == Gap::Shift => before.seconds(),
            AmbiguousOffset::Gap { .. } => {
                return Err(format!(
                    "the clocks of the zone were never at {civil}: they were set forward"
                ));
            }
        })
    }

    fn count(&self, seconds: i64, micros: u32) -> Result<i64, String> {
        let micros = i64::from(micros);
        match self.precision {
            TimeUnit::Microsecond => Ok(seconds * 1_000_000 + micros),
            TimeUnit::Nanosecond => seconds
                .checked_mul(1_000_000_000)
                .and_then(|count| count.checked_add(micros * 1_000))
                .ok_or_else(|| {
                    "beyond the years 1677 to 2262, which nanoseconds can count".to_owned()
                }),
            TimeUnit::Second => self.rounded(seconds, micros, 1_000_000),
            TimeUnit::Millisecond => {
                self.rounded(seconds * 1_000 + micros / 1_000, micros % 1_000, 1_000)
            }
        }
    }

    /// `whole`, and `rest` of `many` of the next one.
    fn rounded(&self, whole: i64, rest: i64, many: i64) -> Result<i64, String> {
        if rest == 0 {
            return Ok(whole);
        }
        match self.extra_digits {
            ExtraDigits::Truncate => Ok(whole),
            ExtraDigits::Round => Ok(whole + i64::from(rest * 2 >= many)),
            ExtraDigits::Refuse => Err(format!(
                "the time has more digits than IoTDB's {} can hold (see iotdb.time.extra_digits)",
                self.precision.name()
            )),
        }
    }
}

/// A second since 1970 as a time in UTC, cut to the years from 0 to 9999.
fn civil_at(seconds: i64) -> DateTime {
    let stamp = jiff::Timestamp::from_second(seconds);
    let Ok(stamp) = stamp else {
        let (year, month, day) = if seconds < 0 {
            (0, 1, 1)
        } else {
            (9999, 12, 31)
        };
        return DateTime {
            date: Date { year, month, day },
            digits: 6,
            ..last_of_day(seconds)
        };
    };
    let civil = Offset::UTC.to_datetime(stamp);
    if civil.year() < 0 {
        return civil_at(i64::MIN);
    }
    let small = |value: i8| u8::try_from(value).unwrap_or(0);
    DateTime {
        date: Date {
            year: u16::try_from(civil.year()).unwrap_or(0),
            month: small(civil.month()),
            day: small(civil.day()),
        },
        hour: small(civil.hour()),
        minute: small(civil.minute()),
        second: small(civil.second()),
        micros: 0,
        digits: 6,
    }
}

fn last_of_day(seconds: i64) -> DateTime {
    match seconds < 0 {
        true => DateTime::default(),
        false => DateTime {
            hour: 23,
            minute: 59,
            second: 59,
            micros: 999_999,
            ..DateTime::default()
        },
    }
}

/// A zero date, or one with a zero month or day.
pub(crate) fn is_zero(date: Date) -> bool {
    date.month == 0 || date.day == 0
}

/// `yyyymmdd`, of a date that is one and that IoTDB can hold (years 1000 to 9999).
pub(crate) fn date_number(date: Date) -> Result<i32, String> {
    let fits = civil_date(date).is_some() && date.year >= 1000;
    if !fits {
        return Err(format!(
            "{:04}-{:02}-{:02} is no date from 1000-01-01 to 9999-12-31",
            date.year, date.month, date.day
        ));
    }
    Ok(i32::from(date.year) * 10_000 + i32::from(date.month) * 100 + i32::from(date.day))
}

fn impossible(value: DateTime) -> String {
    let mut text = Vec::new();
    value.write(&mut text);
    format!("{} is no time", String::from_utf8_lossy(&text))
}

fn civil_date(date: Date) -> Option<civil::Date> {
    let year = i16::try_from(date.year).ok()?;
    let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
    civil::Date::new(year, month, day).ok()
}

fn civil_time(value: DateTime) -> Option<civil::DateTime> {
    let time = civil::Time::new(
        i8::try_from(value.hour).ok()?,
        i8::try_from(value.minute).ok()?,
        i8::try_from(value.second).ok()?,
        i32::try_from(value.micros).ok()? * 1_000,
    );
    Some(civil_date(value.date)?.to_datetime(time.ok()?))
}

/// Seconds since 1970, as if the clock showed UTC; none of what is no time. (Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `days_from_civil`.)
fn civil_seconds(value: DateTime) -> Option<i64> {
    let Date { year, month, day } = value.date;
    if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let of_day =
        i64::from(value.hour) * 3600 + i64::from(value.minute) * 60 + i64::from(value.second);
    Some(days * 86_400 + of_day)
}

fn days_in(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime {
        let civil: civil::DateTime = text.parse().unwrap();
        DateTime {
            date: Date {
                year: u16::try_from(civil.year()).unwrap(),
                month: u8::try_from(civil.month()).unwrap(),
                day: u8::try_from(civil.day()).unwrap(),
            },
            hour: u8::try_from(civil.hour()).unwrap(),
            minute: u8::try_from(civil.minute()).unwrap(),
            second: u8::try_from(civil.second()).unwrap(),
            micros: u32::try_from(civil.subsec_nanosecond() / 1_000).unwrap(),
            digits: 6,
        }
    }

    fn clock(zone: &str, precision: TimeUnit, change: impl FnOnce(&mut TimeOptions)) -> Clock {
        let mut options = TimeOptions {
            zone: zone.to_owned(),
            ..TimeOptions::default()
        };
        change(&mut options);
        Clock::new(&options, precision).unwrap()
    }

    #[test]
    fn a_clock_set_forward_refuses_what_it_never_showed() {
        let zurich = clock("Europe/Zurich", TimeUnit::Second, |_| {});
        assert_eq!(zurich.local(at("2026-03-29T01:59:59")), Ok(1_774_745_999));
        assert!(zurich.local(at("2026-03-29T02:30:00")).is_err());
        assert_eq!(zurich.local(at("2026-03-29T03:00:00")), Ok(1_774_746_000));
        let shifted = clock("Europe/Zurich", TimeUnit::Second, |options| {
            options.gap = Gap::Shift
        });
        assert_eq!(shifted.local(at("2026-03-29T02:30:00")), Ok(1_774_747_800));
    }

    #[test]
    fn an_hour_that_comes_twice_is_the_first() {
        let zurich = clock("Europe/Zurich", TimeUnit::Second, |_| {});
        let first = zurich.local(at("2026-10-25T02:30:00")).unwrap();
        assert_eq!(
            zurich.local(at("2026-10-25T01:30:00")).unwrap() + 3600,
            first
        );
        assert_eq!(
            zurich.local(at("2026-10-25T03:30:00")).unwrap() - 7200,
            first
        );
    }

    #[test]
    fn digits_are_lost_only_by_choice() {
        let exact = clock("UTC", TimeUnit::Millisecond, |_| {});
        let value = at("1970-01-01T00:00:01.000500");
        assert!(exact.utc(value).is_err());
        assert_eq!(exact.utc(at("1970-01-01T00:00:01.005")), Ok(1005));
        let cut = clock("UTC", TimeUnit::Millisecond, |options| {
            options.extra_digits = ExtraDigits::Truncate;
        });
        assert_eq!(cut.utc(value), Ok(1000));
        assert_eq!(cut.counted(-1, TimeUnit::Microsecond), Ok(-1));
        let round = clock("UTC", TimeUnit::Millisecond, |options| {
            options.extra_digits = ExtraDigits::Round;
        });
        assert_eq!(round.utc(value), Ok(1001));
        assert_eq!(round.counted(-1, TimeUnit::Microsecond), Ok(0));
    }

    #[test]
    fn what_nanoseconds_cannot_count_is_refused() {
        let fine = clock("UTC", TimeUnit::Nanosecond, |_| {});
        assert!(fine.utc(at("2262-04-12T00:00:00")).is_err());
        assert!(fine.utc(at("1600-01-01T00:00:00")).is_err());
        assert!(fine.counted(i64::MAX, TimeUnit::Second).is_err());
    }

    #[test]
    fn what_may_be_a_time_lies_between() {
        for (zone, precision) in [
            ("Pacific/Apia", TimeUnit::Millisecond),
            ("America/St_Johns", TimeUnit::Nanosecond),
        ] {
            let clock = clock(zone, precision, |options| {
                options.extra_digits = ExtraDigits::Round;
                options.gap = Gap::Shift;
            });
            for text in [
                "1970-01-01T00:00:00",
                "2026-03-29T02:30:00.9999",
                "1901-12-13T20:45:52",
            ] {
                let value = at(text);
                let time = clock.local(value).unwrap();
                let (first, last) = clock.civil_between(time, time, 26 * 3600);
                assert!(
                    first <= value && value <= last,
                    "{first:?} {value:?} {last:?}"
                );
            }
            let (first, last) = clock.civil_between(i64::MIN, i64::MAX, 2);
            assert!(first.date.year <= 1677 && last.date.year >= 2262);
            for unit in [TimeUnit::Second, TimeUnit::Microsecond] {
                for count in [-1_500_001, 0, 7_777_777] {
                    let time = clock.counted(count, unit).unwrap();
                    let (first, last) = clock.counts_between(time, time, unit);
                    assert!(first <= count && count <= last, "{first} {count} {last}");
                }
            }
        }
    }

    #[test]
    fn zones_are_names_or_offsets() {
        assert!(zone::parse("Mars/Olympus").is_err());
        assert!(zone::parse("+25:99").is_err());
        let hongkong = clock("+08:00", TimeUnit::Second, |_| {});
        assert_eq!(hongkong.local(at("1970-01-01T08:00:00")), Ok(0));
    }

    proptest! {
        /// Our own count of seconds is that of the library of time zones, in every zone.
        #[test]
        fn seconds_are_those_of_the_zone(
            seconds in -62_135_596_800i64..253_402_207_200,
            name in prop::sample::select(vec!["UTC", "Europe/Zurich", "America/St_Johns", "Asia/Hong_Kong", "Pacific/Apia"]),
        ) {
            let zone = zone::parse(name).unwrap();
            let stamp = jiff::Timestamp::from_second(seconds).unwrap();
            let local = stamp.to_zoned(zone).datetime();
            prop_assume!(local.year() >= 1);
            let found = clock(name, TimeUnit::Second, |_| {}).local(at(&local.to_string())).unwrap();
            // The second of two equal hours is taken for the first.
            prop_assert!(found == seconds || (0..=86_400).contains(&(seconds - found)), "{found} of {seconds}");
            if name == "UTC" {
                prop_assert_eq!(found, seconds);
            }
        }

        #[test]
        fn impossible_dates_are_refused(year in 0u16..=9999, month in 0u8..16, day in 0u8..32) {
            let date = Date { year, month, day };
            let value = DateTime { date, ..DateTime::default() };
            prop_assert_eq!(civil_seconds(value).is_some(), civil_date(date).is_some());
        }
    }
}
