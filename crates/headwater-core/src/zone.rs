//! Time zones, as people write them.

use jiff::tz::{Offset, TimeZone};

use crate::error::{Error, ErrorKind, Result};

/// A zone by its IANA name, or `+HH:MM`.
///
/// # Errors
/// `Configuration` for a name that no zone has.
pub fn parse(name: &str) -> Result<TimeZone> {
    let unknown = || {
        Error::new(ErrorKind::Configuration, "no time zone has this name")
            .with("name", name)
            .hint("write an IANA name such as Europe/Zurich, UTC, or an offset such as +08:00")
    };
    if name.eq_ignore_ascii_case("utc") || name == "Z" {
        return Ok(TimeZone::UTC);
    }
    if let Some(rest) = name.strip_prefix(['+', '-']) {
        let (hours, minutes) = rest.split_once(':').ok_or_else(unknown)?;
        let hours: i32 = hours.parse().map_err(|_| unknown())?;
        let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
        let seconds = (hours * 60 + minutes) * 60;
        let seconds = if name.starts_with('-') {
            -seconds
        } else {
            seconds
        };
        let offset = Offset::from_seconds(seconds).map_err(|_| unknown())?;
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|cause| unknown().caused_by(cause))
}
