//! When a bootstrap may begin: a time as people write it.

use headwater_core::{Result, clock};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::config::misused;

/// The seconds since 1970 of a time with its offset, of one by the clock of this machine, or of a while from now.
pub(super) fn seconds(text: &str) -> Result<u64> {
    seconds_from(text, clock::now_s(), &TimeZone::system())
}

fn seconds_from(text: &str, now_s: u64, zone: &TimeZone) -> Result<u64> {
    let text = text.trim();
    let at = match text.strip_prefix('+') {
        Some(span) => seconds_in(span).and_then(|span| now_s.checked_add(span)),
        None => timestamp(text, zone).and_then(|at| u64::try_from(at.as_second()).ok()),
    };
    at.ok_or_else(|| {
        misused(
            format!("`{text}` is no time"),
            "write 2026-11-22T03:00:00Z, 2026-11-22T03:00:00+01:00, '2026-11-22 03:00' by the clock of this machine, or +90s, +30m, +2h",
        )
    })
}

fn timestamp(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local: DateTime = text.parse().ok()?;
    Some(local.to_zoned(zone.clone()).ok()?.timestamp())
}

/// A number of seconds, minutes, hours or days.
fn seconds_in(span: &str) -> Option<u64> {
    let unit = span.chars().last()?;
    let number: u64 = span.strip_suffix(unit)?.parse().ok()?;
    let of_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(of_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_offset_or_that_of_the_machine_or_counts_from_now() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let read = |text: &str| seconds_from(text, 1_000, &zone);
        for (text, seconds) in [
            ("2026-11-22T03:00:00Z", 1_795_316_400),
            ("2026-11-22T03:00:00+01:00", 1_795_312_800),
            ("2026-11-22 03:00", 1_795_309_200),
            ("2026-11-22T03:00:00", 1_795_309_200),
            ("+90s", 1_090),
            ("+30m", 2_800),
            ("+2h", 8_200),
            ("+1d", 87_400),
        ] {
            assert_eq!(read(text).unwrap(), seconds, "{text}");
        }
        for bad in [
            "",
            "soon",
            "+",
            "+5",
            "+5w",
            "+-5s",
            "03:00",
            "2026-13-01 00:00",
            "1960-01-01 00:00",
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.hint_text().is_some(), "{bad}");
        }
    }
}
