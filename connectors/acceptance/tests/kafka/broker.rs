//! Topics of a broker that most tests share, and the messages in them.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidemill_acceptance::{Kafka, Run};
use tidemill_kafka::rdkafka::consumer::{BaseConsumer, Consumer};
use tidemill_kafka::rdkafka::error::KafkaError;
use tidemill_kafka::rdkafka::message::BorrowedMessage;
use tidemill_kafka::rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// A longer wait for messages will not succeed.
const LIMIT: Duration = Duration::from_secs(90);

/// The broker of all tests that do not kill it.
pub(crate) fn shared() -> &'static Kafka {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    SHARED.get_or_init(Kafka::start)
}

/// A new topic of `broker`.
pub(crate) fn topic(broker: &Kafka, name: &str, partitions: u32) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let topic = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    broker.create_topic(&topic, partitions);
    topic
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub partition: i64,
    pub offset: i64,
    pub time: i64,
    pub key: Option<String>,
    pub value: String,
}

/// Sends lines of `key|value` to a topic, as any producer does: partitions by the key.
pub(crate) fn send(broker: &Kafka, topic: &str, lines: &str, more: &[&str]) {
    let mut command = broker.kcat();
    command
        .args([
            "-P",
            "-t",
            topic,
            "-K",
            "|",
            "-X",
            "partitioner=murmur2_random",
            "-X",
            "enable.idempotence=true",
        ])
        .args(more);
    feed(&mut command, lines);
}

fn feed(command: &mut Command, lines: &str) {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("kcat runs");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("written");
    assert!(child.wait().expect("an end").success());
}

/// The messages of a topic that consumers of committed transactions read.
pub(crate) fn read(broker: &Kafka, topic: &str) -> Vec<Seen> {
    read_with(broker, topic, "read_committed")
}

/// The same with another isolation level.
pub(crate) fn read_with(broker: &Kafka, topic: &str, isolation: &str) -> Vec<Seen> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address()).set("group.id", "reader");
    config.set("isolation.level", isolation).set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(30)).expect("an answer");
    let count = metadata.topics()[0].partitions().len();
    let mut all = TopicPartitionList::new();
    for partition in 0..count as i32 {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&all).expect("assigned");
    let (mut seen, mut ended, begun) = (Vec::new(), BTreeSet::new(), Instant::now());
    while ended.len() < count {
        assert!(begun.elapsed() < LIMIT, "{topic} cannot be read");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => seen.push(Seen::of(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(_)) | None => {}
        }
    }
    seen
}

impl Seen {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Self {
            partition: message.partition().into(),
            offset: message.offset(),
            time: message.timestamp().to_millis().expect("a time"),
            key: message.key().map(text),
            value: message.payload().map(text).unwrap_or_default(),
        }
    }
}

/// Waits until a topic has at least `count` messages, and returns all.
pub(crate) fn wait_for(broker: &Kafka, topic: &str, count: usize, runs: &[&Run]) -> Vec<Seen> {
    let begun = Instant::now();
    loop {
        let seen = read(broker, topic);
        if seen.len() >= count {
            return seen;
        }
        let said: Vec<_> = runs.iter().map(|run| run.said()).collect();
        assert!(
            begun.elapsed() < LIMIT,
            "{topic} has {} messages of {count}: {}",
            seen.len(),
            said.join("\n")
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until `holds`.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The field of a JSON message.
pub(crate) fn field(message: &Seen, name: &str) -> Value {
    serde_json::from_str::<Value>(&message.value).expect("JSON")[name].clone()
}

/// JSON messages of `sensors` sensors with the numbers `from..to`, one of each sensor after another: `s3|{"n":7,"t":"…"}`.
pub(crate) fn numbered(sensors: usize, from: u64, to: u64) -> String {
    let mut lines = String::new();
    for n in from..to {
        let time = format!("2026-01-01T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60);
        for sensor in 0..sensors {
            lines += &format!("s{sensor}|{{\"t\":\"{time}\",\"n\":{n}}}\n");
        }
    }
    lines
}

/// A pipeline of the messages of [`numbered`], with the mean of the last four numbers of each sensor.
pub(crate) fn means(broker: &str, from: &str, to: &str, source: &str) -> String {
    format!(
        "[source]\ntype = 'kafka'\nbrokers = '{broker}'\ntopic = '{from}'\ngroup = 'g-{to}'\npayload = 'json'\n\
         time = 't'\nmeasurements = ['n']\n{source}\n\
         [[stage]]\ntype = 'moving_average'\nwindow = 4\n\
         [[sink]]\ntype = 'kafka'\nbrokers = '{broker}'\ntopic = '{to}'\n"
    )
}

/// Checks that the topic has the numbers `0..to` of each sensor once, in order, with the mean of the last four: nothing was lost, repeated or forgotten.
pub(crate) fn check_means(messages: &[Seen], sensors: usize, to: u64) {
    let mut next = vec![0_u64; sensors];
    for message in messages {
        let key = message.key.as_deref().expect("a key");
        let sensor: usize = key[1..].parse().expect("a sensor");
        let n = field(message, "n").as_f64().expect("a number");
        let expected = next[sensor];
        assert!(n == expected as f64, "{key}: {n} follows {} numbers: {:?}", next[sensor], of(messages, key));
        let first = expected.saturating_sub(3);
        let mean = (first + expected) as f64 / 2.0;
        assert_eq!(field(message, "n_avg").as_f64(), Some(mean), "{key} at {n}: {}", message.value);
        next[sensor] += 1;
    }
    assert!(next.iter().all(|next| *next == to), "{next:?} of {to}");
}

/// The places and values of a sensor's messages.
fn of<'m>(messages: &'m [Seen], key: &str) -> Vec<(i64, i64, &'m str)> {
    let own = messages.iter().filter(|message| message.key.as_deref() == Some(key));
    own.map(|message| (message.partition, message.offset, &*message.value)).collect()
}
