//! Random transactions in random batches: whatever the cut, the same rows go out, numbered and ended alike.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::batch::{RowHead, Transaction};
use crate::filter::Updates;
use crate::schema::{Column, DataType, KeyOrder, TableName, TableSchema};
use crate::source::LogPoint;
use crate::value::Cell;

/// What is seen of a row: its value, its number, whether it ends its transaction.
type Seen = (i64, u64, bool);

fn rows() -> RowFilter {
    RowFilter {
        filter: "exclude: d.t.v=/^-/".parse().unwrap(),
        updates: Updates::Split,
        text_of: |out, cell| {
            if let Cell::Int(value) = cell {
                out.extend_from_slice(value.to_string().as_bytes());
            }
        },
    }
}

fn schema() -> Arc<TableSchema> {
    let column = Column {
        name: "V".into(),
        data_type: DataType::Text,
        nullable: false,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("d", "t"),
        columns: vec![column],
        primary_key: Vec::new(),
        key: Vec::new(),
        key_order: KeyOrder::None,
    })
}

/// A row as the source gives it: its transaction, its number there, its value, whether it is the last.
#[derive(Debug, Clone, Copy)]
struct Given {
    transaction: u64,
    offset: u64,
    value: i64,
    last: bool,
}

fn given(transactions: &[Vec<i64>]) -> Vec<Given> {
    let mut all = Vec::new();
    for (transaction, values) in (1..).zip(transactions) {
        let rows = (0u64..).zip(values);
        all.extend(rows.map(|(offset, value)| Given {
            transaction,
            offset,
            value: *value,
            last: offset + 1 == values.len() as u64,
        }));
    }
    all
}

/// What should go out: rows below zero do not.
fn expected(transactions: &[Vec<i64>]) -> Vec<Seen> {
    let mut all = Vec::new();
    for values in transactions {
        let out: Vec<i64> = values.iter().copied().filter(|value| *value >= 0).collect();
        let rows = (0u64..).zip(&out);
        all.extend(rows.map(|(number, value)| (*value, number, number + 1 == out.len() as u64)));
    }
    all
}

/// A batch with the note that follows it: everything up to its last row is out.
fn batch(rows: &[Given], schema: &Arc<TableSchema>) -> (Batch, Note<u64>) {
    let mut batch = Batch::new();
    let number = batch.add_schema(schema);
    let mut point = LogPoint {
        position: 0,
        rows_done: 0,
        out: None,
    };
    for row in rows {
        // As with statements that change amid a transaction: each row has an entry of its own.
        let transaction = batch.add_transaction(Transaction::default());
        let after = batch.mark();
        batch.push_int(row.value);
        batch.push_row(RowHead {
            kind: ChangeKind::Insert,
            schema: number,
            transaction: Some(transaction),
            before: None,
            after: Some(after),
            timestamp_s: 0,
            offset: row.offset,
            last: row.last,
        });
        point = if row.last {
            LogPoint {
                position: row.transaction,
                rows_done: 0,
                out: None,
            }
        } else {
            LogPoint {
                position: row.transaction - 1,
                rows_done: row.offset + 1,
                out: None,
            }
        };
    }
    let note = Note::Log {
        point,
        definitions: None,
        tables: Vec::new(),
    };
    (batch, note)
}

/// What a process would find again: where the log is out, and the rows left out there.
type Saved = (LogPoint<u64>, u64);

fn take(sifted: Vec<Sifted<u64>>, out: &mut Vec<Seen>, saved: &mut Vec<(usize, Saved)>) {
    for one in sifted {
        out.extend(one.batch.rows().map(|row| {
            let Cell::Int(value) = row.after().unwrap().cell(0) else {
                panic!("an integer was pushed");
            };
            (value, row.offset(), row.is_last())
        }));
        if let Note::Log { point, .. } = one.note {
            saved.push((out.len(), (point, one.rows_filtered)));
        }
    }
}

fn run(given: &[Given], cuts: &[usize], filtered: u64) -> (Vec<Seen>, Vec<(usize, Saved)>) {
    let schema = schema();
    let mut sieve = Sieve::new(rows(), filtered);
    let (mut out, mut saved) = (Vec::new(), Vec::new());
    let mut rest = given;
    for cut in cuts.iter().copied().cycle().take(given.len() + cuts.len()) {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(cut.clamp(1, rest.len()));
        let (batch, note) = batch(now, &schema);
        take(sieve.sift(batch, note), &mut out, &mut saved);
        rest = later;
    }
    assert!(sieve.waiting.is_empty(), "the log ended at a boundary");
    (out, saved)
}

proptest! {
    #[test]
    fn the_last_row_that_goes_out_ends_its_transaction_however_batches_are_cut(
        transactions in proptest::collection::vec(proptest::collection::vec(-3i64..4, 1..9), 1..6),
        cuts in proptest::collection::vec(1usize..7, 1..8),
    ) {
        let given = given(&transactions);
        let expected = expected(&transactions);
        let (out, saved) = run(&given, &cuts, 0);
        prop_assert_eq!(&out, &expected);
        // A process that starts again at any point that was saved goes on as if nothing had been.
        for (rows, (point, filtered)) in saved {
            let is_left = |row: &&Given| {
                row.transaction > point.position + 1
                    || row.transaction == point.position + 1 && row.offset >= point.rows_done
            };
            let left: Vec<Given> = given.iter().filter(is_left).copied().collect();
            let (out, _) = run(&left, &cuts, filtered);
            prop_assert_eq!(&out[..], &expected[rows..], "from {:?}", point);
        }
    }
}

#[test]
fn what_is_said_of_bootstraps_does_not_wait_for_a_transaction() {
    let schema = schema();
    let mut sieve: Sieve<u64> = Sieve::new(rows(), 0);
    let open = &given(&[vec![1, 2]])[..1];
    let (batch, note) = batch(open, &schema);
    assert!(sieve.sift(batch, note).is_empty());
    assert_eq!(sieve.sift(Batch::new(), Note::Nothing).len(), 1);
    assert_eq!(sieve.waiting.len(), 1);
}
