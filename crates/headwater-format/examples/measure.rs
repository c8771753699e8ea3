//! Prints the time of one row of `bench.orders`, in nanoseconds, by kind of change:
//! `cargo run --release -p headwater-format --example measure [KIND]`.

#![allow(clippy::print_stdout, reason = "it is what the program is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_core::value::DateTime;
use headwater_format::maxwell::{Encoder, Options};

const ROWS: u32 = 2_000;
const ROUNDS: u32 = 200;

fn main() {
    println!(
        "{:<28} {:>8} {:>8} {:>8}",
        "ns a row", "best", "median", "bytes"
    );
    for kind in [
        ChangeKind::Insert,
        ChangeKind::Update,
        ChangeKind::Delete,
        ChangeKind::Bootstrap,
    ] {
        measure(&format!("{kind:?}"), &batch(kind, 1));
    }
    measure("Insert, 20 tables in turn", &batch(ChangeKind::Insert, 20));
}

fn measure(name: &str, batch: &Batch) {
    if std::env::args()
        .nth(1)
        .is_some_and(|wanted| !name.starts_with(&wanted))
    {
        return;
    }
    let mut encoder = Encoder::new(Options::default());
    let mut out = Vec::with_capacity(2 << 20);
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            out.clear();
            let start = Instant::now();
            encoder.encode_batch(black_box(batch), black_box(&mut out));
            start.elapsed().as_secs_f64() * 1e9 / f64::from(ROWS)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let bytes = out.len() / ROWS as usize;
    println!(
        "{name:<28} {:>8.0} {:>8.0} {bytes:>8}",
        times[0],
        times[times.len() / 2]
    );
}

fn batch(kind: ChangeKind, tables: u32) -> Batch {
    let schemas: Vec<_> = (0..tables).map(|_| orders()).collect();
    let mut batch = Batch::new();
    let is_live = kind != ChangeKind::Bootstrap;
    let mut transaction = None;
    for row in 0..ROWS {
        if is_live && row.is_multiple_of(20) {
            let xid = Some(7_783_091 + u64::from(row));
            transaction = Some(batch.add_transaction(Transaction {
                xid,
                ..Transaction::default()
            }));
        }
        let table = row as usize / 3 % schemas.len();
        let schema = batch.add_schema(&schemas[table]);
        let first = batch.mark();
        push(&mut batch, row, false);
        let second = batch.mark();
        if kind == ChangeKind::Update {
            push(&mut batch, row, true);
        }
        let (before, after) = match kind {
            ChangeKind::Update => (Some(first), Some(second)),
            ChangeKind::Delete => (Some(first), None),
            _ => (None, Some(first)),
        };
        batch.push_row(RowHead {
            kind,
            schema,
            transaction,
            before,
            after,
            timestamp_s: 1_795_232_784,
            offset: u64::from(row % 20),
            last: is_live && row % 20 == 19,
        });
    }
    batch
}

/// A row as `samples.sql` makes them; after an update, with another status, amount and time.
fn push(batch: &mut Batch, row: u32, updated: bool) {
    const WORDS: [&str; 4] = ["grüße", "naïve café", "東京", "plain text"];
    let sequence = 3_000_000 + u64::from(row);
    let step = u64::from(updated);
    batch.push_int(sequence.cast_signed());
    batch.push_int((sequence * 7_919 % 500_000).cast_signed());
    batch.push_label(2, 1 + ((row + u32::from(updated)) % 5));
    let cents = sequence * 104_729 % 100_000_000 + 25 * step;
    batch.push_decimal(&format!("{}.{:02}", cents / 100, cents % 100));
    let word = WORDS[row as usize % 4];
    batch.push_text(&format!(
        "commande n° {sequence} – {word} {:016x}",
        sequence * 0x9e37_79b9
    ));
    let millis = sequence * 1_009;
    let micros = row % 1_000 * 1_000;
    batch.push_datetime(DateTime::from_unix(
        1_704_067_200 + millis / 1_000 + step,
        micros,
        3,
    ));
    batch.push_uint(sequence % 256);
    if row.is_multiple_of(50) {
        batch.push_null();
    } else {
        batch.push_double(f64::from(3_000_000 + row) / 7.0);
    }
}

fn orders() -> Arc<TableSchema> {
    let integer = |bits| DataType::Integer {
        bits,
        unsigned: false,
    };
    let labels = ["new", "paid", "packed", "shipped", "returned"].map(Into::into);
    let columns = [
        ("id", integer(64)),
        ("customer_id", integer(32)),
        ("status", DataType::Enum(Arc::from(labels))),
        (
            "amount",
            DataType::Decimal {
                precision: 12,
                scale: 2,
            },
        ),
        ("note", DataType::Text),
        ("created_at", DataType::DateTime(3)),
        ("flags", DataType::Bit),
        ("ratio", DataType::Double),
    ];
    let column = |(name, data_type): (&str, DataType)| Column {
        name: name.into(),
        data_type,
        nullable: true,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("bench", "orders"),
        columns: columns.map(column).to_vec(),
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Client,
    })
}
