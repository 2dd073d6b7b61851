//! A connection, and what devices answer, in words.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::{Breaker, BreakerOptions};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::prelude::SlaveContext;
use tokio_modbus::{Error as ClientError, Response, Slave};

use crate::register::Kind;
use crate::request::Request;

/// The port of Modbus TCP.
const PORT: u16 = 502;

/// Where a device or a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// A host with a port or without: `plc.example`, `10.0.0.7:1502`, `[::1]:502`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
            _ => (text, PORT),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_host = !bare.is_empty() && !bare.contains(['/', '[', ']', '@', ' ']);
        (is_host && port != 0).then(|| Self { host: bare.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why a request has no values.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The device has answered, and refuses this request.
    Refused(Refusal),
    /// There is no answer, or the device asks to be left alone for now: transient.
    Unavailable(Error),
}

/// The exception by which a device refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(u8);

impl Refusal {
    /// Whether it says that the device has no such registers, or none that can be read so: then the map is wrong.
    pub(crate) fn is_of_map(self) -> bool {
        matches!(self.0, 1..=3)
    }

    /// Whether a smaller request may succeed.
    pub(crate) fn depends_on_addresses(self) -> bool {
        matches!(self.0, 2 | 3)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "illegal function",
            2 => "illegal data address",
            3 => "illegal data value",
            4 => "device failure",
            8 => "memory parity error",
            code => return write!(f, "exception {code}"),
        };
        write!(f, "{name} (exception {})", self.0)
    }
}

/// How the devices at an address, which share a connection, wait for it: each request for itself, in the order in which they ask.
///
/// A device that is silent keeps all others waiting until its answer is too late. So those that did not answer last time wait in a line of their own, from which one at a time joins the others:
/// however many there are, a device that answers waits for one of them at most.
pub(crate) struct Gateway {
    connection: AsyncMutex<Connection>,
    silent: AsyncMutex<()>,
}

impl Gateway {
    pub(crate) fn new(address: Address) -> Self {
        Self { connection: AsyncMutex::new(Connection::new(address)), silent: AsyncMutex::new(()) }
    }

    /// Waits in the line of the silent; the next one leaves it when this is dropped.
    pub(crate) async fn silent(&self) -> MutexGuard<'_, ()> {
        self.silent.lock().await
    }

    /// The answer of `unit` to `request`: see [`Connection::read`].
    pub(crate) async fn read(
        &self,
        unit: u8,
        request: &Request,
        limit: Duration,
    ) -> Result<Vec<u16>, Failure> {
        self.connection.lock().await.read(unit, request, limit).await
    }
}

/// The connection to an address, which is made when it is needed. The devices behind a gateway share it, one request at a time.
struct Connection {
    address: Address,
    context: Option<Context>,
    /// Of attempts to connect: many devices may be behind an address that is gone.
    breaker: Breaker,
}

impl Connection {
    fn new(address: Address) -> Self {
        Self { address, context: None, breaker: Breaker::new(BreakerOptions::default()) }
    }

    /// The answer of `unit` to `request`: a word for each register, 0 or 1 for each bit. A connection may take as long as `limit` to be made, and an answer to come.
    async fn read(&mut self, unit: u8, request: &Request, limit: Duration) -> Result<Vec<u16>, Failure> {
        let was_open = self.context.is_some();
        match self.ask(unit, request, limit).await {
            // Devices close connections that are idle: that is no failure.
            Err(ClientFailure::Lost(_)) if was_open => self.ask(unit, request, limit).await,
            answered => answered,
        }
        .map_err(|failure| self.in_words(failure, limit))
    }

    async fn ask(&mut self, unit: u8, request: &Request, limit: Duration) -> Result<Vec<u16>, ClientFailure> {
        let mut context = match self.context.take() {
            Some(context) => context,
            None => self.connect(limit).await?,
        };
        context.set_slave(Slave(unit));
        let answered =
            timeout(limit, context.call(message(request))).await.map_err(|_| ClientFailure::Late)?;
        let answer = answered.map_err(lost)?;
        let answer = answer.map_err(|exception| ClientFailure::Exception(exception.into()));
        let words = answer.and_then(|response| words(request, response));
        // Kept unless it cannot be trusted: a late answer would be taken for that to the next request.
        if !matches!(words, Err(ClientFailure::Wrong(_))) {
            self.context = Some(context);
        }
        words
    }

    async fn connect(&mut self, limit: Duration) -> Result<Context, ClientFailure> {
        let permit = self.breaker.ask(Instant::now()).map_err(ClientFailure::Broken)?;
        let connected = timeout(limit, open(&self.address)).await.unwrap_or_else(|_| {
            let seconds = limit.as_secs_f64();
            Err(Error::unavailable(format!("no connection within {seconds} s")).transient())
        });
        permit.answered(&connected, Instant::now());
        connected.map(tcp::attach).map_err(ClientFailure::NotConnected)
    }

    fn in_words(&self, failure: ClientFailure, limit: Duration) -> Failure {
        let what = match failure {
            ClientFailure::Exception(code) => match busy(code) {
                None => return Failure::Refused(Refusal(code)),
                Some(what) => what.to_owned(),
            },
            ClientFailure::Broken(wait) => {
                let error = Error::unavailable(format!(
                    "{}: not tried, since most connections to it have failed",
                    self.address
                ));
                return Failure::Unavailable(error.transient().with_retry_after(wait));
            }
            ClientFailure::NotConnected(error) => error.message().to_owned(),
            ClientFailure::Late => format!("no answer within {} s", limit.as_secs_f64()),
            ClientFailure::Lost(what) | ClientFailure::Wrong(what) => what,
        };
        Failure::Unavailable(Error::unavailable(format!("{}: {what}", self.address)).transient())
    }
}

/// What can go wrong with a request.
enum ClientFailure {
    /// The breaker is open, for so long.
    Broken(Duration),
    NotConnected(Error),
    /// No answer in time.
    Late,
    /// The connection has ended.
    Lost(String),
    /// The answer does not fit the request.
    Wrong(String),
    /// The device answers with an exception.
    Exception(u8),
}

async fn open(address: &Address) -> Result<TcpStream> {
    let connected = async {
        let stream = TcpStream::connect((&*address.host, address.port)).await?;
        // Requests are small, and each waits for its answer.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let connected: io::Result<TcpStream> = connected.await;
    connected.map_err(|error| Error::unavailable(format!("no connection: {}", plain(&error))).transient())
}

fn message(request: &Request) -> tokio_modbus::Request<'static> {
    let &Request { kind, start, count, .. } = request;
    match kind {
        Kind::Holding => tokio_modbus::Request::ReadHoldingRegisters(start, count),
        Kind::Input => tokio_modbus::Request::ReadInputRegisters(start, count),
        Kind::Coil => tokio_modbus::Request::ReadCoils(start, count),
        Kind::Discrete => tokio_modbus::Request::ReadDiscreteInputs(start, count),
    }
}

/// The words of an answer: exactly as many as were asked for.
fn words(request: &Request, response: Response) -> Result<Vec<u16>, ClientFailure> {
    let count = usize::from(request.count);
    let (found, words) = match response {
        Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => (words.len(), words),
        // The last byte of an answer is filled up.
        Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => {
            let is_filled_up = (count..count + 8).contains(&bits.len());
            let words: Vec<u16> = bits.iter().take(count).map(|&bit| bit.into()).collect();
            (if is_filled_up { count } else { bits.len() }, words)
        }
        _ => return Err(ClientFailure::Wrong("the answer is that to another request".to_owned())),
    };
    match found == count {
        true => Ok(words),
        false => {
            Err(ClientFailure::Wrong(format!("the answer has {found} values, and {count} were asked for")))
        }
    }
}

/// What an exception says that passes: the device or the way to it is not available now.
fn busy(code: u8) -> Option<&'static str> {
    match code {
        5 => Some("the device still works on another request (exception 5)"),
        6 => Some("the device is busy (exception 6)"),
        10 => Some("the gateway has no way to the unit (exception 10)"),
        11 => Some("the unit does not answer the gateway (exception 11)"),
        _ => None,
    }
}

fn lost(error: ClientError) -> ClientFailure {
    match error {
        ClientError::Transport(error) => match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                ClientFailure::Wrong(format!("the answer is not Modbus TCP: {}", plain(&error)))
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                ClientFailure::Lost(format!("the connection was lost: {}", plain(&error)))
            }
            // The client has no error of its own for an end.
            _ => ClientFailure::Lost("the connection was closed before the answer came".to_owned()),
        },
        ClientError::Protocol(_) => ClientFailure::Wrong("the answer is that to another request".to_owned()),
    }
}

/// The message of an error of the operating system without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
