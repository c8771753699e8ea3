//! A snapshot reader: one connection with one view. It reads splits by the binary protocol, straight into batches.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead};
use headwater_core::clock;
use headwater_core::key::{Key, KeyRange, KeyValue};
use headwater_core::schema::TableName;
use headwater_core::source::{ScanStep, SnapshotReader, Split};
use headwater_core::{Error, ErrorKind, Result};

use super::control::Control;
use super::kept::{Kept, Pair};
use super::sql::{KeySql, quoted, quoted_table};
use crate::client::{Connection, RowCursor, Statement};
use crate::decode::plan::RowPlan;
use crate::decode::result_row::ResultPlan;
use crate::position::BinlogPosition;
use crate::schema::{ColumnType, TableDefinition};
use crate::source::Definitions;

/// Bytes of a batch: large enough to write in long runs, small enough for a few to be in flight.
const BATCH_BYTES: usize = 512 << 10;
/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Keys that one statement asks for.
const KEYS_PER_STATEMENT: usize = 200;
/// A key is dense if its numbers are at most this many times as many as its rows.
const DENSE: u64 = 2;

/// A table as readers need it. Shared by the readers of a cut.
#[derive(Debug)]
pub(crate) struct ReadTable {
    pub(crate) plan: RowPlan,
    pub(crate) key: KeySql,
    /// The condition of the user, if there is one.
    pub(crate) condition: Option<String>,
    pub(crate) estimated_rows: u64,
}

impl ReadTable {
    fn definition(&self) -> &TableDefinition {
        self.plan.definition()
    }

    /// `FROM` with the index that gives the key's order without sorting, unless a user's condition may want another.
    fn table_clause(&self) -> String {
        let definition = self.definition();
        let table = quoted_table(&definition.name);
        let index = if !definition.primary_key.is_empty() {
            Some("PRIMARY".to_owned())
        } else {
            let key = definition.key();
            let named = definition
                .unique_keys
                .iter()
                .find(|unique| unique.columns == key);
            named.map(|unique| unique.name.to_string())
        };
        match index {
            Some(index) if self.condition.is_none() => {
                format!("{table} FORCE INDEX ({})", quoted(&index))
            }
            _ => table,
        }
    }

    /// The rows of `range` that meet the condition, in key order.
    fn select(&self, range: &KeyRange) -> String {
        let condition = self.condition.as_deref();
        let conditions = [
            self.key.condition(range),
            condition.map(|condition| format!("({condition})")),
        ];
        let mut sql = self.select_where(self.table_clause(), conditions);
        if self.plan.schema().can_split() {
            sql.push_str(" ORDER BY ");
            sql.push_str(&self.key.list());
        }
        sql
    }

    /// The rows of `keys`: those that meet the condition, or those that do not.
    fn select_keys(&self, keys: &[Key], is_met: bool) -> String {
        let outcome = if is_met { "IS TRUE" } else { "IS NOT TRUE" };
        let condition = self.condition.as_deref();
        let conditions = [
            Some(self.key.among(keys)),
            condition.map(|condition| format!("({condition}) {outcome}")),
        ];
        self.select_where(quoted_table(&self.definition().name), conditions)
    }

    fn select_where(&self, from: String, conditions: [Option<String>; 2]) -> String {
        let columns: Vec<String> = self
            .definition()
            .columns
            .iter()
            .map(|column| quoted(&column.name))
            .collect();
        let mut sql = format!("SELECT {} FROM {from}", columns.join(", "));
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        if !conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&conditions.join(" AND "));
        }
        sql
    }
}

/// What is being read.
#[derive(Debug)]
struct Scan {
    table: Arc<ReadTable>,
    statement: Statement,
    rows: RowCursor,
    plan: ResultPlan,
}

/// The range of a dense integer key, found once a table.
#[derive(Debug, Clone, Copy)]
struct Dense {
    highest: i128,
    lowest: i128,
    /// Key numbers for one row.
    spread: f64,
}

/// A reader.
#[derive(Debug)]
pub struct Reader {
    pub(crate) connection: Connection,
    pub(crate) tables: Arc<HashMap<TableName, Arc<ReadTable>>>,
    /// The cut; none for a cut by marks.
    pub(crate) cut: Option<BinlogPosition>,
    /// For a cut by marks: where the high mark is read.
    pub(crate) control: Option<Control>,
    scan: Option<Box<Scan>>,
    dense: HashMap<TableName, Option<Dense>>,
    /// Where its connections are kept once it is closed, with what is known of its table.
    home: Option<(Kept, Definitions)>,
}

impl Reader {
    pub(crate) fn new(
        connection: Connection,
        tables: Arc<HashMap<TableName, Arc<ReadTable>>>,
        cut: Option<BinlogPosition>,
        control: Option<Control>,
    ) -> Self {
        Self {
            connection,
            tables,
            cut,
            control,
            scan: None,
            dense: HashMap::new(),
            home: None,
        }
    }

    /// Its connections are to be kept for the next chunk. One whose cut is known has no control connection yet.
    pub(crate) fn keep(&mut self, kept: &Kept, control: Option<Control>, known: Definitions) {
        self.control = self.control.take().or(control);
        self.home = Some((kept.clone(), known));
    }

    fn table(&self, name: &TableName) -> Result<Arc<ReadTable>> {
        self.tables.get(name).cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the table was not there at the cut")
                .with("table", name)
        })
    }

    /// The bounds of an integer key whose numbers are about as many as its rows.
    async fn dense(&mut self, table: &ReadTable) -> Result<Option<Dense>> {
        let definition = table.definition();
        let name = &definition.name;
        if let Some(known) = self.dense.get(name) {
            return Ok(*known);
        }
        let found = match definition.key()[..] {
            [column]
                if matches!(
                    definition.columns[column].column_type,
                    ColumnType::Integer { .. }
                ) =>
            {
                let column = quoted(&definition.columns[column].name);
                let sql = format!(
                    "SELECT MIN({column}), MAX({column}) FROM {}",
                    quoted_table(name)
                );
                let row = self.connection.query_one(&sql).await?;
                let number =
                    |index: usize| -> Option<i128> { row.as_ref()?.as_str(index)?.parse().ok() };
                number(0).zip(number(1)).and_then(|(lowest, highest)| {
                    let numbers = u64::try_from(highest - lowest + 1).unwrap_or(u64::MAX);
                    let rows = table.estimated_rows.max(1);
                    let dense = numbers <= rows.saturating_mul(DENSE);
                    #[allow(
                        clippy::cast_precision_loss,
                        reason = "a share of a range, not a count"
                    )]
                    let spread = (numbers as f64 / rows as f64).max(1.0);
                    dense.then_some(Dense {
                        highest,
                        lowest,
                        spread,
                    })
                })
            }
            _ => None,
        };
        self.dense.insert(name.clone(), found);
        Ok(found)
    }

    async fn begin_scan(&mut self, table: Arc<ReadTable>, sql: &str) -> Result<()> {
        // The table's metadata lock, which would block ALTER, is given back at the split's end.
        self.connection.execute("SAVEPOINT headwater").await?;
        let statement = self.connection.prepare(sql).await.map_err(|error| {
            if error.kind() == ErrorKind::Unsupported && table.condition.is_some() {
                return Error::new(
                    ErrorKind::Configuration,
                    "the server cannot read the --where condition",
                )
                .with("table", &table.definition().name)
                .hint("write it as it would stand after WHERE in a SELECT on that table")
                .caused_by(error);
            }
            error
        })?;
        let rows = self.connection.begin_rows(&statement).await?;
        let plan = table.plan.result(rows.columns())?;
        self.scan = Some(Box::new(Scan {
            table,
            statement,
            rows,
            plan,
        }));
        Ok(())
    }

    /// The key that is `rows` rows after the range's beginning, found by walking the index.
    async fn walk(
        &mut self,
        table: &ReadTable,
        range: &KeyRange,
        rows: u64,
    ) -> Result<Option<Key>> {
        let mut sql = format!("SELECT {} FROM {}", table.key.list(), table.table_clause());
        if let Some(condition) = table.key.condition(range) {
            sql.push_str(" WHERE ");
            sql.push_str(&condition);
        }
        sql.push_str(" ORDER BY ");
        sql.push_str(&table.key.list());
        sql.push_str(&format!(" LIMIT 1 OFFSET {}", rows.saturating_sub(1)));
        let plan = RowPlan::new(Arc::new(key_definition(table.definition())));
        let statement = self.connection.prepare(&sql).await?;
        let mut cursor = self.connection.begin_rows(&statement).await?;
        let decoder = plan.result(cursor.columns())?;
        let mut batch = Batch::new();
        while cursor.fill(&mut self.connection).await? {
            while let Some(row) = cursor.next_buffered(&mut self.connection)? {
                let after = decoder.decode(row, &mut batch)?;
                let schema = batch.add_schema(plan.schema());
                batch.push_row(snapshot_row(schema, after, 0));
            }
        }
        self.connection.close_statement(statement).await?;
        let found = batch
            .row(0)
            .and_then(|row| row.after())
            .and_then(|image| Key::of(&image));
        Ok(found.filter(|key| Some(key) != range.up_to.as_ref()))
    }
}

/// The key's columns as a table of their own, whose key is all of them.
fn key_definition(definition: &TableDefinition) -> TableDefinition {
    let key = definition.key();
    TableDefinition {
        name: definition.name.clone(),
        charset: Arc::clone(&definition.charset),
        columns: key
            .iter()
            .map(|&column| definition.columns[column].clone())
            .collect(),
        primary_key: (0..key.len()).collect(),
        unique_keys: Vec::new(),
        row_end: None,
    }
}

fn snapshot_row(schema: u32, after: headwater_core::batch::Mark, timestamp_s: u32) -> RowHead {
    RowHead {
        kind: ChangeKind::Bootstrap,
        schema,
        transaction: None,
        before: None,
        after: Some(after),
        timestamp_s,
        offset: 0,
        last: false,
    }
}

/// The key value of an integer, of the variant its column's cells have.
fn integer(value: i128, column: &ColumnType) -> Option<KeyValue> {
    match column {
        ColumnType::Integer { unsigned: true, .. } => u64::try_from(value).ok().map(KeyValue::UInt),
        _ => i64::try_from(value).ok().map(KeyValue::Int),
    }
}

fn number(key: &Key) -> Option<i128> {
    match key.0[..] {
        [KeyValue::Int(value)] => Some(i128::from(value)),
        [KeyValue::UInt(value)] => Some(i128::from(value)),
        _ => None,
    }
}

impl SnapshotReader for Reader {
    type Position = BinlogPosition;

    fn cut(&self) -> Option<&BinlogPosition> {
        self.cut.as_ref()
    }

    async fn plan(&mut self, name: &TableName, range: &KeyRange, rows: u64) -> Result<Option<Key>> {
        let table = self.table(name)?;
        let Some(dense) = self.dense(&table).await? else {
            return self.walk(&table, range, rows).await;
        };
        let after = range
            .after
            .as_ref()
            .and_then(number)
            .unwrap_or(dense.lowest - 1);
        let up_to = range
            .up_to
            .as_ref()
            .and_then(number)
            .unwrap_or(dense.highest);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "the length of a split needs no precision, and the cast saturates"
        )]
        let step = (rows as f64 * dense.spread) as i128;
        let bound = after + step.max(1);
        // A rest that is hardly longer than a split is read with it.
        if bound + step / 4 >= up_to {
            return Ok(None);
        }
        let definition = table.definition();
        let column = definition
            .key()
            .first()
            .map(|&column| &definition.columns[column].column_type);
        Ok(column
            .and_then(|column| integer(bound, column))
            .map(|value| Key(vec![value])))
    }

    async fn begin(&mut self, split: &Split) -> Result<()> {
        let table = self.table(&split.table)?;
        let sql = table.select(&split.range);
        self.begin_scan(table, &sql).await
    }

    async fn read(&mut self, batch: &mut Batch) -> Result<ScanStep> {
        let Some(scan) = self.scan.as_deref_mut() else {
            return Err(Error::new(ErrorKind::Internal, "no split is being read"));
        };
        let schema = batch.add_schema(scan.table.plan.schema());
        let now = clock::now_event_s();
        while scan.rows.fill(&mut self.connection).await? {
            while let Some(row) = scan.rows.next_buffered(&mut self.connection)? {
                let after = scan.plan.decode(row, batch)?;
                batch.push_row(snapshot_row(schema, after, now));
                if batch.len() >= BATCH_ROWS || batch.size_bytes() >= BATCH_BYTES {
                    let last = batch.len().checked_sub(1).and_then(|last| batch.row(last));
                    let key = last
                        .and_then(|row| row.after())
                        .and_then(|image| Key::of(&image));
                    return Ok(ScanStep::Rows(key));
                }
            }
        }
        if let Some(scan) = self.scan.take() {
            let lost = scan.table.plan.undecodable();
            if lost > 0 {
                tracing::debug!(table = %scan.table.definition().name, lost, "text not valid in its character set");
            }
            self.connection.close_statement(scan.statement).await?;
            self.connection
                .execute("ROLLBACK TO SAVEPOINT headwater")
                .await?;
        }
        Ok(ScanStep::Done)
    }

    async fn read_keys(
        &mut self,
        name: &TableName,
        keys: &[Key],
        met: &mut Batch,
        unmet: &mut Batch,
    ) -> Result<()> {
        let table = self.table(name)?;
        for keys in keys.chunks(KEYS_PER_STATEMENT) {
            for is_met in [true, false] {
                if !is_met && table.condition.is_none() {
                    break;
                }
                let sql = table.select_keys(keys, is_met);
                self.begin_scan(Arc::clone(&table), &sql).await?;
                let rows = if is_met { &mut *met } else { &mut *unmet };
                while self.read(rows).await? != ScanStep::Done {}
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<BinlogPosition> {
        match (&self.cut, &mut self.control) {
            (Some(cut), _) => Ok(cut.clone()),
            (None, Some(control)) => control.logged_position().await,
            (None, None) => Err(Error::new(
                ErrorKind::Internal,
                "a cut by marks has no control connection",
            )),
        }
    }

    async fn close(self) {
        match (self.home, self.control) {
            (Some((kept, known)), Some(control)) => {
                let (session, known) = (self.connection, Some(known));
                kept.give(Pair {
                    control,
                    session,
                    known,
                })
                .await;
            }
            (_, control) => {
                self.connection.close().await;
                if let Some(control) = control {
                    control.close().await;
                }
            }
        }
    }
}
