//! Limits as people write them: `20000rows/s`, `5MB/s`, and of the source's load `threads=20`, `lag=10s`, `history=100000`.

use headwater_core::{Error, Result};

use crate::config::misused;
use crate::control::view::{Limits, Load};

/// Reads one rate in rows, one in bytes, and limits of the load; `load=any` lifts those of the configuration, and `none`
/// all there are.
pub(super) fn limits(words: &[String]) -> Result<Limits> {
    let mut limits = Limits::default();
    if let [only] = words
        && only.trim().eq_ignore_ascii_case("none")
    {
        limits.load = Some(Load::default());
        return Ok(limits);
    }
    for word in words {
        if let Some((gauge, limit)) = word.split_once('=') {
            load(limits.load.get_or_insert_default(), gauge, limit, word)?;
            continue;
        }
        let (number, is_rows) = read(word)?;
        let place = if is_rows {
            &mut limits.rows_per_s
        } else {
            &mut limits.bytes_per_s
        };
        if number == 0 {
            return Err(misused(
                format!("at `{word}` it would never end"),
                "pause it instead: headwater bootstrap pause ID",
            ));
        }
        if place.replace(number).is_some() {
            return Err(misused(
                format!("`{word}` is a second rate of its kind"),
                "give one in rows, one in bytes, or one of each",
            ));
        }
    }
    Ok(limits)
}

/// Reads a limit of the load.
fn load(load: &mut Load, gauge: &str, limit: &str, word: &str) -> Result<()> {
    let wrong = || {
        misused(
            format!("`{word}` is no limit of a load"),
            "write threads=20 (statements that run at once), lag=10s (of the replicas that the configuration names), \
             history=100000 (InnoDB's history list), or load=any",
        )
    };
    let (gauge, limit) = (gauge.trim().to_ascii_lowercase(), limit.trim());
    if gauge == "load" && limit.eq_ignore_ascii_case("any") {
        return Ok(());
    }
    let place = match gauge.as_str() {
        "threads" => &mut load.threads_running,
        "history" => &mut load.history_length,
        "lag" => &mut load.replica_lag_s,
        _ => return Err(wrong()),
    };
    let number = match gauge.as_str() {
        "lag" => limit.strip_suffix('s').ok_or_else(wrong)?,
        _ => limit,
    };
    let number = number.replace('_', "").parse().map_err(|_| wrong())?;
    if place.replace(number).is_some() {
        return Err(misused(
            format!("`{word}` is a second limit of its kind"),
            "give one of each",
        ));
    }
    Ok(())
}

/// The units, with what one of them is.
const UNITS: [(&str, u64, bool); 13] = [
    ("rows", 1, true),
    ("row", 1, true),
    ("krows", 1_000, true),
    ("mrows", 1_000_000, true),
    ("b", 1, false),
    ("bytes", 1, false),
    ("kb", 1_000, false),
    ("mb", 1_000_000, false),
    ("gb", 1_000_000_000, false),
    ("kib", 1 << 10, false),
    ("mib", 1 << 20, false),
    ("gib", 1 << 30, false),
    ("tib", 1 << 40, false),
];

/// The number, and whether it counts rows.
fn read(word: &str) -> Result<(u64, bool)> {
    let wrong = || -> Error {
        misused(
            format!("`{word}` is no rate"),
            "write 20000rows/s, 5MB/s (also kB, KiB, MiB, GB, GiB), threads=20, lag=10s, history=100000, load=any, or `none`",
        )
    };
    let text = word.trim().to_ascii_lowercase();
    let text = ["/sec", "/s"]
        .into_iter()
        .find_map(|end| text.strip_suffix(end))
        .ok_or_else(wrong)?;
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.')
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let (_, size, is_rows) = UNITS
        .into_iter()
        .find(|(name, _, _)| *name == unit.trim())
        .ok_or_else(wrong)?;
    let number = scaled(&number.replace('_', ""), size).ok_or_else(wrong)?;
    Ok((number, is_rows))
}

/// A decimal number times `size`.
fn scaled(number: &str, size: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let digits: String = fraction.chars().take(9).collect();
    let part = if digits.is_empty() {
        0
    } else {
        let of = 10_u64.pow(u32::try_from(digits.len()).ok()?);
        u128::from(digits.parse::<u64>().ok()?) * u128::from(size) / u128::from(of)
    };
    whole
        .checked_mul(size)?
        .checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(words: &[&str]) -> Result<(Option<u64>, Option<u64>)> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        limits(&words).map(|limits| (limits.rows_per_s, limits.bytes_per_s))
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        assert_eq!(limits_of(&["20000rows/s"]).unwrap(), (Some(20_000), None));
        assert_eq!(limits_of(&["20_000 rows/s"]).unwrap(), (Some(20_000), None));
        assert_eq!(limits_of(&["5MB/s"]).unwrap(), (None, Some(5_000_000)));
        assert_eq!(limits_of(&["1.5 MiB/s"]).unwrap(), (None, Some(1_572_864)));
        assert_eq!(
            limits_of(&["2krows/s", "512KiB/sec"]).unwrap(),
            (Some(2_000), Some(524_288))
        );
        assert_eq!(limits_of(&["none"]).unwrap(), (None, None));
        assert_eq!(limits_of(&[]).unwrap(), (None, None));
    }

    #[test]
    fn limits_of_the_load_are_read_beside_rates() {
        let read = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let limits = limits(&words).unwrap();
            let load = limits.load.map(|load| {
                [
                    load.threads_running,
                    load.history_length,
                    load.replica_lag_s,
                ]
            });
            (limits.rows_per_s, load)
        };
        assert_eq!(read(&["5rows/s"]), (Some(5), None));
        let all = ["Threads=20", "5rows/s", "lag=10s", "history=1_000_000"];
        assert_eq!(
            read(&all),
            (Some(5), Some([Some(20), Some(1_000_000), Some(10)]))
        );
        assert_eq!(read(&["load=any", "5rows/s"]), (Some(5), Some([None; 3])));
        assert_eq!(read(&["none"]), (None, Some([None; 3])));
        for bad in [
            "threads=",
            "threads=x",
            "threads=-1",
            "lag=10",
            "lag=10ms",
            "cpu=5",
            "load=20",
            "=5",
        ] {
            let error = limits(&[bad.to_owned()]).unwrap_err();
            assert!(error.hint_text().is_some(), "{bad}");
        }
        assert!(limits(&["lag=1s".to_owned(), "lag=2s".to_owned()]).is_err());
    }

    #[test]
    fn what_is_no_rate_is_refused_with_examples() {
        for bad in [
            "",
            "fast",
            "20000",
            "20000/s",
            "20000rows",
            "MB/s",
            "-5MB/s",
            "5XB/s",
            "0rows/s",
            ".5MB/s",
            "1.2.3MB/s",
            "99999999999999999999rows/s",
        ] {
            assert!(limits_of(&[bad]).is_err(), "{bad}");
        }
        assert!(limits_of(&["5MB/s", "6kB/s"]).is_err());
        assert!(limits_of(&["5MB/s", "none"]).is_err());
    }
}
