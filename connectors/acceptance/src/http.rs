//! An HTTP server that records requests and answers as told: for what tidemill sends to, and for what it polls.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::ServerConfig;

use crate::Identity;
use crate::listener::{Listener, Stream, encrypted, encryption, lock};

/// A longer wait for requests will not succeed.
const LIMIT: Duration = Duration::from_secs(60);

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST` and the like.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent, maybe compressed.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    after: After,
}

/// What happens to the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// It serves further requests.
    Keep,
    /// Likewise; the headers are complete.
    Headers,
    /// It is closed without an answer.
    Close,
    /// It is closed after so many bytes of the body.
    Cut(usize),
    /// Nothing is ever answered.
    Hang,
    /// The answer has no length, and the connection stays open behind it: as streams of events do.
    Stream,
}

impl Answer {
    /// An answer with this status and no body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), after: After::Keep }
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn close() -> Self {
        Self { after: After::Close, ..Self::status(0) }
    }

    /// Answers nothing, and leaves the connection open.
    #[must_use]
    pub fn hang() -> Self {
        Self { after: After::Hang, ..Self::status(0) }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same without a length; the connection stays open behind it, as in a stream of events.
    #[must_use]
    pub fn as_stream(mut self) -> Self {
        self.after = After::Stream;
        self
    }

    /// The same, but the connection is closed after so many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.after = After::Cut(bytes);
        self
    }

    /// The same without the body, whose length stays in the headers: the answer to HEAD.
    fn without_body(self) -> Self {
        let length = self.body.len().to_string();
        Self { body: Vec::new(), after: After::Headers, ..self }.with_header("content-length", &length)
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Told\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if matches!(self.after, After::Keep | After::Cut(_)) && !matches!(self.status, 204 | 304) {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head + "\r\n"
    }
}

type AnswerBy = Box<dyn FnMut(&Request) -> Answer + Send>;

/// What requests are answered with, and what was received.
struct State {
    next: VecDeque<Answer>,
    then: AnswerBy,
    requests: Vec<Request>,
}

/// An HTTP server on loopback. Answers 200 to everything until told otherwise.
pub struct HttpSink {
    listener: Listener,
    state: Arc<(Mutex<State>, Condvar)>,
    is_encrypted: bool,
}

impl HttpSink {
    /// Starts one without TLS.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one with TLS, as `identity`.
    #[must_use]
    pub fn start_tls(identity: &Identity) -> Self {
        Self::start_with(Some(encryption(identity)))
    }

    fn start_with(encryption: Option<Arc<ServerConfig>>) -> Self {
        let then: AnswerBy = Box::new(|_| Answer::status(200));
        let state = State { next: VecDeque::new(), then, requests: Vec::new() };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let (is_encrypted, served) = (encryption.is_some(), Arc::clone(&state));
        let serve = move |stream: TcpStream| {
            // An error: the connection has ended.
            drop(serve(encrypted(stream, encryption.as_ref()), &served));
        };
        Self { listener: Listener::start(serve), state, is_encrypted }
    }

    /// Its port, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port())
    }

    /// The URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// Answers all further requests with `answer`.
    pub fn answer(&self, answer: Answer) {
        self.answer_by(move |_| answer.clone());
    }

    /// Answers all further requests by `answer`.
    pub fn answer_by(&self, answer: impl FnMut(&Request) -> Answer + Send + 'static) {
        lock(&self.state.0).then = Box::new(answer);
    }

    /// Answers one more request with `answer`, before those that [`HttpSink::answer`] speaks of.
    pub fn answer_next(&self, answer: Answer) {
        lock(&self.state.0).next.push_back(answer);
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.0).requests.clone()
    }

    /// Forgets the requests so far.
    pub fn clear(&self) {
        lock(&self.state.0).requests.clear();
    }

    /// How many requests were received.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.state.0).requests.len()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.listener.accepted()
    }

    /// Waits for `count` requests in all, and returns all so far.
    ///
    /// # Panics
    /// If they do not come within a minute.
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        let guard = lock(&self.state.0);
        let wait = self.state.1.wait_timeout_while(guard, LIMIT, |state| state.requests.len() < count);
        let (state, _) = wait.expect("no panic while it was locked");
        assert!(state.requests.len() >= count, "{} requests instead of {count}", state.requests.len());
        state.requests.clone()
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

/// Serves the requests of one connection.
fn serve(stream: Box<dyn Stream>, state: &(Mutex<State>, Condvar)) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream)? {
        let is_last = request.header("connection").is_some_and(|how| how.eq_ignore_ascii_case("close"));
        let answer = {
            let mut state = lock(&state.0);
            let answer = state.next.pop_front();
            let mut answer = answer.unwrap_or_else(|| (state.then)(&request));
            if request.method == "HEAD" {
                answer = answer.without_body();
            }
            state.requests.push(request);
            answer
        };
        state.1.notify_all();
        if answer.after == After::Close {
            return Ok(());
        }
        if is_last && answer.after == After::Keep {
            return stream.get_mut().write_all(&[answer.head().as_bytes(), &answer.body].concat());
        }
        if answer.after != After::Hang {
            let cut = if let After::Cut(cut) = answer.after { cut } else { usize::MAX };
            let body = &answer.body[..cut.min(answer.body.len())];
            let bytes = [answer.head().as_bytes(), body].concat();
            stream.get_mut().write_all(&bytes)?;
            stream.get_mut().flush()?;
        }
        if let After::Cut(_) = answer.after {
            return Ok(());
        }
        if !matches!(answer.after, After::Keep | After::Headers) {
            // Until the client or the test ends the connection.
            io::copy(&mut stream, &mut io::sink())?;
            return Ok(());
        }
    }
    Ok(())
}

/// The next request; none behind the last one.
fn read(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Option<Request>> {
    let Some(first) = line(stream)? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some(line) = line(stream)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    if request.header("expect").is_some() {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding").is_some_and(|encoding| encoding.contains("chunked")) {
        request.body = chunks(stream)?;
    } else if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
        request.body = exactly(stream, length)?;
    }
    Ok(Some(request))
}

/// What the server at a port of loopback answers to a request: the status and the body.
///
/// # Errors
/// If the connection fails, also because the server is killed before it has answered.
pub fn ask(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<(u16, Vec<u8>)> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut stream = BufReader::new(stream);
    let first = line(&mut stream)?.unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer of HTTP: {first:?}")))?;
    let (mut is_chunked, mut length) = (false, None);
    while let Some(header) = line(&mut stream)?.filter(|line| !line.is_empty()) {
        let header = header.to_ascii_lowercase();
        is_chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
        length =
            header.strip_prefix("content-length:").and_then(|length| length.trim().parse().ok()).or(length);
    }
    let body = match (is_chunked, length) {
        _ if status == 204 => Vec::new(),
        (true, _) => chunks(&mut stream)?,
        (false, Some(length)) => exactly(&mut stream, length)?,
        (false, None) => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest)?;
            rest
        }
    };
    Ok((status, body))
}

/// A line without its end; none at the end of the connection.
fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let length = stream.read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok((length > 0).then_some(line))
}

fn exactly(stream: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A body in chunks, each after its length.
fn chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(length) = line(stream)? {
        let length = length.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(length, 16).map_err(io::Error::other)?;
        body.extend(exactly(stream, length)?);
        line(stream)?;
        if length == 0 {
            break;
        }
    }
    Ok(body)
}
