//! Each fault of the proxy does what it says.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tidemill_acceptance::{Answer, Direction, Fault, HttpSink, Proxy, http};

/// Longer than anything takes here; shorter waits are for what never comes.
const LIMIT: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::from_millis(200);

/// A server that sends back what it is sent, one connection after the other.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // Ends with the tests.
    let serve = move || {
        for stream in listener.incoming().flatten() {
            let (mut from, mut to) = (&stream, &stream);
            drop(std::io::copy(&mut from, &mut to));
        }
    };
    std::thread::Builder::new().spawn(serve).expect("a thread");
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    stream
}

/// What comes back for `bytes`.
fn returned(mut stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).expect("sent");
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("it comes back");
    back
}

#[test]
fn without_a_fault_everything_passes_and_is_counted() {
    let proxy = Proxy::start(echo());
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| at as u8).collect();
    let stream = connect(&proxy);
    std::thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&bytes).expect("sent"));
        let mut back = vec![0; bytes.len()];
        (&stream).read_exact(&mut back).expect("it comes back");
        assert!(back == bytes);
    });
    assert_eq!(proxy.connections(), 1);
    assert_eq!(proxy.bytes(Direction::Up), bytes.len() as u64);
}

#[test]
fn slices_and_corruption_change_no_length() {
    let proxy = Proxy::start(echo());
    let stream = connect(&proxy);
    proxy.set(Fault::Slice(3));
    assert_eq!(returned(&stream, b"0123456789"), b"0123456789");
    proxy.set_one(Direction::Up, Fault::None);
    proxy.set_one(Direction::Down, Fault::Corrupt(5));
    let back = returned(&stream, b"0000000000");
    assert_eq!(back.iter().filter(|&&byte| byte == b'1').count(), 2, "{back:?}");
}

#[test]
fn latency_and_throttling_take_their_time() {
    let proxy = Proxy::start(echo());
    let stream = connect(&proxy);
    let taken = |fault, bytes: &[u8]| {
        proxy.set(fault);
        // In force once the waits under the fault before are over.
        returned(&stream, b"x");
        let begun = Instant::now();
        assert_eq!(returned(&stream, bytes), bytes);
        begun.elapsed()
    };
    assert!(taken(Fault::Latency(Duration::from_millis(200)), b"a") >= Duration::from_millis(200));
    assert!(taken(Fault::Throttle(5_000), &[7; 2_000]) >= Duration::from_millis(300));
}

#[test]
fn a_reset_reaches_existing_and_new_connections() {
    let proxy = Proxy::start(echo());
    let mut stream = connect(&proxy);
    returned(&stream, b"a");
    proxy.set(Fault::Reset);
    let error = stream.read(&mut [0]).expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let mut other = connect(&proxy);
    let error = other.read(&mut [0]).expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    proxy.set(Fault::None);
    assert_eq!(returned(&connect(&proxy), b"a"), b"a");
}

#[test]
fn half_open_connections_answer_later_and_black_holes_never() {
    let proxy = Proxy::start(echo());
    let mut stream = connect(&proxy);
    returned(&stream, b"a");
    for (fault, expected) in [(Fault::HalfOpen, &b"xy"[..]), (Fault::BlackHole, b"y")] {
        proxy.set(fault);
        // Until what was read before the fault has passed.
        std::thread::sleep(NEVER);
        stream.write_all(b"x").expect("sent");
        stream.set_read_timeout(Some(NEVER)).expect("set");
        assert!(stream.read(&mut [0]).is_err());
        proxy.set(Fault::None);
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        stream.write_all(b"y").expect("sent");
        let mut back = vec![0; expected.len()];
        stream.read_exact(&mut back).expect("it comes back");
        assert_eq!(back, expected);
    }
}

#[test]
fn a_server_that_is_away_and_closed_connections_are_seen() {
    let mut sink = HttpSink::start();
    sink.answer(Answer::status(204));
    let proxy = Proxy::start(sink.port());
    let ask = || http::ask(proxy.port(), "POST", "/", &[], b"x").map(|(status, _)| status);
    assert_eq!(ask().expect("an answer"), 204);
    sink.kill();
    assert!(ask().is_err());
    sink.restart();
    assert_eq!(ask().expect("an answer"), 204);
    let mut stream = connect(&proxy);
    stream.write_all(b"POST").expect("sent");
    while sink.connections() < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    proxy.disconnect();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}
