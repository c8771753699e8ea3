//! Values: what one cell of a row can hold, as a small borrowed view that means the same whether it came from a
//! snapshot or from the log.

#![allow(
    clippy::cast_possible_truncation,
    reason = "values are masked or bounded before they are narrowed; a batch stays far below 4 GiB"
)]

use std::fmt;

/// One cell of a row. Borrowed from its batch; `Copy`, nothing on the heap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// The image does not hold this column (a partial image).
    Absent,
    /// SQL NULL.
    Null,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer; also BIT(n) and YEAR.
    UInt(u64),
    /// Four-byte floating point.
    Float(f32),
    /// Eight-byte floating point.
    Double(f64),
    /// A decimal number in plain digits: sign, digits, and exactly the column's scale after the point. Never an exponent.
    Decimal(&'a str),
    /// Text, converted from the column's character set; also the label of an ENUM.
    Text(&'a str),
    /// Bytes without a character set.
    Bytes(&'a [u8]),
    /// A date; parts may be zero, as the source allows.
    Date(Date),
    /// A signed duration of up to 838:59:59.999999.
    Time(Time),
    /// A date and time without a zone.
    DateTime(DateTime),
    /// A point in time, in UTC.
    Timestamp(DateTime),
    /// A JSON document as compact text: no space after `:` and `,`.
    Json(&'a str),
    /// The labels of a SET, separated by commas, in the order of the definition. No label holds a comma.
    Set(&'a str),
    /// A geometry: four bytes of SRID, little-endian, then WKB.
    Geometry(&'a [u8]),
    /// A vector of four-byte floats, little-endian.
    Vector(&'a [u8]),
}

impl Cell<'_> {
    /// Whether this is SQL NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }
}

/// A calendar date as the source stores it: year 0 to 9999; month and day may be 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Date {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12, or 0.
    pub month: u8,
    /// Day of the month, 1 to 31, or 0.
    pub day: u8,
}

/// A date and a time of day with microseconds and the number of fraction digits its column shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DateTime {
    /// The date.
    pub date: Date,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Microseconds, 0 to 999,999.
    pub micros: u32,
    /// Fraction digits of the column, 0 to 6.
    pub digits: u8,
}

/// A signed duration in hours, minutes, seconds, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Time {
    /// Whether the duration is negative.
    pub negative: bool,
    /// Hours, 0 to 838.
    pub hours: u16,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Microseconds, 0 to 999,999.
    pub micros: u32,
    /// Fraction digits of the column, 0 to 6.
    pub digits: u8,
}

impl Date {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.year) << 9 | u64::from(self.month) << 5 | u64::from(self.day)
    }

    pub(crate) fn unpack(bits: u64) -> Self {
        Self {
            year: (bits >> 9 & 0x3fff) as u16,
            month: (bits >> 5 & 0xf) as u8,
            day: (bits & 0x1f) as u8,
        }
    }
}

impl DateTime {
    pub(crate) fn pack(self) -> u64 {
        self.date.pack() << 40
            | u64::from(self.hour) << 35
            | u64::from(self.minute) << 29
            | u64::from(self.second) << 23
            | u64::from(self.micros) << 3
            | u64::from(self.digits)
    }

    pub(crate) fn unpack(bits: u64) -> Self {
        Self {
            date: Date::unpack(bits >> 40),
            hour: (bits >> 35 & 0x1f) as u8,
            minute: (bits >> 29 & 0x3f) as u8,
            second: (bits >> 23 & 0x3f) as u8,
            micros: (bits >> 3 & 0xf_ffff) as u32,
            digits: (bits & 7) as u8,
        }
    }

    /// The UTC time of a number of seconds since 1970 and microseconds, by the proleptic Gregorian calendar
    /// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
    #[must_use]
    pub fn from_unix(seconds: u64, micros: u32, digits: u8) -> Self {
        let days = seconds / 86_400 + 719_468;
        let of_day = seconds % 86_400;
        let era = days / 146_097;
        let doe = days % 146_097;
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + u64::from(month <= 2);
        Self {
            date: Date {
                year: year as u16,
                month: month as u8,
                day: (doy - (153 * mp + 2) / 5 + 1) as u8,
            },
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
            micros,
            digits,
        }
    }
}

impl DateTime {
    /// The inverse of [`DateTime::from_unix`], by `days_from_civil` of the same source: seconds since 1970 of a time in UTC, 0 for
    /// one that is before. A month or day of zero counts as the first.
    #[must_use]
    pub fn to_unix(self) -> u64 {
        let Date { year, month, day } = self.date;
        let (month, day) = (i64::from(month.max(1)), i64::from(day.max(1)));
        let year = i64::from(year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let yoe = year.rem_euclid(400);
        let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
        let of_day = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60;
        u64::try_from(days * 86_400 + of_day + i64::from(self.second)).unwrap_or(0)
    }
}

impl Time {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.negative) << 63
            | u64::from(self.hours) << 40
            | u64::from(self.minute) << 32
            | u64::from(self.second) << 24
            | u64::from(self.micros) << 3
            | u64::from(self.digits)
    }

    pub(crate) fn unpack(bits: u64) -> Self {
        Self {
            negative: bits >> 63 == 1,
            hours: (bits >> 40 & 0xffff) as u16,
            minute: (bits >> 32 & 0xff) as u8,
            second: (bits >> 24 & 0xff) as u8,
            micros: (bits >> 3 & 0xf_ffff) as u32,
            digits: (bits & 7) as u8,
        }
    }

    /// The duration in microseconds, with its sign.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        let seconds =
            i64::from(self.hours) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let micros = seconds * 1_000_000 + i64::from(self.micros);
        if self.negative { -micros } else { micros }
    }
}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_micros().cmp(&other.as_micros())
    }
}

/// Appends `value` in decimal with exactly `width` digits.
fn push_padded(out: &mut Vec<u8>, value: u32, width: usize) {
    const TENS: [u32; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
    for place in (0..width).rev() {
        out.push(b'0' + (value / TENS[place] % 10) as u8);
    }
}

fn push_two(out: &mut Vec<u8>, value: u8) {
    out.push(b'0' + value / 10 % 10);
    out.push(b'0' + value % 10);
}

fn push_fraction(out: &mut Vec<u8>, micros: u32, digits: u8) {
    if digits > 0 {
        const TENS: [u32; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
        let digits = digits.min(6) as usize;
        out.push(b'.');
        push_padded(out, micros / TENS[digits], digits);
    }
}

impl Date {
    /// Appends `YYYY-MM-DD`.
    pub fn write(self, out: &mut Vec<u8>) {
        push_two(out, (self.year / 100) as u8);
        push_two(out, (self.year % 100) as u8);
        out.push(b'-');
        push_two(out, self.month);
        out.push(b'-');
        push_two(out, self.day);
    }
}

impl DateTime {
    /// Appends `YYYY-MM-DD HH:MM:SS` and the column's fraction digits.
    pub fn write(self, out: &mut Vec<u8>) {
        self.date.write(out);
        out.push(b' ');
        push_two(out, self.hour);
        out.push(b':');
        push_two(out, self.minute);
        out.push(b':');
        push_two(out, self.second);
        push_fraction(out, self.micros, self.digits);
    }
}

impl Time {
    /// Appends `[-]HH:MM:SS` (hours with two digits or three) and the column's fraction digits.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let width = if self.hours > 99 { 3 } else { 2 };
        push_padded(out, u32::from(self.hours), width);
        out.push(b':');
        push_two(out, self.minute);
        out.push(b':');
        push_two(out, self.second);
        push_fraction(out, self.micros, self.digits);
    }
}

macro_rules! show_as_written {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = Vec::with_capacity(26);
                self.write(&mut out);
                f.write_str(&String::from_utf8_lossy(&out))
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
show_as_written!(Date, DateTime, Time);

/// Splits `.123` off: the text before, the microseconds and the number of digits.
fn split_fraction(text: &str) -> Option<(&str, u32, u8)> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return Some((text, 0, 0));
    };
    let digits = u8::try_from(fraction.len())
        .ok()
        .filter(|digits| (1..=6).contains(digits))?;
    let micros: u32 = fraction.parse().ok()?;
    Some((whole, micros * 10u32.pow(6 - u32::from(digits)), digits))
}

impl Date {
    /// The date written as `YYYY-MM-DD`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next()?.parse::<u16>().ok();
        let (year, month, day) = (part()?, part()?, part()?);
        Some(Self {
            year,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
        })
    }
}

impl DateTime {
    /// The date and time as [`DateTime::write`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once(' ')?;
        let time = Time::parse(time)?;
        Some(Self {
            date: Date::parse(date)?,
            hour: u8::try_from(time.hours).ok()?,
            minute: time.minute,
            second: time.second,
            micros: time.micros,
            digits: time.digits,
        })
    }
}

impl Time {
    /// The duration as [`Time::write`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text
            .strip_prefix('-')
            .map_or((false, text), |rest| (true, rest));
        let (whole, micros, digits) = split_fraction(text)?;
        let mut parts = whole.splitn(3, ':');
        let mut part = || parts.next()?.parse::<u16>().ok();
        let (hours, minute, second) = (part()?, part()?, part()?);
        let (minute, second) = (u8::try_from(minute).ok()?, u8::try_from(second).ok()?);
        Some(Self {
            negative,
            hours,
            minute,
            second,
            micros,
            digits,
        })
    }
}

macro_rules! serialise_as_text {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(input)?;
                Self::parse(&text).ok_or_else(|| {
                    serde::de::Error::custom(format!("{text:?} is no {}", stringify!($type)))
                })
            }
        }
    )*};
}
serialise_as_text!(Date, DateTime, Time);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_a_time_and_seconds_again() {
        for seconds in [
            0,
            1,
            951_782_399,
            951_782_400,
            1_709_164_800,
            253_402_300_799,
        ] {
            assert_eq!(DateTime::from_unix(seconds, 0, 0).to_unix(), seconds);
        }
        let before = Date {
            year: 1969,
            month: 12,
            day: 31,
        };
        let before = DateTime {
            date: before,
            ..DateTime::default()
        };
        assert_eq!(before.to_unix(), 0);
    }

    #[test]
    fn packing_keeps_every_part_at_its_extremes() {
        let high = DateTime {
            date: Date {
                year: 9999,
                month: 12,
                day: 31,
            },
            hour: 23,
            minute: 59,
            second: 59,
            micros: 999_999,
            digits: 6,
        };
        assert_eq!(DateTime::unpack(high.pack()), high);
        assert_eq!(
            DateTime::unpack(DateTime::default().pack()),
            DateTime::default()
        );
        let time = Time {
            negative: true,
            hours: 838,
            minute: 59,
            second: 59,
            micros: 999_999,
            digits: 6,
        };
        assert_eq!(Time::unpack(time.pack()), time);
        assert_eq!(time.to_string(), "-838:59:59.999999");
    }

    #[test]
    fn unix_time_becomes_a_civil_date() {
        assert_eq!(
            DateTime::from_unix(0, 0, 0).to_string(),
            "1970-01-01 00:00:00"
        );
        assert_eq!(
            DateTime::from_unix(951_782_400, 0, 0).to_string(),
            "2000-02-29 00:00:00"
        );
        let end = DateTime::from_unix(2_147_483_647, 123_000, 3);
        assert_eq!(end.to_string(), "2038-01-19 03:14:07.123");
    }
}
