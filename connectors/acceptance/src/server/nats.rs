//! NATS with JetStream.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use super::{Server, accepts, is_server};
use crate::{Authority, environment, process};

/// How a [`Nats`] differs from the default: anonymous clients, no TLS.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// The only user who may connect, with the password.
    pub user: Option<(String, String)>,
    /// Whether connections are encrypted, with a certificate of [`Nats::authority`].
    pub tls: bool,
    /// Whether clients must have a certificate of the same authority.
    pub client_certificate: bool,
    /// More lines of its configuration.
    pub lines: String,
}

/// A NATS server with JetStream. What a stream has acknowledged survives [`Server::kill`].
pub struct Nats {
    server: Server,
    port: u16,
    authority: Option<Authority>,
}

is_server!(Nats);

impl Nats {
    /// Starts one for anonymous clients.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&NatsOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(options: &NatsOptions) -> Self {
        let mut server = Server::new("nats");
        let port = server.port();
        let at = server.folder().display();
        let mut text = format!("listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{at}/data\" }}\n");
        if let Some((user, password)) = &options.user {
            writeln!(text, "authorization {{ user: \"{user}\", password: \"{password}\" }}").expect("room");
        }
        let authority = options.tls.then(|| Authority::new(server.folder()));
        if let Some(authority) = &authority {
            let identity = authority.server();
            let (certificate, key) = (identity.certificate.display(), identity.key.display());
            let (ca, verify) = (authority.certificate(), options.client_certificate);
            writeln!(
                text,
                "tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", ca_file: \"{}\", verify: {verify} }}",
                ca.display()
            )
            .expect("room");
        }
        text.push_str(&options.lines);
        let file = server.file("nats.conf");
        std::fs::write(&file, text).expect("written");
        let mut command = process::dependent(&environment::program("nats-server"), "KILL", None);
        command.arg("-c").arg(file);
        // It listens once its streams are there.
        server.launch(command, move |_| accepts(port));
        Self { server, port, authority }
    }

    /// Replaces text in its configuration: for the next [`Nats::reload`] or start.
    ///
    /// # Panics
    /// If that fails.
    pub fn replace_in_configuration(&self, from: &str, to: &str) {
        let file = self.server.file("nats.conf");
        let text = std::fs::read_to_string(&file).expect("a configuration");
        std::fs::write(file, text.replace(from, to)).expect("written");
    }

    /// Lets it read its configuration again.
    pub fn reload(&self) {
        self.server.signal(Signal::HUP);
    }

    /// Its port, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "tls" } else { "nats" };
        format!("{scheme}://{}", self.address())
    }

    /// Who has signed its certificate.
    ///
    /// # Panics
    /// If it offers no TLS.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a server with TLS")
    }

    /// A connection of an anonymous client.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    pub fn client(&self) -> NatsClient {
        NatsClient::connect(self.port).expect("a connection")
    }
}

/// The few operations of a client that tests need: publishes to streams, asks for an answer.
pub struct NatsClient {
    stream: BufReader<TcpStream>,
    inbox: String,
}

/// A longer wait for an answer will not succeed.
const LIMIT: Duration = Duration::from_secs(10);

impl NatsClient {
    /// Connects to 127.0.0.1, without name and TLS.
    ///
    /// # Errors
    /// If that fails.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let inbox = format!("_INBOX.{}-{port}", stream.local_addr()?.port());
        let mut client = Self { stream: BufReader::new(stream), inbox };
        let options =
            r#"CONNECT {"verbose":false,"headers":true,"no_responders":true,"lang":"tests","version":"1"}"#;
        let hello = format!("{options}\r\nSUB {}.* 1\r\nPING\r\n", client.inbox);
        client.stream.get_mut().write_all(hello.as_bytes())?;
        while client.line()? != "PONG" {}
        Ok(client)
    }

    /// Creates a stream that keeps messages of `subjects` in files.
    ///
    /// # Errors
    /// If the connection fails.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn create_stream(&mut self, name: &str, subjects: &str) -> io::Result<()> {
        let options = format!(
            r#"{{"name":"{name}","subjects":["{subjects}"],"retention":"limits","storage":"file","num_replicas":1,"discard":"old"}}"#
        );
        let answer = self.request(&format!("$JS.API.STREAM.CREATE.{name}"), &options)?;
        assert!(!answer.contains(r#""error""#), "{answer}");
        Ok(())
    }

    /// What is answered to `payload` at `subject`.
    ///
    /// # Errors
    /// If the connection fails or nothing is answered.
    pub fn request(&mut self, subject: &str, payload: &str) -> io::Result<String> {
        self.publish(subject, "r", payload)?;
        Ok(self.message()?.1)
    }

    /// Publishes each message to a stream, and waits until it has acknowledged all.
    ///
    /// # Errors
    /// If the connection fails, or the stream does not acknowledge one: how many it has is not known then.
    pub fn publish_all<'a>(
        &mut self,
        messages: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<()> {
        let mut sent = 0;
        for (subject, payload) in messages {
            self.publish(subject, "p", payload)?;
            sent += 1;
        }
        for _ in 0..sent {
            let (_, answer) = self.message()?;
            if !answer.contains(r#""seq""#) {
                return Err(io::Error::other(answer));
            }
        }
        Ok(())
    }

    fn publish(&mut self, subject: &str, token: &str, payload: &str) -> io::Result<()> {
        let head = format!("PUB {subject} {}.{token} {}\r\n{payload}\r\n", self.inbox, payload.len());
        self.stream.get_mut().write_all(head.as_bytes())
    }

    /// The next message: its subject, and its payload behind headers if it has any.
    fn message(&mut self) -> io::Result<(String, String)> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["MSG" | "HMSG", subject, .., length] => {
                    let length: usize = length.parse().map_err(io::Error::other)?;
                    let mut payload = vec![0; length + 2];
                    self.stream.read_exact(&mut payload)?;
                    payload.truncate(length);
                    return Ok(((*subject).to_owned(), String::from_utf8_lossy(&payload).into_owned()));
                }
                ["-ERR", ..] => return Err(io::Error::other(line)),
                ["PING"] => self.stream.get_mut().write_all(b"PONG\r\n")?,
                _ => {}
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
