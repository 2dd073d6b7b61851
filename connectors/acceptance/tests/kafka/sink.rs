//! What the sink writes.

use std::collections::BTreeSet;
use std::time::Duration;

use tidemill_acceptance::{Job, Kafka};
use tidemill_kafka::rdkafka::ClientConfig;
use tidemill_kafka::rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{check_means, field, means, numbered, read, read_with, send, shared, topic, wait_for};

/// A producer of transactions.
fn producer(broker: &Kafka, id: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address()).set("transactional.id", id);
    let producer: BaseProducer = config.create().expect("a producer");
    producer.init_transactions(Duration::from_secs(30)).expect("transactions");
    producer
}

/// Sends 1 and 3 in transactions that are committed, and 2 in one that is aborted.
pub(crate) fn transactions(broker: &Kafka, topic: &str) {
    let producer = producer(broker, topic);
    for (value, is_committed) in [("1", true), ("2", false), ("3", true)] {
        producer.begin_transaction().expect("begun");
        producer.send(BaseRecord::to(topic).key("a").payload(value)).expect("room");
        producer.flush(Duration::from_secs(30)).expect("sent");
        match is_committed {
            true => producer.commit_transaction(Duration::from_secs(30)).expect("committed"),
            false => producer.abort_transaction(Duration::from_secs(30)).expect("aborted"),
        }
    }
}

#[test]
fn records_become_messages_with_key_and_time_in_the_partition_of_the_key() {
    let broker = shared();
    let (from, to) = (topic(broker, "in", 4), topic(broker, "out", 4));
    send(broker, &from, &numbered(10, 0, 50), &[]);
    let job = Job::new(&means(&broker.address(), &from, &to, "partitions = '0-3'"));
    let run = job.start();
    let messages = wait_for(broker, &to, 500, &[&run]);
    let said = run.stop().success();
    assert!(said.contains("exactly once"), "{said}");
    check_means(&messages, 10, 50);
    let first = messages.iter().find(|message| field(message, "n") == 1.0).expect("it is there");
    assert_eq!(first.time, 1_767_225_601_000);
    // Any producer that uses the default partitioner sends a key to the same partition.
    let places = |topic: &str| -> BTreeSet<(String, i64)> {
        read(broker, topic)
            .into_iter()
            .map(|message| (message.key.expect("a key"), message.partition))
            .collect()
    };
    assert_eq!(places(&from), places(&to));
    // A record less than that, and it would have been an epoch that was delivered twice.
    assert_eq!(read_with(broker, &to, "read_uncommitted").len(), 500);
}

#[test]
fn a_message_may_be_a_line_of_line_protocol() {
    let broker = shared();
    let (from, to) = (topic(broker, "plain", 1), topic(broker, "points", 1));
    send(broker, &from, &numbered(3, 0, 5), &[]);
    let more = "format = 'line_protocol'\nmeasurement = 'plant means'\n";
    let job = Job::new(&(means(&broker.address(), &from, &to, "") + more));
    let run = job.start();
    let messages = wait_for(broker, &to, 15, &[&run]);
    run.stop().success();
    for message in &messages {
        let sensor = message.key.as_deref().expect("a key");
        assert!(message.value.starts_with(&format!("plant\\ means,sensor={sensor} ")), "{}", message.value);
    }
    let is_first = |value: &str| value.contains("n=1") && value.ends_with(" 1767225601000000000");
    assert_eq!(messages.iter().filter(|message| is_first(&message.value)).count(), 3);
}

#[test]
fn a_topic_may_depend_on_the_record_and_a_message_may_be_csv() {
    let broker = shared();
    let from = topic(broker, "plain", 1);
    for sensor in 0..3 {
        broker.create_topic(&format!("{from}.s{sensor}"), 1);
    }
    send(broker, &from, &numbered(3, 0, 5), &[]);
    let more =
        "format = 'csv'\nkey = ''\ntransactions = false\ncompression = 'lz4'\ntimestamp = 'delivery'\n";
    let job = Job::new(&(means(&broker.address(), &from, &format!("{from}.{{sensor}}"), "") + more));
    let run = job.start();
    for sensor in 0..3 {
        let messages = wait_for(broker, &format!("{from}.s{sensor}"), 5, &[&run]);
        let values: Vec<_> = messages.iter().map(|message| message.value.as_str()).collect();
        let line = values[1];
        for part in ["2026-01-01T00:00:01Z", &format!("s{sensor}"), "0.5"] {
            assert!(line.split(',').any(|cell| cell == part), "{line}");
        }
        assert!(messages.iter().all(|message| message.key.is_none() && message.time > 1_767_225_700_000));
    }
    let said = run.stop().success();
    assert!(said.contains("at least once"), "{said}");
}

#[test]
fn a_topic_that_is_not_there_is_named_before_the_run_and_in_a_template_when_it_is_met() {
    let broker = shared();
    let from = topic(broker, "from", 1);
    let job = Job::new(&means(&broker.address(), &from, "no-such-topic", ""));
    let said = job.start().wait().failure();
    assert!(said.contains("`no-such-topic`") && said.contains("create the topic"), "{said}");
    send(broker, &from, &numbered(1, 0, 5), &[]);
    let job = Job::new(&means(&broker.address(), &from, "no-such-topic.{sensor}", ""));
    let said = job.start().wait().failure();
    assert!(said.contains("`no-such-topic.s0`"), "{said}");
}

#[test]
fn wrong_options_are_named() {
    let with = |more: &str| {
        let job = Job::new(&(means("127.0.0.1:9", "in", "out", "") + more));
        job.command(&["validate", "pipeline.toml"]).failure()
    };
    for (more, what) in [
        ("key = 'site'", "`key` names the column `site`"),
        ("properties = { 'acks' = '0' }", "must not set \"acks\""),
        ("properties = { 'no.such' = '0' }", "no.such"),
        ("sasl = { mechanism = 'scram', user = 'a', password = 'b' }", "scram"),
        ("partitionner = 1", "partitionner"),
    ] {
        let said = with(more);
        assert!(said.contains(what), "{more}: {said}");
    }
}

#[test]
fn a_message_that_the_broker_refuses_is_an_error_that_says_why() {
    let broker = shared();
    let from = topic(broker, "old", 1);
    let to = format!("{from}-refused");
    let mut command = Kafka::tool("org.apache.kafka.tools.TopicCommand");
    command.args(["--bootstrap-server", &broker.address(), "--create", "--topic", &to]);
    // Kafka refuses times too far from now.
    let output =
        command.args(["--config", "message.timestamp.before.max.ms=1000"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    send(broker, &from, &numbered(1, 0, 5), &[]);
    let job = Job::new(&means(&broker.address(), &from, &to, ""));
    let said = job.start().wait().failure();
    assert!(said.contains("timestamp = \"delivery\""), "{said}");
    assert_eq!(read(broker, &to), []);
}
