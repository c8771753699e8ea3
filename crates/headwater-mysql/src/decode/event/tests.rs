use proptest::prelude::*;

use super::*;

/// An event with header and, if wanted, checksum.
pub(super) fn frame(event_type: u8, body: &[u8], checksum: Checksum) -> Vec<u8> {
    let trailer = if checksum == Checksum::Crc32 { 4 } else { 0 };
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&7_u32.to_le_bytes());
    bytes.push(event_type);
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(
        &u32::try_from(19 + body.len() + trailer)
            .unwrap()
            .to_le_bytes(),
    );
    bytes.extend_from_slice(&100_u32.to_le_bytes());
    bytes.extend_from_slice(&0_u16.to_le_bytes());
    bytes.extend_from_slice(body);
    if checksum == Checksum::Crc32 {
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
    }
    bytes
}

#[test]
fn a_damaged_event_is_refused() {
    let mut bytes = frame(event_type::XID, &9_u64.to_le_bytes(), Checksum::Crc32);
    let mut framing = Framing::new(Checksum::Crc32);
    let event = framing.event(&bytes).unwrap();
    assert!(matches!(event.parse().unwrap(), Body::Xid(9)));
    bytes[20] ^= 1;
    assert_eq!(
        framing.event(&bytes).unwrap_err().kind(),
        ErrorKind::Malformed
    );
    assert_eq!(
        framing.event(&bytes[..22]).unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

#[test]
fn a_format_description_says_what_trails_the_events() {
    let mut body = vec![4, 0];
    body.extend_from_slice(b"10.11.19-MariaDB-log");
    body.resize(52, 0);
    body.extend_from_slice(&[0, 0, 0, 0, 19]);
    body.extend_from_slice(&[0; 40]);
    for (algorithm, checksum) in [(0, Checksum::None), (1, Checksum::Crc32)] {
        let mut body = body.clone();
        body.push(algorithm);
        if checksum == Checksum::None {
            body.extend_from_slice(&[0; 4]);
        }
        let bytes = frame(event_type::FORMAT_DESCRIPTION, &body, checksum);
        let mut framing = Framing::new(Checksum::None);
        let event = framing.event(&bytes).unwrap();
        assert_eq!(framing.checksum(), checksum);
        let Body::FormatDescription(description) = event.parse().unwrap() else {
            panic!("another event");
        };
        assert_eq!(description.server_version, "10.11.19-MariaDB-log");
        assert_eq!(description.checksum, checksum);
    }
}

#[test]
fn a_type_from_the_future_is_passed_on() {
    let bytes = frame(250, b"whatever", Checksum::None);
    let event = Framing::new(Checksum::None).event(&bytes).unwrap();
    assert!(matches!(event.parse().unwrap(), Body::Unknown));
}

proptest! {
    #[test]
    fn any_body_of_any_type_is_survived(event_type: u8, body in proptest::collection::vec(any::<u8>(), 0..120)) {
        let bytes = frame(event_type, &body, Checksum::None);
        if let Ok(event) = Framing::new(Checksum::None).event(&bytes)
            && let Ok(body) = event.parse()
        {
            match body {
                Body::TableMap(map) => {
                    if let (Ok(columns), Ok(optional)) = (map.columns(), map.optional()) {
                        _ = optional.names();
                        _ = optional.key();
                        _ = optional.collations(&columns);
                        _ = optional.unsigned(&columns);
                    }
                    _ = crate::decode::metadata::definition(&map);
                }
                Body::Rows(rows) => {
                    _ = rows.reader(&mut Vec::new());
                }
                Body::Query(query) => {
                    _ = query.status();
                    _ = query.sql();
                }
                Body::TransactionPayload(payload) => {
                    if let Ok(mut events) = payload.events() {
                        while let Ok(Some(_)) = events.next_event() {}
                    }
                }
                Body::PreviousGtids(gtids) => _ = gtids.to_text(),
                Body::GtidList(list) => _ = list.iter().count(),
                _ => {}
            }
        }
    }

    #[test]
    fn any_packet_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        _ = Framing::new(Checksum::Crc32).event(&bytes);
        _ = Framing::new(Checksum::None).event(&bytes);
    }
}
