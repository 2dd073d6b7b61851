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
    let few = kills.min(2);
    for (version, qos, kills) in [("5", 1, kills), ("5", 2, few), ("3.1.1", 1, few), ("3.1.1", 2, few)] {
        let mut mosquitto = Mosquitto::start();
        keep(&mosquitto, "in", "plant/#");
        let lines: String = (0..MESSAGES).map(|at| format!("{at}\n")).collect();
        publish_lines(&mosquitto, qos, "plant/t1", &lines);
        let job = to_files(&mosquitto, &format!("version = '{version}'\nqos = {qos}"), "1KiB");
        let numbers = || numbers(&job);
        let (mut run, mut killed) = (job.start(), 0);
        let begun = Instant::now();
        while killed < kills || numbers().len() < MESSAGES {
            let found = numbers().len();
            assert!(begun.elapsed() < LIMIT * 3, "{version} {qos}: {found} of {MESSAGES}: {}", run.said());
            std::thread::sleep(chance.pause(0, 400));
            if killed < kills {
                killed += 1;
                run.kill();
                run = job.start();
                std::thread::sleep(chance.pause(0, 400));
                // A run that meets no broker when it begins ends.
                mosquitto.restart();
            }
            if !run.is_running() {
                run = job.start();
            }
        }
        stop(run);
        let repeats: u64 = numbers().values().map(|count| count - 1).sum();
        println!("{version} {qos}: {killed} kills, {repeats} repeats");
        assert!(numbers().into_keys().eq(0..MESSAGES), "{version} {qos}: each number at least once");
    }
}

#[test]
fn kills_repeat_nothing_that_is_sent_once() {
    let mut chance = Chance::new("mqtt: qos 0");
    for version in ["5", "3.1.1"] {
        let mosquitto = Mosquitto::start();
        let job = to_files(&mosquitto, &format!("version = '{version}'\nqos = 0"), "1KiB");
        let mut run = job.start();
        let (mut sent, mut killed, mut before) = (0, 0, 0);
        let begun = Instant::now();
        // Until some have arrived that were sent behind the last kill.
        while killed < 3 || numbers(&job).keys().all(|number| *number < before) {
            assert!(begun.elapsed() < LIMIT, "{version}: {sent} sent, {}", run.said());
            let lines: String = (sent..sent + 200).map(|at| format!("{at}\n")).collect();
            publish_lines(&mosquitto, 0, "plant/t1", &lines);
            sent += 200;
            std::thread::sleep(chance.pause(0, 300));
            if killed < 3 {
                (killed, before) = (killed + 1, sent);
                run.kill();
                run = job.start();
            }
            assert!(run.is_running(), "{version}: {}", run.said());
        }
        run.stop().success();
        let numbers = numbers(&job);
        println!("{version}: {} of {sent}", numbers.len());
        assert!(numbers.values().all(|count| *count == 1), "{version}: at most once");
    }
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
    let mut chance = Chance::new("mqtt: faults");
    for (fault, lasts) in [
        (Fault::Throttle(5_000 + chance.below(100_000) as u32), Duration::from_millis(500)),
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
        let expected = matches!(fault, Fault::Reset | Fault::BlackHole | Fault::HalfOpen);
        assert_eq!(is_lost, expected, "{fault:?}: {said}");
    }
}

/// Nothing in the protocol tells wrong bytes from right ones: TLS does. So it does not matter what is read.
#[test]
fn wrong_bytes_end_the_run_or_the_connection() {
    let mut chance = Chance::new("mqtt: corrupt");
    for version in ["5", "3.1.1"] {
        let every = 20 + chance.below(2_000);
        let mosquitto = Mosquitto::start();
        let proxy = Proxy::start(mosquitto.port());
        keep(&mosquitto, "in", "plant/+");
        keep(&mosquitto, "out", "out");
        publish(&mosquitto, "plant/t1", "0");
        let options = format!("version = '{version}'\nkeep_alive = '1s'\npayload = 'number'");
        let pipeline = echo(
            &mosquitto,
            &format!("topic = 'plant/{{sensor}}'\n{options}"),
            &format!("topic = 'out'\n{options}"),
        );
        let job = Job::new(&pipeline.replace(&mosquitto.address(), &proxy.address()));
        let mut run = job.start();
        collect(&mosquitto, "out", "out", &mut BTreeSet::new(), 1);
        proxy.set(Fault::Corrupt(every));
        let lines: String = (1..300).map(|at| format!("{at}\n")).collect();
        publish_lines(&mosquitto, 1, "plant/t1", &lines);
        std::thread::sleep(Duration::from_secs(1));
        proxy.set(Fault::None);
        if run.is_running() {
            run.interrupt();
        }
        let ended = run.wait();
        let code = ended.status.code();
        assert!(code.is_some_and(|code| code != 101), "{version} {every}: {}: {}", ended.status, ended.said);
    }
}
