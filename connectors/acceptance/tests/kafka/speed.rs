//! How fast five million records go through, beside plain loops of the client library.

use std::time::{Duration, Instant};

use tidemill_acceptance::{Job, Kafka};
use tidemill_kafka::rdkafka::consumer::{BaseConsumer, Consumer};
use tidemill_kafka::rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tidemill_kafka::rdkafka::{ClientConfig, Message};

use crate::broker::{means, topic};

/// So many that the seconds until a group has its partitions do not decide.
const RECORDS: u64 = 5_000_000;
const SENSORS: u64 = 1000;
const PARTITIONS: u32 = 4;

fn config(broker: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address()).set("linger.ms", "20");
    config
}

/// Sends all records in a loop; returns how long it took.
fn produce(broker: &Kafka, topic: &str) -> Duration {
    let mut config = config(broker);
    config.set("enable.idempotence", "true").set("partitioner", "murmur2_random");
    let producer: BaseProducer = config.create().expect("a producer");
    let begun = Instant::now();
    let (mut key, mut value) = (String::new(), String::new());
    for at in 0..RECORDS {
        let n = at / SENSORS;
        key.clear();
        value.clear();
        key += &format!("s{}", at % SENSORS);
        value += &format!("{{\"t\":\"2026-01-01T00:{:02}:{:02}Z\",\"n\":{n}}}", n / 60 % 60, n % 60);
        let mut record = BaseRecord::to(topic).key(&key).payload(&value);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(60)).expect("sent");
    begun.elapsed()
}

/// Reads all records in a loop; returns how long it took.
fn consume(broker: &Kafka, topic: &str, group: &str) -> Duration {
    let mut config = config(broker);
    config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    // As the source has it: the library's second is idle.
    config.set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribed");
    let begun = Instant::now();
    let (mut count, mut bytes) = (0, 0);
    while count < RECORDS {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            count += 1;
            bytes += message.payload().map_or(0, <[u8]>::len);
        }
    }
    assert!(bytes > 0);
    begun.elapsed()
}

/// The number of messages in a topic, with those that end transactions.
fn count(client: &BaseConsumer, topic: &str) -> u64 {
    let end = |partition| {
        let ends = client.fetch_watermarks(topic, partition, Duration::from_secs(10)).expect("an answer");
        ends.1.cast_unsigned()
    };
    (0..PARTITIONS.cast_signed()).map(end).sum()
}

/// Runs a pipeline until all records are where it writes them; returns how long it took.
fn run(broker: &Kafka, pipeline: &str, to: &str) -> Duration {
    let client: BaseConsumer = config(broker).create().expect("a client");
    let job = Job::new(pipeline);
    let begun = Instant::now();
    let run = job.start_with(&["--state", "state"]);
    while count(&client, to) < RECORDS {
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    run.stop().success();
    took
}

fn show(what: &str, took: Duration) -> f64 {
    let rate = RECORDS as f64 / took.as_secs_f64();
    println!("{what}: {rate:.0} records/s");
    rate
}

#[test]
#[ignore = "measures: five million records, in a release build, on a machine that does nothing else"]
fn records_from_kafka_through_windows_to_kafka_beside_plain_loops() {
    let broker = Kafka::start();
    let (from, to, copied) = (
        topic(&broker, "in", PARTITIONS),
        topic(&broker, "out", PARTITIONS),
        topic(&broker, "copied", PARTITIONS),
    );
    let sent = produce(&broker, &from);
    show("a loop that sends", sent);
    // The broker makes its topic of groups for the first of them.
    consume(&broker, &from, "first");
    let read = consume(&broker, &from, "plain");
    show("a loop that reads", read);
    // What a program does that reads and sends, one after the other.
    let plain = show("both", sent + read);
    let pipeline = means(&broker.address(), &from, &to, "");
    let windows = show("Kafka → windows → Kafka", run(&broker, &pipeline, &to));
    let pipeline = means(&broker.address(), &from, &copied, "group = 'copy'")
        .replace("group = 'g-", "# '")
        .replace("[[stage]]\ntype = 'moving_average'\nwindow = 4\n", "");
    let copy = show("Kafka → Kafka", run(&broker, &pipeline, &copied));
    println!("windows: {:.2} of the loops, copy: {:.2}", windows / plain, copy / plain);
    assert!(copy >= 0.7 * plain && windows >= 400_000.0);
}
