//! TLS 1.3 for addresses that other hosts reach.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// With the certificate and the key of these files.
///
/// # Errors
/// Which of them cannot be read, or is not what it must be; nothing of what is in it.
pub(super) fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    let wrong = |path: &Path, what: &str| io::Error::other(format!("{} holds no {what} as PEM", path.display()));
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(&files.cert)?).collect();
    let certificates = certificates.ok().filter(|all| !all.is_empty());
    let certificates = certificates.ok_or_else(|| wrong(&files.cert, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|_| wrong(&files.key, "private key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| io::Error::other(format!("{} and {}: {error}", files.cert.display(), files.key.display())))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
