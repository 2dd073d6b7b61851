//! Kills, restarts, and faults between tidemill and the server.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tidemill_acceptance::chance::{Chance, kills};
use tidemill_acceptance::proxy::{Direction, Fault, Proxy};
use tidemill_acceptance::{Job, OpcUa};

use crate::common::{BEGIN, good, pipeline, records, start, through, until, wait_for};

#[test]
fn a_server_that_restarts_is_subscribed_to_again() {
    let mut server = OpcUa::start();
    let job =
        Job::new(&pipeline(&server.url(), "nodes = ['Objects/Plant/Line1/Temperature']\ntimeout = '2s'"));
    let mut run = start(&job);
    until(&job, &mut run, |records| records.len() == 1);
    server.restart();
    // It is the first value of the new subscription, or one behind that.
    server.write([good("Line1.Temperature", 77.5, BEGIN)]);
    until(&job, &mut run, |records| records.iter().any(|record| record["value"].as_f64() == Some(77.5)));
    let said = run.stop().success();
    assert!(said.contains("the connection to the server was lost 1 times"), "{said}");
}

/// The node that these tests write to: whole numbers that grow. Its first value is no whole number.
const NODE: &str = "nodes = ['ns=2;s=Line1.Temperature']\ntimeout = '2s'";

/// The whole numbers among the values.
fn numbers(records: &[Value]) -> Vec<i64> {
    let values = records.iter().filter_map(|record| record["value"].as_f64());
    values.filter(|value| value.fract() == 0.0).map(|value| value as i64).collect()
}

fn write(server: &OpcUa, numbers: std::ops::Range<i64>) {
    server.write(numbers.map(|number| good("Line1.Temperature", number as f64, BEGIN + number)));
}

#[test]
fn kills_and_restarts_repeat_nothing_but_the_newest_value() {
    let (kills, mut chance) = (kills(5), Chance::new("opcua"));
    let mut server = OpcUa::start();
    let job = Job::new(&pipeline(&server.url(), NODE));
    let mut run = job.start();
    let mut next = 0;
    for round in 0..2 * kills {
        write(&server, next..next + 10);
        next += 10;
        until(&job, &mut run, |records| numbers(records).last() == Some(&(next - 1)));
        std::thread::sleep(chance.pause(0, 200));
        if round % 2 == 0 {
            run.kill();
            run = job.start();
        } else {
            server.restart();
        }
    }
    write(&server, next..next + 1);
    until(&job, &mut run, |records| numbers(records).last() == Some(&next));
    let said = run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let found = numbers(&records(&job));
    assert!(found.is_sorted() && found.last() == Some(&next), "{found:?}");
    let repeats = found.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    println!("{kills} kills and restarts, {repeats} repeats, {} of {next} values", found.len());
    assert!(repeats <= 2 * kills, "{found:?}");
    assert!(said.contains("was lost"), "{said}");
}

#[test]
fn values_come_again_after_faults() {
    let server = OpcUa::start();
    let (short, long) = (Duration::from_millis(500), Duration::from_secs(4));
    let faults = [
        (Fault::Latency(Duration::from_millis(20)), short),
        (Fault::Slice(7), short),
        (Fault::Reset, short),
        (Fault::BlackHole, long),
        (Fault::HalfOpen, long),
    ];
    for (round, (fault, lasts)) in (0..).zip(faults) {
        let proxy = Proxy::start(server.port());
        let job = Job::new(&pipeline(&through(&proxy), NODE));
        let mut run = start(&job);
        let first = 100 * round;
        write(&server, first..first + 10);
        until(&job, &mut run, |records| numbers(records).last() == Some(&(first + 9)));
        proxy.set(fault);
        write(&server, first + 10..first + 20);
        std::thread::sleep(lasts);
        proxy.set(Fault::None);
        write(&server, first + 20..first + 30);
        until(&job, &mut run, |records| numbers(records).last() == Some(&(first + 29)));
        run.stop().success();
        assert!(numbers(&records(&job)).is_sorted(), "{fault:?}");
    }
}

#[test]
fn what_is_garbled_on_the_way_is_no_crash() {
    let server = OpcUa::start();
    let proxy = Proxy::start(server.port());
    for (round, every) in (0..).zip([3, 11, 47, 101]) {
        proxy.set(Fault::None);
        let job = Job::new(&pipeline(&through(&proxy), NODE));
        let mut run = start(&job);
        let first = 100 * round;
        write(&server, first..first + 1);
        until(&job, &mut run, |records| numbers(records).last() == Some(&first));
        proxy.set_one(Direction::Down, Fault::Corrupt(every));
        write(&server, first + 1..first + 20);
        std::thread::sleep(Duration::from_secs(1));
        proxy.set(Fault::None);
        write(&server, first + 20..first + 30);
        // A garbled answer may be a refusal, which ends the run.
        let has_come = || numbers(&records(&job)).last() == Some(&(first + 29));
        let begun = std::time::Instant::now();
        while run.is_running() && !has_come() {
            assert!(begun.elapsed() < crate::common::LIMIT, "{}", run.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        match run.is_running() {
            true => drop(run.stop().success()),
            false => println!("{every}: {}", run.wait().failure()),
        }
    }
}

#[test]
fn the_server_keeps_no_session_of_an_attempt_that_has_failed() {
    let server = OpcUa::start();
    let proxy = Proxy::start(server.port());
    let job = Job::new(&pipeline(&through(&proxy), NODE));
    let mut run = start(&job);
    until(&job, &mut run, |records| records.len() == 1);
    assert_eq!(server.sessions().now, 1);
    server.refuse(true);
    proxy.disconnect();
    wait_for("ten attempts", &mut run, || server.sessions().made >= 10);
    // One of an attempt, and one that is being closed.
    assert!(server.sessions().now <= 2, "{:?}", server.sessions());
    server.refuse(false);
    write(&server, 1..2);
    until(&job, &mut run, |records| numbers(records).last() == Some(&1));
    // Connections that are lost leave none behind either.
    for number in 2..7 {
        proxy.disconnect();
        write(&server, number..number + 1);
        until(&job, &mut run, |records| numbers(records).last() == Some(&number));
    }
    wait_for("one session", &mut run, || server.sessions().now == 1);
    run.stop().success();
    assert_eq!(server.sessions().now, 0);
}

#[test]
fn a_first_attempt_that_fails_leaves_no_session_behind() {
    let server = OpcUa::start();
    server.refuse(true);
    let job = Job::new(&pipeline(&server.url(), NODE));
    let said = start(&job).wait().failure();
    assert!(said.contains("cannot subscribe to ns=2;s=Line1.Temperature"), "{said}");
    assert_eq!((server.sessions().now, server.sessions().made), (0, 1));
}

#[test]
fn a_pipeline_may_stand_still() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let server = OpcUa::start();
    let proxy = Proxy::start(server.port());
    // Nothing but signs of life is sent.
    let options = "nodes = ['ns=2;s=Line1.Temperature']\ntimeout = '3s'\npublishing_interval = '1h'";
    let job = Job::new(&pipeline(&through(&proxy), options));
    let mut run = start(&job);
    wait_for("a session", &mut run, || server.sessions().now == 1);
    // Keys are valid for so long that a pipeline may stand still for five minutes just before they are renewed, after 15 minutes.
    assert_eq!(server.sessions().lifetimes, [1_200_000]);
    std::thread::sleep(TIMEOUT);
    let (connections, sent) = (proxy.connections(), proxy.bytes(Direction::Up));
    proxy.set_one(Direction::Down, Fault::HalfOpen);
    wait_for("a sign of life", &mut run, || proxy.bytes(Direction::Up) > sent);
    // Its answer comes, and nobody takes it before it is too late.
    run.signal(Signal::STOP);
    proxy.set(Fault::None);
    std::thread::sleep(2 * TIMEOUT);
    run.signal(Signal::CONT);
    let sent = proxy.bytes(Direction::Up);
    wait_for("the next sign of life", &mut run, || proxy.bytes(Direction::Up) > sent);
    assert_eq!(proxy.connections(), connections);
    let said = run.stop().success();
    assert!(!said.contains("lost"), "{said}");
}
