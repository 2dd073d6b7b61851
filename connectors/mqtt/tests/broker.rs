//! The source against a broker that says what the tests want: refusals, lost connections, messages that come again.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tidemill_connect::message::{Messages, Payload};
use tidemill_engine::error::Error;
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::sensor::Sensors;
use tidemill_engine::source::{Input, OpenOptions, Source, SourceSpec};
use tidemill_mqtt::{Connection, Mqtt, Version};

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(20);

/// The broker's side of a connection.
struct Peer(TcpStream);

impl Peer {
    /// The next packet: its first byte, and what follows its length.
    fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut byte = [0];
        self.0.read_exact(&mut byte).ok()?;
        let (first, mut len) = (byte[0], 0);
        for at in 0..4 {
            self.0.read_exact(&mut byte).ok()?;
            len |= usize::from(byte[0] & 0x7f) << (7 * at);
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut rest = vec![0; len];
        self.0.read_exact(&mut rest).ok()?;
        Some((first, rest))
    }

    fn send(&mut self, bytes: &[u8]) {
        // An error: the client is gone, which the test sees.
        let _gone = self.0.write_all(bytes);
    }

    /// Takes CONNECT, and answers.
    fn accept(&mut self, answer: &[u8]) {
        let (kind, _) = self.packet().expect("CONNECT");
        assert_eq!(kind, 0x10);
        self.send(answer);
    }

    /// Takes SUBSCRIBE, and answers with this code.
    fn subscribe(&mut self, version: Version, code: u8) {
        let (kind, rest) = self.packet().expect("SUBSCRIBE");
        assert_eq!(kind, 0x82);
        match version {
            Version::V4 => self.send(&[0x90, 3, rest[0], rest[1], code]),
            Version::V5 => self.send(&[0x90, 4, rest[0], rest[1], 0, code]),
        }
    }

    /// Sends a message of QoS 1 of MQTT 3.1.1.
    fn publish(&mut self, packet: u8, number: u8, is_repeated: bool) {
        let flags = if is_repeated { 0x3a } else { 0x32 };
        self.send(&[flags, 6, 0, 1, b't', 0, packet, b'0' + number]);
    }

    /// The numbers of the next messages that are acknowledged.
    fn acknowledged(&mut self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            let (kind, rest) = self.packet().expect("PUBACK");
            if kind == 0x40 {
                all.push(rest[1]);
            }
        }
        all
    }
}

/// A broker whose connections this function serves, one after the other.
struct Broker {
    url: String,
    thread: JoinHandle<()>,
}

impl Broker {
    fn start(serve: impl FnOnce(&mut dyn FnMut() -> Peer) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
        let serve = move || {
            let mut accept = || {
                let (stream, _) = listener.accept().expect("a connection");
                stream.set_read_timeout(Some(LIMIT)).expect("set");
                Peer(stream)
            };
            serve(&mut accept);
        };
        Self { url, thread: Builder::new().name("broker".into()).spawn(serve).expect("a thread") }
    }

    fn source(&self, version: Version, keeps_place: bool) -> Box<dyn Source> {
        let messages = Messages::new(Payload::Number, ColumnOptions::default());
        let mut mqtt = Mqtt::new(&self.url, "t", messages);
        mqtt.connection = Connection { version, client_id: Some("c".into()), ..Connection::new(&self.url) };
        mqtt.open(&OpenOptions { keeps_place, ..OpenOptions::default() }).expect("opened")
    }

    /// Why the source does not begin.
    fn refusal(self, version: Version) -> Error {
        let error = self.source(version, false).begin().expect_err("refused");
        assert!(error.message().contains(&self.url), "{error}");
        self.thread.join().expect("the broker");
        error
    }
}

fn refused(version: Version, answer: &'static [u8]) -> Error {
    Broker::start(|accept| accept().accept(answer)).refusal(version)
}

#[test]
fn refused_connections_are_explained() {
    for (answer, expected) in [
        (&[0x20, 2, 0, 1], "version of MQTT"),
        (&[0x20, 2, 0, 2], "client id is not valid"),
        (&[0x20, 2, 0, 3], "not available"),
        (&[0x20, 2, 0, 4], "wrong user or password"),
        (&[0x20, 2, 0, 5], "not authorized"),
    ] as [(&[u8; 4], &str); 5]
    {
        let error = refused(Version::V4, answer);
        assert!(error.message().contains(expected), "{error}");
        assert_eq!(error.is_transient(), expected == "not available", "{error}");
    }
    for (code, expected) in
        [(0x86, "wrong user or password"), (0x87, "not authorized"), (0x8a, "banned"), (0x84, "version")]
    {
        let answer: &'static [u8] = Vec::leak(vec![0x20, 3, 0, code, 0]);
        let error = refused(Version::V5, answer);
        assert!(error.message().contains(expected) && !error.is_transient(), "{error}");
        assert!(error.help().is_some(), "{error}");
    }
}

#[test]
fn refused_subscriptions_name_the_topic() {
    let error = Broker::start(|accept| {
        let mut peer = accept();
        peer.accept(&[0x20, 2, 0, 0]);
        peer.subscribe(Version::V4, 0x80);
        let _end = peer.packet();
    })
    .refusal(Version::V4);
    assert!(error.message().contains("cannot subscribe to \"t\""), "{error}");
    for (code, expected) in
        [(0x87, "not authorized"), (0x8f, "not valid"), (0x9e, "shared subscriptions"), (0xa2, "wildcards")]
    {
        let error = Broker::start(move |accept| {
            let mut peer = accept();
            peer.accept(&[0x20, 3, 0, 0, 0]);
            peer.subscribe(Version::V5, code);
            let _end = peer.packet();
        })
        .refusal(Version::V5);
        assert!(error.message().contains("\"t\"") && error.message().contains(expected), "{error}");
    }
}

#[test]
fn a_broker_that_refuses_subscriptions_by_ending_the_connection_is_an_error() {
    let error = Broker::start(|accept| {
        let mut peer = accept();
        peer.accept(&[0x20, 2, 0, 0]);
        peer.packet().expect("SUBSCRIBE");
    })
    .refusal(Version::V4);
    assert!(!error.message().is_empty(), "{error}");
}

#[test]
fn what_is_no_broker_is_an_error() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"",
        b"\x20",
        b"\xff\xff\xff\xff\xff\xff",
        b"\x30\x02\x00\x00",
    ] {
        for version in [Version::V4, Version::V5] {
            refused(version, answer);
        }
    }
}

#[test]
fn a_message_that_is_too_large_ends_the_run_and_names_the_option() {
    let broker = Broker::start(|accept| {
        let mut peer = accept();
        peer.accept(&[0x20, 2, 0, 0]);
        peer.subscribe(Version::V4, 1);
        // 1 MiB.
        peer.send(&[0x32, 0x80, 0x80, 0x40, 0, 1, b't', 0, 1]);
        let _end = peer.packet();
    });
    let mut source = broker.source(Version::V4, false);
    source.begin().expect("begun");
    let (begun, mut sensors) = (Instant::now(), Sensors::default());
    let error = loop {
        assert!(begun.elapsed() < LIMIT);
        if let Err(error) = source.next(&mut sensors) {
            break error;
        }
    };
    assert!(error.help().is_some_and(|help| help.contains("`max_message`")), "{error}");
    drop(source);
    broker.thread.join().expect("the broker");
}

/// Reads until there are `count` records.
fn read(source: &mut dyn Source, count: usize) {
    let (begun, mut sensors, mut records) = (Instant::now(), Sensors::default(), 0);
    while records < count {
        assert!(begun.elapsed() < LIMIT, "{records} of {count} records");
        match source.next(&mut sensors).expect("input").expect("no end") {
            Input::Chunk(chunk) => records += chunk.decode(&mut sensors).expect("decoded").batch.len(),
            Input::Records(decoded) => records += decoded.batch.len(),
            _ => {}
        }
    }
    assert_eq!(records, count);
}

#[test]
fn messages_are_acknowledged_when_they_are_durable_over_the_connection_they_came_by() {
    let (lost, is_lost) = std::sync::mpsc::channel();
    let broker = Broker::start(move |accept| {
        let mut peer = accept();
        peer.accept(&[0x20, 2, 0, 0]);
        peer.subscribe(Version::V4, 1);
        (1..=3).for_each(|number| peer.publish(number, number, false));
        is_lost.recv().expect("a word");
        // Nothing was acknowledged, so all of it comes again, with another message under an old number.
        drop(peer);
        let mut peer = accept();
        peer.accept(&[0x20, 2, 1, 0]);
        (1..=2).for_each(|number| peer.publish(number, number, true));
        peer.publish(3, 9, false);
        assert_eq!(peer.acknowledged(3), [1, 2, 3]);
        // The client waits for the answer, behind which all acknowledgements are.
        let (kind, rest) = peer.packet().expect("UNSUBSCRIBE");
        assert_eq!(kind, 0xa2);
        peer.send(&[0xb0, 2, rest[0], rest[1]]);
        let (kind, _) = peer.packet().expect("DISCONNECT");
        assert_eq!(kind, 0xe0);
    });
    let mut source = broker.source(Version::V4, true);
    source.begin().expect("begun");
    read(&mut *source, 3);
    let early = source.save().expect("saved").expect("a position");
    lost.send(()).expect("the broker");
    read(&mut *source, 3);
    // What came over the lost connection cannot be acknowledged any more.
    source.durable(1, &early).expect("durable");
    let late = source.save().expect("saved").expect("a position");
    std::thread::sleep(Duration::from_millis(50));
    source.durable(2, &late).expect("durable");
    let remarks = source.remarks();
    assert!(remarks.iter().any(|remark| remark.contains("lost 1 times")), "{remarks:?}");
    assert!(
        remarks.iter().any(|remark| remark.contains("2 messages were sent a second time")),
        "{remarks:?}"
    );
    drop(source);
    broker.thread.join().expect("the broker");
}

#[test]
fn a_connection_that_is_lost_while_the_source_ends_is_not_made_anew() {
    let broker = Broker::start(move |accept| {
        let mut peer = accept();
        peer.accept(&[0x20, 2, 0, 0]);
        peer.subscribe(Version::V4, 1);
        peer.publish(1, 1, false);
        assert_eq!(peer.acknowledged(1), [1]);
        peer.packet().expect("UNSUBSCRIBE");
    });
    let mut source = broker.source(Version::V4, true);
    source.begin().expect("begun");
    read(&mut *source, 1);
    let position = source.save().expect("saved").expect("a position");
    source.durable(1, &position).expect("durable");
    let (ended, has_ended) = std::sync::mpsc::channel();
    let end = move || {
        drop(source);
        ended.send(()).expect("the test");
    };
    Builder::new().name("end".into()).spawn(end).expect("a thread");
    broker.thread.join().expect("the broker");
    has_ended.recv_timeout(LIMIT).expect("the source ends");
}

#[test]
fn a_session_that_the_broker_has_forgotten_is_made_anew_and_counted() {
    let broker = Broker::start(move |accept| {
        let mut peer = accept();
        peer.accept(&[0x20, 2, 0, 0]);
        peer.subscribe(Version::V4, 1);
        peer.publish(1, 1, false);
        peer.acknowledged(1);
        drop(peer);
        let mut peer = accept();
        peer.accept(&[0x20, 2, 0, 0]);
        peer.subscribe(Version::V4, 1);
        peer.publish(1, 2, false);
        let _end = peer.packet();
    });
    // Without checkpoints messages are acknowledged at once.
    let mut source = broker.source(Version::V4, false);
    source.begin().expect("begun");
    read(&mut *source, 2);
    let remarks = source.remarks();
    assert!(remarks.iter().any(|remark| remark.contains("forgotten the session 1 times")), "{remarks:?}");
    drop(source);
    broker.thread.join().expect("the broker");
}
