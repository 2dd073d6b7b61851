//! Object stores: S3 by moto, Azure Blob Storage by Azurite. The XML interface of Google Cloud Storage is that of S3 but for the login; its emulators lack that interface.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{Server, is_server};
use crate::http::ask;
use crate::{environment, process};

/// What moto takes for signed.
const SIGNED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=any",
);

/// A server that speaks S3, with the bucket `bkt`. It does not check signatures, and keeps everything in memory.
pub struct Moto {
    server: Server,
    port: u16,
}

/// Azure Blob Storage, with the container `bkt`. It checks signatures.
pub struct Azurite {
    server: Server,
    port: u16,
}

is_server!(Moto);
is_server!(Azurite);

impl Moto {
    /// Starts one.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        let mut server = Server::new("moto");
        let port = server.port();
        let mut command =
            process::dependent(&environment::tool("objects").join("bin/moto_server"), "KILL", None);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        server.launch(command, move |_| ask(port, "GET", "/moto-api/data.json", &[], b"").is_ok());
        let moto = Self { server, port };
        moto.request("PUT", "/bkt", b"");
        moto
    }

    /// The variables with which the command finds it.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 5] {
        s3(self.port)
    }

    /// The variables with which the command finds it as Google Cloud Storage.
    #[must_use]
    pub fn google_variables(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("GOOGLE_BASE_URL", format!("http://127.0.0.1:{}", self.port)),
            ("GOOGLE_ALLOW_HTTP", "true".into()),
            ("GOOGLE_BEARER_TOKEN", "hunter2".into()),
        ])
    }

    /// Puts an object into the bucket.
    ///
    /// # Panics
    /// If that fails.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.request("PUT", &format!("/bkt/{key}"), bytes);
    }

    /// The content of an object in the bucket.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.request("GET", &format!("/bkt/{key}"), b"")
    }

    /// The keys of all objects in the bucket, in order.
    ///
    /// # Panics
    /// If it does not tell.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let listed = String::from_utf8(self.request("GET", "/bkt?list-type=2", b"")).expect("UTF-8");
        let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// The number of uploads in parts that were neither completed nor given up.
    ///
    /// # Panics
    /// If it does not tell.
    #[must_use]
    pub fn unfinished_uploads(&self) -> usize {
        let listed = String::from_utf8(self.request("GET", "/bkt?uploads", b"")).expect("UTF-8");
        listed.matches("<UploadId>").count()
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let (status, answer) = ask(self.port, method, path, &[SIGNED], body).expect("an answer");
        assert_eq!(status, 200, "{method} {path}: {}", String::from_utf8_lossy(&answer));
        answer
    }
}

/// The variables with which the command finds a server that speaks S3 at a port of loopback.
#[must_use]
pub fn s3(port: u16) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_ALLOW_HTTP", "true".into()),
        ("AWS_ACCESS_KEY_ID", "test".into()),
        ("AWS_SECRET_ACCESS_KEY", "hunter2".into()),
        ("AWS_REGION", "us-east-1".into()),
    ]
}

impl Azurite {
    /// The key of its account, which is the same everywhere.
    const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Starts one.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        let mut server = Server::new("azurite");
        let port = server.port();
        let program = environment::tool("azurite").join("node_modules/.bin/azurite-blob");
        let mut command = process::dependent(&program, "KILL", None);
        command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", "127.0.0.1"]);
        command.args(["--blobPort", &port.to_string(), "--location"]).arg(server.folder());
        server.launch(command, move |_| ask(port, "GET", "/", &[], b"").is_ok());
        let make = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/azure_container.py");
        let python = environment::tool("objects").join("bin/python");
        let mut command = Command::new(python);
        process::succeed(command.arg(make).arg(port.to_string()).args([Self::KEY, "bkt"]));
        Self { server, port }
    }

    /// The variables with which the command finds it.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1".into()),
            ("AZURE_STORAGE_ACCOUNT_KEY", Self::KEY.into()),
            ("AZURE_ENDPOINT", format!("http://127.0.0.1:{}/devstoreaccount1", self.port)),
            ("AZURE_ALLOW_HTTP", "true".into()),
        ])
    }
}
