//! An OPC UA server, of asyncua.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Server, is_server};
use crate::authority::Identity;
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
    /// Whether users log in by the certificate [`OpcUa::user`] and nothing else.
    pub user_certificate: bool,
    /// How many values it has kept of `Line1.Temperature` and `Line2.Temperature`: the numbers from 0 on, one per second from 2026-01-01, but every tenth has the time of the one
    /// before. Those that end in 7 or 57 are bad.
    pub history: u32,
    /// It shows two references at a time, and can continue only so many answers; if 0, it shows all at once.
    pub room: u32,
    /// Nodes of which it does not show what they refer to: the last parts of their ids.
    pub hidden: Vec<&'static str>,
}

impl Default for OpcUaOptions {
    fn default() -> Self {
        Self {
            user: None,
            is_protected: false,
            host: "localhost".into(),
            user_certificate: false,
            history: 0,
            room: 0,
            hidden: Vec::new(),
        }
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

/// The sessions of clients with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// How many there are.
    pub now: u64,
    /// How many have been made since the server started.
    pub made: u64,
    /// For how many milliseconds clients have asked keys of connections to be valid, each number once.
    pub lifetimes: Vec<u64>,
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
            "user_certificate": options.user_certificate, "room": options.room, "hidden": options.hidden,
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

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its certificate, if it is protected.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.server.file("server.der")
    }

    /// The certificate of the user `name`, and its key: that of `user` may log in, that of `stranger` may not.
    #[must_use]
    pub fn user(&self, name: &str) -> Identity {
        let file = |kind: &str| self.server.file(&format!("{name}.{kind}"));
        Identity { certificate: file("der"), key: file("key.pem") }
    }

    /// Writes values, in order.
    ///
    /// # Panics
    /// If the server does not say that it has written them.
    pub fn write(&self, all: impl IntoIterator<Item = Written>) {
        let value = |one: Written| json!([one.node, one.value, one.status, one.micros]);
        self.control(&json!(["write", all.into_iter().map(value).collect::<Value>()]));
    }

    /// From now on, the values of this node have another type, such as `String`.
    ///
    /// # Panics
    /// If the server does not say so.
    pub fn retype(&self, node: &str, ty: &str) {
        self.control(&json!(["retype", node, ty]));
    }

    /// The user has another password.
    ///
    /// # Panics
    /// If the server does not say so.
    pub fn set_password(&self, password: &str) {
        self.control(&json!(["password", password]));
    }

    /// Whether it refuses subscriptions to nodes from now on.
    ///
    /// # Panics
    /// If the server does not say so.
    pub fn refuse(&self, refuses: bool) {
        self.control(&json!(["refuse", refuses]));
    }

    /// The sessions of clients.
    ///
    /// # Panics
    /// If the server does not tell.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        let answer = self.control(&json!(["sessions"]));
        let number = |value: &Value| value.as_u64().expect("a number");
        Sessions {
            now: number(&answer["now"]),
            made: number(&answer["made"]),
            lifetimes: answer["lifetimes"].as_array().expect("an array").iter().map(number).collect(),
        }
    }

    /// What the server answers to `line`.
    fn control(&self, line: &Value) -> Value {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.control)).expect("a connection");
        stream.write_all(format!("{line}\n").as_bytes()).expect("written");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("an answer");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer:?}: {}", self.log().text()))
    }
}
