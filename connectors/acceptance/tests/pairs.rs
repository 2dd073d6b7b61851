//! Pairs of a source and a sink, through kills of tidemill and restarts of the servers: five of each, or as many as `TIDEMILL_KILLS` says.
//! `cargo xtask pairs --kills 100` runs all of them for longer.

use std::sync::{Arc, Mutex};

use tidemill_acceptance::Kafka;
use tidemill_acceptance::pairs::{
    DeltaOutput, FileInput, FileOutput, HttpInput, Input, JetStreamInput, KafkaInput, KafkaOutput, MqttInput,
    Output, Pair, PostgresOutput, Promise,
};

fn survive(name: &str, input: &dyn Input, output: &dyn Output, promise: Promise) {
    Pair { name, input, output, promise }.survive();
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
    let broker = broker();
    let (input, output) = (KafkaInput::fixed(Arc::clone(&broker)), KafkaOutput::new(broker));
    survive("Kafka → Kafka", &input, &output, Promise::ExactlyOnce);
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
