//! HTTP for the rest of the world: a token always, and TLS wherever others could listen.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::serve::{CONNECTIONS_MAX, Key, PATIENCE, connection};
use super::watched::Watched;
use crate::config::{HttpSettings, HttpTls};

/// How long to wait when no connection can be taken (no file descriptor is left, say).
const REST: Duration = Duration::from_millis(200);

/// What listens.
pub(super) struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    key: Arc<Key>,
}

/// Binds the address.
///
/// # Errors
/// `Configuration` if it cannot be bound, its certificate cannot be read, or it can be reached from elsewhere without TLS.
pub(super) async fn open(http: &HttpSettings) -> Result<Door> {
    let tls = http.tls.as_ref().map(acceptor).transpose()?;
    let failed = |cause: io::Error| {
        Error::new(ErrorKind::Configuration, "cannot listen for HTTP")
            .with("address", &http.listen)
            .hint("give another address or port with --http (http.listen)")
            .caused_by(cause)
    };
    let found = tokio::net::lookup_host(http.listen.to_string()).await;
    let addresses: Vec<SocketAddr> = found.map_err(failed)?.collect();
    if tls.is_none() && addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(crate::config::not_without_tls(&http.listen));
    }
    let listener = TcpListener::bind(addresses.as_slice())
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, tls = tls.is_some(), "listening for HTTP");
    let key = Arc::new(Key::Token(http.token.clone()));
    Ok(Door { listener, tls, key })
}

fn acceptor(files: &HttpTls) -> Result<TlsAcceptor> {
    let certificates = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|cause| unreadable("certificate", &files.cert).caused_by(cause))?;
    if certificates.is_empty() {
        return Err(unreadable("certificate", &files.cert));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|cause| unreadable("private key", &files.key).caused_by(cause))?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|cause| {
            Error::new(
                ErrorKind::Configuration,
                "the certificate and the private key for HTTP do not do",
            )
            .with("certificate", files.cert.display())
            .with("key", files.key.display())
            .hint("give the key that belongs to the certificate, and the whole chain")
            .caused_by(cause)
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unreadable(what: &str, path: &Path) -> Error {
    Error::new(
        ErrorKind::Configuration,
        format!("cannot read the {what} for HTTP"),
    )
    .with("file", path.display())
    .hint("check its path, that it may be read, and that it is PEM")
}

/// Takes connections until the run ends.
pub(super) async fn serve(door: Door, watched: Arc<Watched>, stop: CancellationToken) {
    let Door { listener, tls, key } = door;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = TaskTracker::new();
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            taken = take(&listener, &room) => taken,
        };
        match taken {
            Ok((stream, place)) => {
                let (watched, key) = (Arc::clone(&watched), Arc::clone(&key));
                let (tls, stop) = (tls.clone(), stop.clone());
                open.spawn(async move {
                    greet(stream, tls, watched, key, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("no connection can be taken: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
    open.close();
    open.wait().await;
}

async fn take(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn greet(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    watched: Arc<Watched>,
    key: Arc<Key>,
    stop: CancellationToken,
) {
    let Some(tls) = tls else {
        return connection(stream, watched, key, stop).await;
    };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, watched, key, stop).await,
        Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}
