//! TLS of clients: the options, and what went wrong in words.

use std::error::Error as StdError;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::{Base, FilePath};

/// How the server of an encrypted connection is verified, and how the client identifies itself. Certificates are always verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with the certificates of the authorities to trust, instead of those that the system trusts.
    pub ca: Option<FilePath>,
    /// A PEM file with the client's certificate, followed by those of intermediate authorities.
    pub certificate: Option<FilePath>,
    /// A PEM file with the private key of the client's certificate.
    pub key: Option<FilePath>,
}

impl Tls {
    /// The same options, with relative paths resolved against `base`.
    #[must_use]
    pub fn with_base(&self, base: &Base) -> Self {
        let at = |path: &Option<FilePath>| path.as_ref().map(|path| path.with_base(base));
        Self { ca: at(&self.ca), certificate: at(&self.certificate), key: at(&self.key) }
    }

    /// The configuration of a client, read anew from the files: so a renewed certificate is used by the next connection.
    ///
    /// # Errors
    /// A configuration error that names the option, if a file cannot be read or does not contain what it should.
    pub fn client(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(self.roots()?);
        let config = match self.identity()? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
                Error::config(format!("`certificate` and `key` cannot be used: {error}"))
                    .with_help("the key must be that of the first certificate in the file")
            })?,
        };
        Ok(Arc::new(config))
    }

    /// The authorities that are trusted.
    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.ca else {
            // A single unreadable certificate of the system does not matter.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        for certificate in certificates("ca", path)? {
            roots.add(certificate).map_err(|error| unusable("ca", path, &error))?;
        }
        Ok(roots)
    }

    /// The client's certificates and key.
    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key.place())
                    .map_err(|error| unusable("key", key, &error))?;
                Ok(Some((certificates("certificate", certificate)?, key)))
            }
            _ => Err(Error::config("`certificate` and `key` belong together: one of them is missing")),
        }
    }
}

/// The certificates in a PEM file: at least one.
fn certificates(option: &str, path: &FilePath) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path.place())
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let all = all.map_err(|error| unusable(option, path, &error))?;
    match all.is_empty() {
        false => Ok(all),
        true => Err(unusable(option, path, &"it contains no certificate")),
    }
}

fn unusable(option: &str, path: &FilePath, why: &dyn std::fmt::Display) -> Error {
    Error::config(format!("`{option}` {path}: {why}"))
        .with_help("it must be a PEM file: lines between -----BEGIN … and -----END …")
}

/// What check of a certificate has failed, if `error` or an error behind it says so; `None` if it is not about certificates.
#[must_use]
pub fn failed_check(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return of_rustls(found);
        }
        // An I/O error contains another one, which is not its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| failed_check(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn of_rustls(error: &rustls::Error) -> Option<String> {
    let what = match error {
        rustls::Error::InvalidCertificate(why) => return Some(of_certificate(why)),
        rustls::Error::AlertReceived(alert) => {
            format!(
                "the server refused the TLS connection ({alert:?}); it may require a client certificate (`certificate`, `key`)"
            )
        }
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS at this port".to_owned(),
        _ => format!("TLS failed: {error}"),
    };
    Some(what)
}

fn of_certificate(why: &CertificateError) -> String {
    let what = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: check the clocks of both machines"
        }
        CertificateError::UnknownIssuer => "its issuer is not trusted: name the issuer's certificate in `ca`",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is not valid for this host name: use a name that the certificate contains"
        }
        CertificateError::Revoked => "it was revoked",
        CertificateError::BadSignature => "its signature is wrong",
        other => return format!("the server's certificate was refused: {other:?}"),
    };
    format!("the server's certificate was refused: {what}")
}
