//! Several processes read one topic.

use std::collections::BTreeMap;

use tidemill_acceptance::Job;

use crate::broker::{
    Seen, check_means, field, means, numbered, read, send, shared, topic, wait_for, wait_until,
};

/// Two processes, each with partitions and a state of its own, write what one would: also while one of them is dead, and after it has come back.
#[test]
fn two_processes_with_fixed_partitions_write_what_one_would_though_one_is_killed() {
    const SENSORS: usize = 1000;
    let broker = shared();
    let (from, to, alone) = (topic(broker, "in", 8), topic(broker, "shared", 8), topic(broker, "alone", 8));
    let part = |partitions: &str| {
        Job::new(&means(&broker.address(), &from, &to, &format!("partitions = '{partitions}'")))
    };
    let (low, high) = (part("0-3"), part("4-7"));
    send(broker, &from, &numbered(SENSORS, 0, 5), &[]);
    let (first, second) = (low.start(), high.start());
    wait_for(broker, &to, SENSORS, &[&first, &second]);
    drop(second.kill());
    send(broker, &from, &numbered(SENSORS, 5, 10), &[]);
    // The partitions of the one that lives go on.
    wait_until("the other process goes on", || {
        read(broker, &to).iter().any(|message| message.partition < 4 && field(message, "n") == 9.0)
    });
    let second = high.start();
    send(broker, &from, &numbered(SENSORS, 10, 15), &[]);
    wait_for(broker, &to, SENSORS * 15, &[&first, &second]);
    first.stop().success();
    second.stop().success();
    let one = Job::new(&means(&broker.address(), &from, &alone, ""));
    let run = one.start();
    wait_for(broker, &alone, SENSORS * 15, &[&run]);
    run.stop().success();
    let both = read(broker, &to);
    check_means(&both, SENSORS, 15);
    assert_eq!(by_sensor(&both), by_sensor(&read(broker, &alone)));
}

/// What a member had delivered and not committed when it was killed, another one may read again.
#[test]
fn members_of_a_group_are_promised_no_more_than_at_least_once() {
    let pipeline = means("127.0.0.1:9", "in", "out", "") + "delivery = 'exactly_once'\n";
    let said = Job::new(&pipeline).command(&["validate", "pipeline.toml"]).failure();
    assert!(said.contains("another process of the group") && said.contains("at least once"), "{said}");
    let pipeline = pipeline.replacen("group = ", "partitions = '0-3'\ngroup = ", 1);
    assert!(Job::new(&pipeline).command(&["validate", "pipeline.toml"]).status.success());
}

/// The values of each sensor, in order.
fn by_sensor(messages: &[Seen]) -> BTreeMap<&str, Vec<&str>> {
    let mut sensors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for message in messages {
        sensors.entry(message.key.as_deref().expect("a key")).or_default().push(&message.value);
    }
    sensors
}

/// A member comes and goes: what is in flight of its partitions is finished first, so that no record is lost or repeated.
#[test]
fn members_that_come_and_go_lose_and_repeat_nothing() {
    const SENSORS: usize = 40;
    let broker = shared();
    let (from, to) = (topic(broker, "moving", 8), topic(broker, "moved", 2));
    let pipeline = means(&broker.address(), &from, &to, "")
        .replace("[[stage]]\ntype = 'moving_average'\nwindow = 4\n", "");
    let (first, second) = (Job::new(&pipeline), Job::new(&pipeline));
    let stay = first.start();
    send(broker, &from, &numbered(SENSORS, 0, 100), &[]);
    for round in 0..3_u64 {
        let come = second.start();
        send(broker, &from, &numbered(SENSORS, 100 + round * 200, 200 + round * 200), &[]);
        wait_for(broker, &to, SENSORS * (200 + round as usize * 200), &[&stay, &come]);
        send(broker, &from, &numbered(SENSORS, 200 + round * 200, 300 + round * 200), &[]);
        come.stop().success();
        wait_for(broker, &to, SENSORS * (300 + round as usize * 200), &[&stay]);
    }
    stay.stop().success();
    // Two processes deliver on their own: what one has read of a sensor first may be written after what the other has read then.
    let mut all: Vec<(String, u64)> = read(broker, &to)
        .iter()
        .map(|message| {
            let n = field(message, "n").as_f64().expect("a number");
            (message.key.clone().expect("a key"), n as u64)
        })
        .collect();
    all.sort();
    let mut expected: Vec<(String, u64)> =
        (0..SENSORS).flat_map(|sensor| (0..700).map(move |n| (format!("s{sensor}"), n))).collect();
    expected.sort();
    assert!(all == expected, "{} records of {}", all.len(), expected.len());
}
