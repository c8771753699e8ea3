//! The multi-byte sets of East Asia, by flat tables built at first use.

use std::sync::OnceLock;

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

use super::differences::{self, Run};
use super::{bmp, push, push_ascii};

/// A multi-byte set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MultiByte {
    Big5,
    Cp932,
    EucJpMs,
    EucKr,
    Gb18030,
    Gb2312,
    Gbk,
    Sjis,
    Ujis,
}

const ALL: [MultiByte; 9] = [
    MultiByte::Big5,
    MultiByte::Cp932,
    MultiByte::EucJpMs,
    MultiByte::EucKr,
    MultiByte::Gb18030,
    MultiByte::Gb2312,
    MultiByte::Gbk,
    MultiByte::Sjis,
    MultiByte::Ujis,
];

/// Code points by code; 0 is none (but for the code 0).
#[derive(Default)]
struct Tables {
    /// Single bytes, and codes of two bytes: the lead byte is the high one, and never 0.
    two: Vec<u16>,
    /// Codes of three bytes, without their lead byte 0x8F.
    three: Vec<u16>,
}

/// The lead byte of three-byte codes in the EUC sets of Japan.
const SHIFT_3: u8 = 0x8F;

impl MultiByte {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|one| one.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Big5 => "big5",
            Self::Cp932 => "cp932",
            Self::EucJpMs => "eucjpms",
            Self::EucKr => "euckr",
            Self::Gb18030 => "gb18030",
            Self::Gb2312 => "gb2312",
            Self::Gbk => "gbk",
            Self::Sjis => "sjis",
            Self::Ujis => "ujis",
        }
    }

    fn source(self) -> (&'static Encoding, &'static [Run]) {
        match self {
            Self::Big5 => (BIG5, &differences::BIG5),
            Self::Cp932 => (SHIFT_JIS, &[]),
            Self::EucJpMs => (EUC_JP, &differences::EUCJPMS),
            Self::EucKr => (EUC_KR, &[]),
            Self::Gb18030 => (GB18030, &differences::GB18030),
            Self::Gb2312 => (GBK, &differences::GB2312),
            Self::Gbk => (GBK, &[]),
            Self::Sjis => (SHIFT_JIS, &differences::SJIS),
            Self::Ujis => (EUC_JP, &differences::UJIS),
        }
    }

    fn is_euc_japan(self) -> bool {
        matches!(self, Self::EucJpMs | Self::Ujis)
    }

    fn tables(self) -> &'static Tables {
        static BUILT: [OnceLock<Tables>; 9] = [const { OnceLock::new() }; 9];
        static NONE: Tables = Tables {
            two: Vec::new(),
            three: Vec::new(),
        };
        let index = ALL.iter().position(|one| *one == self);
        let slot = index.and_then(|index| BUILT.get(index));
        slot.map_or(&NONE, |slot| slot.get_or_init(|| self.build()))
    }

    fn build(self) -> Tables {
        let (encoding, runs) = self.source();
        let one = |bytes: &[u8]| -> u16 {
            let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
            let mut chars = text.as_deref().unwrap_or_default().chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => u16::try_from(u32::from(char)).unwrap_or(0),
                _ => 0,
            }
        };
        let mut tables = Tables {
            two: vec![0; 1 << 16],
            three: Vec::new(),
        };
        for (code, slot) in (0..=u16::MAX).zip(&mut tables.two) {
            let [lead, trail] = code.to_be_bytes();
            *slot = match lead {
                0 => one(&[trail]),
                0x80.. => one(&[lead, trail]),
                _ => 0,
            };
        }
        if self.is_euc_japan() {
            tables.three = (0..=u16::MAX)
                .map(|code| {
                    let [middle, trail] = code.to_be_bytes();
                    if middle < 0xA1 {
                        0
                    } else {
                        one(&[SHIFT_3, middle, trail])
                    }
                })
                .collect();
        }
        for &(first, last, point) in runs {
            for (code, point) in (first..=last).zip(point..) {
                let table = if code > 0xFFFF {
                    &mut tables.three
                } else {
                    &mut tables.two
                };
                let index = usize::try_from(code & 0xFFFF).unwrap_or(usize::MAX);
                if let Some(slot) = table.get_mut(index) {
                    *slot = u16::try_from(point).unwrap_or(0);
                }
            }
        }
        tables
    }

    pub(super) fn decode(self, bytes: &[u8], out: &mut String) -> usize {
        let tables = self.tables();
        let mut bad = 0;
        let mut rest = bytes;
        loop {
            rest = push_ascii(rest, out);
            if rest.is_empty() {
                return bad;
            }
            let (char, length) = self.next(tables, rest);
            push(out, char, &mut bad);
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// The character that `bytes` begins with, and its length in bytes. The first byte is not ASCII.
    #[inline]
    fn next(self, tables: &Tables, bytes: &[u8]) -> (char, usize) {
        let at = |table: &[u16], code: [u8; 2]| {
            let point = table.get(usize::from(u16::from_be_bytes(code)));
            point.copied().filter(|&point| point != 0)
        };
        match *bytes {
            [SHIFT_3, middle, trail, ..] if self.is_euc_japan() => {
                if let Some(point) = at(&tables.three, [middle, trail]) {
                    return (bmp(point), 3);
                }
                if middle >= 0xA1 && trail >= 0xA1 {
                    return (char::REPLACEMENT_CHARACTER, 3);
                }
            }
            [lead, 0x30..=0x39, third, fourth @ 0x30..=0x39, ..] if self == Self::Gb18030 => {
                let second = bytes.get(1).copied().unwrap_or(0x30);
                return (four_bytes([lead, second, third, fourth]), 4);
            }
            _ => {}
        }
        if let [byte, ..] = *bytes
            && let Some(point) = at(&tables.two, [0, byte])
        {
            return (bmp(point), 1);
        }
        if let [lead, trail, ..] = *bytes {
            if let Some(point) = at(&tables.two, [lead, trail]) {
                return (bmp(point), 2);
            }
            if trail >= 0x80 {
                return (char::REPLACEMENT_CHARACTER, 2);
            }
        }
        (char::REPLACEMENT_CHARACTER, 1)
    }
}

fn four_bytes(code: [u8; 4]) -> char {
    let text = GB18030.decode_without_bom_handling_and_without_replacement(&code);
    text.as_deref()
        .and_then(|text| text.chars().next())
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}
