//! Rows for tests.

use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_format::maxwell::{Encoder, Options};

pub(crate) type Fill<'a> = &'a dyn Fn(&mut Batch);

pub(crate) fn schema(columns: &[(&str, DataType)], primary_key: &[usize]) -> Arc<TableSchema> {
    let column = |(name, data_type): &(&str, DataType)| Column {
        name: (*name).into(),
        data_type: data_type.clone(),
        nullable: true,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("shop", "orders"),
        columns: columns.iter().map(column).collect(),
        primary_key: primary_key.to_vec(),
        key: primary_key.to_vec(),
        key_order: KeyOrder::Client,
    })
}

/// `id` and `note`, with `id` as the key.
pub(crate) fn small() -> Arc<TableSchema> {
    let id = DataType::Integer {
        bits: 64,
        unsigned: false,
    };
    schema(&[("id", id), ("note", DataType::Text)], &[0])
}

/// A batch of one row. It is the last of its transaction.
pub(crate) fn one(
    schema: &Arc<TableSchema>,
    kind: ChangeKind,
    transaction: Option<Transaction>,
    before: Option<Fill<'_>>,
    after: Option<Fill<'_>>,
) -> Batch {
    let mut batch = Batch::new();
    let schema = batch.add_schema(schema);
    let transaction = transaction.map(|transaction| batch.add_transaction(transaction));
    let image = |batch: &mut Batch, fill: Option<Fill<'_>>| {
        let mark = batch.mark();
        fill.map(|fill| {
            fill(batch);
            mark
        })
    };
    let before = image(&mut batch, before);
    let after = image(&mut batch, after);
    batch.push_row(RowHead {
        kind,
        schema,
        transaction,
        before,
        after,
        timestamp_s: 1_700_000_000,
        offset: 0,
        last: true,
    });
    batch
}

pub(crate) fn transaction() -> Transaction {
    Transaction {
        xid: Some(812),
        gtid: Some("0-1-7".into()),
        server_id: 4321,
        thread_id: Some(9),
        query: Some("insert into \"orders\"".into()),
        position: Some("binlog.000007:1234".into()),
        comment: None,
    }
}

/// The lines of a batch.
pub(crate) fn lines(options: &Options, batch: &Batch) -> String {
    let mut out = Vec::new();
    Encoder::new(options.clone()).encode_batch(batch, &mut out);
    String::from_utf8(out).expect("UTF-8")
}
