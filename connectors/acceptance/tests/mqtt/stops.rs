//! Orderly stops, and what the broker has kept meanwhile.

use std::ops::Range;
use std::time::Instant;

use tidemill_acceptance::server::MosquittoOptions;
use tidemill_acceptance::{Job, Mosquitto, Run};

use crate::broker::{LIMIT, keep, numbers, publish_lines, to_files};

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

/// Stops a run in an orderly way. One that was still connecting says so, and has read nothing.
fn stop(run: Run) {
    // Before that, a signal kills it.
    run.wait_for("at least once");
    let ended = run.stop();
    assert!(ended.status.success() || ended.said.contains("stopped while connecting"), "{}", ended.said);
}

/// Runs until `all` numbers are in files, and stops.
fn run_until(job: &Job, all: usize) {
    let (mut run, begun) = (job.start(), Instant::now());
    loop {
        let looked = Instant::now();
        let found = numbers(job).len();
        if found >= all {
            break;
        }
        assert!(run.is_running() && begun.elapsed() < LIMIT * 2, "{found} of {all}: {}", run.said());
        // Looking takes longer the more there is.
        std::thread::sleep(looked.elapsed());
    }
    stop(run);
}

#[test]
fn a_run_that_is_stopped_and_resumed_sees_nothing_twice() {
    const PART: usize = 1000;
    const PARTS: usize = 6;
    for (version, qos) in [("5", 1), ("5", 2), ("3.1.1", 1), ("3.1.1", 2)] {
        let mosquitto =
            Mosquitto::start_with(&MosquittoOptions { in_flight: 0, ..MosquittoOptions::default() });
        keep(&mosquitto, "in", "plant/+");
        let job = to_files(&mosquitto, &format!("version = '{version}'\nqos = {qos}"), "16KiB");
        for part in 0..PARTS {
            let run = job.start();
            // The stop comes while messages are on their way.
            publish(&mosquitto, qos, part * PART..(part + 1) * PART);
            stop(run);
        }
        run_until(&job, PARTS * PART);
        let repeated: Vec<_> = numbers(&job).into_iter().filter(|(_, count)| *count > 1).collect();
        assert!(
            repeated.is_empty(),
            "{version} {qos}: {} are repeated, the first is {:?}",
            repeated.len(),
            repeated[0]
        );
    }
}

/// More than fits into the source before the broker has answered, and more than there are packet identifiers: mosquitto before 2.0.13 sends all of them at once.
#[test]
fn a_large_backlog_arrives() {
    const MESSAGES: usize = 150_000;
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
