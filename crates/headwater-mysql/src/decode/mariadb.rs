//! Types of MariaDB's own: UUID, INET6, INET4, and compressed columns.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use flate2::read::{DeflateDecoder, ZlibDecoder};
use headwater_core::{Error, ErrorKind, Result};

use super::malformed;
use super::reader::Reader;

/// The log drops zero bytes at the end.
fn padded<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    let mut whole = [0; N];
    let Some(head) = whole.get_mut(..bytes.len()) else {
        return Err(malformed("a value is longer than its type").with("length", bytes.len()));
    };
    head.copy_from_slice(bytes);
    Ok(whole)
}

/// Appends the text form of a UUID: lower-case hexadecimal digits in groups. The log has the bytes in the order of the
/// text (`UUID::pack` in `sql_type_uuid.h`), whatever the order in the table's own files.
///
/// # Errors
/// `Malformed` for more than sixteen bytes.
pub fn write_uuid(bytes: &[u8], out: &mut String) -> Result<()> {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    for (index, byte) in padded::<16>(bytes)?.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for digit in [byte >> 4, byte & 0xF] {
            out.extend(DIGITS.get(usize::from(digit)));
        }
    }
    Ok(())
}

/// Appends the text form of an INET6 value as MariaDB prints it: the longest run of zero groups (the first of equal
/// ones, and of one group too) as `::`, and the last four bytes in dotted form behind `::` or `::ffff:`
/// (`Inet6::to_string` in `plugin/type_inet/sql_type_inet.cc`).
///
/// # Errors
/// `Malformed` for more than sixteen bytes.
pub fn write_inet6(bytes: &[u8], out: &mut String) -> Result<()> {
    let groups = Ipv6Addr::from(padded::<16>(bytes)?).segments();
    let (start, length) = longest_gap(&groups);
    let end = start + length;
    let mut index = 0;
    while index < 8 {
        if index == start && length > 0 {
            out.push_str(if index == 0 { "::" } else { ":" });
            index = end;
            continue;
        }
        let embeds_v4 = start == 0
            && index == 6
            && (length == 6 || (length == 5 && groups.get(5) == Some(&0xFFFF)));
        if embeds_v4 {
            let [.., a, b] = groups;
            let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
            _ = write!(out, "{a}.{b}.{c}.{d}");
            return Ok(());
        }
        let group = groups.get(index).copied().unwrap_or(0);
        _ = write!(out, "{group:x}");
        if index < 7 {
            out.push(':');
        }
        index += 1;
    }
    Ok(())
}

/// Start and length of the longest run of zero groups; the first of equal ones.
fn longest_gap(groups: &[u16; 8]) -> (usize, usize) {
    let mut best = (0, 0);
    let mut run = (0, 0);
    for (index, group) in groups.iter().enumerate() {
        if *group != 0 {
            run = (index + 1, 0);
            continue;
        }
        run.1 += 1;
        if run.1 > best.1 {
            best = run;
        }
    }
    best
}

/// Appends the text form of an INET4 value.
///
/// # Errors
/// `Malformed` for more than four bytes.
pub fn write_inet4(bytes: &[u8], out: &mut String) -> Result<()> {
    _ = write!(out, "{}", Ipv4Addr::from(padded::<4>(bytes)?));
    Ok(())
}

/// The value of a compressed column. Its first byte says how: the high half is the method (0 none, 8 zlib), bit 3
/// whether the zlib frame is left out, the low bits how many bytes of length follow, big-endian (`compress_zlib` in
/// `sql/field_comp.cc`).
///
/// # Errors
/// `Malformed` if the bytes do not decompress to the length they announce; `Unsupported` for another method.
pub fn uncompress(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    let mut reader = Reader::new(bytes);
    if reader.is_empty() {
        return Ok(Cow::Borrowed(&[]));
    }
    let head = reader.u8()?;
    match head >> 4 {
        0 => Ok(Cow::Borrowed(reader.rest())),
        8 => {
            let length = reader.uint_be(usize::from(head & 7))?;
            inflate(reader.rest(), length, head & 8 != 0).map(Cow::Owned)
        }
        method => Err(Error::new(
            ErrorKind::Unsupported,
            "a compressed column uses an unknown method",
        )
        .with("method", method)),
    }
}

/// Inflates to exactly `length` bytes. Memory grows with what is really there.
pub(crate) fn inflate(bytes: &[u8], length: u64, raw: bool) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let limit = length.saturating_add(1);
    let read = if raw {
        DeflateDecoder::new(bytes).take(limit).read_to_end(&mut out)
    } else {
        ZlibDecoder::new(bytes).take(limit).read_to_end(&mut out)
    };
    match read {
        Ok(found) if found as u64 == length => Ok(out),
        Ok(_) => Err(malformed(
            "compressed bytes have another length than they announce",
        )),
        Err(error) => Err(malformed("compressed bytes do not decompress").caused_by(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet6(text: &str) -> String {
        let mut out = String::new();
        write_inet6(&text.parse::<Ipv6Addr>().unwrap().octets(), &mut out).unwrap();
        out
    }

    #[test]
    fn inet6_is_written_as_mariadb_does() {
        for (from, to) in [
            ("::", "::"),
            ("::1", "::1"),
            ("::ffff:192.168.0.1", "::ffff:192.168.0.1"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("2001:db8::", "2001:db8::"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ] {
            assert_eq!(inet6(from), to);
        }
    }

    #[test]
    fn a_uuid_keeps_the_order_of_its_text() {
        let mut out = String::new();
        write_uuid(
            &[
                0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42,
            ],
            &mut out,
        )
        .unwrap();
        assert_eq!(out, "123e4567-e89b-12d3-a456-420000000000");
    }

    #[test]
    fn an_uncompressed_value_of_a_compressed_column_is_its_rest() {
        assert_eq!(&*uncompress(b"\x00abc").unwrap(), b"abc");
        assert_eq!(&*uncompress(b"").unwrap(), b"");
        assert!(uncompress(b"\x81\xffabc").is_err());
    }
}
