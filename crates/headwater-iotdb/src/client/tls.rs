//! TLS with IoTDB (`enable_thrift_ssl`). The provider is ring, given explicitly.

use std::sync::Arc;

use headwater_core::{Error, ErrorKind, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{Address, TlsOptions};
use crate::error;

pub(super) async fn upgrade(
    plain: TcpStream,
    options: &TlsOptions,
    address: &Address,
) -> Result<TlsStream<TcpStream>> {
    let config = client_config(options)?;
    let name = ServerName::try_from(address.host.clone()).map_err(|cause| {
        Error::new(
            ErrorKind::Configuration,
            "no host name that a certificate could have",
        )
        .with("host", &address.host)
        .caused_by(cause)
    })?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, plain);
    connecting.await.map_err(|cause| {
        let inner = cause.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidCertificate(_)) => {
                Error::new(ErrorKind::Configuration, "IoTDB's certificate does not pass")
                    .with("address", address)
                    .hint("give the authority that signed it with connections.iotdb.tls.ca, and connect by a name that it is for")
                    .caused_by(cause)
            }
            _ => error::broken(address, cause).hint(
                "does the server speak TLS (enable_thrift_ssl=true)? Otherwise leave connections.iotdb.tls out",
            ),
        }
    })
}

fn client_config(options: &TlsOptions) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &options.ca {
        Some(path) => {
            let unreadable = |cause: rustls::pki_types::pem::Error| {
                Error::new(
                    ErrorKind::Configuration,
                    "the authorities of IoTDB cannot be read",
                )
                .with("file", path.display())
                .hint("give a PEM file with their certificates")
                .caused_by(cause)
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                let certificate = certificate.map_err(unreadable)?;
                roots.add(certificate).map_err(|cause| {
                    Error::new(
                        ErrorKind::Configuration,
                        "a certificate of an authority is not valid",
                    )
                    .with("file", path.display())
                    .caused_by(cause)
                })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| {
            Error::new(ErrorKind::Internal, "TLS cannot be set up").caused_by(cause)
        })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
