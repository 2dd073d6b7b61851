//! What these tests share.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tidemill_acceptance::{Job, Run};

/// A longer wait will not succeed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A port of loopback that nobody uses, below those that the system gives to clients.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 7000) as u16;
    loop {
        let port = 12_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 8000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends a request in one connection.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answered> {
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += "host: localhost\r\n";
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // A server that refuses by the header may close before it has read the body.
    let _refused = stream.write_all(body);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let Some(status) = status else {
        return Err(read.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
    };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok(Answered { status, head: head.to_owned(), body: body.to_owned() })
}

/// Posts a body.
pub(crate) fn post(port: u16, path: &str, body: &str) -> Answered {
    send(port, "POST", path, &[], body.as_bytes()).expect("an answer")
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: it does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until somebody listens at `port`.
pub(crate) fn until_open(port: u16) {
    until("a server listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
}

/// A run of the pipeline that listens at `port`.
pub(crate) fn start(job: &Job, port: u16) -> Run {
    let run = job.start();
    until_open(port);
    run
}

/// The rows of a CSV file, without its header.
pub(crate) fn rows(job: &Job, name: &str) -> Vec<String> {
    job.read(name).lines().skip(1).map(str::to_owned).collect()
}

/// A source `http` and a file.
pub(crate) fn to_file(port: u16, options: &str) -> String {
    format!(
        "[source]\ntype = 'http'\nlisten = '127.0.0.1:{port}'\n{options}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    )
}

/// A file of records, in order.
pub(crate) fn readings(count: usize) -> String {
    let line = |at: usize| format!("2026-01-01T00:00:00.{at:09}Z,m{},{at}\n", at % 3);
    std::iter::once("time,sensor,v\n".to_owned()).chain((0..count).map(line)).collect()
}

/// A pipeline from the file `in.csv` to a sink.
pub(crate) fn from_file(sink: &str) -> String {
    format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\ntypes = {{ v = 'u64' }}\n[[sink]]\n{sink}\n"
    )
}

/// The number in an environment variable.
#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
pub(crate) fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Numbers by chance, whose seed is printed.
pub(crate) fn chance() -> impl FnMut(u64) -> u64 {
    let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("TIDEMILL_SEED={seed}");
    let mut chance = seed | 1;
    move |below| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    }
}
