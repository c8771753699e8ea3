//! TLS on a connection: which certificates pass in which mode. The provider is ring, given explicitly; nothing
//! process-wide is installed.

use std::path::Path;
use std::sync::Arc;

use headwater_core::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stream::Plain;
use crate::config::{Address, TlsMode, TlsOptions};

/// Puts TLS on a connection whose server has agreed to it.
///
/// # Errors
/// [`ErrorKind::Configuration`] for unreadable files or a certificate that does not pass, [`ErrorKind::Connection`]
/// for a failed handshake.
pub(crate) async fn upgrade(
    plain: Plain,
    options: &TlsOptions,
    address: &Address,
) -> Result<TlsStream<Plain>> {
    let config = client_config(options)?;
    let name = server_name(options.mode, address)?;
    TlsConnector::from(Arc::new(config)).connect(name, plain).await.map_err(|error| {
        let (kind, hint) = match tls_error(&error) {
            Some(rustls::Error::InvalidCertificate(problem)) => {
                (ErrorKind::Configuration, certificate_hint(problem))
            }
            Some(rustls::Error::NoCertificatesPresented) => (
                ErrorKind::Configuration,
                "the server has no certificate",
            ),
            _ => (
                ErrorKind::Connection,
                "does the server speak TLS 1.2 or newer (tls_version)? Does it want a client certificate (ssl-cert)?",
            ),
        };
        Error::new(kind, "TLS with the server failed")
            .with("address", address)
            .with("ssl-mode", options.mode.name())
            .hint(hint)
            .caused_by(error)
    })
}

fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn certificate_hint(problem: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Problem;
    match problem {
        Problem::UnknownIssuer => {
            "the authority that signed the server's certificate is not trusted: give its file with ssl-ca (MySQL keeps \
             its own as ca.pem in the data folder), or use ssl-mode=required to encrypt without checking"
        }
        Problem::NotValidForName | Problem::NotValidForNameContext { .. } => {
            "the certificate is for another host (its subject alternative names count): connect by that name, or use \
             ssl-mode=verify-ca"
        }
        Problem::Expired | Problem::ExpiredContext { .. } => "the server's certificate has expired",
        _ => {
            "the server's certificate does not pass: ssl-mode=required encrypts without checking it"
        }
    }
}

/// The name to check, and to send. A socket has none.
fn server_name(mode: TlsMode, address: &Address) -> Result<ServerName<'static>> {
    let host = match address {
        Address::Tcp { host, .. } => host.clone(),
        Address::Unix(_) if mode == TlsMode::VerifyIdentity => {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a Unix socket has no host name to check a certificate for",
            )
            .hint("use ssl-mode=verify-ca, or no TLS: a socket does not leave this machine"));
        }
        Address::Unix(_) => "localhost".to_owned(),
    };
    match ServerName::try_from(host) {
        Ok(name) => Ok(name),
        // Names that no certificate could bear (an underscore is common in containers) still connect.
        Err(_) if mode != TlsMode::VerifyIdentity => Ok(ServerName::IpAddress(
            std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST).into(),
        )),
        Err(error) => Err(Error::new(
            ErrorKind::Configuration,
            "no certificate can be for this host name",
        )
        .with("address", address)
        .hint("use ssl-mode=verify-ca")
        .caused_by(error)),
    }
}

fn client_config(options: &TlsOptions) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match options.mode {
        TlsMode::Off | TlsMode::Preferred | TlsMode::Required => Arc::new(AnyCertificate {
            provider: Arc::clone(&provider),
        }),
        TlsMode::VerifyCa => Arc::new(AnyName {
            roots: roots(options.ca.as_deref())?,
            provider: Arc::clone(&provider),
        }),
        TlsMode::VerifyIdentity => {
            let roots = Arc::new(roots(options.ca.as_deref())?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| {
                    Error::new(ErrorKind::Configuration, "cannot set up TLS").caused_by(error)
                })?
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot set up TLS").caused_by(error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (Some(cert), Some(key)) = (&options.cert, &options.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        Error::new(
            ErrorKind::Configuration,
            "the client's certificate and key cannot be used",
        )
        .with("file", cert.display())
        .hint("does the key belong to the certificate?")
        .caused_by(error)
    })
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| {
                Error::new(
                    ErrorKind::Configuration,
                    "the CA file has a certificate that cannot be used",
                )
                .with("file", ca.display())
                .caused_by(error)
            })?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        return Err(Error::new(
            ErrorKind::Configuration,
            "the system has no trusted authorities to check the server's certificate with",
        )
        .hint("give the authority's file with ssl-ca, or install the system's CA certificates"));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(file, error))?;
    if certificates.is_empty() {
        return Err(
            Error::new(ErrorKind::Configuration, "the file holds no certificate")
                .with("file", file.display())
                .hint("a PEM file has lines -----BEGIN CERTIFICATE-----"),
        );
    }
    Ok(certificates)
}

fn unreadable(file: &Path, error: rustls::pki_types::pem::Error) -> Error {
    Error::new(ErrorKind::Configuration, "cannot read the PEM file")
        .with("file", file.display())
        .hint("does the file exist, may it be read, and is it PEM?")
        .caused_by(error)
}

/// Takes any certificate, but checks that the server holds its key: against listeners, not against impostors.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

/// Checks the chain up to a trusted authority, and not the name (MySQL's `VERIFY_CA`).
#[derive(Debug)]
struct AnyName {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

/// The signature checks are the same for both.
macro_rules! signature_checks {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, cert, dss, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, cert, dss, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider
                .signature_verification_algorithms
                .supported_schemes()
        }
    };
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signature_checks!();
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    signature_checks!();
}
