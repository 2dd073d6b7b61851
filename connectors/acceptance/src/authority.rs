//! Certificates of tests: each server has an authority of its own.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, SanType,
};

/// An authority that signs certificates, in PEM files of one folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The file with the certificate.
    pub certificate: PathBuf,
    /// The file with the key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, whose files are in `folder`.
    ///
    /// # Panics
    /// If they cannot be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let mut params = named("tidemill tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join("ca.pem"), certificate.pem()).expect("written");
        Self { folder: folder.to_path_buf(), issuer: Issuer::new(params, key) }
    }

    /// The file with its own certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for servers at `localhost` and 127.0.0.1.
    #[must_use]
    pub fn server(&self) -> Identity {
        let mut params = named("localhost");
        let names = [
            SanType::DnsName("localhost".try_into().expect("a name")),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        params.subject_alt_names = names.into();
        self.sign("server", params)
    }

    /// A certificate for servers at another host: `example.test`.
    #[must_use]
    pub fn other_server(&self) -> Identity {
        let mut params = named("example.test");
        params.subject_alt_names = vec![SanType::DnsName("example.test".try_into().expect("a name"))];
        self.sign("other", params)
    }

    /// A certificate for servers at `localhost`, which has expired.
    #[must_use]
    pub fn expired_server(&self) -> Identity {
        let mut params = named("localhost");
        params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().expect("a name"))];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        self.sign("expired", params)
    }

    /// Puts a certificate that has expired in the place of that of the [server](Authority::server): for its next start.
    ///
    /// # Panics
    /// If that fails.
    pub fn expire_server(&self) {
        let expired = self.expired_server();
        for (from, kind) in [(expired.certificate, "certificate"), (expired.key, "key")] {
            std::fs::copy(from, self.file("server", kind)).expect("copied");
        }
    }

    /// A certificate for the client `name`.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{name}-{kind}.pem"))
    }

    fn sign(&self, name: &str, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |kind: &str| self.file(name, kind);
        let identity = Identity { certificate: file("certificate"), key: file("key") };
        std::fs::write(&identity.certificate, certificate.pem()).expect("written");
        std::fs::write(&identity.key, key.serialize_pem()).expect("written");
        identity
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
