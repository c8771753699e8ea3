//! Geometries as well-known text in the style of JTS (`POINT (30.5 -10)`), from MySQL's storage form: four bytes of SRID,
//! little-endian, then well-known binary (OGC 06-103r4, section 8; ISO type numbers with Z, which JTS writes as
//! `POINT Z(1 2 3)`). The SRID is not shown.

use std::io::Write as _;

/// Collections within collections beyond this depth are taken for malformed.
const DEPTH_MAX: u8 = 32;

/// Appends the text of `geometry`, without quotes; it holds nothing that JSON would escape. Appends nothing and says
/// `None` if the bytes are not a well-formed geometry of a known type.
#[must_use]
pub fn push_wkt(out: &mut Vec<u8>, geometry: &[u8]) -> Option<()> {
    let start = out.len();
    let mut input = Input {
        bytes: geometry.get(4..)?,
        big_endian: false,
    };
    let done = push_geometry(out, &mut input, DEPTH_MAX).filter(|()| input.bytes.is_empty());
    if done.is_none() {
        out.truncate(start);
    }
    done
}

struct Input<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        let bytes = self.array()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn ordinate(&mut self) -> Option<f64> {
        let bytes = self.array()?;
        Some(if self.big_endian {
            f64::from_be_bytes(bytes)
        } else {
            f64::from_le_bytes(bytes)
        })
    }

    /// The kind (1 to 7) and the number of ordinates of the geometry that begins here.
    fn head(&mut self) -> Option<(u32, usize)> {
        self.big_endian = match self.array()? {
            [0] => true,
            [1] => false,
            _ => return None,
        };
        match self.number()? {
            kind @ 1..=7 => Some((kind, 2)),
            kind @ 1001..=1007 => Some((kind - 1000, 3)),
            _ => None,
        }
    }
}

const NAMES: [&str; 7] = [
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
];

fn push_geometry(out: &mut Vec<u8>, input: &mut Input<'_>, depth: u8) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    let (kind, ordinates) = input.head()?;
    let name = NAMES.get(kind as usize - 1)?;
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(if ordinates == 3 { b" Z" } else { b" " });
    match kind {
        1 => push_point(out, input, ordinates),
        2 => push_points(out, input, ordinates),
        3 => push_rings(out, input, ordinates),
        4..=6 => push_list(out, input, |out, input| {
            let (part, ordinates) = input.head()?;
            match (kind, part) {
                (4, 1) => push_point(out, input, ordinates),
                (5, 2) => push_points(out, input, ordinates),
                (6, 3) => push_rings(out, input, ordinates),
                _ => None,
            }
        }),
        _ => push_list(out, input, |out, input| push_geometry(out, input, depth)),
    }
}

/// A counted list: `(a, b)`, or `EMPTY`.
fn push_list(
    out: &mut Vec<u8>,
    input: &mut Input<'_>,
    mut part: impl FnMut(&mut Vec<u8>, &mut Input<'_>) -> Option<()>,
) -> Option<()> {
    let count = input.number()?;
    if count == 0 {
        push_empty(out);
        return Some(());
    }
    for index in 0..count {
        out.extend_from_slice(if index == 0 { b"(" } else { b", " });
        part(out, input)?;
    }
    out.push(b')');
    Some(())
}

fn push_rings(out: &mut Vec<u8>, input: &mut Input<'_>, ordinates: usize) -> Option<()> {
    push_list(out, input, |out, input| push_points(out, input, ordinates))
}

fn push_points(out: &mut Vec<u8>, input: &mut Input<'_>, ordinates: usize) -> Option<()> {
    push_list(out, input, |out, input| {
        push_position(out, input, ordinates)
    })
}

/// A point of its own; well-known binary says that it is empty by coordinates that are not numbers.
fn push_point(out: &mut Vec<u8>, input: &mut Input<'_>, ordinates: usize) -> Option<()> {
    let start = out.len();
    out.push(b'(');
    let rest = input.bytes;
    if push_position(out, input, ordinates).is_some() {
        out.push(b')');
        return Some(());
    }
    input.bytes = rest;
    for _ in 0..ordinates {
        input.ordinate().filter(|ordinate| ordinate.is_nan())?;
    }
    out.truncate(start);
    push_empty(out);
    Some(())
}

fn push_empty(out: &mut Vec<u8>) {
    let after_space = out.last() == Some(&b' ');
    out.extend_from_slice(if after_space { b"EMPTY" } else { b" EMPTY" });
}

fn push_position(out: &mut Vec<u8>, input: &mut Input<'_>, ordinates: usize) -> Option<()> {
    for index in 0..ordinates {
        if index > 0 {
            out.push(b' ');
        }
        push_ordinate(out, input.ordinate()?)?;
    }
    Some(())
}

/// Shortest digits, never an exponent, and no fraction if there is none.
fn push_ordinate(out: &mut Vec<u8>, value: f64) -> Option<()> {
    if !value.is_finite() {
        return None;
    }
    let size = value.abs();
    if (1e-3..1e7).contains(&size) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        return Some(());
    }
    write!(out, "{value}").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = 4326u32.to_le_bytes().to_vec();
        bytes.extend(parts.concat());
        bytes
    }

    fn head(kind: u32) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend(kind.to_le_bytes());
        bytes
    }

    fn counted(kind: u32, count: u32) -> Vec<u8> {
        [head(kind), count.to_le_bytes().to_vec()].concat()
    }

    fn doubles(values: &[f64]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn text(bytes: &[u8]) -> Option<String> {
        let mut out = b"before ".to_vec();
        let done = push_wkt(&mut out, bytes);
        let text = String::from_utf8(out).unwrap();
        assert!(done.is_some() || text == "before ");
        done.map(|()| text.replace("before ", ""))
    }

    fn point(x: f64, y: f64) -> Vec<u8> {
        [head(1), doubles(&[x, y])].concat()
    }

    fn line(values: &[f64]) -> Vec<u8> {
        [
            counted(2, u32::try_from(values.len() / 2).unwrap()),
            doubles(values),
        ]
        .concat()
    }

    fn polygon() -> Vec<u8> {
        let ring = |values: &[f64]| [4u32.to_le_bytes().to_vec(), doubles(values)].concat();
        let outer = ring(&[0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 0.0, 0.0]);
        let inner = ring(&[1.0, 1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 1.0]);
        [counted(3, 2), outer, inner].concat()
    }

    #[test]
    fn every_type_has_jts_form() {
        let shown = |parts: &[&[u8]]| text(&geometry(parts)).unwrap();
        assert_eq!(shown(&[&point(30.5, -10.0)]), "POINT (30.5 -10)");
        assert_eq!(
            shown(&[&line(&[0.0, 0.0, 5.0, 5.0])]),
            "LINESTRING (0 0, 5 5)"
        );
        let rings = "((0 0, 9 0, 9 9, 0 0), (1 1, 2 1, 2 2, 1 1))";
        assert_eq!(shown(&[&polygon()]), format!("POLYGON {rings}"));
        let points = [counted(4, 2), point(1.0, 2.0), point(3.0, 4.0)].concat();
        assert_eq!(shown(&[&points]), "MULTIPOINT ((1 2), (3 4))");
        let lines = [counted(5, 1), line(&[1.0, 2.0, 3.0, 4.0])].concat();
        assert_eq!(shown(&[&lines]), "MULTILINESTRING ((1 2, 3 4))");
        let polygons = [counted(6, 1), polygon()].concat();
        assert_eq!(shown(&[&polygons]), format!("MULTIPOLYGON ({rings})"));
        let inner = [counted(7, 1), point(0.0, 0.25)].concat();
        let collection = [counted(7, 3), point(1.0, 2.0), inner, counted(7, 0)].concat();
        assert_eq!(
            shown(&[&collection]),
            "GEOMETRYCOLLECTION (POINT (1 2), GEOMETRYCOLLECTION (POINT (0 0.25)), GEOMETRYCOLLECTION EMPTY)"
        );
    }

    #[test]
    fn empty_big_endian_and_three_dimensional_ones_are_read_too() {
        let empty = [head(1), doubles(&[f64::NAN, f64::NAN])].concat();
        assert_eq!(text(&geometry(&[&empty])).unwrap(), "POINT EMPTY");
        let mut big = vec![0, 0, 0, 0, 1];
        big.extend(1.5f64.to_be_bytes());
        big.extend((-0.0f64).to_be_bytes());
        assert_eq!(text(&geometry(&[&big])).unwrap(), "POINT (1.5 -0)");
        let high = [head(1001), doubles(&[1.0, 2.0, 3.0])].concat();
        assert_eq!(text(&geometry(&[&high])).unwrap(), "POINT Z(1 2 3)");
        assert_eq!(
            text(&geometry(&[&counted(1002, 0)])).unwrap(),
            "LINESTRING Z EMPTY"
        );
    }

    #[test]
    fn ordinates_never_have_an_exponent() {
        let shown = text(&geometry(&[&point(1e21, 1.5e-10)])).unwrap();
        assert_eq!(shown, "POINT (1000000000000000000000 0.00000000015)");
        let shown = text(&geometry(&[&point(0.0, 12_345_678.0)])).unwrap();
        assert_eq!(shown, "POINT (0 12345678)");
    }

    #[test]
    fn malformed_ones_leave_nothing_behind() {
        let whole = geometry(&[&polygon()]);
        for length in 0..whole.len() {
            assert_eq!(text(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(text(&[whole, vec![0]].concat()), None);
        assert_eq!(text(&geometry(&[&counted(2, u32::MAX)])), None);
        assert_eq!(text(&geometry(&[&point(f64::INFINITY, 0.0)])), None);
        assert_eq!(text(&geometry(&[&counted(7, 1).repeat(100)])), None);
        let wrong_part = [counted(4, 1), line(&[1.0, 2.0, 3.0, 4.0])].concat();
        assert_eq!(text(&geometry(&[&wrong_part])), None);
    }
}
