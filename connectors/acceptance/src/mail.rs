//! A mail server that keeps what it is given.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::ServerConfig;

use crate::Identity;
use crate::listener::{Listener, encrypted, encryption, lock};

/// A longer wait for a mail will not succeed.
const LIMIT: Duration = Duration::from_secs(60);

/// An answer that is none: the connection ends.
pub const HANG_UP: &str = "hang up";

/// A mail as it was received.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The address of the sender.
    pub from: String,
    /// The addresses of the receivers.
    pub to: Vec<String>,
    /// Headers and body.
    pub text: String,
    /// Whether it came over an encrypted connection.
    pub is_encrypted: bool,
    /// What the client has logged in with: the base64 text of `AUTH PLAIN`.
    pub login: Option<String>,
}

/// How a mail server encrypts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// From the beginning.
    Implicit,
    /// On request, by `STARTTLS`.
    StartTls,
}

#[derive(Default)]
struct State {
    mails: Vec<Mail>,
    /// What further commands of this kind are answered with, such as `RCPT`.
    answers: Vec<(String, String)>,
    /// Mails with this in their text are refused.
    refused: Option<String>,
}

/// A mail server on loopback that keeps all mails.
pub struct MailSink {
    listener: Listener,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl MailSink {
    /// Starts one without TLS.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one that encrypts connections, as `identity`.
    #[must_use]
    pub fn start_tls(identity: &Identity, how: Encryption) -> Self {
        Self::start_with(Some((encryption(identity), how)))
    }

    fn start_with(tls: Option<(Arc<ServerConfig>, Encryption)>) -> Self {
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let served = Arc::clone(&state);
        let serve = move |stream: TcpStream| {
            // An error: the connection has ended.
            drop(converse(stream, tls.as_ref(), &served));
        };
        Self { listener: Listener::start(serve), state }
    }

    /// Its port, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.listener.accepted()
    }

    /// Answers all further commands that begin with `command` (such as `RCPT`, or `.` for the end of a mail) with `answer` (such as
    /// `450 later`, or [`HANG_UP`]); as usual if that is empty.
    pub fn answer(&self, command: &str, answer: &str) {
        let answers = &mut lock(&self.state.0).answers;
        answers.retain(|(known, _)| known != command);
        if !answer.is_empty() {
            answers.push((command.into(), answer.into()));
        }
    }

    /// Refuses all further mails with `part` in their text.
    pub fn refuse(&self, part: &str) {
        lock(&self.state.0).refused = Some(part.into());
    }

    /// All mails so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.state.0).mails.clone()
    }

    /// Waits for `count` mails in all, and returns all so far.
    ///
    /// # Panics
    /// If they do not come within a minute.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        let guard = lock(&self.state.0);
        let wait = self.state.1.wait_timeout_while(guard, LIMIT, |state| state.mails.len() < count);
        let (state, _) = wait.expect("no panic while it was locked");
        assert!(state.mails.len() >= count, "{} mails instead of {count}", state.mails.len());
        state.mails.clone()
    }

    /// Refuses connections from now on, and ends those that exist.
    pub fn kill(&mut self) {
        self.listener.kill();
    }

    /// Accepts connections again, at the same port.
    pub fn restart(&mut self) {
        self.listener.kill();
        self.listener.open();
    }
}

/// Why a conversation ends.
#[derive(PartialEq)]
enum End {
    Closed,
    Encrypt,
}

/// Serves one connection.
fn converse(
    stream: TcpStream,
    tls: Option<&(Arc<ServerConfig>, Encryption)>,
    state: &(Mutex<State>, Condvar),
) -> io::Result<()> {
    let implicit = tls.filter(|(_, how)| *how == Encryption::Implicit).map(|(config, _)| config);
    let on_request = tls.filter(|(_, how)| *how == Encryption::StartTls).map(|(config, _)| config);
    let mut plain = encrypted(stream.try_clone()?, implicit);
    plain.write_all(b"220 tests\r\n")?;
    let mut mail = Mail { is_encrypted: implicit.is_some(), ..Mail::default() };
    if talk(&mut plain, on_request.is_some(), &mut mail, state)? == End::Encrypt {
        mail = Mail { is_encrypted: true, ..Mail::default() };
        talk(&mut encrypted(stream, on_request), false, &mut mail, state)?;
    }
    Ok(())
}

/// Answers commands until the client leaves, or wants encryption.
fn talk(
    stream: &mut (impl Read + Write),
    offers_tls: bool,
    mail: &mut Mail,
    state: &(Mutex<State>, Condvar),
) -> io::Result<End> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(End::Closed);
        }
        let command = line.trim_end().to_owned();
        let mut answer = answer_to(&command, offers_tls, mail, state);
        if answer.starts_with("334") {
            // The login in a line of its own.
            stream.get_mut().write_all(answer.as_bytes())?;
            line.clear();
            stream.read_line(&mut line)?;
            answer = answer_to(&format!("AUTH PLAIN {}", line.trim_end()), offers_tls, mail, state);
        }
        if command.eq_ignore_ascii_case("DATA") && answer.starts_with("354") {
            stream.get_mut().write_all(answer.as_bytes())?;
            mail.text = text(&mut stream)?;
            answer = answer_to(".", offers_tls, mail, state);
            let refused = lock(&state.0).refused.clone();
            if refused.is_some_and(|part| mail.text.contains(&part)) {
                answer = "554 5.6.0 not that\r\n".to_owned();
            }
            if answer.starts_with('2') {
                lock(&state.0).mails.push(mail.clone());
                state.1.notify_all();
            }
        }
        if answer.trim_end() == HANG_UP {
            return Ok(End::Closed);
        }
        stream.get_mut().write_all(answer.as_bytes())?;
        stream.get_mut().flush()?;
        match answer.get(..3) {
            Some("221") => return Ok(End::Closed),
            Some("220") => return Ok(End::Encrypt),
            _ => {}
        }
    }
}

fn answer_to(command: &str, offers_tls: bool, mail: &mut Mail, state: &(Mutex<State>, Condvar)) -> String {
    let upper = command.to_ascii_uppercase();
    let told = lock(&state.0).answers.iter().find(|(begin, _)| upper.starts_with(begin)).cloned();
    if let Some((_, answer)) = told {
        return answer + "\r\n";
    }
    let address = || command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    let answer = match upper.split([' ', ':']).next().unwrap_or_default() {
        "EHLO" if offers_tls => "250-tests\r\n250-STARTTLS\r\n250 8BITMIME",
        "EHLO" => "250-tests\r\n250-AUTH PLAIN\r\n250 8BITMIME",
        "STARTTLS" if offers_tls => "220 go on",
        "AUTH" => {
            mail.login = command.split(' ').nth(2).map(str::to_owned);
            if mail.login.is_some() { "235 welcome" } else { "334 " }
        }
        "MAIL" => {
            (mail.from, mail.to) = (address(), Vec::new());
            "250 fine"
        }
        "RCPT" => {
            mail.to.push(address());
            "250 fine"
        }
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        "HELO" | "NOOP" | "RSET" | "." => "250 fine",
        _ => "502 unknown",
    };
    format!("{answer}\r\n")
}

/// The text of a mail, up to the line that is only a dot.
fn text(stream: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line == "." {
            return Ok(text);
        }
        // A dot at the beginning of a line is sent twice.
        text.push_str(line.strip_prefix('.').unwrap_or(line));
        text.push('\n');
    }
}
