//! Payloads with the wire format of a schema registry.

use std::process::Command;

use tidemill_acceptance::{Answer, HttpSink, Job, Kafka};

use crate::broker::{field, shared, topic, wait_for};

/// A registry with these schemas; it answers `first` to the first requests.
fn registry(schemas: &'static [(u32, &'static str)], first: Vec<Answer>) -> HttpSink {
    let registry = HttpSink::start();
    registry.answer_by(move |request| {
        let found = schemas.iter().find(|(id, _)| request.path == format!("/schemas/ids/{id}"));
        match found {
            Some((_, schema)) => {
                Answer::status(200).with_body(serde_json::json!({ "schema": schema }).to_string())
            }
            None => Answer::status(404).with_body(r#"{"error_code":40403,"message":"Schema not found"}"#),
        }
    });
    first.into_iter().for_each(|answer| registry.answer_next(answer));
    registry
}

const FIRST: &str = r#"{"type":"record","name":"reading","fields":[
    {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"n","type":"double"}]}"#;

/// Fields in another order, one more, and `n` that may be missing.
const SECOND: &str = r#"{"type":"record","name":"reading","fields":[
    {"name":"site","type":"string"},{"name":"n","type":["null","double"]},
    {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

/// An integer as Avro has it.
fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn payload(schema: u32, data: &[&[u8]]) -> Vec<u8> {
    [&[0], &schema.to_be_bytes()[..], &data.concat()].concat()
}

/// Sends one message of any bytes.
fn send(broker: &Kafka, topic: &str, payload: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), payload).expect("written");
    let mut command: Command = broker.kcat();
    let status = command.args(["-P", "-t", topic, "-k", "a"]).arg(file.path()).status();
    assert!(status.expect("kcat runs").success());
}

fn pipeline(broker: &Kafka, from: &str, to: &str, payload: &str, registry: &HttpSink) -> String {
    let brokers = broker.address();
    format!(
        "[source]\ntype = 'kafka'\nbrokers = '{brokers}'\ntopic = '{from}'\ngroup = '{from}'\npayload = '{payload}'\n\
         time = 't'\nmeasurements = ['n']\nregistry = {{ url = '{}' }}\n\
         [[sink]]\ntype = 'kafka'\nbrokers = '{brokers}'\ntopic = '{to}'\n",
        registry.url()
    )
}

#[test]
fn a_schema_that_changes_during_the_run_is_followed_and_what_does_not_fit_is_rejected() {
    let broker = shared();
    let (from, to) = (topic(broker, "avro", 1), topic(broker, "from-avro", 1));
    // It does not answer at first: the source waits.
    let registry = registry(&[(1, FIRST), (2, SECOND)], vec![Answer::status(503), Answer::close()]);
    let time = long(1_767_225_600_000);
    send(broker, &from, &payload(1, &[&time, &1.5_f64.to_le_bytes()]));
    let job = Job::new(&pipeline(broker, &from, &to, "avro", &registry));
    let run = job.start();
    wait_for(broker, &to, 1, &[&run]);
    send(broker, &from, &payload(2, &[&long(2), b"ab", &long(1), &2.5_f64.to_le_bytes(), &time]));
    send(broker, &from, &payload(2, &[&long(2), b"ab", &long(0), &time]));
    // A schema that nobody has, one byte too many, no schema at all.
    send(broker, &from, &payload(7, &[&time]));
    send(broker, &from, &payload(1, &[&time, &1.5_f64.to_le_bytes(), b"x"]));
    send(broker, &from, b"{\"n\":1}");
    send(broker, &from, &payload(1, &[&time, &3.5_f64.to_le_bytes()]));
    let messages = wait_for(broker, &to, 4, &[&run]);
    run.stop().success();
    let values: Vec<_> = messages.iter().map(|message| field(message, "n").as_f64()).collect();
    assert_eq!(values, [Some(1.5), Some(2.5), None, Some(3.5)]);
    assert_eq!(field(&messages[1], "t"), "2026-01-01T00:00:00Z");
    assert_eq!(job.report()["report"]["rejects"]["malformed"], 3, "{}", job.report());
}

#[test]
fn json_with_the_number_of_a_schema_is_json() {
    let broker = shared();
    let (from, to) = (topic(broker, "json-schema", 1), topic(broker, "from-json-schema", 1));
    let registry = registry(&[], Vec::new());
    send(broker, &from, &payload(1, &[br#"{"t":"2026-01-01T00:00:00Z","n":4}"#]));
    let job = Job::new(&pipeline(broker, &from, &to, "json", &registry));
    let run = job.start();
    let messages = wait_for(broker, &to, 1, &[&run]);
    run.stop().success();
    assert_eq!(field(&messages[0], "n").as_f64(), Some(4.0));
}
