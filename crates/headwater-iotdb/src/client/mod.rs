//! A session with one IoTDB server: Thrift's binary protocol in frames, over TCP or TLS. Written here because the generated
//! client copies every tablet twice, and because every call has to have a deadline: a tablet larger than the server's queue of
//! its log is never answered.

mod calls;
mod rows;
mod status;
mod thrift;
mod tls;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use calls::Properties;
pub use rows::{Rows, Value};
pub(crate) use status::{Node, Status};

use crate::config::{Address, Dialect, TlsOptions};
use crate::error;
use crate::tablet::Tablet;
use thrift::{Reader, Type, Writer};

/// The largest answer that is taken: rows come in portions far below it.
const FRAME_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The largest frame whose memory is kept for the next call.
const FRAME_BYTES_KEPT: usize = 4 * 1024 * 1024;
/// Rows that a query brings at once.
const FETCH_ROWS: i32 = 10_000;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// How a session is opened.
#[derive(Debug, Clone)]
pub(crate) struct SessionOptions {
    pub(crate) user: String,
    pub(crate) password: SecretString,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) dialect: Dialect,
    /// How long a call may take.
    pub(crate) call_timeout: Duration,
}

/// What can be said over a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// A call is out. If nobody waits for its answer any more it was given up, and may be carried out yet.
    Calling,
    Broken,
}

/// An open session. After an error of the connection, or a call that was given up, every further call fails.
pub(crate) struct Session {
    stream: Pin<Box<dyn Stream>>,
    address: Address,
    call_timeout: Duration,
    sequence: i32,
    session: i64,
    statement: i64,
    state: State,
    answer: Vec<u8>,
    /// The memory of the last call's frame.
    frame: Vec<u8>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut found = f.debug_struct("Session");
        found.field("address", &self.address);
        found.field("state", &self.state).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// `SinkUnavailable` where the server cannot be reached, `Authentication`, `Configuration` of TLS.
    pub(crate) async fn open(address: &Address, options: &SessionOptions) -> Result<Self> {
        let opening = Self::open_at(address, options);
        match timeout(options.call_timeout, opening).await {
            Ok(opened) => opened.map_err(|error| error.with("address", address)),
            Err(_) => {
                Err(error::unreachable(address)
                    .with("after", format!("{:?}", options.call_timeout)))
            }
        }
    }

    async fn open_at(address: &Address, options: &SessionOptions) -> Result<Self> {
        let connecting = TcpStream::connect((address.host.as_str(), address.port));
        let tcp = connecting
            .await
            .map_err(|cause| error::unreachable(address).caused_by(cause))?;
        tcp.set_nodelay(true)
            .map_err(|cause| error::unreachable(address).caused_by(cause))?;
        let stream: Pin<Box<dyn Stream>> = match &options.tls {
            Some(tls) => Box::pin(tls::upgrade(tcp, tls, address).await?),
            None => Box::pin(tcp),
        };
        let mut session = Self {
            stream,
            address: address.clone(),
            call_timeout: options.call_timeout,
            sequence: 0,
            session: 0,
            statement: 0,
            state: State::Ready,
            answer: Vec::new(),
            frame: Vec::new(),
        };
        session.log_in(options).await?;
        Ok(session)
    }

    async fn log_in(&mut self, options: &SessionOptions) -> Result<()> {
        let mut configuration = vec![("version", "V_1_0")];
        match &options.dialect {
            Dialect::Tree => configuration.push(("sql_dialect", "tree")),
            Dialect::Table { database } => {
                configuration.push(("sql_dialect", "table"));
                if let Some(database) = database {
                    configuration.push(("db", database));
                }
            }
        }
        let (user, password) = (&options.user, options.password.expose_secret());
        let opened = self
            .call(
                "openSession",
                |writer| calls::open_session(writer, user, password, &configuration),
                calls::Opened::read,
            )
            .await?;
        error::check(&opened.status, "logging in")?;
        self.session = opened.session;
        self.statement = self
            .call_for(
                "requestStatementId",
                Type::I64,
                |writer| calls::bare_session(writer, opened.session),
                |reader| reader.i64(),
            )
            .await?;
        Ok(())
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it has to be opened anew.
    pub(crate) fn is_broken(&self) -> bool {
        self.state != State::Ready
    }

    /// Whether a call was given up.
    pub(crate) fn has_call_out(&self) -> bool {
        self.state == State::Calling
    }

    /// Waits until the server has done with a call that was given up: nothing more is said, so it closes the connection once it
    /// has answered, and sooner if it never got the whole of the call. False if it has not within `limit`.
    pub(crate) async fn settle(&mut self, limit: Duration) -> bool {
        let ended = async {
            let mut rest = [0; 4096];
            // An error says that the other end has gone.
            if self.stream.shutdown().await.is_ok() {
                while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {}
            }
        };
        timeout(limit, ended).await.is_ok()
    }

    /// Writes tablets of devices of the tree model.
    pub(crate) async fn insert_tablets(
        &mut self,
        tablets: &[Tablet],
        is_aligned: bool,
    ) -> Result<Status> {
        let session = self.session;
        self.call(
            "insertTablets",
            |writer| calls::insert_tablets(writer, session, tablets, is_aligned),
            Status::read,
        )
        .await
    }

    /// Writes a tablet into a table of the table model.
    pub(crate) async fn insert_into_table(&mut self, tablet: &Tablet) -> Result<Status> {
        let session = self.session;
        self.call(
            "insertTablet",
            |writer| calls::insert_into_table(writer, session, tablet),
            Status::read,
        )
        .await
    }

    /// Deletes the points of these series at `time`.
    pub(crate) async fn delete_points(&mut self, paths: &[String], time: i64) -> Result<Status> {
        let session = self.session;
        self.call(
            "deleteData",
            |writer| calls::delete_data(writer, session, paths, time, time),
            Status::read,
        )
        .await
    }

    /// Executes a statement that answers no rows.
    pub(crate) async fn execute(&mut self, statement: &str) -> Result<Status> {
        let executed = self.send_statement(statement).await?;
        if let Some(query) = executed.query {
            self.close_query(query).await?;
        }
        Ok(executed.status)
    }

    /// Executes a query and reads all its rows.
    pub(crate) async fn query(&mut self, statement: &str) -> Result<Rows> {
        let executed = self.send_statement(statement).await?;
        error::check(&executed.status, "a query")
            .map_err(|error| error.with("statement", statement))?;
        let places = places(&executed);
        let mut rows = Rows {
            columns: executed.columns,
            types: executed.types,
            ..Rows::default()
        };
        for block in &executed.blocks {
            rows.append(block, &places)?;
        }
        let Some(query) = executed.query else {
            return Ok(rows);
        };
        let mut has_more = executed.has_more;
        while has_more {
            let (session, deadline) = (self.session, self.timeout_ms());
            let fetched = self
                .call(
                    "fetchResultsV2",
                    |writer| calls::fetch(writer, session, statement, query, FETCH_ROWS, deadline),
                    calls::Fetched::read,
                )
                .await?;
            error::check(&fetched.status, "reading rows")?;
            for block in &fetched.blocks {
                rows.append(block, &places)?;
            }
            has_more = fetched.has_more && fetched.has_rows;
        }
        self.close_query(query).await?;
        Ok(rows)
    }

    /// The server's version and precision of time.
    pub(crate) async fn properties(&mut self) -> Result<Properties> {
        self.call("getProperties", |_| {}, Properties::read).await
    }

    /// Asks for something small.
    pub(crate) async fn ping(&mut self) -> Result<Status> {
        self.properties().await.map(|_| Status::success())
    }

    /// Says goodbye. What cannot be said is not missed.
    pub(crate) async fn close(mut self) {
        let session = self.session;
        let goodbye = self.call(
            "closeSession",
            |writer| calls::session_only(writer, session),
            Status::read,
        );
        if let Err(error) = goodbye.await {
            tracing::debug!("a session ended without a goodbye: {error}");
        }
    }

    async fn send_statement(&mut self, statement: &str) -> Result<calls::Executed> {
        let (session, number, deadline) = (self.session, self.statement, self.timeout_ms());
        self.call(
            "executeStatementV2",
            |writer| calls::execute(writer, session, statement, number, FETCH_ROWS, deadline),
            calls::Executed::read,
        )
        .await
    }

    async fn close_query(&mut self, query: i64) -> Result<()> {
        let (session, statement) = (self.session, self.statement);
        self.call(
            "closeOperation",
            |writer| calls::close_query(writer, session, query, statement),
            Status::read,
        )
        .await
        .map(drop)
    }

    fn timeout_ms(&self) -> i64 {
        i64::try_from(self.call_timeout.as_millis()).unwrap_or(i64::MAX)
    }

    /// One call: its arguments, and what its answer's structure says.
    async fn call<T>(
        &mut self,
        name: &'static str,
        arguments: impl FnOnce(&mut Writer),
        read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        self.call_for(name, Type::Struct, arguments, read).await
    }

    /// The same, for an answer of any type.
    async fn call_for<T>(
        &mut self,
        name: &'static str,
        kind: Type,
        arguments: impl FnOnce(&mut Writer),
        read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.is_broken() {
            return Err(error::unreachable(&self.address));
        }
        self.sequence = self.sequence.wrapping_add(1);
        let memory = std::mem::take(&mut self.frame);
        let mut writer = Writer::call(memory, name, self.sequence);
        arguments(&mut writer);
        let frame = writer.finish()?;
        // Until its answer is there the connection is of no use to anybody else, even if this future is dropped.
        self.state = State::Calling;
        match timeout(self.call_timeout, self.exchange(&frame)).await {
            Ok(Ok(())) => {
                self.state = State::Ready;
                if frame.capacity() <= FRAME_BYTES_KEPT {
                    self.frame = frame;
                }
            }
            Ok(Err(cause)) => {
                self.state = State::Broken;
                return Err(error::broken(&self.address, cause).during(name));
            }
            Err(_) => {
                return Err(
                    error::unanswered(&self.address, frame.len(), self.call_timeout).during(name),
                );
            }
        }
        let mut reader = Reader::reply(&self.answer, name, self.sequence)?;
        match reader.field()? {
            Some((0, found)) if found == kind => read(&mut reader),
            _ => Err(Error::new(ErrorKind::SinkUnavailable, "IoTDB answered nothing").during(name)),
        }
    }

    async fn exchange(&mut self, frame: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(frame).await?;
        self.stream.flush().await?;
        let length = self.stream.read_i32().await?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            let text = "an answer of an impossible length: is this the port for clients, and TLS as the server has it?";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
        }
        self.answer.clear();
        self.answer.resize(length, 0);
        self.stream.read_exact(&mut self.answer).await?;
        Ok(())
    }
}

/// For each column of an answer its place in the blocks.
fn places(executed: &calls::Executed) -> Vec<usize> {
    let of = |place: i32| usize::try_from(place).unwrap_or(usize::MAX);
    if !executed.block_places.is_empty() {
        return executed.block_places.iter().copied().map(of).collect();
    }
    let named = |name: &String| {
        let mut places = executed.places.iter();
        let found = places.find(|(column, _)| column == name);
        found.map(|(_, place)| of(*place))
    };
    let columns = executed.columns.iter().enumerate();
    columns
        .map(|(at, name)| named(name).unwrap_or(at))
        .collect()
}
