//! HTTPS with a certificate of the operator's, which is read again when its files change.
//!
//! Only HTTP/1.1 is spoken: over HTTP/2 a client could open any number of requests at once on one connection.

use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::config::Tls;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The certificate in use.
#[derive(Debug)]
pub struct Certificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// # Errors
    /// A file cannot be read, or the key is not that of the certificate.
    pub fn load(files: &Tls) -> anyhow::Result<Arc<Certificate>> {
        Ok(Arc::new(Certificate(RwLock::new(Arc::new(read(files)?)))))
    }

    /// What rustls serves with it.
    pub fn config(self: &Arc<Certificate>) -> anyhow::Result<ServerConfig> {
        let config =
            ServerConfig::builder_with_provider(ring::default_provider().into()).with_safe_default_protocol_versions();
        let mut config = config?.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Takes up what changes in the files, while the server runs. What cannot be used is logged, and the certificate that
    /// is in use stays.
    pub async fn follow(self: Arc<Certificate>, files: Tls) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        let mut seen = version(&files);
        loop {
            every.tick().await;
            let found = version(&files);
            if found == seen {
                continue;
            }
            seen = found;
            match read(&files) {
                Ok(certificate) => {
                    *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate);
                    tracing::info!("the new certificate is in use");
                }
                // of two files that are written one after the other, the second brings another change
                Err(error) => {
                    tracing::error!("the certificate has changed and cannot be used, so the old one stays: {error:#}")
                }
            }
        }
    }
}

fn read(files: &Tls) -> anyhow::Result<CertifiedKey> {
    let shown = |path: &Path| format!("cannot read {}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.cert).with_context(|| shown(&files.cert))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().with_context(|| shown(&files.cert))?;
    anyhow::ensure!(!chain.is_empty(), "{} holds no certificate", files.cert.display());
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| shown(&files.key))?;
    let unusable = || format!("{} is not the key of {}", files.key.display(), files.cert.display());
    CertifiedKey::from_der(chain, key, &ring::default_provider()).with_context(unusable)
}

/// By which a change is noticed.
fn version(files: &Tls) -> [Option<(SystemTime, u64)>; 2] {
    let version = |meta: Metadata| meta.modified().ok().map(|at| (at, meta.len()));
    [&files.cert, &files.key].map(|path| fs::metadata(path).ok().and_then(version))
}
