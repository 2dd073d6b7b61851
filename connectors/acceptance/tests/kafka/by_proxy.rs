//! Connections that misbehave: every record is there once.

use std::time::Duration;

use tidemill_acceptance::server::KafkaOptions;
use tidemill_acceptance::{Direction, Fault, Job, Kafka};

use crate::broker::{check_means, means, numbered, send, topic, wait_for};

const SENSORS: usize = 10;

/// Requests that are not answered fail after seconds, not after a minute.
const SHORT: &str = "properties = { 'socket.timeout.ms' = '3000' }";

fn broker() -> Kafka {
    Kafka::start_with(&KafkaOptions { proxy: true, ..KafkaOptions::default() })
}

/// Reads and writes through the proxy.
fn job(broker: &Kafka, from: &str, to: &str) -> Job {
    let source = format!("partitions = 'all'\n{SHORT}");
    Job::new(&(means(&broker.proxied_address(), from, to, &source) + SHORT + "\n"))
}

#[test]
fn slow_connections_lose_and_repeat_nothing() {
    let broker = broker();
    let (from, to) = (topic(&broker, "in", 3), topic(&broker, "out", 2));
    let job = job(&broker, &from, &to);
    let run = job.start();
    let faults = [Fault::Latency(Duration::from_millis(200)), Fault::Throttle(100_000), Fault::Slice(100)];
    for (round, fault) in (0..).zip(faults) {
        broker.proxy().set(fault);
        send(&broker, &from, &numbered(SENSORS, round * 100, round * 100 + 100), &[]);
        // While it lasts.
        wait_for(&broker, &to, SENSORS * (round as usize + 1) * 100, &[&run]);
    }
    let before = broker.proxy().bytes(Direction::Down);
    broker.proxy().set(Fault::None);
    run.stop().success();
    assert!(before > 0, "nothing went through the proxy");
    check_means(&crate::broker::read(&broker, &to), SENSORS, 300);
}

#[test]
fn connections_that_break_or_fall_silent_lose_and_repeat_nothing() {
    let broker = broker();
    let (from, to) = (topic(&broker, "in", 3), topic(&broker, "out", 2));
    let job = job(&broker, &from, &to);
    let run = job.start();
    let both = |fault| {
        broker.proxy().set(fault);
    };
    let faults = [
        (Direction::Up, Fault::Reset),
        (Direction::Up, Fault::HalfOpen),
        (Direction::Up, Fault::BlackHole),
        (Direction::Down, Fault::BlackHole),
    ];
    for (round, (direction, fault)) in (0..).zip(faults) {
        let (first, next) = (round * 100, round * 100 + 100);
        send(&broker, &from, &numbered(SENSORS, first, first + 50), &[]);
        broker.proxy().set_one(direction, fault);
        send(&broker, &from, &numbered(SENSORS, first + 50, next), &[]);
        std::thread::sleep(Duration::from_secs(5));
        both(Fault::None);
        wait_for(&broker, &to, SENSORS * next as usize, &[&run]);
        println!("{fault:?} {direction:?} is over");
    }
    run.stop().success();
    check_means(&crate::broker::read(&broker, &to), SENSORS, 400);
}

/// Kafka has checksums of messages: what is damaged on its way is fetched again.
#[test]
fn messages_that_are_damaged_on_their_way_are_read_as_they_were_sent() {
    const LAST: u64 = 2000;
    let broker = broker();
    let (from, to) = (topic(&broker, "in", 2), topic(&broker, "out", 1));
    let pipeline = means(&broker.proxied_address(), &from, &to, &format!("partitions = 'all'\n{SHORT}"));
    let (head, tail) = pipeline.rsplit_once(&broker.proxied_address()).expect("the address of the sink");
    // The sink goes straight: of its requests that are not messages, there is no checksum.
    let job = Job::new(&[head, &broker.address(), tail].concat());
    send(&broker, &from, &numbered(SENSORS, 0, 1), &[]);
    let run = job.start();
    wait_for(&broker, &to, SENSORS, &[&run]);
    // One bit in so many bytes, nearly all of which are of messages.
    broker.proxy().set_one(Direction::Down, Fault::Corrupt(150_001));
    send(&broker, &from, &numbered(SENSORS, 1, LAST), &[]);
    let messages = wait_for(&broker, &to, SENSORS * LAST as usize, &[&run]);
    broker.proxy().set(Fault::None);
    let passed = broker.proxy().bytes(Direction::Down);
    let said = run.stop().success();
    println!("{passed} bytes have passed: {said}");
    assert!(passed > 400_000, "{passed} bytes");
    check_means(&messages, SENSORS, LAST);
}
