//! Where records come from.

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::outputs::numbers_of;
use super::{COLUMNS, Input, LIMIT, MESSAGES, line};
use crate::http::ask;
use crate::listener::lock;
use crate::port::Port;
use crate::server::NatsClient;
use crate::{Kafka, Mosquitto, Nats, environment};

/// A file that grows.
pub struct FileInput {
    folder: TempDir,
    file: Mutex<File>,
}

impl FileInput {
    /// One that has only a header.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = File::create(folder.path().join("in.csv")).expect("a file");
        file.write_all(b"time,sensor,n\n").expect("written");
        Self { folder, file: Mutex::new(file) }
    }
}

impl Default for FileInput {
    fn default() -> Self {
        Self::new()
    }
}

impl Input for FileInput {
    fn source(&self) -> String {
        let path = self.folder.path().join("in.csv");
        format!("type = 'csv'\npath = '{}'\nfollow = true\n{COLUMNS}", path.display())
    }

    fn feed(&self, numbers: Range<u64>) {
        let lines: String = numbers.map(line).collect();
        lock(&self.file).write_all(lines.as_bytes()).expect("written");
    }
}

/// The topic `in` of a Kafka broker, with four partitions.
pub struct KafkaInput {
    broker: Arc<Mutex<Kafka>>,
    /// Which partitions are read, if the group does not decide that.
    partitions: &'static str,
}

impl KafkaInput {
    /// A topic of this broker, all of which is read, always.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn fixed(broker: Arc<Mutex<Kafka>>) -> Self {
        Self { partitions: "partitions = '0-3'\n", ..Self::shared(broker) }
    }

    /// A topic of this broker, whose partitions the group gives to its members.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn shared(broker: Arc<Mutex<Kafka>>) -> Self {
        lock(&broker).create_topic("in", 4);
        Self { broker, partitions: "" }
    }
}

impl Input for KafkaInput {
    fn source(&self) -> String {
        let (brokers, partitions) = (lock(&self.broker).address(), self.partitions);
        format!(
            "type = 'kafka'\nbrokers = '{brokers}'\ntopic = 'in'\ngroup = 'pairs'\n{partitions}{MESSAGES}{COLUMNS}"
        )
    }

    fn feed(&self, numbers: Range<u64>) {
        let broker = lock(&self.broker);
        let mut command = broker.kcat();
        // Not twice, whatever happens to the connection.
        command.args(["-P", "-t", "in", "-X", "enable.idempotence=true"]);
        give(command, numbers);
    }

    fn part(&self) -> u64 {
        // A client of its own for each part.
        2000
    }

    fn holds(&self) -> Option<Vec<u64>> {
        Some(numbers_of(&lock(&self.broker), "in"))
    }

    fn restart(&self, pause: Duration) {
        let mut broker = lock(&self.broker);
        broker.kill();
        std::thread::sleep(pause);
        broker.start();
    }
}

/// A stream of a NATS server.
pub struct JetStreamInput(Mutex<Nats>);

impl JetStreamInput {
    /// A stream of a server of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn new() -> Self {
        let server = Nats::start();
        server.client().create_stream("plant", "plant.>").expect("a stream");
        Self(Mutex::new(server))
    }
}

impl Default for JetStreamInput {
    fn default() -> Self {
        Self::new()
    }
}

impl Input for JetStreamInput {
    fn source(&self) -> String {
        let url = lock(&self.0).url();
        format!(
            "type = 'nats'\nurl = '{url}'\nstream = 'plant'\nsubject = 'plant.>'\nconsumer = 'pairs'\n{MESSAGES}{COLUMNS}"
        )
    }

    fn feed(&self, numbers: Range<u64>) {
        let server = lock(&self.0);
        let lines: Vec<String> = numbers.map(|number| line(number).trim_end().to_owned()).collect();
        let messages = lines.iter().map(|line| ("plant.a", line.as_str()));
        let client = NatsClient::connect(server.port());
        client.and_then(|mut client| client.publish_all(messages)).expect("acknowledged by the stream");
    }

    fn restart(&self, pause: Duration) {
        let mut server = lock(&self.0);
        server.kill();
        std::thread::sleep(pause);
        server.start();
    }
}

/// A topic of an MQTT broker, with a session that exists before the first message.
pub struct MqttInput(Mutex<Mosquitto>);

impl MqttInput {
    /// A topic of a broker of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn new() -> Self {
        let broker = Mosquitto::start();
        let mut command = client("mosquitto_sub", &broker);
        command.args(["-V", "5", "-x", "3600", "-i", "pairs", "-c", "-t", "plant/in", "-E"]);
        crate::process::succeed(&mut command);
        Self(Mutex::new(broker))
    }
}

impl Default for MqttInput {
    fn default() -> Self {
        Self::new()
    }
}

impl Input for MqttInput {
    fn source(&self) -> String {
        let url = lock(&self.0).url();
        format!("type = 'mqtt'\nurl = '{url}'\nclient_id = 'pairs'\ntopic = 'plant/in'\n{MESSAGES}{COLUMNS}")
    }

    fn feed(&self, numbers: Range<u64>) {
        let broker = lock(&self.0);
        let mut command = client("mosquitto_pub", &broker);
        command.args(["-t", "plant/in", "-l"]);
        give(command, numbers);
    }

    fn part(&self) -> u64 {
        // A client of its own for each part.
        500
    }

    fn restart(&self, pause: Duration) {
        let mut broker = lock(&self.0);
        broker.kill();
        std::thread::sleep(pause);
        broker.start();
    }
}

/// Requests to tidemill itself.
pub struct HttpInput(Port);

impl HttpInput {
    /// At a port of its own.
    #[must_use]
    pub fn new() -> Self {
        Self(Port::claim())
    }
}

impl Default for HttpInput {
    fn default() -> Self {
        Self::new()
    }
}

impl Input for HttpInput {
    fn source(&self) -> String {
        format!(
            "type = 'http'\nlisten = '127.0.0.1:{}'\npath = '/readings'\n{MESSAGES}{COLUMNS}",
            self.0.number()
        )
    }

    fn feed(&self, numbers: Range<u64>) {
        let body: String = numbers.map(line).collect();
        let begun = Instant::now();
        // A request that was not answered is sent again: it is not known whether it was accepted.
        while !ask(self.0.number(), "POST", "/readings", &[], body.as_bytes())
            .is_ok_and(|(status, _)| matches!(status, 200 | 204))
        {
            assert!(begun.elapsed() < LIMIT, "no request is accepted");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A command for the plain listener, with QoS 1.
fn client(program: &str, broker: &Mosquitto) -> Command {
    let mut command = Command::new(environment::program(program));
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string(), "-q", "1"]);
    command
}

/// Gives records to a command, a line each, and waits until it has sent them.
fn give(mut command: Command, numbers: Range<u64>) {
    let lines: String = numbers.map(line).collect();
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
