//! tidemill and the broker are killed at any moments: every record is there once.

use std::time::Duration;

use tidemill_acceptance::{Job, Kafka};

use crate::broker::{check_means, means, numbered, read, send, topic, wait_for};

const SENSORS: usize = 20;

/// Random delays from a seed that is printed.
struct Delays(u64);

impl Delays {
    fn new(name: &str) -> Self {
        let given = variable("TIDEMILL_SEED").and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) * 7919);
        println!("{name}: TIDEMILL_SEED={seed}");
        Self(seed)
    }

    /// Up to so many milliseconds.
    fn next(&mut self, most: u64) -> Duration {
        // Numbers of Knuth's.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % most)
    }
}

#[expect(clippy::disallowed_methods, reason = "variables of tests")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn kills() -> u64 {
    variable("TIDEMILL_KILLS").and_then(|kills| kills.parse().ok()).unwrap_or(5)
}

#[test]
fn tidemill_killed_at_any_moment_loses_and_repeats_nothing() {
    let broker = Kafka::start();
    let mut delays = Delays::new("tidemill killed");
    let (from, to) = (topic(&broker, "in", 8), topic(&broker, "out", 4));
    let job = Job::new(&means(&broker.address(), &from, &to, ""));
    let kills = kills();
    for kill in 0..kills {
        let run = job.start();
        std::thread::sleep(Duration::from_millis(100) + delays.next(400));
        send(&broker, &from, &numbered(SENSORS, kill * 500, kill * 500 + 500), &[]);
        std::thread::sleep(delays.next(400));
        drop(run.kill());
    }
    let run = job.start();
    let all = kills * 500;
    let messages = wait_for(&broker, &to, SENSORS * all as usize, &[&run]);
    run.stop().success();
    check_means(&messages, SENSORS, all);
}

#[test]
fn a_broker_killed_at_any_moment_makes_the_run_wait_and_no_record_is_lost_or_repeated() {
    let mut broker = Kafka::start();
    let mut delays = Delays::new("broker killed");
    let (from, to) = (topic(&broker, "in", 4), topic(&broker, "out", 2));
    let job = Job::new(&means(&broker.address(), &from, &to, ""));
    let run = job.start();
    let kills = kills();
    for kill in 0..kills {
        send(&broker, &from, &numbered(SENSORS, kill * 500, kill * 500 + 500), &[]);
        std::thread::sleep(delays.next(600));
        broker.restart();
    }
    let all = kills * 500;
    let messages = wait_for(&broker, &to, SENSORS * all as usize, &[&run]);
    run.stop().success();
    check_means(&messages, SENSORS, all);
    assert_eq!(read(&broker, &to).len(), SENSORS * all as usize);
}

#[test]
fn a_run_that_starts_while_the_broker_of_the_sink_is_down_delivers_when_it_is_up() {
    let (source, mut sink) = (Kafka::start(), Kafka::start());
    let (from, to) = (topic(&source, "in", 1), topic(&sink, "out", 1));
    sink.kill();
    let pipeline = means(&source.address(), &from, &to, "");
    let (head, tail) = pipeline.rsplit_once(&source.address()).expect("the address of the sink");
    let job = Job::new(&[head, &sink.address(), tail].concat());
    send(&source, &from, &numbered(2, 0, 100), &[]);
    let run = job.start();
    run.wait_for("retrying until delivery succeeds");
    sink.start();
    let messages = wait_for(&sink, &to, 200, &[&run]);
    run.stop().success();
    check_means(&messages, 2, 100);
}
