//! A place in a binlog: file and offset, and the global transaction ids that say the same across servers.

use std::cmp::Ordering;
use std::fmt;

use headwater_core::position::Position;
use serde::{Deserialize, Serialize};

use crate::gtid::{DomainPositions, GtidSet};

/// A transaction boundary in the binlog.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BinlogPosition {
    /// The log file's name.
    pub file: String,
    /// Bytes from the file's beginning.
    pub offset: u64,
    /// MySQL's executed set there, where GTIDs are on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid_set: Option<GtidSet>,
    /// MariaDB's position by domain, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid: Option<DomainPositions>,
}

impl BinlogPosition {
    /// Orders by file and offset, which means something on one server only.
    #[must_use]
    pub fn compare_files(&self, other: &Self) -> Ordering {
        compare_names(&self.file, &other.file).then(self.offset.cmp(&other.offset))
    }
}

/// Log file names compare by base name, then by number: after `.999999` comes `.1000000`.
#[must_use]
pub fn compare_names(a: &str, b: &str) -> Ordering {
    fn split(name: &str) -> (&str, u64) {
        let (base, number) = name.rsplit_once('.').unwrap_or((name, ""));
        (base, number.parse().unwrap_or(0))
    }
    // Asked at each transaction, and nearly always of one file.
    if a == b {
        return Ordering::Equal;
    }
    split(a).cmp(&split(b))
}

impl Position for BinlogPosition {
    fn includes(&self, other: &Self) -> bool {
        match (&self.gtid_set, &other.gtid_set, &self.gtid, &other.gtid) {
            (Some(mine), Some(theirs), _, _) => mine.is_superset(theirs),
            (_, _, Some(mine), Some(theirs)) => mine.includes(theirs),
            _ => self.compare_files(other).is_ge(),
        }
    }
}

impl fmt::Display for BinlogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)?;
        if let Some(set) = &self.gtid_set {
            write!(f, " gtid {set}")?;
        }
        if let Some(gtid) = &self.gtid {
            write!(f, " gtid {gtid}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_compare_by_number() {
        assert_eq!(
            compare_names("binlog.999999", "binlog.1000000"),
            Ordering::Less
        );
        assert_eq!(
            compare_names("binlog.000010", "binlog.000009"),
            Ordering::Greater
        );
    }

    #[test]
    fn gtids_win_over_files_where_both_have_them() {
        let at = |file: &str, set: &str| BinlogPosition {
            file: file.into(),
            offset: 4,
            gtid_set: Some(set.parse().unwrap()),
            gtid: None,
        };
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let early = at("b.000009", &format!("{uuid}:1-5"));
        let late = at("a.000001", &format!("{uuid}:1-6"));
        assert!(late.includes(&early) && !early.includes(&late));
    }
}
