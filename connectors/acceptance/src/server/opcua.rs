//! An OPC UA server, of asyncua.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Server, is_server};
use crate::{environment, process};

/// How an [`OpcUa`] differs from the default: anonymous users, no protection, no history.
#[derive(Clone, Debug)]
pub struct OpcUaOptions {
    /// The only user who may log in, with the password.
    pub user: Option<(String, String)>,
    /// Whether messages must be signed.
    pub is_protected: bool,
    /// The host for which its certificate is made.
    pub host: String,
    /// How many values it has kept of `Line1.Temperature` and `Line2.Temperature`: the numbers from 0 on, one per second from 2026-01-01, but every tenth has the time of the one
    /// before. Those that end in 7 or 57 are bad.
    pub history: u32,
}

impl Default for OpcUaOptions {
    fn default() -> Self {
        Self { user: None, is_protected: false, host: "localhost".into(), history: 0 }
    }
}

/// A value to write.
#[derive(Clone, Debug)]
pub struct Written {
    /// The node: `Line1` or `Line2` with `.Temperature`, `.Pressure`, `.Runs` or `.State`; `Spectrum`.
    pub node: &'static str,
    /// The value.
    pub value: Value,
    /// The name of the status code.
    pub status: &'static str,
    /// Microseconds since 1970.
    pub micros: i64,
}

/// An OPC UA server with a small plant below `Objects/Plant`, whose ids are `ns=2;s=Line1.Temperature` and so on.
pub struct OpcUa {
    server: Server,
    port: u16,
    control: u16,
}

is_server!(OpcUa);

impl OpcUa {
    /// Starts one with the default options.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&OpcUaOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(options: &OpcUaOptions) -> Self {
        let mut server = Server::new("opcua");
        let (port, control) = (server.port(), server.port());
        let user = options.user.clone().unzip();
        let configuration = json!({
            "port": port, "control": control, "folder": server.folder(), "user": user.0, "password": user.1,
            "protected": options.is_protected, "host": options.host, "history": options.history,
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/opcua.py");
        let mut command = process::dependent(&environment::tool("opcua").join("bin/python"), "KILL", None);
        command.arg(script).arg(configuration.to_string());
        server.launch(command, |log| log.text().lines().any(|line| line == "ready"));
        Self { server, port, control }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("opc.tcp://localhost:{}/tide", self.port)
    }

    /// Its certificate, if it is protected.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.server.file("server.der")
    }

    /// Writes values, in order.
    ///
    /// # Panics
    /// If the server does not say that it has written them.
    pub fn write(&self, all: impl IntoIterator<Item = Written>) {
        let line = |one: Written| json!([one.node, one.value, one.status, one.micros]);
        let line = Value::Array(all.into_iter().map(line).collect());
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.control)).expect("a connection");
        stream.write_all(format!("{line}\n").as_bytes()).expect("written");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("an answer");
        assert_eq!(answer, "written\n", "{}", self.log().text());
    }
}
