//! Pairs of a source and a sink, through kills of tidemill and restarts of the servers: five of each, or as many as `TIDEMILL_KILLS` says.
//! `cargo xtask pairs --kills 100` runs all of them for longer.

use std::sync::{Arc, Mutex};

use tidemill_acceptance::Kafka;
use tidemill_acceptance::pairs::{
    DeltaOutput, FileInput, FileOutput, HttpInput, Inconclusive, Input, JetStreamInput, KafkaInput,
    KafkaOutput, MqttInput, Output, Pair, PostgresOutput, Promise,
};

fn survive(name: &str, input: &dyn Input, output: &dyn Output, promise: Promise) {
    Pair { name, input, output, promise }.survive().expect("servers keep what they have accepted");
}

fn broker() -> Arc<Mutex<Kafka>> {
    Arc::new(Mutex::new(Kafka::start()))
}

#[test]
fn file_to_postgres() {
    survive("file → PostgreSQL", &FileInput::new(), &PostgresOutput::new(), Promise::ExactlyOnce);
}

#[test]
fn file_to_delta() {
    survive("file → Delta Lake", &FileInput::new(), &DeltaOutput::new(), Promise::ExactlyOnce);
}

#[test]
fn kafka_to_kafka() {
    // A broker that is killed now and then loses the end of a transaction: that run says nothing.
    for attempt in 1..=3 {
        let broker = broker();
        let (input, output) = (KafkaInput::fixed(Arc::clone(&broker)), KafkaOutput::new(broker));
        let (name, promise) = ("Kafka → Kafka", Promise::ExactlyOnce);
        match (Pair { name, input: &input, output: &output, promise }).survive() {
            Ok(()) => return,
            Err(Inconclusive(faults)) => {
                println!(
                    "{name}, attempt {attempt}: the broker has lost the end of transactions: {faults:?}"
                );
            }
        }
    }
    panic!("the broker has lost the end of a transaction in each of three attempts");
}

#[test]
fn kafka_to_postgres() {
    survive(
        "Kafka → PostgreSQL",
        &KafkaInput::shared(broker()),
        &PostgresOutput::new(),
        Promise::OnceIfAlone,
    );
}

#[test]
fn jetstream_to_file() {
    survive("JetStream → file", &JetStreamInput::new(), &FileOutput::new(), Promise::ExactlyOnce);
}

#[test]
fn mqtt_to_postgres() {
    survive("MQTT → PostgreSQL", &MqttInput::new(), &PostgresOutput::new(), Promise::AtLeastOnce);
}

#[test]
fn http_to_file() {
    survive("HTTP → file", &HttpInput::new(), &FileOutput::new(), Promise::AtLeastOnce);
}
