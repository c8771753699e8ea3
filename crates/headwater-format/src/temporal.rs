//! Dates and times as JSON strings. The text is what [`Date::write`] and its kin write; only the way there is shorter:
//! digits are made eight at a time, and the text is put together in registers, eight bytes a word.

use headwater_core::value::{Date, DateTime, Time};

use crate::append::{eight_digits, push_front};

const QUOTE: u64 = b'"' as u64;
const DASH: u64 = b'-' as u64;
const COLON: u64 = b':' as u64;

/// `count` bytes of `word` from the one at `first`, moved to the place `to`.
#[inline]
const fn part(word: u64, first: u32, count: u32, to: u32) -> u64 {
    (word >> (first * 8) & ((1 << (count * 8)) - 1)) << (to * 8)
}

/// `YYYYMMDD`.
#[inline]
fn date_digits(date: Date) -> u64 {
    let month = u64::from(date.month) % 100;
    eight_digits(u64::from(date.year) % 10_000 * 10_000 + month * 100 + u64::from(date.day) % 100)
}

/// `xxHHMMSS`; of the hours the last two digits.
#[inline]
fn clock_digits(hours: u64, minute: u8, second: u8) -> u64 {
    let minute = u64::from(minute) % 100;
    eight_digits(hours % 100 * 10_000 + minute * 100 + u64::from(second) % 100)
}

/// What stands behind the seconds, up to the closing quote, and its length.
#[inline]
fn end(micros: u32, digits: u8) -> (u64, usize) {
    if digits == 0 {
        return (QUOTE, 1);
    }
    let digits = u32::from(digits.min(6));
    let fraction = part(eight_digits(u64::from(micros) % 1_000_000), 2, digits, 1);
    (
        u64::from(b'.') | fraction | QUOTE << ((digits + 1) * 8),
        digits as usize + 2,
    )
}

/// `"YYYY-MM`.
#[inline]
fn year_and_month(date: u64) -> u64 {
    QUOTE | part(date, 0, 4, 1) | DASH << 40 | part(date, 4, 2, 6)
}

/// Appends `"YYYY-MM-DD"`.
#[inline]
pub fn push_date(out: &mut Vec<u8>, value: Date) {
    let date = date_digits(value);
    out.extend_from_slice(&year_and_month(date).to_le_bytes());
    let day = DASH | part(date, 6, 2, 1) | QUOTE << 24;
    push_front(out, &day.to_le_bytes(), 4);
}

/// Appends `"YYYY-MM-DD HH:MM:SS"` with the column's fraction digits.
#[inline]
pub fn push_datetime(out: &mut Vec<u8>, value: DateTime) {
    let date = date_digits(value.date);
    let clock = clock_digits(u64::from(value.hour), value.minute, value.second);
    let (end, length) = end(value.micros, value.digits);
    // `-DD HH:M`, then `M:SS` and the end.
    let day = DASH | part(date, 6, 2, 1) | u64::from(b' ') << 24;
    let hour = part(clock, 2, 2, 4) | COLON << 48 | part(clock, 4, 1, 7);
    let second = part(clock, 5, 1, 0) | COLON << 8 | part(clock, 6, 2, 2);
    out.extend_from_slice(&year_and_month(date).to_le_bytes());
    out.extend_from_slice(&(day | hour).to_le_bytes());
    out.extend_from_slice(&(second | end << 32).to_le_bytes());
    let start = out.len() - 4;
    out.extend_from_slice(&(end >> 32).to_le_bytes());
    out.truncate(start + length);
}

/// Appends `"[-]HH:MM:SS"`, hours with two digits or three, with the column's fraction digits.
#[inline]
pub fn push_time(out: &mut Vec<u8>, value: Time) {
    out.extend_from_slice(if value.negative { b"\"-" } else { b"\"" });
    let hours = u64::from(value.hours) % 1_000;
    if hours > 99 {
        push_front(out, &part(eight_digits(hours), 5, 1, 0).to_le_bytes(), 1);
    }
    let clock = clock_digits(hours, value.minute, value.second);
    let text = part(clock, 2, 2, 0) | COLON << 16 | part(clock, 4, 2, 3) | COLON << 40;
    out.extend_from_slice(&(text | part(clock, 6, 2, 6)).to_le_bytes());
    let (end, length) = end(value.micros, value.digits);
    push_front(out, &end.to_le_bytes(), length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = vec![b'"'];
        write(&mut out);
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    fn text(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn dates_and_times_are_written_as_the_core_writes_them(
            year in 0..=9999u16, month in 0..=12u8, day in 0..=31u8, hours in 0..=838u16, minute in 0..60u8,
            second in 0..60u8, micros in 0..1_000_000u32, digits in 0..=6u8, negative: bool
        ) {
            let date = Date { year, month, day };
            let hour = (hours % 24) as u8;
            let datetime = DateTime { date, hour, minute, second, micros, digits };
            let time = Time { negative, hours, minute, second, micros, digits };
            prop_assert_eq!(text(|out| push_date(out, date)), quoted(|out| date.write(out)));
            prop_assert_eq!(text(|out| push_datetime(out, datetime)), quoted(|out| datetime.write(out)));
            prop_assert_eq!(text(|out| push_time(out, time)), quoted(|out| time.write(out)));
        }
    }
}
