//! Mosquitto, the MQTT broker.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{LIMIT, Server, accepts, is_server};
use crate::{Authority, environment, process};

/// How a [`Mosquitto`] differs from the default: anonymous clients, no TLS.
#[derive(Clone, Debug)]
pub struct MosquittoOptions {
    /// The only user who may connect, with the password.
    pub user: Option<(String, String)>,
    /// Whether clients of the TLS listener must have a certificate of the same authority.
    pub client_certificate: bool,
    /// How many messages may be sent and not acknowledged (`max_inflight_messages`).
    pub in_flight: u16,
    /// More lines of its configuration.
    pub lines: String,
}

impl Default for MosquittoOptions {
    fn default() -> Self {
        Self { user: None, client_certificate: false, in_flight: 100, lines: String::new() }
    }
}

/// An MQTT broker with a plain and a TLS listener. It saves its sessions when it is [killed](Mosquitto::kill), and at no other time: after each
/// change it would write all that is queued.
pub struct Mosquitto {
    server: Server,
    plain: u16,
    encrypted: u16,
    authority: Authority,
}

is_server!(Mosquitto);

impl Mosquitto {
    /// Starts one for anonymous clients.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&MosquittoOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(options: &MosquittoOptions) -> Self {
        let mut server = Server::new("mosquitto");
        let (plain, encrypted) = (server.port(), server.port());
        let authority = Authority::new(server.folder());
        let configuration = configuration(&server, &authority, plain, encrypted, options);
        let file = server.file("mosquitto.conf");
        std::fs::write(&file, configuration).expect("written");
        let mut command = process::dependent(&environment::program("mosquitto"), "KILL", None);
        command.arg("-c").arg(file);
        server.launch(command, move |_| accepts(plain) && accepts(encrypted));
        Self { server, plain, encrypted, authority }
    }

    /// Kills it once it has saved its sessions: what it acknowledged before this call survives.
    pub fn kill(&mut self) {
        self.save();
        self.server.kill();
    }

    /// [Kills](Mosquitto::kill) it and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Lets it save its sessions, and waits until that is done.
    fn save(&self) {
        let file = || std::fs::metadata(self.server.file("mosquitto.db")).ok();
        // Each time another file takes the name, with the number of the one before the last.
        let saved = || file().map(|file| (file.ino(), file.mtime(), file.mtime_nsec()));
        let before = saved();
        self.signal(Signal::USR1);
        let begun = Instant::now();
        while self.server.child.is_some() && saved() == before {
            assert!(begun.elapsed() < LIMIT, "mosquitto does not save:\n{}", self.log().text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Gives the user another password, and lets it read the file again.
    ///
    /// # Panics
    /// If that fails.
    pub fn set_password(&self, user: &str, password: &str) {
        let mut command = Command::new(environment::program("mosquitto_passwd"));
        process::succeed(command.arg("-b").arg(self.server.file("passwords")).args([user, password]));
        self.signal(Signal::HUP);
    }

    /// The port of the plain listener, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.plain
    }

    /// Host and port of the plain listener.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.plain)
    }

    /// The plain listener as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.plain)
    }

    /// The port of the TLS listener, on localhost.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.encrypted
    }

    /// The TLS listener as a URL. Its certificate is of [`Mosquitto::authority`].
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("mqtts://localhost:{}", self.encrypted)
    }

    /// Who has signed the certificate of the TLS listener.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

fn configuration(
    server: &Server,
    authority: &Authority,
    plain: u16,
    encrypted: u16,
    options: &MosquittoOptions,
) -> String {
    let at = server.folder().display();
    // Its own user could not read the folder.
    let mut text = format!(
        "user root\npersistence true\npersistence_location {at}/\nautosave_interval 0\n\
         max_queued_messages 0\nmax_inflight_messages {}\n",
        options.in_flight
    );
    match &options.user {
        None => text.push_str("allow_anonymous true\n"),
        Some((user, password)) => {
            let file = server.file("passwords");
            let mut command = Command::new(environment::program("mosquitto_passwd"));
            process::succeed(command.args(["-c", "-b"]).arg(&file).args([user, password]));
            writeln!(text, "allow_anonymous false\npassword_file {}", file.display()).expect("room");
        }
    }
    text.push_str(&options.lines);
    let identity = authority.server();
    write!(
        text,
        "\nlistener {plain} 127.0.0.1\nlistener {encrypted} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n",
        authority.certificate().display(),
        identity.certificate.display(),
        identity.key.display()
    )
    .expect("room");
    if options.client_certificate {
        text.push_str("require_certificate true\n");
    }
    text
}
