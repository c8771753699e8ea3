//! Global transaction ids: MySQL's sets and MariaDB's positions by domain.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use headwater_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// What names a stream of MySQL's GTIDs: a server's uuid and, from 8.3 on, a tag (empty: none).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tsid {
    /// The uuid, big-endian as it is written.
    pub uuid: [u8; 16],
    /// The tag.
    pub tag: String,
}

impl Ord for Tsid {
    fn cmp(&self, other: &Self) -> Ordering {
        // As numbers, for it is done at each transaction.
        let uuid = |tsid: &Self| u128::from_be_bytes(tsid.uuid);
        uuid(self)
            .cmp(&uuid(other))
            .then_with(|| self.tag.cmp(&other.tag))
    }
}

impl PartialOrd for Tsid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A set of MySQL's GTIDs: for each stream, disjoint ascending intervals of numbers, both ends inclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GtidSet(BTreeMap<Tsid, Vec<(u64, u64)>>);

impl GtidSet {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds the transaction `number` of `tsid`.
    #[must_use]
    pub fn contains(&self, tsid: &Tsid, number: u64) -> bool {
        let intervals = self.0.get(tsid).map_or(&[][..], Vec::as_slice);
        intervals
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// Whether it holds every transaction of `other`.
    #[must_use]
    pub fn is_superset(&self, other: &Self) -> bool {
        other.0.iter().all(|(tsid, wanted)| {
            let mine = self.0.get(tsid).map_or(&[][..], Vec::as_slice);
            wanted
                .iter()
                .all(|(first, last)| mine.iter().any(|(from, to)| from <= first && last <= to))
        })
    }

    /// Adds the transaction `number` of `tsid`.
    pub fn add(&mut self, tsid: &Tsid, number: u64) {
        if let Some(intervals) = self.0.get_mut(tsid) {
            // The usual case: the next one in a row.
            if let Some(last) = intervals.last_mut()
                && last.1 + 1 == number
            {
                last.1 = number;
                return;
            }
            add_interval(intervals, number, number);
        } else {
            self.0.insert(tsid.clone(), vec![(number, number)]);
        }
    }

    /// The set as COM_BINLOG_DUMP_GTID takes it (`Gtid_set::encode` of the server's `sql/rpl_gtid_set.cc`). With a tag in
    /// it, in the tagged form that servers from 8.3 on read.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let tagged = self.0.keys().any(|tsid| !tsid.tag.is_empty());
        let count = self.0.len() as u64;
        let mut out = Vec::new();
        let head = if tagged {
            1 | count << 8 | 1 << 56
        } else {
            count
        };
        out.extend_from_slice(&head.to_le_bytes());
        for (tsid, intervals) in &self.0 {
            out.extend_from_slice(&tsid.uuid);
            if tagged {
                // A length below 64 in the server's variable-length form: shifted left by one.
                out.push(u8::try_from(tsid.tag.len() << 1).unwrap_or(0));
                out.extend_from_slice(tsid.tag.as_bytes());
            }
            out.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
            for (first, last) in intervals {
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&(last + 1).to_le_bytes());
            }
        }
        out
    }
}

fn add_interval(intervals: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    intervals.push((first, last));
    intervals.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(intervals.len());
    for (from, to) in intervals.drain(..) {
        match merged.last_mut() {
            Some(before) if from <= before.1.saturating_add(1) => before.1 = before.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    *intervals = merged;
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &[u8; 16]) -> fmt::Result {
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for Tsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, &self.uuid)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        Ok(())
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (tsid, intervals)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{tsid}")?;
            for (first, last) in intervals {
                write!(f, ":{first}")?;
                if last > first {
                    write!(f, "-{last}")?;
                }
            }
        }
        Ok(())
    }
}

fn bad(text: &str) -> Error {
    Error::new(ErrorKind::Malformed, "this is not a GTID position").with("text", text)
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    if digits.len() == 32 {
        bytes.try_into().ok()
    } else {
        None
    }
}

impl FromStr for GtidSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut set = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let mut words = part.split(':').map(str::trim);
            let uuid = words.next().and_then(parse_uuid).ok_or_else(|| bad(text))?;
            let mut tsid = Tsid {
                uuid,
                tag: String::new(),
            };
            for word in words {
                if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    word.clone_into(&mut tsid.tag);
                    continue;
                }
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                let first: u64 = first.parse().map_err(|_| bad(text))?;
                let last: u64 = last.parse().map_err(|_| bad(text))?;
                if first == 0 || last < first {
                    return Err(bad(text));
                }
                add_interval(set.0.entry(tsid.clone()).or_default(), first, last);
            }
        }
        Ok(set)
    }
}

/// MariaDB's position: for each replication domain the last transaction, as server id and sequence number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainPositions(BTreeMap<u32, (u32, u64)>);

impl DomainPositions {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every transaction of `other` lies at or before this position.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|(domain, (_, sequence))| {
            self.0.get(domain).is_some_and(|(_, mine)| mine >= sequence)
        })
    }

    /// Moves on to a transaction.
    pub fn set(&mut self, domain: u32, server: u32, sequence: u64) {
        self.0.insert(domain, (server, sequence));
    }
}

impl fmt::Display for DomainPositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (domain, (server, sequence))) in self.0.iter().enumerate() {
            let lead = if index > 0 { "," } else { "" };
            write!(f, "{lead}{domain}-{server}-{sequence}")?;
        }
        Ok(())
    }
}

impl FromStr for DomainPositions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut positions = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let numbers: Vec<u64> = part
                .split('-')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map_err(|_| bad(text))?;
            let [domain, server, sequence] = numbers[..] else {
                return Err(bad(text));
            };
            let narrow = |number: u64| u32::try_from(number).map_err(|_| bad(text));
            positions.set(narrow(domain)?, narrow(server)?, sequence);
        }
        Ok(positions)
    }
}

macro_rules! serialise_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serialise_as_text!(GtidSet, DomainPositions);

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn sets_parse_print_and_merge() {
        let set: GtidSet = format!("{A}:1-5:7-9,{A}:6").parse().unwrap();
        assert_eq!(set.to_string(), format!("{A}:1-9"));
        let tagged: GtidSet = format!("{A}:1-3:blue:4:6-7").parse().unwrap();
        assert_eq!(tagged.to_string(), format!("{A}:1-3,{A}:blue:4:6-7"));
        assert_eq!(tagged.to_string().parse::<GtidSet>().unwrap(), tagged);
        assert!("nonsense".parse::<GtidSet>().is_err());
        assert!(format!("{A}:5-1").parse::<GtidSet>().is_err());
    }

    #[test]
    fn a_gap_is_kept_and_closed_by_what_was_missing() {
        let mut set: GtidSet = format!("{A}:1-5:8").parse().unwrap();
        let tsid = Tsid {
            uuid: parse_uuid(A).unwrap(),
            tag: String::new(),
        };
        assert!(!set.contains(&tsid, 6));
        let whole: GtidSet = format!("{A}:1-8").parse().unwrap();
        assert!(whole.is_superset(&set) && !set.is_superset(&whole));
        set.add(&tsid, 7);
        set.add(&tsid, 6);
        assert_eq!(set, whole);
    }

    #[test]
    fn a_set_is_encoded_as_the_server_reads_it() {
        let set: GtidSet = format!("{A}:1-5").parse().unwrap();
        let bytes = set.encode();
        assert_eq!(bytes.len(), 8 + 16 + 8 + 16);
        assert_eq!(bytes[0..8], 1u64.to_le_bytes());
        assert_eq!(bytes[32..40], 1u64.to_le_bytes());
        assert_eq!(bytes[40..48], 6u64.to_le_bytes());
    }

    #[test]
    fn domains_are_compared_each_by_itself() {
        let here: DomainPositions = "0-1-5,7-2-9".parse().unwrap();
        assert!(here.includes(&"0-9-5".parse().unwrap()));
        assert!(!here.includes(&"0-1-4,7-2-10".parse().unwrap()));
        assert!(!here.includes(&"3-1-1".parse().unwrap()));
        assert_eq!(here.to_string(), "0-1-5,7-2-9");
    }
}
