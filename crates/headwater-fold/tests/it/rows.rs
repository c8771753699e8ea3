//! Rows for a sink, without a source.

use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};

/// A table of a key `id` and a text `value`.
pub(crate) fn table(name: &str) -> Arc<TableSchema> {
    let column = |name: &str, data_type| Column {
        name: name.into(),
        data_type,
        nullable: true,
    };
    let integer = DataType::Integer {
        bits: 64,
        unsigned: false,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("shop", name),
        columns: vec![column("id", integer), column("value", DataType::Text)],
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Client,
    })
}

/// The rows that a transaction inserts.
pub(crate) fn insert(batch: &mut Batch, rows: &[(&Arc<TableSchema>, i64, &str)]) {
    let transaction = batch.add_transaction(Transaction::default());
    for (at, (table, id, value)) in rows.iter().enumerate() {
        let schema = batch.add_schema(table);
        let after = batch.mark();
        batch.push_int(*id);
        batch.push_text(value);
        batch.push_row(RowHead {
            kind: ChangeKind::Insert,
            schema,
            transaction: Some(transaction),
            before: None,
            after: Some(after),
            timestamp_s: 1_700_000_000,
            offset: at as u64,
            last: at + 1 == rows.len(),
        });
    }
}
