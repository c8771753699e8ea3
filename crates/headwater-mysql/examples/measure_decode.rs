//! How long it takes to decode one row of `bench.orders` (eight columns, about 130 bytes), as a result's row and as a
//! row image of the log: `cargo run --release -p headwater-mysql --example measure_decode`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a measurement prints, ends at once if it cannot go on, and makes its own small numbers"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use headwater_core::batch::Batch;
use headwater_core::schema::TableName;
use headwater_mysql::client::ColumnDefinition as ResultColumn;
use headwater_mysql::decode::event::{Body, Checksum, Framing};
use headwater_mysql::decode::plan::RowPlan;
use headwater_mysql::schema::{ColumnDefinition, ColumnType, TableDefinition};

const ROWS: usize = 2_000;
const ROUNDS: usize = 500;

/// Time on the processor where the system tells it, so that others' work does not count; else time on the wall.
struct Clock {
    wall: Instant,
    on_cpu_ns: Option<u64>,
}

fn on_cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            on_cpu_ns: on_cpu_ns(),
        }
    }

    fn elapsed_ns(&self) -> f64 {
        match (self.on_cpu_ns, on_cpu_ns()) {
            (Some(before), Some(now)) => (now - before) as f64,
            _ => self.wall.elapsed().as_nanos() as f64,
        }
    }
}

fn definition() -> TableDefinition {
    let labels = ["new", "paid", "packed", "shipped", "returned"].map(Arc::from);
    let integer = |bits| ColumnType::Integer {
        bits,
        unsigned: false,
    };
    let text = ColumnType::Text {
        charset: "utf8mb4".into(),
        collation: "utf8mb4_general_ci".into(),
    };
    let columns = [
        ("id", integer(64)),
        ("customer_id", integer(32)),
        (
            "status",
            ColumnType::Enum {
                labels: labels.into(),
            },
        ),
        (
            "amount",
            ColumnType::Decimal {
                precision: 12,
                scale: 2,
            },
        ),
        ("note", text),
        ("created_at", ColumnType::DateTime { digits: 3 }),
        ("flags", ColumnType::Bit { bits: 8 }),
        ("ratio", ColumnType::Double),
    ];
    let column = |(name, column_type): (&str, ColumnType)| ColumnDefinition {
        nullable: matches!(name, "note" | "ratio"),
        name: name.into(),
        column_type,
        generated: false,
        invisible: false,
        native: headwater_mysql::schema::Native::default(),
    };
    TableDefinition {
        name: TableName::new("bench", "orders"),
        charset: "utf8mb4".into(),
        columns: columns.map(column).into(),
        primary_key: vec![0],
        unique_keys: Vec::new(),
        row_end: None,
    }
}

fn note(row: usize) -> String {
    let middle = ["grüße", "naïve café", "東京", "plain text"];
    format!(
        "commande n° {row} – {} {:016x}",
        middle[row % 4],
        row * 0x9E37_79B9_7F4A
    )
}

/// A row of a result by the binary protocol, from its NULL bitmap on.
fn result_row(row: usize) -> Vec<u8> {
    let null = row.is_multiple_of(50);
    let mut out = vec![0, if null { 2 } else { 0 }];
    out.extend_from_slice(&(row as u64).to_le_bytes());
    out.extend_from_slice(&((row * 7919 % 500_000) as u32).to_le_bytes());
    let mut text = |text: &str| {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    };
    text(["new", "paid", "packed", "shipped", "returned"][row % 5]);
    text(&format!("{}.{:02}", row * 104_729 % 1_000_000, row % 100));
    text(&note(row));
    out.extend_from_slice(&[11, 0xE8, 0x07, 2, 29, 12, 30, 0]);
    out.extend_from_slice(&100_000_u32.to_le_bytes());
    out.extend_from_slice(&[1, row as u8]);
    if !null {
        out.extend_from_slice(&(row as f64 / 7.0).to_le_bytes());
    }
    out
}

/// The same row as an image.
fn image(row: usize) -> Vec<u8> {
    let null = row.is_multiple_of(50);
    let mut out = vec![if null { 0x80 } else { 0 }];
    out.extend_from_slice(&(row as u64).to_le_bytes());
    out.extend_from_slice(&((row * 7919 % 500_000) as u32).to_le_bytes());
    out.push(1 + (row % 5) as u8);
    out.push(0x80);
    out.extend_from_slice(&((row * 104_729 % 1_000_000) as u32).to_be_bytes());
    out.push((row % 100) as u8);
    let note = note(row);
    out.extend_from_slice(&(note.len() as u16).to_le_bytes());
    out.extend_from_slice(note.as_bytes());
    out.extend_from_slice(&[0x99, 0xB2, 0xBA, 0xC7, 0x80, 0x03, 0xE8]);
    out.push(row as u8);
    if !null {
        out.extend_from_slice(&(row as f64 / 7.0).to_le_bytes());
    }
    out
}

fn event(event_type: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, event_type, 1, 0, 0, 0];
    out.extend_from_slice(&(19 + body.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(body);
    out
}

fn result_columns() -> Vec<ResultColumn> {
    let types = [
        (8, 63),
        (3, 63),
        (254, 45),
        (246, 63),
        (253, 45),
        (12, 63),
        (16, 63),
        (5, 63),
    ];
    let column = |(column_type, collation)| ResultColumn {
        schema: String::new(),
        table: String::new(),
        name: String::new(),
        org_name: String::new(),
        collation,
        length: 0,
        column_type,
        flags: 0,
        decimals: 0,
    };
    types.map(column).into()
}

fn report(what: &str, started: Clock, bytes: usize) {
    let ns = started.elapsed_ns() / (ROWS * ROUNDS) as f64;
    let size = bytes / ROWS;
    println!("{what}: {ns:.1} ns a row of {size} bytes");
}

fn main() {
    let plan = RowPlan::new(Arc::new(definition()));
    let result = plan.result(&result_columns()).unwrap();
    let rows: Vec<_> = (0..ROWS).map(result_row).collect();
    let mut batch = Batch::new();
    for _ in 0..3 {
        let started = Clock::start();
        for _ in 0..ROUNDS {
            batch.clear();
            for row in &rows {
                black_box(result.decode(black_box(row), &mut batch).unwrap());
            }
        }
        report("result row", started, rows.iter().map(Vec::len).sum());
    }

    let mut map = vec![1, 0, 0, 0, 0, 0, 1, 0, 5];
    map.extend_from_slice(b"bench\0\x06orders\0\x08");
    map.extend_from_slice(&[8, 3, 254, 246, 15, 18, 16, 5]);
    map.extend_from_slice(&[10, 247, 1, 12, 2, 0, 1, 3, 0, 1, 8, 0b1001_0000]);
    let map = event(19, &map);
    let mut body = vec![1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0xFF];
    for row in 0..ROWS {
        body.extend_from_slice(&image(row));
    }
    let body = event(30, &body);
    let mut framing = Framing::new(Checksum::None);
    let Body::TableMap(map) = framing.event(&map).unwrap().parse().unwrap() else {
        panic!("no table map");
    };
    let image = plan.image(&map).unwrap();
    let mut scratch = Vec::new();
    for _ in 0..3 {
        let started = Clock::start();
        for _ in 0..ROUNDS {
            batch.clear();
            let Body::Rows(rows) = framing.event(black_box(&body)).unwrap().parse().unwrap() else {
                panic!("no rows");
            };
            let mut reader = rows.reader(&mut scratch).unwrap();
            while let Some(images) = reader.next_row(&image, &mut batch).unwrap() {
                black_box(images);
            }
        }
        report("row image", started, body.len());
    }
    let started = Clock::start();
    for _ in 0..ROUNDS {
        black_box(crc32fast::hash(black_box(&body)));
    }
    report("checksum alone", started, body.len());
}
