//! Stops while the broker does not answer.

use std::time::{Duration, Instant};

use tidemill_acceptance::{Job, Kafka};

use crate::broker::{check_means, means, numbered, send, topic, wait_for};

/// A stop takes no longer. Without a broker, librdkafka itself waits for a minute.
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn a_run_whose_broker_has_halted_stops_soon_and_goes_on_later() {
    let broker = Kafka::start();
    for (round, partitions) in ["", "partitions = 'all'"].into_iter().enumerate() {
        let (from, to) = (topic(&broker, "in", 2), topic(&broker, "out", 1));
        let job = Job::new(&means(&broker.address(), &from, &to, partitions));
        send(&broker, &from, &numbered(5, 0, 50), &[]);
        let run = job.start();
        wait_for(&broker, &to, 250, &[&run]);
        // What it reads last is in no transaction yet.
        send(&broker, &from, &numbered(5, 50, 60), &[]);
        broker.halt();
        std::thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        let ended = run.stop();
        let took = begun.elapsed();
        broker.proceed();
        println!("round {round}: stopped after {took:.1?}: {}", ended.status);
        assert!(took < LONGEST, "it took {took:?}: {}", ended.said);
        let run = job.start();
        let messages = wait_for(&broker, &to, 300, &[&run]);
        run.stop().success();
        check_means(&messages, 5, 60);
    }
}
