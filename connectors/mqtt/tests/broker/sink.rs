//! The sink: refusals, and a broker that does not acknowledge.

use std::sync::Arc;

use tidemill_engine::batch::{Field, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sink::{SinkContext, SinkSpec};
use tidemill_mqtt::{Connection, MqttSink, Version};

use crate::peer::{Broker, Peer};

/// Delivers one message with this QoS.
fn delivered(broker: &Broker, qos: u8) -> Result<()> {
    let mut sink = MqttSink::new(&broker.url, "out");
    sink.connection =
        Connection { version: Version::V5, keep_alive: "1s".into(), ..Connection::new(&broker.url) };
    sink.publication.qos = qos;
    let fields = vec![Field::time("time"), Field::sensor("sensor"), Field::measurement("v")];
    let schema = Arc::new(Schema::new(fields).expect("a schema"));
    let mut sink = sink.open(&schema, &SinkContext::default()).expect("opened");
    let part = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let block = [part("out"), part("1")].concat();
    sink.deliver(1, &mut std::iter::once(Ok(block)))
}

/// Takes the connection and the message, and returns the number of the message.
fn published(peer: &mut Peer) -> [u8; 2] {
    peer.accept(&[0x20, 3, 0, 0, 0]);
    loop {
        let (kind, rest) = peer.packet().expect("PUBLISH");
        if kind & 0xf0 == 0x30 {
            // Behind the topic.
            return [rest[5], rest[6]];
        }
    }
}

fn refused(qos: u8, code: u8) -> Error {
    let answer = if qos == 1 { 0x40 } else { 0x50 };
    let broker = Broker::start(move |accept| {
        let mut peer = accept();
        let [high, low] = published(&mut peer);
        peer.send(&[answer, 3, high, low, code]);
        while peer.packet().is_some() {}
    });
    let error = delivered(&broker, qos).expect_err("refused");
    broker.thread.join().expect("the broker");
    error
}

#[test]
fn refused_messages_are_sent_again_if_that_may_help() {
    for qos in [1, 2] {
        for (code, expected, passes) in [
            (0x80, "does not give", true),
            (0x83, "of its own", true),
            (0x87, "not authorized", false),
            (0x90, "topic is not valid", false),
            (0x97, "quota", true),
            (0x99, "payload", false),
        ] {
            let error = refused(qos, code);
            assert!(error.message().contains(expected), "{qos} {code:#x}: {error}");
            assert_eq!(error.is_transient(), passes, "{qos} {code:#x}: {error}");
        }
    }
}

#[test]
fn a_broker_that_answers_pings_alone_is_not_waited_for_without_end() {
    let broker = Broker::start(|accept| {
        let mut peer = accept();
        published(&mut peer);
        while let Some((kind, _)) = peer.packet() {
            if kind == 0xc0 {
                peer.send(&[0xd0, 0]);
            }
        }
    });
    let error = delivered(&broker, 1).expect_err("too late");
    assert!(error.message().contains("has not acknowledged") && error.is_transient(), "{error}");
    broker.thread.join().expect("the broker");
}
