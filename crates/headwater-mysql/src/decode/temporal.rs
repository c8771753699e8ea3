//! Dates and times: the packed forms of the log (MySQL 5.6 and newer), the older ones (old tables, and MariaDB with
//! `mysql56_temporal_format=OFF`), and those of the binary protocol.
//!
//! Sources: the comments in the server's `sql-common/my_time.cc` (`my_time_packed_to_binary` and its kin); MariaDB's
//! `sql/field.cc` (`Field_time_hires`, `Field_datetime_hires`, `Field_timestamp_hires`);
//! `ProtocolBinary::MYSQL_TYPE_DATETIME` and `MYSQL_TYPE_TIME` of the protocol's manual.

#![allow(
    clippy::cast_possible_truncation,
    reason = "every value is masked or reduced by a remainder before it is narrowed"
)]

use headwater_core::Result;
use headwater_core::value::{Date, DateTime, Time};

use super::malformed;
use super::reader::Reader;

/// Bytes that hold this many fraction digits.
#[inline]
fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.min(6).div_ceil(2))
}

/// A fraction of `digits` digits as microseconds.
#[inline]
fn fraction(reader: &mut Reader<'_>, digits: u8) -> Result<u32> {
    Ok(match digits {
        0 => 0,
        1 | 2 => u32::from(reader.u8()?) * 10_000,
        3 | 4 => u32::from(reader.u16_be()?) * 100,
        _ => reader.u24_be()?,
    })
}

/// A date in three bytes: five bits of day, four of month, the rest year.
///
/// # Errors
/// `Malformed` if bytes are missing.
#[inline]
pub fn date(reader: &mut Reader<'_>) -> Result<Date> {
    let bits = reader.u24()?;
    Ok(Date {
        year: (bits >> 9) as u16,
        month: (bits >> 5 & 0xF) as u8,
        day: (bits & 0x1F) as u8,
    })
}

/// DATETIME2: five bytes big-endian and the fraction.
///
/// # Errors
/// `Malformed` if bytes are missing, or for a sign that no date has.
#[inline]
pub fn datetime(reader: &mut Reader<'_>, digits: u8) -> Result<DateTime> {
    let [a, b, c, d, e] = reader.array()?;
    let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
    let micros = fraction(reader, digits)?;
    if bits < 0x80_0000_0000 || micros > 999_999 {
        return Err(malformed("a DATETIME is out of its range"));
    }
    Ok(split_datetime(bits & 0x7F_FFFF_FFFF, micros, digits))
}

/// The parts of a packed date and time: 17 bits of time of day; above them five of day, then year × 13 + month.
#[inline]
pub(crate) fn split_datetime(bits: u64, micros: u32, digits: u8) -> DateTime {
    let months = (bits >> 22) as u32;
    DateTime {
        date: Date {
            year: (months / 13) as u16,
            month: (months % 13) as u8,
            day: (bits >> 17 & 0x1F) as u8,
        },
        hour: (bits >> 12 & 0x1F) as u8,
        minute: (bits >> 6 & 0x3F) as u8,
        second: (bits & 0x3F) as u8,
        micros,
        digits,
    }
}

/// TIMESTAMP2: four bytes big-endian of seconds since 1970, and the fraction. 0 is the zero date.
///
/// # Errors
/// `Malformed` if bytes are missing.
#[inline]
pub fn timestamp(reader: &mut Reader<'_>, digits: u8) -> Result<DateTime> {
    let seconds = reader.u32_be()?;
    let micros = fraction(reader, digits)?;
    from_seconds(seconds, micros, digits)
}

#[inline]
fn from_seconds(seconds: u32, micros: u32, digits: u8) -> Result<DateTime> {
    if micros > 999_999 {
        return Err(malformed("a TIMESTAMP's fraction is out of its range"));
    }
    if seconds == 0 && micros == 0 {
        return Ok(DateTime {
            digits,
            ..DateTime::default()
        });
    }
    Ok(DateTime::from_unix(u64::from(seconds), micros, digits))
}

/// TIME2: three bytes big-endian and the fraction, as one number with an offset of half its range, so that a negative
/// duration's fraction is in complement.
///
/// # Errors
/// `Malformed` if bytes are missing.
#[inline]
pub fn time(reader: &mut Reader<'_>, digits: u8) -> Result<Time> {
    let width = fraction_bytes(digits);
    let shift = 8 * width as u32;
    let bits = reader.uint_be(3 + width)?.cast_signed() - (0x80_0000_i64 << shift);
    let unit = match width {
        0 | 3 => 1,
        1 => 10_000,
        _ => 100,
    };
    let size = bits.unsigned_abs();
    let micros = (size & ((1 << shift) - 1)) as u32 * unit;
    if micros > 999_999 {
        return Err(malformed("a TIME's fraction is out of its range"));
    }
    Ok(split_time(bits < 0, size >> shift, micros, digits))
}

/// The parts of a packed duration: six bits of seconds, six of minutes, ten of hours.
#[inline]
pub(crate) fn split_time(negative: bool, bits: u64, micros: u32, digits: u8) -> Time {
    Time {
        negative,
        hours: (bits >> 12 & 0x3FF) as u16,
        minute: (bits >> 6 & 0x3F) as u8,
        second: (bits & 0x3F) as u8,
        micros,
        digits,
    }
}

/// DATETIME before 5.6: the number YYYYMMDDhhmmss in eight bytes.
///
/// # Errors
/// `Malformed` if bytes are missing.
pub fn old_datetime(reader: &mut Reader<'_>) -> Result<DateTime> {
    let number = reader.u64()?;
    let (date, time) = (number / 1_000_000, number % 1_000_000);
    if date > 99_999_999 {
        return Err(malformed("an old DATETIME is out of its range"));
    }
    Ok(DateTime {
        date: Date {
            year: (date / 10_000) as u16,
            month: (date / 100 % 100) as u8,
            day: (date % 100) as u8,
        },
        hour: (time / 10_000) as u8,
        minute: (time / 100 % 100) as u8,
        second: (time % 100) as u8,
        micros: 0,
        digits: 0,
    })
}

/// TIMESTAMP before 5.6: seconds since 1970 in four bytes, little-endian.
///
/// # Errors
/// `Malformed` if bytes are missing.
pub fn old_timestamp(reader: &mut Reader<'_>) -> Result<DateTime> {
    from_seconds(reader.u32()?, 0, 0)
}

/// TIME before 5.6: the signed number hhmmss in three bytes, little-endian.
///
/// # Errors
/// `Malformed` if bytes are missing.
pub fn old_time(reader: &mut Reader<'_>) -> Result<Time> {
    let number = (reader.u24()? << 8).cast_signed() >> 8;
    let size = number.unsigned_abs();
    Ok(Time {
        negative: number < 0,
        hours: (size / 10_000) as u16,
        minute: (size / 100 % 100) as u8,
        second: (size % 100) as u8,
        micros: 0,
        digits: 0,
    })
}

/// Ten to the power of the fraction digits that a column does not show.
fn hidden(digits: u8) -> u64 {
    10_u64.pow(u32::from(6 - digits.min(6)))
}

/// MariaDB's own DATETIME with a fraction: one number in mixed radix, big-endian.
///
/// # Errors
/// `Malformed` if bytes are missing.
pub fn hires_datetime(reader: &mut Reader<'_>, digits: u8) -> Result<DateTime> {
    const BYTES: [usize; 7] = [5, 6, 6, 7, 7, 7, 8];
    let width = BYTES.get(usize::from(digits)).copied().unwrap_or(8);
    let number = reader.uint_be(width)?.saturating_mul(hidden(digits));
    let (seconds, micros) = (number / 1_000_000, (number % 1_000_000) as u32);
    let (minutes, second) = (seconds / 60, (seconds % 60) as u8);
    let (hours, minute) = (minutes / 60, (minutes % 60) as u8);
    let (days, hour) = (hours / 24, (hours % 24) as u8);
    let (months, day) = (days / 32, (days % 32) as u8);
    if months / 13 > 9999 {
        return Err(malformed("a DATETIME is out of its range"));
    }
    Ok(DateTime {
        date: Date {
            year: (months / 13) as u16,
            month: (months % 13) as u8,
            day,
        },
        hour,
        minute,
        second,
        micros,
        digits,
    })
}

/// MariaDB's own TIME with a fraction: one number in mixed radix, big-endian, with an offset.
///
/// # Errors
/// `Malformed` if bytes are missing.
pub fn hires_time(reader: &mut Reader<'_>, digits: u8) -> Result<Time> {
    const BYTES: [usize; 7] = [3, 4, 4, 5, 5, 5, 6];
    /// 838:59:59 and a second, in microseconds: the offset that makes every value positive.
    const OFFSET: u64 = (838 * 3600 + 59 * 60 + 59 + 1) * 1_000_000;
    let width = BYTES.get(usize::from(digits)).copied().unwrap_or(6);
    let scaled = reader.uint_be(width)?.cast_signed() - (OFFSET / hidden(digits)).cast_signed();
    let micros = scaled.unsigned_abs().saturating_mul(hidden(digits));
    let seconds = micros / 1_000_000;
    if seconds >= 839 * 3600 {
        return Err(malformed("a TIME is out of its range"));
    }
    Ok(Time {
        negative: scaled < 0,
        hours: (seconds / 3600) as u16,
        minute: (seconds / 60 % 60) as u8,
        second: (seconds % 60) as u8,
        micros: (micros % 1_000_000) as u32,
        digits,
    })
}

/// MariaDB's own TIMESTAMP with a fraction: seconds and fraction, both big-endian.
///
/// # Errors
/// `Malformed` if bytes are missing.
pub fn hires_timestamp(reader: &mut Reader<'_>, digits: u8) -> Result<DateTime> {
    let seconds = reader.u32_be()?;
    let number = reader.uint_be(fraction_bytes(digits))?;
    let micros = number.saturating_mul(hidden(digits)).min(1_000_000) as u32;
    from_seconds(seconds, micros, digits)
}

/// DATE, DATETIME or TIMESTAMP of the binary protocol.
///
/// # Errors
/// `Malformed` if bytes are missing, or for a length that the protocol does not have.
#[inline]
pub fn binary_datetime(reader: &mut Reader<'_>, digits: u8) -> Result<DateTime> {
    let length = reader.u8()?;
    let mut value = DateTime {
        digits,
        ..DateTime::default()
    };
    if !matches!(length, 0 | 4 | 7 | 11) {
        return Err(malformed(
            "a date has a length that the protocol does not have",
        ));
    }
    if length >= 4 {
        let [low, high, month, day] = reader.array()?;
        value.date = Date {
            year: u16::from_le_bytes([low, high]) & 0x3FFF,
            month,
            day,
        };
    }
    if length >= 7 {
        [value.hour, value.minute, value.second] = reader.array()?;
    }
    if length == 11 {
        value.micros = reader.u32()?;
    }
    Ok(value)
}

/// TIME of the binary protocol.
///
/// # Errors
/// `Malformed` if bytes are missing, or for a length that the protocol does not have.
#[inline]
pub fn binary_time(reader: &mut Reader<'_>, digits: u8) -> Result<Time> {
    let length = reader.u8()?;
    let mut value = Time {
        digits,
        ..Time::default()
    };
    if !matches!(length, 0 | 8 | 12) {
        return Err(malformed(
            "a time has a length that the protocol does not have",
        ));
    }
    if length >= 8 {
        value.negative = reader.u8()? != 0;
        let days = reader.u32()?;
        let [hour, minute, second] = reader.array()?;
        let hours = u64::from(days) * 24 + u64::from(hour);
        value.hours = u16::try_from(hours).map_err(|_| malformed("a TIME is out of its range"))?;
        (value.minute, value.second) = (minute, second);
    }
    if length == 12 {
        value.micros = reader.u32()?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TENS: [u32; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

    fn put_fraction(out: &mut Vec<u8>, micros: u32, digits: u8) {
        match digits {
            0 => {}
            1 | 2 => out.push((micros / 10_000) as u8),
            3 | 4 => out.extend_from_slice(&((micros / 100) as u16).to_be_bytes()),
            _ => out.extend_from_slice(&micros.to_be_bytes()[1..]),
        }
    }

    /// As `my_time_packed_to_binary` does.
    fn put_time(out: &mut Vec<u8>, time: Time) {
        let bits =
            i64::from(time.hours) << 12 | i64::from(time.minute) << 6 | i64::from(time.second);
        let width = fraction_bytes(time.digits);
        let unit = [1, 10_000, 100, 1][width];
        let number = bits << (8 * width) | i64::from(time.micros / unit);
        let number = if time.negative { -number } else { number } + (0x80_0000 << (8 * width));
        out.extend_from_slice(&number.to_be_bytes()[5 - width..]);
    }

    #[test]
    fn a_negative_time_keeps_its_fraction() {
        // The table in my_time.cc: '-00:00:00.01' is 7FFFFF FF as TIME(2).
        let time =
            |bytes: &[u8], digits| time(&mut Reader::new(bytes), digits).unwrap().to_string();
        assert_eq!(time(&[0x7F, 0xFF, 0xFF, 0xFF], 2), "-00:00:00.01");
        assert_eq!(time(&[0x7F, 0xFF, 0xFE, 0xFF], 2), "-00:00:01.01");
        assert_eq!(time(&[0x7F, 0xFF, 0xFF, 0x00], 2), "-00:00:01.00");
        assert_eq!(time(&[0x80, 0x00, 0x00], 0), "00:00:00");
    }

    proptest! {
        #[test]
        fn times_come_back(negative: bool, hours in 0..=838_u16, minute in 0..60_u8, second in 0..60_u8,
                           micros in 0..1_000_000_u32, digits in 0..=6_u8) {
            let micros = micros / TENS[usize::from(digits)] * TENS[usize::from(digits)];
            let negative = negative && (hours > 0 || minute > 0 || second > 0 || micros > 0);
            let value = Time { negative, hours, minute, second, micros, digits };
            let mut bytes = Vec::new();
            put_time(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(time(&mut reader, digits).unwrap(), value);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn datetimes_come_back(year in 0..=9999_u16, month in 0..=12_u8, day in 0..=31_u8, hour in 0..24_u8,
                               minute in 0..60_u8, second in 0..60_u8, micros in 0..1_000_000_u32, digits in 0..=6_u8) {
            let micros = micros / TENS[usize::from(digits)] * TENS[usize::from(digits)];
            let value = DateTime { date: Date { year, month, day }, hour, minute, second, micros, digits };
            let months = u64::from(year) * 13 + u64::from(month);
            let bits = (months << 5 | u64::from(day)) << 17
                | u64::from(hour) << 12 | u64::from(minute) << 6 | u64::from(second) | 0x80_0000_0000;
            let mut bytes = bits.to_be_bytes()[3..].to_vec();
            put_fraction(&mut bytes, micros, digits);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(datetime(&mut reader, digits).unwrap(), value);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..16), digits in any::<u8>()) {
            let reader = Reader::new(&bytes);
            _ = date(&mut reader.clone());
            _ = datetime(&mut reader.clone(), digits);
            _ = timestamp(&mut reader.clone(), digits);
            _ = time(&mut reader.clone(), digits);
            _ = old_datetime(&mut reader.clone());
            _ = old_time(&mut reader.clone());
            _ = old_timestamp(&mut reader.clone());
            _ = hires_datetime(&mut reader.clone(), digits);
            _ = hires_time(&mut reader.clone(), digits);
            _ = hires_timestamp(&mut reader.clone(), digits);
            _ = binary_datetime(&mut reader.clone(), digits);
            _ = binary_time(&mut reader.clone(), digits);
        }
    }
}
