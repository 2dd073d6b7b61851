//! Servers: each a type of its own around [`Server`], which has what they share.

mod influx;
mod kafka;
mod modbus;
mod mosquitto;
mod nats;
mod objects;
mod opcua;
mod postgres;
mod telegraf;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::port::Port;
use crate::process;

pub use influx::Influx;
pub use kafka::{Kafka, KafkaOptions};
pub use modbus::Modbus;
pub use mosquitto::{Mosquitto, MosquittoOptions};
pub use nats::{Nats, NatsClient, NatsOptions};
pub use objects::{Azurite, Moto, s3};
pub use opcua::{OpcUa, OpcUaOptions, Sessions, Written};
pub use postgres::{Postgres, PostgresOptions};
pub use telegraf::Telegraf;

/// A longer wait for a server will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

/// The process of a server, with a folder and ports that it keeps when it is restarted. Ends when dropped.
pub struct Server {
    name: &'static str,
    folder: TempDir,
    ports: Vec<Port>,
    /// How it is started; none before the first start, and while it starts.
    command: Option<Command>,
    child: Option<Child>,
    /// Whether it is ready for clients. It may look at what the server has logged since its start.
    is_ready: Box<dyn Fn(&Log) -> bool + Send + Sync>,
    /// What ends it at once, but orderly where it has children.
    stop: Signal,
}

/// The file with what a server has written since its last start.
pub struct Log(PathBuf);

impl Log {
    /// What it has written.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.0).unwrap_or_default()).into_owned()
    }
}

impl Server {
    /// A server in a new folder, not started yet.
    fn new(name: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("tidemill-{name}-")).tempdir();
        let folder = folder.expect("a temporary folder");
        let is_ready = Box::new(|_: &Log| true);
        Self { name, folder, ports: Vec::new(), command: None, child: None, is_ready, stop: Signal::KILL }
    }

    /// Claims one more port, and returns its number.
    fn port(&mut self) -> u16 {
        let port = Port::claim();
        let number = port.number();
        self.ports.push(port);
        number
    }

    /// The folder with its configuration, data and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in its folder.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has written since its last start.
    #[must_use]
    pub fn log(&self) -> Log {
        Log(self.file("log"))
    }

    /// Gives its folder to `user`, if these are root's tests.
    fn give_to(&self, user: &str) {
        if process::is_root() {
            process::succeed(Command::new("chown").arg("-R").arg(format!("{user}:")).arg(self.folder()));
        }
    }

    /// Starts it by `command` for the first time, and waits until `is_ready`.
    fn launch(&mut self, command: Command, is_ready: impl Fn(&Log) -> bool + Send + Sync + 'static) {
        self.command = Some(command);
        self.is_ready = Box::new(is_ready);
        self.start_within(Duration::ZERO);
    }

    /// Starts it, and waits until clients can connect.
    ///
    /// # Panics
    /// If that does not succeed, or if it runs.
    pub fn start(&mut self) {
        // What is left of it after a kill may still be ending, and prevent it from starting.
        self.start_within(Duration::from_secs(30));
    }

    /// Starts it, again and again if it ends before it is ready, for so long.
    fn start_within(&mut self, patience: Duration) {
        let begun = Instant::now();
        self.begin();
        while !(self.is_ready)(&self.log()) {
            let is_running = self.is_running();
            let limit = if is_running { LIMIT } else { patience };
            assert!(begun.elapsed() < limit, "{} cannot be started:\n{}", self.name, self.log().text());
            std::thread::sleep(Duration::from_millis(10));
            if !is_running {
                self.begin();
            }
        }
    }

    /// Starts it without waiting.
    fn begin(&mut self) {
        assert!(!self.is_running(), "{} runs already", self.name);
        let mut command = self.command.take().expect("a server that was launched");
        let log = File::create(self.file("log")).expect("a log");
        let same = log.try_clone().expect("a log");
        command.current_dir(self.folder()).stdin(Stdio::null()).stdout(log).stderr(same);
        let (command, child) = process::spawn(command);
        self.child = Some(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        self.command = Some(command);
    }

    /// Whether the process has started and not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("the state of a child").is_none())
    }

    /// Kills it, as `kill -9` does, and waits for its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error: it has ended.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Kills it and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Halts the process: it accepts connections, but answers nothing, until [`Server::proceed`].
    pub fn halt(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a halted process continue.
    pub fn proceed(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            process::signal(child, signal);
        }
    }
}

impl Server {
    /// Lets it end in an orderly way by `signal`, and waits for that at most so long.
    fn end(&mut self, signal: Signal, limit: Duration) {
        self.proceed();
        self.signal(signal);
        let begun = Instant::now();
        while self.is_running() && begun.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop != Signal::KILL {
            self.end(self.stop, Duration::from_secs(5));
        }
        self.kill();
    }
}

/// Whether somebody accepts connections at this port of loopback.
fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Gives a type around a field `server` the methods of [`Server`].
macro_rules! is_server {
    ($type:ty) => {
        impl std::ops::Deref for $type {
            type Target = $crate::server::Server;

            fn deref(&self) -> &Self::Target {
                &self.server
            }
        }

        impl std::ops::DerefMut for $type {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.server
            }
        }
    };
}
use is_server;
