//! Statements by the text protocol (`COM_QUERY`): what they did, and small results held in memory.

use std::sync::Arc;

use headwater_core::{Error, ErrorKind, Result};

use super::packet::{
    ColumnDefinition, Cursor, OkInfo, is_end, malformed, parse_column, parse_end, parse_err,
    parse_ok,
};
use super::{Connection, Phase};

const COM_QUERY: u8 = 0x03;

/// The bound on a result held in memory, in bytes of its rows.
const TEXT_RESULT_BYTES_MAX: usize = 256 << 20;

/// A result held in memory.
#[derive(Debug, Clone, Default)]
pub struct TextResult {
    /// The columns; none for a statement without a result.
    pub columns: Arc<[ColumnDefinition]>,
    /// The rows.
    pub rows: Vec<TextRow>,
}

/// A row whose cells are the server's text, in the session's `character_set_results`.
#[derive(Debug, Clone)]
pub struct TextRow {
    columns: Arc<[ColumnDefinition]>,
    cells: Vec<Option<Vec<u8>>>,
}

impl TextResult {
    /// The place of the column of this name, in any case.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))
    }
}

impl TextRow {
    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is no cell; no server sends such a row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// A cell's bytes; `None` for NULL and for a cell that is not there.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        self.cells.get(index)?.as_deref()
    }

    /// A cell as text; `None` for NULL, for a cell that is not there, and for one that is not UTF-8.
    #[must_use]
    pub fn as_str(&self, index: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(index)?).ok()
    }

    /// A cell as a number; `None` for NULL and for what is none.
    #[must_use]
    pub fn u64(&self, index: usize) -> Option<u64> {
        self.as_str(index)?.parse().ok()
    }

    /// A cell as a signed number; `None` for NULL and for what is none.
    #[must_use]
    pub fn i64(&self, index: usize) -> Option<i64> {
        self.as_str(index)?.parse().ok()
    }

    /// The text of the column of this name, in any case; `None` as in [`TextRow::as_str`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self
            .columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))?;
        self.as_str(place)
    }

    /// The cells themselves.
    #[must_use]
    pub fn into_cells(self) -> Vec<Option<Vec<u8>>> {
        self.cells
    }
}

/// The beginning of an answer to a statement.
pub(super) enum Answer {
    /// The statement has no result.
    Done(OkInfo),
    /// Rows follow.
    Rows(Vec<ColumnDefinition>),
}

impl Connection {
    /// Runs a statement and drops its results, all of them if it has several. Gives what the last one did.
    ///
    /// # Errors
    /// What the server answers: its kind by [`super::ServerError::kind`], its code in
    /// [`Connection::last_server_error`]. Or a broken connection. Not cancel-safe: the connection is unusable after.
    pub async fn execute(&mut self, sql: &str) -> Result<OkInfo> {
        self.run(sql, |_, _| Ok(())).await
    }

    /// Runs a statement and holds its rows in memory. Of several results the first is given. The rows' texts are in
    /// the session's `character_set_results`.
    ///
    /// # Errors
    /// As [`Connection::execute`]; [`ErrorKind::Unsupported`] for a result of more than 256 MiB, after which the
    /// connection is unusable. Not cancel-safe: the connection is unusable after.
    pub async fn query(&mut self, sql: &str) -> Result<TextResult> {
        let mut result = TextResult::default();
        let mut bytes = 0;
        self.run(sql, |columns, row| {
            if result.columns.is_empty() {
                result.columns = Arc::clone(columns);
            } else if !Arc::ptr_eq(&result.columns, columns) {
                return Ok(()); // of a later result
            }
            let Some(row) = row else { return Ok(()) };
            bytes += row.len();
            if bytes > TEXT_RESULT_BYTES_MAX {
                return Err(
                    Error::new(ErrorKind::Unsupported, "a result is too large to hold")
                        .with("bound in bytes", TEXT_RESULT_BYTES_MAX),
                );
            }
            let mut cursor = Cursor::new(row);
            let cells = columns
                .iter()
                .map(|_| Ok(cursor.cell()?.map(<[u8]>::to_vec)));
            let cells = cells.collect::<Result<_>>()?;
            result.rows.push(TextRow {
                columns: Arc::clone(columns),
                cells,
            });
            Ok(())
        })
        .await?;
        Ok(result)
    }

    /// The first row of a statement's result, if it has one.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn query_one(&mut self, sql: &str) -> Result<Option<TextRow>> {
        Ok(self.query(sql).await?.rows.into_iter().next())
    }

    /// The first cell of the first row as text; `None` for no row and for NULL.
    ///
    /// # Errors
    /// As [`Connection::query`]; [`ErrorKind::Malformed`] if the cell is not UTF-8.
    pub async fn query_scalar(&mut self, sql: &str) -> Result<Option<String>> {
        let cell = self
            .query_one(sql)
            .await?
            .and_then(|row| row.cells.into_iter().next()?);
        cell.map(|bytes| String::from_utf8(bytes).map_err(|_| malformed("a text is not UTF-8")))
            .transpose()
    }

    /// Runs a statement and shows each result's columns (with `None`) and rows.
    async fn run(
        &mut self,
        sql: &str,
        mut visit: impl FnMut(&Arc<[ColumnDefinition]>, Option<&[u8]>) -> Result<()> + Send,
    ) -> Result<OkInfo> {
        self.send_command(COM_QUERY, sql.as_bytes()).await?;
        loop {
            let done = match self.answer().await? {
                Answer::Done(done) => done,
                Answer::Rows(columns) => {
                    let columns = columns.into();
                    visit(&columns, None)?;
                    self.each_row(|row| visit(&columns, Some(row))).await?
                }
            };
            if !done.more_results() {
                self.phase = Phase::Ready;
                return Ok(done);
            }
        }
    }

    async fn each_row(
        &mut self,
        mut visit: impl FnMut(&[u8]) -> Result<()> + Send,
    ) -> Result<OkInfo> {
        loop {
            let packet = self.wire.packet().await?;
            if packet.first() == Some(&0xFF) {
                let error = parse_err(packet)?;
                return Err(self.server_failed(error));
            }
            if is_end(packet) {
                return parse_end(packet);
            }
            visit(packet)?;
        }
    }

    /// Reads the beginning of an answer to a statement, up to its first row.
    pub(super) async fn answer(&mut self) -> Result<Answer> {
        let packet = self.wire.packet().await?;
        match packet.first() {
            Some(0x00) => Ok(Answer::Done(parse_ok(packet)?)),
            Some(0xFF) => {
                let error = parse_err(packet)?;
                Err(self.server_failed(error))
            }
            Some(0xFB) => Err(malformed("the server asks for a local file")),
            _ => {
                let count = Cursor::new(packet).lenenc()?;
                self.definitions(count).await.map(Answer::Rows)
            }
        }
    }

    /// Reads `count` column definitions, and the EOF behind them where there is one.
    pub(super) async fn definitions(&mut self, count: u64) -> Result<Vec<ColumnDefinition>> {
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(parse_column(self.wire.packet().await?)?);
        }
        if count > 0 && !self.deprecate_eof && !is_end(self.wire.packet().await?) {
            return Err(malformed("column definitions do not end"));
        }
        Ok(columns)
    }
}
