//! TLS of the server. A certificate that is renewed in its file is used from then on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::FilePath;

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate and its key.
pub(super) struct Certificates {
    certificate: FilePath,
    key: FilePath,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// When each file was written.
    written: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(super) fn new(certificate: &FilePath, key: &FilePath) -> Result<Self> {
        let config = encryption(certificate, key)?;
        let current = Current { config, written: written(certificate, key), looked: Instant::now() };
        Ok(Self { certificate: certificate.clone(), key: key.clone(), current: Mutex::new(current) })
    }

    /// The configuration for the next connection. Files that cannot be used, because only one of them is renewed yet, for example, change nothing.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            self.renew(&mut current);
        }
        Arc::clone(&current.config)
    }

    fn renew(&self, current: &mut Current) {
        let now = written(&self.certificate, &self.key);
        if now == current.written {
            return;
        }
        if let Ok(config) = encryption(&self.certificate, &self.key) {
            (current.config, current.written) = (config, now);
        }
    }
}

fn written(certificate: &FilePath, key: &FilePath) -> [Option<SystemTime>; 2] {
    [certificate, key].map(|path| std::fs::metadata(path.place()).ok()?.modified().ok())
}

/// The configuration of TLS, from the files.
fn encryption(certificate: &FilePath, key: &FilePath) -> Result<Arc<ServerConfig>> {
    let unusable = |option: &str, path: &FilePath, why: &dyn std::fmt::Display| {
        Error::config(format!("`{option}` {path}: {why}"))
            .with_help("it must be a PEM file: lines between -----BEGIN … and -----END …")
    };
    let chain = CertificateDer::pem_file_iter(certificate.place())
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| unusable("certificate", certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key.place()).map_err(|error| unusable("key", key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| unusable("certificate", certificate, &error))?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, in these files.
    fn write(paths: [&std::path::Path; 2]) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        std::fs::write(paths[0], made.cert.pem()).expect("written");
        std::fs::write(paths[1], made.signing_key.serialize_pem()).expect("written");
    }

    #[test]
    fn a_renewed_certificate_is_used_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let [certificate, key] = ["c.pem", "k.pem"].map(|name| folder.path().join(name));
        write([&certificate, &key]);
        let path = |path: &std::path::Path| FilePath::from(path.to_string_lossy());
        let both = Certificates::new(&path(&certificate), &path(&key)).expect("usable");
        let renewed = |both: &Certificates| {
            let mut current = both.current.lock().expect("no panic");
            let before = Arc::clone(&current.config);
            // Whatever the clock of the file system shows.
            current.written = [None; 2];
            both.renew(&mut current);
            !Arc::ptr_eq(&before, &current.config)
        };
        write([&certificate, &key]);
        assert!(renewed(&both));
        std::fs::write(&key, "damaged").expect("written");
        assert!(!renewed(&both));
        assert!(
            Certificates::new(&path(&certificate), &path(&key))
                .is_err_and(|error| error.to_string().contains("`key`"))
        );
    }
}
