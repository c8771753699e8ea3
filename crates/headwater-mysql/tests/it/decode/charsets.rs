//! The codes that character sets can hold.

/// Sets with all codes that are worth asking for.
pub(super) fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let mut all = Vec::new();
    let singles = [
        "armscii8", "ascii", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866",
        "dec8", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1",
        "latin2", "latin5", "latin7", "macce", "macroman", "swe7", "tis620",
    ];
    let one: Vec<_> = (1..=255_u8).map(|byte| vec![byte]).collect();
    for charset in singles {
        all.push((charset, one.clone()));
    }
    let two =
        || (0x81..=0xFE_u8).flat_map(|lead| (0x40..=0xFE_u8).map(move |trail| vec![lead, trail]));
    for charset in [
        "gbk", "gb2312", "big5", "sjis", "cp932", "ujis", "eucjpms", "euckr", "gb18030",
    ] {
        let mut codes: Vec<_> = one.iter().cloned().chain(two()).collect();
        match charset {
            "ujis" | "eucjpms" => codes.extend(
                (0xA1..=0xFE_u8)
                    .flat_map(|lead| (0xA1..=0xFE_u8).map(move |trail| vec![0x8F, lead, trail])),
            ),
            "gb18030" => codes.extend(four()),
            // These leads are whole characters there.
            "sjis" | "cp932" => {
                codes.retain(|code| code.len() == 1 || !matches!(code.first(), Some(0xA1..=0xDF)))
            }
            _ => {}
        }
        all.push((charset, codes));
    }
    let plane = |step: usize| {
        (0x20..0x11_0000_u32)
            .step_by(step)
            .filter_map(char::from_u32)
    };
    let units = |char: char| char.encode_utf16(&mut [0; 2]).to_vec();
    all.push((
        "utf16",
        plane(37)
            .map(|char| {
                units(char)
                    .iter()
                    .flat_map(|unit| unit.to_be_bytes())
                    .collect()
            })
            .collect(),
    ));
    all.push((
        "utf16le",
        plane(37)
            .map(|char| {
                units(char)
                    .iter()
                    .flat_map(|unit| unit.to_le_bytes())
                    .collect()
            })
            .collect(),
    ));
    all.push((
        "utf32",
        plane(37)
            .map(|char| u32::from(char).to_be_bytes().to_vec())
            .collect(),
    ));
    let narrow = (0x20..0xD800_u16).step_by(7);
    all.push((
        "ucs2",
        narrow.map(|code| code.to_be_bytes().to_vec()).collect(),
    ));
    all
}

/// Codes of four bytes of gb18030: some of each lead.
fn four() -> impl Iterator<Item = Vec<u8>> {
    let leads = (0x81..=0x84_u8).chain(0x90..=0xE3);
    leads.flat_map(|lead| {
        (0x30..=0x39_u8).flat_map(move |second| {
            (0x81..=0xFE_u8)
                .step_by(5)
                .map(move |third| vec![lead, second, third, 0x33])
        })
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap();
    let pairs = hex.as_bytes().as_chunks::<2>().0.iter();
    pairs
        .map(|[high, low]| u8::try_from(digit(*high) << 4 | digit(*low)).unwrap())
        .collect()
}
