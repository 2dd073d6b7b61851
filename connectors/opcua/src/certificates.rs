//! Files with certificates and keys: read, and made for this client.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use opcua::crypto::{CertificateStore, PrivateKey, X509, X509Data};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::FilePath;

use crate::options::Connection;

/// Days for which a certificate that is made here is valid.
const VALID: u32 = 3650;

/// Makes the certificate and the key of this client, if they do not exist.
///
/// # Errors
/// If one of them exists, or they cannot be read or written.
pub(crate) fn prepare(connection: &Connection) -> Result<()> {
    let (Some(own), Some(key)) = (&connection.certificate, &connection.key) else { return Ok(()) };
    match (own.place().exists(), key.place().exists()) {
        (false, false) => make(connection, own, key),
        _ => {
            certificate("certificate", own)?;
            private_key("key", key).map(drop)
        }
    }
}

fn make(connection: &Connection, own: &FilePath, key: &FilePath) -> Result<()> {
    if own.place().extension().is_none_or(|extension| extension != "der") {
        return Err(Error::config(format!(
            "`certificate` {own} does not exist, and cannot be made: it does not end in .der"
        )));
    }
    let data = X509Data {
        key_size: 2048,
        common_name: "tidemill".into(),
        organization: "tidemill".into(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(&connection.application_uri, None, false, true, false),
        certificate_duration_days: VALID,
    };
    // Where both are complete, they are written, the key first: a certificate without a key is of no use.
    let folder =
        tempfile::tempdir().map_err(|error| Error::io("make a folder in", "the temporary folder", &error))?;
    let [certificate, pem] = ["own.der", "own.pem"].map(|name| folder.path().join(name));
    CertificateStore::create_certificate_and_key(&data, false, &certificate, &pem)
        .map_err(|why| Error::internal(format!("no certificate can be made: {why}")))?;
    for (made, path, is_private) in [(pem, key, true), (certificate, own, false)] {
        let bytes = fs::read(&made).map_err(|error| Error::io("read", made.display(), &error))?;
        write(path.place(), &bytes, is_private).map_err(|error| Error::io("write", path, &error))?;
    }
    Ok(())
}

/// Writes a new file, which only its owner can read if it `is_private`.
fn write(path: &Path, bytes: &[u8], is_private: bool) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if is_private { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _everybody_of_the_folder = is_private;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The certificate in a file.
pub(crate) fn certificate(option: &str, path: &FilePath) -> Result<X509> {
    fs::metadata(path.place())
        .map_err(|error| path.cannot_read(&error).with_context(format!("`{option}`")))?;
    CertificateStore::read_cert(path.place()).map_err(|why| {
        Error::config(format!("`{option}` {path}: {why}")).with_help(
            "it must be a certificate: a file that ends in .der, or in .pem with -----BEGIN CERTIFICATE-----",
        )
    })
}

/// The private key in a file.
pub(crate) fn private_key(option: &str, path: &FilePath) -> Result<PrivateKey> {
    fs::metadata(path.place())
        .map_err(|error| path.cannot_read(&error).with_context(format!("`{option}`")))?;
    CertificateStore::read_pkey(path.place()).map_err(|_| {
        Error::config(format!("`{option}` {path}: it is no private key of RSA"))
            .with_help("it must be a PEM file with -----BEGIN PRIVATE KEY-----")
    })
}
