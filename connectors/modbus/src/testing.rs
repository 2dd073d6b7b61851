//! What tests share: registers, options, and a device that answers as told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use crate::connection::Address;
use crate::options::Modbus;
use crate::register::{Endian, Kind, Register, ValueType};

/// A register in the order of the protocol, as it is.
pub(crate) fn register(kind: Kind, address: u16, ty: ValueType) -> Register {
    let (word_order, byte_order) = (Endian::Big, Endian::Big);
    Register { kind, address, ty, bit: None, word_order, byte_order, scaling: None }
}

/// The options in `toml`.
pub(crate) fn modbus(toml: &str) -> Modbus {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}\n{error}"))
}

/// What a device does with a request.
pub(crate) enum Reply {
    /// Answers with this body: a function and what follows.
    Body(Vec<u8>),
    /// Answers with these bytes as they are.
    Bytes(Vec<u8>),
    /// Answers with this body when the next request comes, before the answer to that.
    Late(Vec<u8>),
    /// Answers with this body, and ends the connection.
    Last(Vec<u8>),
    /// Ends the connection.
    Nothing,
}

/// A request as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) unit: u8,
    pub(crate) function: u8,
    pub(crate) start: u16,
    pub(crate) count: u16,
}

impl Asked {
    /// The answer whose registers have their addresses as values.
    pub(crate) fn addresses(self) -> Vec<u8> {
        let words = (0..self.count).flat_map(|at| (self.start + at).to_be_bytes());
        [self.function, 2 * self.count as u8].into_iter().chain(words).collect()
    }

    /// The exception `code`.
    pub(crate) fn exception(self, code: u8) -> Vec<u8> {
        vec![self.function | 0x80, code]
    }
}

/// A device that does what `answer` says, and all that it was asked so far. It ends with the process of the tests.
pub(crate) fn device(answer: impl Fn(Asked) -> Reply + Send + 'static) -> (Address, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let serve = move || {
        for stream in listener.incoming() {
            let (mut stream, mut late) = (stream.expect("a connection"), Vec::new());
            while let Some((head, request)) = receive(&mut stream) {
                noted.lock().expect("no panic").push(request);
                if !reply(&mut stream, head, answer(request), &mut late) {
                    break;
                }
            }
        }
    };
    Builder::new().name("device".into()).spawn(serve).expect("a thread");
    (Address { host: "127.0.0.1".into(), port }, asked)
}

/// The next request, and the transaction that it is of, with the unit.
fn receive(stream: &mut TcpStream) -> Option<([u8; 3], Asked)> {
    let mut bytes = [0; 12];
    stream.read_exact(&mut bytes).ok()?;
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let request = Asked { unit: bytes[6], function: bytes[7], start: word(8), count: word(10) };
    Some(([bytes[0], bytes[1], bytes[6]], request))
}

/// Whether the connection goes on.
fn reply(stream: &mut TcpStream, [high, low, unit]: [u8; 3], reply: Reply, late: &mut Vec<u8>) -> bool {
    let frame = |body: &[u8]| [&[high, low, 0, 0, 0, body.len() as u8 + 1, unit], body].concat();
    let (bytes, goes_on) = match reply {
        Reply::Body(body) => (frame(&body), true),
        Reply::Bytes(bytes) => (bytes, true),
        Reply::Late(body) => {
            late.extend(frame(&body));
            return true;
        }
        Reply::Last(body) => (frame(&body), false),
        Reply::Nothing => (Vec::new(), false),
    };
    late.extend(bytes);
    stream.write_all(&std::mem::take(late)).is_ok() && goes_on
}

/// How long an answer may take that does not come.
pub(crate) const LIMIT: Duration = Duration::from_millis(500);

/// Runs `work` on this thread.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.expect("a runtime").block_on(work)
}
