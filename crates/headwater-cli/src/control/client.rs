//! The other end of the Unix socket: a process that asks a running one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::find;
use super::view::ErrorBody;

/// How long an answer may take: the server gives up a command a little earlier, and says so.
const ANSWER: Duration = Duration::from_secs(40);
/// The largest answer: a status of a hundred thousand tables.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A running process, as its socket is known.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// The process at this socket.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Where it is.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for something without giving anything.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Asks for something.
    ///
    /// # Errors
    /// What the process answers; `Connection` if it is not there, or ends meanwhile.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|cause| {
            Error::new(ErrorKind::Internal, "the request cannot be written as JSON")
                .caused_by(cause)
        })?;
        self.ask(method, path, body.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T> {
        match tokio::time::timeout(ANSWER, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "the running headwater does not answer",
            )
            .with("socket", self.socket.display())
            .hint("see whether it is stopped or out of memory; `headwater status` reads its checkpoint without it")),
        }
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T> {
        let stream = self.connect().await?;
        let gone = |cause: hyper::Error| self.gone().caused_by(cause);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(gone)?;
        let driving = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "headwater")
            .header("connection", "close")
            .body(Full::new(body))
            .map_err(|cause| {
                Error::new(ErrorKind::Internal, "the request cannot be made").caused_by(cause)
            })?;
        let response = sender.send_request(request).await.map_err(gone)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let body = body.await.map_err(|cause| self.gone().caused_by(cause))?;
        driving.abort();
        let body = body.to_bytes();
        let foreign = |cause: serde_json::Error| {
            Error::new(
                ErrorKind::Malformed,
                "the running headwater's answer cannot be read",
            )
            .hint("it may be of another version: use the same one for both")
            .caused_by(cause)
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(foreign);
        }
        let refused: ErrorBody = serde_json::from_slice(&body).map_err(foreign)?;
        Err(as_error(refused))
    }

    async fn connect(&self) -> Result<UnixStream> {
        let failed = |cause: io::Error| {
            match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::new(
                ErrorKind::Connection,
                "no headwater runs with this checkpoint",
            )
            .with("socket", self.socket.display())
            .hint("start it (`headwater run … --checkpoint FILE`), or name the checkpoint of the one that runs"),
            io::ErrorKind::PermissionDenied => Error::new(
                ErrorKind::Privilege,
                "the running headwater belongs to another user",
            )
            .with("socket", self.socket.display())
            .hint("run this as the user that started it, or use HTTP with its token")
            .caused_by(cause),
            _ => self.gone().caused_by(cause),
        }
        };
        let short = find::Short::of(&self.socket).map_err(failed)?;
        UnixStream::connect(short.path()).await.map_err(failed)
    }

    fn gone(&self) -> Error {
        Error::new(
            ErrorKind::Connection,
            "the running headwater has gone, or ended while it was asked",
        )
        .with("socket", self.socket.display())
        .hint("bootstraps are kept in its checkpoint: they go on when it is started again")
    }
}

/// The error that the process answered with.
fn as_error(body: ErrorBody) -> Error {
    let said = body.error;
    let kind = ErrorKind::ALL
        .into_iter()
        .find(|kind| kind.name() == said.kind);
    let kind = match kind {
        // It is ending, which for this process is no way to end well.
        Some(ErrorKind::Cancelled) => ErrorKind::Connection,
        Some(kind) => kind,
        None => ErrorKind::Internal,
    };
    let error = Error::new(kind, said.message);
    match said.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
