//! The source: refusals, lost connections, messages that come again.

use std::thread::Builder;
use std::time::{Duration, Instant};

use tidemill_connect::message::{Messages, Payload};
use tidemill_engine::error::Error;
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::sensor::Sensors;
use tidemill_engine::source::{Input, OpenOptions, Recovery, Resumption, Source, SourceSpec};
use tidemill_mqtt::{Connection, Mqtt, Version};

use crate::peer::{Broker, LIMIT};

impl Broker {
    fn source(&self, version: Version, keeps_place: bool) -> Box<dyn Source> {
        self.opened(version, &OpenOptions { keeps_place, ..OpenOptions::default() })
    }

    fn opened(&self, version: Version, options: &OpenOptions) -> Box<dyn Source> {
        let messages = Messages::new(Payload::Number, ColumnOptions::default());
        let mut mqtt = Mqtt::new(&self.url, "t", messages);
        mqtt.connection = Connection { version, client_id: Some("c".into()), ..Connection::new(&self.url) };
        mqtt.open(options).expect("opened")
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
    for (code, expected) in [
        (0x87, "not authorized"),
        (0x8f, "not valid"),
        (0x9e, "shared subscriptions"),
        (0xa2, "wildcards"),
        (0x97, "quota"),
    ] {
        let error = Broker::start(move |accept| {
            let mut peer = accept();
            peer.accept(&[0x20, 3, 0, 0, 0]);
            peer.subscribe(Version::V5, code);
            let _end = peer.packet();
        })
        .refusal(Version::V5);
        assert!(error.message().contains("\"t\"") && error.message().contains(expected), "{error}");
        assert_eq!(error.is_transient(), code == 0x97, "{error}");
    }
}

#[test]
fn a_lower_quality_than_was_asked_for_is_refused_where_messages_would_be_lost() {
    for version in [Version::V4, Version::V5] {
        let broker = || {
            Broker::start(move |accept| {
                let mut peer = accept();
                let answer: &[u8] =
                    if version == Version::V4 { &[0x20, 2, 0, 0] } else { &[0x20, 3, 0, 0, 0] };
                peer.accept(answer);
                peer.subscribe(version, 0);
                while peer.packet().is_some() {}
            })
        };
        let late = broker();
        let error = late.source(version, true).begin().expect_err("refused");
        assert!(error.message().contains("grants QoS 0") && !error.is_transient(), "{error}");
        late.thread.join().expect("the broker");
        // Without checkpoints a message is acknowledged when it arrives: it may be lost anyway.
        let early = broker();
        early.source(version, false).begin().expect("begun");
        early.thread.join().expect("the broker");
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

#[test]
fn a_session_that_was_forgotten_while_the_run_was_down_is_counted() {
    for is_kept in [true, false] {
        let broker = Broker::start(move |accept| {
            let mut peer = accept();
            peer.accept(&[0x20, 2, u8::from(is_kept), 0]);
            peer.subscribe(Version::V4, 1);
            while peer.packet().is_some() {}
        });
        let resume = Some(Resumption { place: [].into(), finishes: false });
        let options = OpenOptions { keeps_place: true, resume, ..OpenOptions::default() };
        let mut source = broker.opened(Version::V4, &options);
        source.begin().expect("begun");
        let is_counted =
            source.remarks().iter().any(|remark| remark.contains("forgotten the session 1 times"));
        assert_eq!(is_counted, !is_kept, "{:?}", source.remarks());
        drop(source);
        broker.thread.join().expect("the broker");
    }
}

#[test]
fn what_is_not_acknowledged_is_lost_with_the_process() {
    let messages = Messages::new(Payload::Number, ColumnOptions::default());
    let mut mqtt = Mqtt::new("mqtt://plant", "t", messages);
    mqtt.connection.client_id = Some("c".into());
    assert_eq!(mqtt.traits().recovery, Recovery::Redelivered);
    mqtt.subscription.qos = 0;
    assert_eq!(mqtt.traits().recovery, Recovery::Lost);
}
