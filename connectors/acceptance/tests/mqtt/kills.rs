//! tidemill and the broker are killed, and the connection between them fails: no message is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tidemill_acceptance::chance::{Chance, kills};
use tidemill_acceptance::proxy::{Fault, Proxy};
use tidemill_acceptance::{Job, Mosquitto};

use crate::broker::{LIMIT, client, echo, keep, numbers, publish, publish_lines, stop, to_files};

#[test]
fn kills_of_the_run_and_of_the_broker_lose_nothing() {
    const MESSAGES: usize = 3000;
    let (kills, mut chance) = (kills(5), Chance::new("mqtt"));
    let mut mosquitto = Mosquitto::start();
    keep(&mosquitto, "in", "plant/#");
    let lines: String = (0..MESSAGES).map(|at| format!("{at}\n")).collect();
    publish_lines(&mosquitto, 1, "plant/t1", &lines);
    let job = to_files(&mosquitto, "", "1KiB");
    let numbers = || numbers(&job);
    let (mut run, mut killed) = (job.start(), 0);
    let begun = Instant::now();
    while killed < kills || numbers().len() < MESSAGES {
        assert!(begun.elapsed() < LIMIT * 3, "{} of {MESSAGES}", numbers().len());
        std::thread::sleep(chance.pause(0, 400));
        if killed < kills {
            killed += 1;
            run.kill();
            run = job.start();
            std::thread::sleep(chance.pause(0, 400));
            // A run that meets no broker when it begins ends.
            mosquitto.restart();
            if !run.is_running() {
                run = job.start();
            }
        } else if !run.is_running() {
            run = job.start();
        }
    }
    stop(run);
    let repeats: u64 = numbers().values().map(|count| count - 1).sum();
    println!("{killed} kills, {repeats} repeats");
    assert!(numbers().into_keys().eq(0..MESSAGES), "each number at least once");
}

/// Adds the numbers that are kept for the client `id` to `numbers`, until all of these are there.
fn collect(mosquitto: &Mosquitto, id: &str, topic: &str, numbers: &mut BTreeSet<usize>, all: usize) {
    let begun = Instant::now();
    while numbers.len() < all {
        assert!(begun.elapsed() < LIMIT, "{} of {all}", numbers.len());
        let arguments = ["-V", "5", "-x", "3600", "-i", id, "-c", "-q", "1", "-t", topic, "-W", "1"];
        let output = client("mosquitto_sub", mosquitto, &arguments).output().expect("it runs");
        numbers.extend(
            String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse::<usize>().ok()),
        );
    }
}

#[test]
fn faults_between_the_run_and_the_broker_lose_nothing() {
    let long = Duration::from_secs(3);
    for (fault, lasts) in [
        (Fault::Latency(Duration::from_millis(20)), Duration::from_millis(500)),
        (Fault::Slice(7), Duration::from_millis(500)),
        (Fault::Reset, Duration::from_millis(500)),
        (Fault::BlackHole, long),
        (Fault::HalfOpen, long),
    ] {
        let mosquitto = Mosquitto::start();
        let proxy = Proxy::start(mosquitto.port());
        keep(&mosquitto, "in", "plant/+");
        keep(&mosquitto, "out", "out");
        publish(&mosquitto, "plant/t1", "0");
        let both = "keep_alive = '1s'\nconnect_timeout = '1s'\npayload = 'number'";
        let pipeline = echo(
            &mosquitto,
            &format!("topic = 'plant/{{sensor}}'\n{both}"),
            &format!("topic = 'out'\n{both}"),
        );
        let job = Job::new(&pipeline.replace(&mosquitto.address(), &proxy.address()));
        let run = job.start();
        let mut numbers = BTreeSet::new();
        collect(&mosquitto, "out", "out", &mut numbers, 1);
        proxy.set(fault);
        let lines: String = (1..300).map(|at| format!("{at}\n")).collect();
        publish_lines(&mosquitto, 1, "plant/t1", &lines);
        std::thread::sleep(lasts);
        proxy.set(Fault::None);
        collect(&mosquitto, "out", "out", &mut numbers, 300);
        let said = run.stop().success();
        let is_lost = said.contains("was lost");
        let expected = !matches!(fault, Fault::Latency(_) | Fault::Slice(_));
        assert_eq!(is_lost, expected, "{fault:?}: {said}");
    }
}
