//! Telegraf, which gathers measurements and writes them elsewhere.

use super::{Server, is_server};
use crate::{environment, process};

/// A Telegraf agent. It has the plugins for MQTT, HTTP, InfluxDB, Kafka, Prometheus and files.
pub struct Telegraf {
    server: Server,
}

is_server!(Telegraf);

impl Telegraf {
    /// Starts one with the plugins of `configuration`; it gathers and writes every second.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(configuration: &str) -> Self {
        let mut server = Server::new("telegraf");
        let agent = "[agent]\ninterval = \"1s\"\nflush_interval = \"1s\"\nomit_hostname = true\n";
        let file = server.file("telegraf.conf");
        std::fs::write(&file, format!("{agent}{configuration}")).expect("written");
        let mut command = process::dependent(&environment::program("telegraf"), "KILL", None);
        command.arg("--config").arg(file);
        server.launch(command, |log| log.text().contains("Loaded outputs"));
        Self { server }
    }
}
