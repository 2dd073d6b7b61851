//! Orderly stops, and what the broker has kept meanwhile.

use std::ops::Range;
use std::time::{Duration, Instant};

use tidemill_acceptance::server::MosquittoOptions;
use tidemill_acceptance::{Job, Mosquitto};

use crate::broker::{LIMIT, keep, numbers, publish_lines, stop, to_files};

/// Publishes these numbers.
fn publish(mosquitto: &Mosquitto, qos: u8, numbers: Range<usize>) {
    // mosquitto_pub takes the acknowledgement of an earlier message for that of the last one if there are more than 65,535.
    for from in numbers.clone().step_by(50_000) {
        let lines = from..numbers.end.min(from + 50_000);
        publish_lines(
            mosquitto,
            qos,
            "plant/t1",
            &lines.map(|number| format!("{number}\n")).collect::<String>(),
        );
    }
}

/// A stop that takes longer may have given the broker up.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs until `all` numbers are in files, and stops.
fn run_until(job: &Job, all: usize) {
    let (mut run, mut most, mut since) = (job.start(), 0, Instant::now());
    loop {
        let looked = Instant::now();
        let found = numbers(job).len();
        if found >= all {
            break;
        }
        if found > most {
            (most, since) = (found, Instant::now());
        }
        assert!(run.is_running() && since.elapsed() < LIMIT, "{found} of {all}: {}", run.said());
        // Looking takes longer the more there is.
        std::thread::sleep(3 * looked.elapsed());
    }
    stop(run);
}

#[test]
fn a_run_that_is_stopped_and_resumed_sees_nothing_twice() {
    const PART: usize = 500;
    const PARTS: usize = 6;
    for (version, qos) in [("5", 1), ("5", 2), ("3.1.1", 1), ("3.1.1", 2)] {
        let mosquitto =
            Mosquitto::start_with(&MosquittoOptions { in_flight: 0, ..MosquittoOptions::default() });
        keep(&mosquitto, "in", "plant/+");
        let job = to_files(&mosquitto, &format!("version = '{version}'\nqos = {qos}"), "16KiB");
        let mut is_in_time = true;
        for part in 0..PARTS {
            let run = job.start();
            // The stop comes while messages are on their way.
            publish(&mosquitto, qos, part * PART..(part + 1) * PART);
            let stopped = Instant::now();
            stop(run);
            is_in_time &= stopped.elapsed() < FAREWELL;
        }
        run_until(&job, PARTS * PART);
        let repeated: Vec<_> = numbers(&job).into_iter().filter(|(_, count)| *count > 1).collect();
        assert!(
            repeated.is_empty() || !is_in_time,
            "{version} {qos}: {} are repeated, the first is {:?}",
            repeated.len(),
            repeated[0]
        );
    }
}

#[test]
fn a_broker_that_hangs_does_not_keep_a_run_from_stopping() {
    for version in ["5", "3.1.1"] {
        let mosquitto = Mosquitto::start();
        keep(&mosquitto, "in", "plant/+");
        publish(&mosquitto, 1, 0..50);
        let job = to_files(&mosquitto, &format!("version = '{version}'"), "16KiB");
        let (run, begun) = (job.start(), Instant::now());
        while numbers(&job).len() < 50 {
            assert!(begun.elapsed() < LIMIT, "{version}: {}", run.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        mosquitto.halt();
        run.stop().success();
        mosquitto.proceed();
        publish(&mosquitto, 1, 50..100);
        run_until(&job, 100);
    }
}

/// More than fits into the source before the broker has answered, and more than there are packet identifiers: mosquitto before 2.0.13 sends all of them at once.
#[test]
fn a_large_backlog_arrives() {
    const MESSAGES: usize = 120_000;
    for version in ["5", "3.1.1"] {
        let mosquitto =
            Mosquitto::start_with(&MosquittoOptions { in_flight: 0, ..MosquittoOptions::default() });
        keep(&mosquitto, "in", "plant/+");
        publish(&mosquitto, 1, 0..MESSAGES);
        let job = to_files(&mosquitto, &format!("version = '{version}'"), "16KiB");
        run_until(&job, MESSAGES);
        assert!(numbers(&job).into_keys().eq(0..MESSAGES), "{version}");
    }
}
