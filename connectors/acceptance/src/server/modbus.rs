//! Modbus TCP devices, of pymodbus.

use std::path::Path;

use serde_json::{Value, json};

use super::{Server, is_server};
use crate::{environment, process};

/// Devices that speak Modbus TCP, each at a port of its own, in one process. All have the same units.
pub struct Modbus {
    server: Server,
    ports: Vec<u16>,
}

is_server!(Modbus);

impl Modbus {
    /// Starts a device with these units: `[{"unit": 1, "values": [{"kind": "holding", "address": 0, "type": "f32", "value": 20.5}]}]`, where a value may have a `word_order`
    /// and a `byte_order`; a unit with an `exception` answers all requests with it, and one that is `silent` never answers.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(units: &Value) -> Self {
        Self::launch(units, 1)
    }

    /// Starts so many devices, none of which gives its first answer before all have been asked.
    ///
    /// # Panics
    /// If they cannot be started.
    #[must_use]
    pub fn start_together(units: &Value, count: usize) -> Self {
        Self::launch(units, count)
    }

    fn launch(units: &Value, count: usize) -> Self {
        let mut server = Server::new("modbus");
        let ports: Vec<u16> = (0..count).map(|_| server.port()).collect();
        let configuration = json!({ "ports": ports, "units": units, "together": count > 1 });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/modbus.py");
        let mut command = process::dependent(&environment::tool("modbus").join("bin/python"), "KILL", None);
        command.arg(script).arg(configuration.to_string());
        server.launch(command, |log| log.text().lines().any(|line| line == "ready"));
        Self { server, ports }
    }

    /// Host and port of each device.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.ports.iter().map(|port| format!("127.0.0.1:{port}"))
    }

    /// The port of the first device on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Host and port of the first device.
    #[must_use]
    pub fn address(&self) -> String {
        self.addresses().next().unwrap_or_default()
    }
}
