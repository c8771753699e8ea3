//! Counts what a subject has written: a benchmark of wrong output is worth nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use headwater_servers::{Error, Result};

fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path)
        .map_err(|error| Error::new(format!("cannot open {}: {error}", path.display())))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn broken(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::new(format!("cannot read {}: {error}", path.display()))
}

/// Events in a file, by type.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Events {
    pub(crate) bootstraps: u64,
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    /// Lines that are none of these, or not whole.
    pub(crate) others: u64,
}

/// Counts the lines of a file of Maxwell's JSON by their type.
pub(crate) fn events(path: &Path) -> Result<Events> {
    count(path, |line, events| match kind(line) {
        // The second is Maxwell's own.
        Some(b"bootstrap" | b"bootstrap-insert") => &mut events.bootstraps,
        Some(b"insert") => &mut events.inserts,
        Some(b"update") => &mut events.updates,
        Some(b"delete") => &mut events.deletes,
        _ => &mut events.others,
    })
}

/// Counts the lines of a file of Debezium's envelopes by their operation.
pub(crate) fn envelopes(path: &Path) -> Result<Events> {
    count(path, |line, events| match operation(line) {
        Some(b'r') => &mut events.bootstraps,
        Some(b'c') => &mut events.inserts,
        Some(b'u') => &mut events.updates,
        Some(b'd') => &mut events.deletes,
        _ => &mut events.others,
    })
}

fn count(path: &Path, of: impl for<'a> Fn(&[u8], &'a mut Events) -> &'a mut u64) -> Result<Events> {
    let mut reader = open(path)?;
    let mut line = Vec::new();
    let mut events = Events::default();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(broken(path))? == 0 {
            return Ok(events);
        }
        *of(&line, &mut events) += 1;
    }
}

/// The type of a whole line.
fn kind(line: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b"\"type\":\"";
    if !line.ends_with(b"}}\n") {
        return None;
    }
    // Database, table and type come first.
    let head = line.get(..120).unwrap_or(line);
    let at = head.windows(MARK.len()).position(|piece| piece == MARK)?;
    let rest = head.get(at + MARK.len()..)?;
    rest.get(..rest.iter().position(|&byte| byte == b'"')?)
}

/// The operation of a whole envelope: it comes behind both images, and no text of the table contains the mark.
fn operation(line: &[u8]) -> Option<u8> {
    const MARK: &[u8] = b"\"op\":\"";
    if !line.ends_with(b"}\n") {
        return None;
    }
    let at = line.windows(MARK.len()).rposition(|piece| piece == MARK)?;
    line.get(at + MARK.len()).copied()
}

/// Counts the rows in a dump: statements, and `),(` or `),` and a line's end and `(` between rows.
/// No text of the table contains either.
pub(crate) fn dumped_rows(path: &Path) -> Result<u64> {
    const STATEMENT: &[u8] = b"INSERT INTO ";
    let mut reader = open(path)?;
    let mut block = vec![0; 1 << 20];
    // The last bytes of the block before, so that nothing is missed between two.
    let mut window: Vec<u8> = Vec::with_capacity((1 << 20) + STATEMENT.len());
    let mut rows = 0;
    loop {
        let count = reader.read(&mut block).map_err(broken(path))?;
        if count == 0 {
            return Ok(rows);
        }
        window.extend_from_slice(block.get(..count).unwrap_or_default());
        let keep = window.len().min(STATEMENT.len() - 1);
        let whole = window.len() - keep;
        for at in 0..whole {
            let here = window.get(at..).unwrap_or_default();
            let is_row = match here.first() {
                Some(b')') => here.starts_with(b"),(") || here.starts_with(b"),\n("),
                Some(b'I') => here.starts_with(STATEMENT),
                _ => false,
            };
            rows += u64::from(is_row);
        }
        window.drain(..whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_type_and_broken_ones_apart() {
        let path = std::env::temp_dir().join(format!("headwater-count-{}", std::process::id()));
        let text = "{\"database\":\"a\",\"table\":\"b\",\"type\":\"insert\",\"data\":{}}\n\
                    {\"database\":\"a\",\"table\":\"b\",\"type\":\"delete\",\"data\":{}}\n\
                    {\"database\":\"a\",\"table\":\"b\",\"type\":\"insert\",\"da";
        std::fs::write(&path, text).unwrap();
        let counted = events(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            (counted.inserts, counted.deletes, counted.others),
            (1, 1, 1)
        );
    }

    #[test]
    fn envelopes_are_counted_by_operation_and_broken_ones_apart() {
        let path = std::env::temp_dir().join(format!("headwater-envelopes-{}", std::process::id()));
        let text = "{\"before\":null,\"after\":{\"a\":1},\"source\":{},\"op\":\"r\",\"ts_ms\":1}\n\
                    {\"before\":{\"a\":1},\"after\":null,\"op\":\"d\",\"ts_ms\":1}\n{\"op\":\"d\"";
        std::fs::write(&path, text).unwrap();
        let counted = envelopes(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let found = (counted.bootstraps, counted.deletes, counted.others);
        assert_eq!(found, (1, 1, 1));
    }

    #[test]
    fn rows_of_a_dump_are_counted_in_both_styles() {
        let path = std::env::temp_dir().join(format!("headwater-dump-{}", std::process::id()));
        let text = "-- INSERT\nINSERT INTO `o` VALUES (1,'a'),(2,'b');\n\
                    INSERT INTO `o` VALUES\n(3,'c'),\n(4,'d'),\n(5,'e');\n-- Dump completed\n";
        std::fs::write(&path, text).unwrap();
        let rows = dumped_rows(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(rows, 5);
    }
}
