//! Prepared statements and the binary protocol: rows are handed out as they stand in the read buffer.

use headwater_core::{Error, ErrorKind, Result};

use super::packet::{ColumnDefinition, Cursor, OkInfo, is_end, malformed, parse_end, parse_err};
use super::query::Answer;
use super::{Connection, Phase};

const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_CLOSE: u8 = 0x19;

/// A prepared statement of one connection.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The server's number for it.
    pub id: u32,
    /// How many parameters it has.
    pub params: u16,
    /// Its result's columns, as of the preparation.
    pub columns: Vec<ColumnDefinition>,
}

/// The rows of a statement, as they arrive.
///
/// ```no_run
/// # async fn f(connection: &mut headwater_mysql::client::Connection) -> headwater_core::Result<()> {
/// let statement = connection.prepare("SELECT id, name FROM shop.users").await?;
/// let mut rows = connection.start_rows(&statement).await?;
/// while rows.fill().await? {
///     while let Some(row) = rows.next_buffered()? {
///         // the NULL bitmap, then the values
///     }
/// }
/// # Ok(()) }
/// ```
///
/// Dropped before its end, it leaves the connection unusable.
#[derive(Debug)]
pub struct RowStream<'a> {
    connection: &'a mut Connection,
    cursor: RowCursor,
}

/// A place in a statement's rows, for owners of a connection who cannot lend it to a [`RowStream`]: the same, but the
/// connection is given with each call.
#[derive(Debug)]
pub struct RowCursor {
    columns: Vec<ColumnDefinition>,
    end: Option<OkInfo>,
}

impl Connection {
    /// Prepares a statement.
    ///
    /// # Errors
    /// What the server answers, or a broken connection. Not cancel-safe: the connection is unusable after.
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement> {
        self.send_command(COM_STMT_PREPARE, sql.as_bytes()).await?;
        let packet = self.wire.packet().await?;
        if packet.first() == Some(&0xFF) {
            let error = parse_err(packet)?;
            return Err(self.server_failed(error));
        }
        let mut cursor = Cursor::new(packet);
        if cursor.u8()? != 0 {
            return Err(malformed(
                "an answer to a preparation is neither OK nor an error",
            ));
        }
        let id = cursor.u32()?;
        let column_count = cursor.u16()?;
        let params = cursor.u16()?;
        self.definitions(u64::from(params)).await?;
        let columns = self.definitions(u64::from(column_count)).await?;
        self.phase = Phase::Ready;
        Ok(Statement {
            id,
            params,
            columns,
        })
    }

    /// Runs a prepared statement without parameters, and streams its rows. The statement's first row may take the
    /// server a while: [`RowStream::fill`] waits for it.
    ///
    /// # Errors
    /// What the server answers, or a broken connection. Not cancel-safe: the connection is unusable after.
    pub async fn start_rows(&mut self, statement: &Statement) -> Result<RowStream<'_>> {
        let cursor = self.begin_rows(statement).await?;
        Ok(RowStream {
            connection: self,
            cursor,
        })
    }

    /// The same, without keeping the connection borrowed.
    ///
    /// # Errors
    /// As [`Connection::start_rows`].
    pub async fn begin_rows(&mut self, statement: &Statement) -> Result<RowCursor> {
        if statement.params > 0 {
            return Err(Error::new(
                ErrorKind::Internal,
                "a statement with parameters was to be run without any",
            ));
        }
        let mut payload = [0; 9];
        let (id, rest) = payload.split_at_mut(4);
        id.copy_from_slice(&statement.id.to_le_bytes());
        // One byte of flags (0: no cursor), four of iterations (always 1).
        rest.copy_from_slice(&[0, 1, 0, 0, 0]);
        self.send_command(COM_STMT_EXECUTE, &payload).await?;
        match self.answer().await? {
            Answer::Rows(columns) => Ok(RowCursor { columns, end: None }),
            Answer::Done(done) if done.more_results() => Err(several_results()),
            Answer::Done(done) => {
                self.phase = Phase::Ready;
                Ok(RowCursor {
                    columns: Vec::new(),
                    end: Some(done),
                })
            }
        }
    }

    /// Forgets a prepared statement. The server does not answer.
    ///
    /// # Errors
    /// A broken connection. Not cancel-safe: the connection is unusable after.
    pub async fn close_statement(&mut self, statement: Statement) -> Result<()> {
        self.send_command(COM_STMT_CLOSE, &statement.id.to_le_bytes())
            .await?;
        self.phase = Phase::Ready;
        Ok(())
    }
}

impl RowStream<'_> {
    /// The columns, as of this execution: they differ from the statement's if the table was altered since.
    #[must_use]
    pub fn columns(&self) -> &[ColumnDefinition] {
        self.cursor.columns()
    }

    /// What the end of the rows said; `None` before it is reached.
    #[must_use]
    pub fn end(&self) -> Option<OkInfo> {
        self.cursor.end()
    }

    /// See [`RowCursor::fill`].
    ///
    /// # Errors
    /// As [`Connection::fill`].
    pub async fn fill(&mut self) -> Result<bool> {
        self.cursor.fill(self.connection).await
    }

    /// See [`RowCursor::next_buffered`].
    ///
    /// # Errors
    /// As [`RowCursor::next_buffered`].
    #[inline]
    pub fn next_buffered(&mut self) -> Result<Option<&[u8]>> {
        self.cursor.next_buffered(self.connection)
    }
}

impl RowCursor {
    /// The columns, as of this execution: they differ from the statement's if the table was altered since.
    #[must_use]
    pub fn columns(&self) -> &[ColumnDefinition] {
        &self.columns
    }

    /// What the end of the rows said; `None` before it is reached.
    #[must_use]
    pub fn end(&self) -> Option<OkInfo> {
        self.end
    }

    /// Returns once at least one whole row, or the rows' end, is buffered: at once, if one is. `false`: the end was
    /// reached, and there is nothing more.
    ///
    /// Cancel-safe: what was read stays buffered.
    ///
    /// # Errors
    /// As [`Connection::fill`].
    pub async fn fill(&mut self, connection: &mut Connection) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        connection.wire.fill().await?;
        Ok(true)
    }

    /// The next buffered row: the bytes behind the leading 0x00, which are the NULL bitmap (two bits of offset,
    /// `(columns + 9) / 8` bytes) and the values. `None`: none is buffered, or the end was reached; [`RowStream::fill`]
    /// tells which.
    ///
    /// # Errors
    /// What the server sends in place of a row, with the connection usable after; [`ErrorKind::Malformed`] or
    /// [`ErrorKind::Unsupported`] as [`Connection::next_packet`].
    #[inline]
    pub fn next_buffered<'c>(
        &mut self,
        connection: &'c mut Connection,
    ) -> Result<Option<&'c [u8]>> {
        if self.end.is_some() {
            return Ok(None);
        }
        let Some(range) = connection.wire.reader.next_range()? else {
            return Ok(None);
        };
        if connection.wire.reader.slice(range.clone()).first() != Some(&0x00) {
            return self.not_a_row(connection, range);
        }
        Ok(connection.wire.reader.slice(range).get(1..))
    }

    #[cold]
    fn not_a_row<'c>(
        &mut self,
        connection: &'c mut Connection,
        range: std::ops::Range<usize>,
    ) -> Result<Option<&'c [u8]>> {
        let packet = connection.wire.reader.slice(range);
        if packet.first() == Some(&0xFF) {
            let error = parse_err(packet)?;
            self.end = Some(OkInfo::default());
            return Err(connection.server_failed(error));
        }
        if !is_end(packet) {
            return Err(malformed(
                "a packet among rows is neither a row nor their end",
            ));
        }
        let end = parse_end(packet)?;
        if end.more_results() {
            return Err(several_results());
        }
        self.end = Some(end);
        connection.phase = Phase::Ready;
        Ok(None)
    }
}

#[cold]
fn several_results() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "a statement with several results cannot be streamed",
    )
}
