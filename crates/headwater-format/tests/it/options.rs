//! Maxwell's options of an event, each where Maxwell has it.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_core::batch::{Batch, ChangeKind, Transaction};
use headwater_core::schema::DataType;
use headwater_format::maxwell::{Columns, Encrypted, Encryption, Naming, Options};
use serde_json::Value;

use crate::support::{lines, one, schema, small, transaction};

const KEY: &str = "0123456789abcdef";

fn insert() -> Batch {
    let fill = |batch: &mut Batch| {
        batch.push_int(1);
        batch.push_text("x");
    };
    one(
        &small(),
        ChangeKind::Insert,
        Some(transaction()),
        None,
        Some(&fill),
    )
}

fn update() -> Batch {
    let fill = |text| {
        move |batch: &mut Batch| {
            batch.push_int(1);
            batch.push_text(text);
        }
    };
    one(
        &small(),
        ChangeKind::Update,
        Some(transaction()),
        Some(&fill("a")),
        Some(&fill("b")),
    )
}

fn everything() -> Options {
    Options {
        output_row_query: true,
        output_binlog_position: true,
        output_server_id: true,
        output_thread_id: true,
        output_gtid_position: true,
        output_push_timestamp: true,
        output_primary_keys: true,
        output_primary_key_columns: true,
        custom: vec![
            ("region".into(), "eu-1".into()),
            ("so\"urce".into(), "a\\b".into()),
        ],
        ..Options::default()
    }
}

/// The time of sending, taken out of an event, in microseconds.
fn without_time(event: &str, name: &str) -> (String, u64) {
    let name = format!(",\"{name}\":");
    let (before, rest) = event.split_once(&name).unwrap();
    let end = rest.find([',', '}']).unwrap();
    let (time, after) = rest.split_at(end);
    let (seconds, micros) = time.split_once('.').unwrap();
    assert_eq!(micros.len(), 6, "{time}");
    let micros = seconds.parse::<u64>().unwrap() * 1_000_000 + micros.parse::<u64>().unwrap();
    (format!("{before}{after}"), micros)
}

#[test]
fn every_field_stands_where_maxwell_has_it() {
    let begun = headwater_core::clock::now_us();
    let (event, sent) = without_time(&lines(&everything(), &insert()), "push_ts");
    assert!((begun..=headwater_core::clock::now_us()).contains(&sent));
    assert_eq!(
        event,
        concat!(
            r#"{"database":"shop","table":"orders","query":"insert into \"orders\"","type":"insert","#,
            r#""ts":1700000000,"xid":812,"commit":true,"position":"binlog.000007:1234","gtid":"0-1-7","#,
            r#""server_id":4321,"thread_id":9,"region":"eu-1","so\"urce":"a\\b","#,
            r#""primary_key":[1],"primary_key_columns":["id"],"data":{"id":1,"note":"x"}}"#,
            "\n"
        )
    );
}

#[test]
fn names_are_converted_but_not_those_of_others() {
    let options = Options {
        output_naming_strategy: Naming::UnderscoreToCamelcase,
        custom: vec![("my_region".into(), "eu".into())],
        ..everything()
    };
    let integer = DataType::Integer {
        bits: 64,
        unsigned: false,
    };
    let table = schema(
        &[("order_id", integer), ("_last_note", DataType::Text)],
        &[0],
    );
    let old = |batch: &mut Batch| {
        batch.push_int(1);
        batch.push_text("a");
    };
    let new = |batch: &mut Batch| {
        batch.push_int(1);
        batch.push_text("b");
    };
    let batch = one(
        &table,
        ChangeKind::Update,
        Some(transaction()),
        Some(&old),
        Some(&new),
    );
    let (event, _) = without_time(&lines(&options, &batch), "pushTs");
    assert!(
        event.ends_with(concat!(
            r#""serverId":4321,"threadId":9,"my_region":"eu","primaryKey":[1],"primaryKeyColumns":["order_id"],"#,
            r#""data":{"orderId":1,"lastNote":"b"},"old":{"lastNote":"a"}}"#,
            "\n"
        )),
        "{event}"
    );
}

#[test]
fn a_snapshot_row_has_what_is_no_transactions() {
    let fill = |batch: &mut Batch| {
        batch.push_int(1);
        batch.push_text("x");
    };
    let remark = Transaction {
        comment: Some("why".into()),
        ..Transaction::default()
    };
    let row = one(
        &small(),
        ChangeKind::Bootstrap,
        Some(remark),
        None,
        Some(&fill),
    );
    let (event, _) = without_time(&lines(&everything(), &row), "push_ts");
    assert_eq!(
        event,
        concat!(
            r#"{"database":"shop","table":"orders","type":"bootstrap","ts":1700000000,"comment":"why","region":"eu-1","#,
            r#""so\"urce":"a\\b","primary_key":[1],"primary_key_columns":["id"],"data":{"id":1,"note":"x"}}"#,
            "\n"
        )
    );
}

#[test]
fn a_column_that_is_left_out_is_in_neither_image_but_still_the_key() {
    let of = |columns: &str| Options {
        exclude_columns: Columns::parse(columns).unwrap(),
        output_primary_keys: true,
        ..Options::default()
    };
    let event = lines(&of("/i./"), &update());
    assert!(
        event.contains(r#""primary_key":[1],"data":{"note":"b"},"old":{"note":"a"}}"#),
        "{event}"
    );
    let event = lines(&of("NOTE"), &update());
    assert!(
        event.ends_with("\"primary_key\":[1],\"data\":{\"id\":1}}\n"),
        "{event}"
    );
    let event = lines(&of("id,note"), &insert());
    assert!(event.ends_with("\"data\":{}}\n"), "{event}");
}

#[test]
fn a_query_is_cut_at_a_character() {
    let query = |length, text: &str| {
        let known = Transaction {
            query: Some(text.into()),
            ..transaction()
        };
        let fill = |batch: &mut Batch| {
            batch.push_int(1);
            batch.push_null();
        };
        let batch = one(&small(), ChangeKind::Insert, Some(known), None, Some(&fill));
        let options = Options {
            output_row_query: true,
            row_query_max_length: length,
            ..Options::default()
        };
        let event: Value = serde_json::from_str(&lines(&options, &batch)).unwrap();
        event["query"].as_str().unwrap().to_owned()
    };
    assert_eq!(query(0, "größer"), "größer");
    assert_eq!(query(3, "größer"), "grö");
    assert_eq!(query(6, "größer"), "größer");
}

fn decrypted(encrypted: &Value) -> String {
    let bytes = |name: &str| STANDARD.decode(encrypted[name].as_str().unwrap()).unwrap();
    let cipher = cbc::Decryptor::<aes::Aes128>::new_from_slices(KEY.as_bytes(), &bytes("iv"));
    let text = cipher
        .unwrap()
        .decrypt_padded_vec::<Pkcs7>(&bytes("bytes"))
        .unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn what_is_encrypted_is_the_event_or_its_data_and_another_text_each_time() {
    let of = |what| Options {
        encrypt: Some(Encryption::new(what, KEY).unwrap()),
        output_primary_keys: true,
        ..Options::default()
    };
    let plain = lines(
        &Options {
            output_primary_keys: true,
            ..Options::default()
        },
        &update(),
    );
    let (head, contents) = plain.trim_end().split_once(",\"data\":").unwrap();
    let data = lines(&of(Encrypted::Data), &update());
    assert!(
        data.starts_with(&format!("{head},\"encrypted\":{{\"iv\":\"")),
        "{data}"
    );
    let event: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(
        decrypted(&event["encrypted"]),
        format!("{{\"data\":{contents}")
    );
    let all = lines(&of(Encrypted::All), &update());
    let event: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(event.as_object().unwrap().len(), 1, "{all}");
    assert_eq!(decrypted(&event["encrypted"]), plain.trim_end());
    assert_ne!(all, lines(&of(Encrypted::All), &update()));
}
