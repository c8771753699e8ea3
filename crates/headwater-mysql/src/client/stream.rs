//! The bytes' way to the server: TCP or a Unix socket, with or without TLS on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::config::Address;

/// A silent peer is asked for a sign of life after this time, …
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// … again after this time, and counts as gone after six of them (the system's number may differ).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A connection in clear.
#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection, in clear or not.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
    /// The place is empty while TLS is being put on it, and after that failed.
    Closed,
}

impl Stream {
    /// Opens the connection, without a word to the server yet.
    pub(crate) async fn open(address: &Address) -> Result<Self> {
        let unreachable = |error: io::Error| {
            Error::new(ErrorKind::Connection, "cannot reach the server")
                .with("address", address)
                .hint(hint_for(address, &error))
                .caused_by(error)
        };
        let plain = match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                let keepalive = TcpKeepalive::new()
                    .with_time(KEEPALIVE_IDLE)
                    .with_interval(KEEPALIVE_INTERVAL);
                SockRef::from(&stream)
                    .set_tcp_keepalive(&keepalive)
                    .map_err(unreachable)?;
                Plain::Tcp(stream)
            }
            Address::Unix(path) => {
                Plain::Unix(UnixStream::connect(path).await.map_err(unreachable)?)
            }
        };
        Ok(Self::Plain(plain))
    }

    /// Whether nobody between here and the server can read along.
    pub(crate) fn is_private(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Plain(Plain::Unix(_)))
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    pub(crate) fn is_unix(&self) -> bool {
        matches!(self, Self::Plain(Plain::Unix(_)))
    }
}

fn hint_for(address: &Address, error: &io::Error) -> &'static str {
    match (address, error.kind()) {
        (Address::Tcp { .. }, io::ErrorKind::ConnectionRefused) => {
            "is the server running, and does it listen on this address and port (bind_address, port, skip_networking)?"
        }
        (Address::Tcp { .. }, _) => "check host and port, name resolution, and firewalls between",
        (Address::Unix(_), io::ErrorKind::NotFound) => {
            "is the server running, and is this its socket (SELECT @@socket)?"
        }
        (Address::Unix(_), io::ErrorKind::PermissionDenied) => {
            "may this user reach the socket's folder and the socket?"
        }
        (Address::Unix(_), _) => "is the server running?",
    }
}

/// What every kind of stream can do. Called once a buffer, not once a row: dispatch at run time costs nothing.
trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// Passes reading and writing on to whatever `io` finds.
macro_rules! delegate_io {
    ($type:ty) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                into: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(self.get_mut().io()?).poll_read(cx, into)
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(self.get_mut().io()?).poll_write(cx, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(self.get_mut().io()?).poll_flush(cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(self.get_mut().io()?).poll_shutdown(cx)
            }
        }
    };
}

impl Plain {
    #[allow(
        clippy::unnecessary_wraps,
        reason = "the same shape as the other stream's"
    )]
    fn io(&mut self) -> io::Result<&mut dyn Io> {
        Ok(match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        })
    }
}

impl Stream {
    fn io(&mut self) -> io::Result<&mut dyn Io> {
        match self {
            Self::Plain(stream) => Ok(stream),
            Self::Tls(stream) => Ok(stream),
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

delegate_io!(Plain);
delegate_io!(Stream);
