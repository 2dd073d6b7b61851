//! Apache Kafka: one node that is broker and controller (KRaft).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::{Server, is_server};
use crate::{Authority, environment, process};

/// How a [`Kafka`] differs from the default: only anonymous clients, no TLS.
#[derive(Clone, Debug, Default)]
pub struct KafkaOptions {
    /// A user who may connect by SASL PLAIN at a port of its own, with the password.
    pub user: Option<(String, String)>,
    /// Whether it also offers TLS at a port of its own, with a certificate of [`Kafka::authority`].
    pub tls: bool,
    /// More lines of its configuration.
    pub lines: String,
}

/// A Kafka broker without topics; it creates none by itself. What it has acknowledged survives [`Server::kill`].
pub struct Kafka {
    server: Server,
    port: u16,
    sasl: Option<u16>,
    encrypted: Option<u16>,
    authority: Option<Authority>,
}

is_server!(Kafka);

impl Kafka {
    /// Starts one for anonymous clients.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&KafkaOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(options: &KafkaOptions) -> Self {
        prepare();
        Self::prepared(options, &format!("-XX:SharedArchiveFile={}", archive().display()))
    }

    /// Starts one when everything that is made once is there.
    fn prepared(options: &KafkaOptions, classes: &str) -> Self {
        let mut server = Server::new("kafka");
        let (port, controller) = (server.port(), server.port());
        let sasl = options.user.as_ref().map(|_| server.port());
        let authority = options.tls.then(|| Authority::new(server.folder()));
        let encrypted = authority.as_ref().map(|_| server.port());
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{port}");
        let mut lines = String::new();
        if let (Some(port), Some((user, password))) = (sasl, &options.user) {
            write!(listeners, ",SASL_PLAINTEXT://127.0.0.1:{port}").expect("room");
            lines += &login(user, password);
        }
        if let (Some(port), Some(authority)) = (encrypted, &authority) {
            write!(listeners, ",SSL://localhost:{port}").expect("room");
            lines += &tls(&server, authority);
        }
        let common = configuration(&server.file("data"), controller);
        let text = format!(
            "{common}listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={listeners}\n{lines}{}\n",
            options.lines
        );
        let file = server.file("server.properties");
        std::fs::write(&file, text).expect("written");
        if formatted().exists() {
            process::succeed(Command::new("cp").arg("-a").arg(formatted()).arg(server.file("data")));
        } else {
            format(&file);
        }
        let mut command = process::dependent(&environment::program("java"), "KILL", None);
        command.args(JVM).arg(classes).arg("-cp").arg(class_path()).arg("kafka.Kafka").arg(file);
        server.launch(command, move |_| answers(port));
        Self { server, port, sasl, encrypted, authority }
    }

    /// The port for anonymous clients, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port for anonymous clients: a bootstrap server.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Host and port for clients with a password, without TLS.
    ///
    /// # Panics
    /// If it has no user.
    #[must_use]
    pub fn sasl_address(&self) -> String {
        format!("127.0.0.1:{}", self.sasl.expect("a broker with a user"))
    }

    /// Host and port for encrypted connections.
    ///
    /// # Panics
    /// If it offers no TLS.
    #[must_use]
    pub fn tls_address(&self) -> String {
        format!("localhost:{}", self.encrypted.expect("a broker with TLS"))
    }

    /// Who has signed its certificate.
    ///
    /// # Panics
    /// If it offers no TLS.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a broker with TLS")
    }

    /// Creates a topic.
    ///
    /// # Panics
    /// If the broker refuses, for example because it exists.
    pub fn create_topic(&self, topic: &str, partitions: u32) {
        let mut body = Vec::new();
        body.extend(1_u32.to_be_bytes());
        put(&mut body, topic);
        body.extend(partitions.to_be_bytes());
        body.extend(1_u16.to_be_bytes());
        // No assignments, no options.
        body.extend([0; 8]);
        body.extend(30_000_u32.to_be_bytes());
        body.push(0);
        let answer = ask(self.port, 19, 4, &body).expect("an answer of the broker");
        // Behind the throttling, a count and the topic's name.
        let code = answer.get(8 + 2 + topic.len()..).and_then(|rest| rest.first_chunk());
        let code = i16::from_be_bytes(*code.expect("an error code"));
        assert_eq!(code, 0, "topic {topic}: {}", String::from_utf8_lossy(&answer));
    }

    /// One of Kafka's own tools, such as `org.apache.kafka.tools.TopicCommand`, for more arguments.
    #[must_use]
    pub fn tool(class: &str) -> Command {
        let mut command = Command::new(environment::program("java"));
        command.args(JVM).arg("-cp").arg(class_path()).arg(class);
        command
    }

    /// The transactions of `topic` whose end the broker has lost, one line each: the coordinator has noted an end that a partition never got. That happens when it is
    /// killed between both. What such a transaction wrote stays hidden, or appears with the next transaction of its producer even if it was aborted: no client can
    /// help that.
    ///
    /// # Panics
    /// If Kafka's own tools fail.
    #[must_use]
    pub fn lost_ends(&self, topic: &str) -> Vec<String> {
        let mut command = Self::tool("org.apache.kafka.tools.TransactionsCommand");
        command.args(["--bootstrap-server", &self.address(), "find-hanging", "--broker-id", "1"]);
        let hanging = String::from_utf8_lossy(&process::succeed(&mut command)).into_owned();
        let hanging = hanging.lines().skip_while(|line| !line.starts_with("Topic")).skip(1);
        let mut lost: Vec<String> = hanging.map(|line| format!("hanging: {line}")).collect();
        let folders = std::fs::read_dir(self.server.file("data")).expect("a folder").flatten();
        let folders = folders.map(|folder| folder.path());
        for folder in folders.filter(|folder| is_partition_of(folder, topic)) {
            let mut segments: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().collect();
            segments.retain(|file| file.path().extension().is_some_and(|extension| extension == "log"));
            segments.sort_by_key(std::fs::DirEntry::file_name);
            let paths: Vec<_> = segments.iter().map(|file| file.path().display().to_string()).collect();
            let mut command = Self::tool("org.apache.kafka.tools.DumpLogSegments");
            let dump = process::succeed(command.arg("--files").arg(paths.join(",")));
            let ends = transactions_without_end(&String::from_utf8_lossy(&dump));
            lost.extend(ends.into_iter().map(|end| format!("{}: {end}", folder.display())));
        }
        lost
    }

    /// `kcat` with this broker, for more arguments.
    #[must_use]
    pub fn kcat(&self) -> Command {
        let mut command = Command::new(environment::program("kcat"));
        // Cargo lets programs of tests find the library that was built here, which knows no TLS.
        command.env_remove("LD_LIBRARY_PATH");
        command.arg("-b").arg(self.address());
        command
    }
}

/// Whether `folder` has a partition of `topic`.
fn is_partition_of(folder: &Path, topic: &str) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-').is_some_and(|(name, number)| name == topic && number.parse::<u32>().is_ok())
}

/// The transactions in a dump of a partition that another one of the same producer follows before they have ended.
fn transactions_without_end(dump: &str) -> Vec<String> {
    let value = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}: "))?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let (mut open, mut lost) = (BTreeMap::new(), Vec::new());
    for line in dump.lines().filter(|line| line.starts_with("baseOffset: ")) {
        let (Some(producer), Some(epoch)) = (value(line, "producerId"), value(line, "producerEpoch")) else {
            continue;
        };
        if value(line, "isControl").as_deref() == Some("true") {
            open.remove(&producer);
        } else if value(line, "isTransactional").as_deref() == Some("true") {
            let before = open.insert(producer.clone(), epoch.clone());
            if let Some(before) = before.filter(|before| *before != epoch) {
                lost.push(format!("epoch {before} of producer {producer} has no end before {line}"));
            }
        }
    }
    lost
}

/// A small heap, and code that is compiled quickly rather than well.
const JVM: [&str; 5] =
    ["-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"];

/// Everything but the listeners of brokers.
fn configuration(data: &Path, controller: u16) -> String {
    // With the default timeouts, a broker that was killed waits for 9 s before it may come back.
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
         log.dirs={}\nauto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=2097152\n\
         broker.session.timeout.ms=1500\nbroker.heartbeat.interval.ms=300\n",
        data.display()
    )
}

fn login(user: &str, password: &str) -> String {
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
    format!(
        "sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl_plaintext.plain.sasl.jaas.config={module} required user_{user}=\"{password}\";\n"
    )
}

fn tls(server: &Server, authority: &Authority) -> String {
    let identity = authority.server();
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file of our own");
    let both = server.file("server-both.pem");
    std::fs::write(&both, read(&identity.key) + &read(&identity.certificate)).expect("written");
    let (both, ca) = (both.display(), authority.certificate());
    format!(
        "ssl.keystore.type=PEM\nssl.keystore.location={both}\nssl.truststore.type=PEM\n\
         ssl.truststore.location={}\n",
        ca.display()
    )
}

/// The folder of `cargo xtask servers` with Kafka's jars, and with what is made once.
fn place() -> PathBuf {
    environment::existing(environment::cache().join("kafka"))
}

fn class_path() -> String {
    environment::existing(place().join("libs")).join("*").display().to_string()
}

/// The classes of a broker in the form in which a virtual machine maps them: that halves the time of a start.
fn archive() -> PathBuf {
    place().join("classes.jsa")
}

/// The data of a broker without topics, independent of its ports.
fn formatted() -> PathBuf {
    place().join("formatted")
}

/// Makes what is made once, unless it is there.
fn prepare() {
    let lock = File::create(place().join("lock")).expect("a lock");
    // Until the end of this function.
    lock.lock().expect("a lock");
    if archive().exists() && formatted().exists() {
        return;
    }
    let aside = place().join("classes.part");
    let classes = format!("-XX:ArchiveClassesAtExit={}", aside.display());
    drop(std::fs::remove_dir_all(formatted()));
    let mut first = Kafka::prepared(&KafkaOptions::default(), &classes);
    // The archive is written at the end.
    first.end(Signal::TERM, super::LIMIT);
    std::fs::rename(aside, archive()).expect("an archive of classes");
    let folder = tempfile::tempdir_in(place()).expect("a folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("server.properties"));
    let listeners = "listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n";
    std::fs::write(&file, configuration(&data, 2) + listeners).expect("written");
    format(&file);
    std::fs::rename(data, formatted()).expect("a formatted folder");
}

/// Formats the folder of a configuration.
fn format(file: &Path) {
    let mut command = Kafka::tool("kafka.tools.StorageTool");
    process::succeed(command.args(["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]).arg(file));
}

/// Whether the broker answers: it accepts connections long before.
fn answers(port: u16) -> bool {
    ask(port, 18, 0, &[]).is_ok()
}

/// What a broker answers to a request of this kind and version.
fn ask(port: u16, kind: u16, version: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(kind.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(1_u32.to_be_bytes());
    put(&mut request, "tests");
    request.extend(body);
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&(request.len() as u32).to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    // Behind the number of the request.
    Ok(answer.split_off(4.min(answer.len())))
}

/// Writes a text as the protocol has it.
fn put(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as u16).to_be_bytes());
    body.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_another_one_follows_before_its_end_is_found() {
        let line = |producer: u32, epoch: u32, is_control: bool| {
            format!(
                "baseOffset: 0 lastOffset: 0 producerId: {producer} producerEpoch: {epoch} isTransactional: true isControl: {is_control} position: 0\n"
            )
        };
        let data = |epoch| line(7, epoch, false);
        let ended = data(1)
            + &data(1)
            + &line(7, 2, true)
            + &data(2)
            + &line(8, 5, false)
            + &line(7, 2, true)
            + &data(3);
        assert!(transactions_without_end(&ended).is_empty());
        let lost = transactions_without_end(&(ended + &data(4)));
        assert!(
            matches!(&lost[..], [lost] if lost.starts_with("epoch 3 of producer 7 has no end")),
            "{lost:?}"
        );
    }
}
