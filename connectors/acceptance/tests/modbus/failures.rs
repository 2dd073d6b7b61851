//! Devices that are gone, silent or busy; kills, and faults between tidemill and them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tidemill_acceptance::chance::{Chance, kills};
use tidemill_acceptance::proxy::{Direction, Fault, Proxy};
use tidemill_acceptance::{Job, Modbus};

use crate::common::{count, first_rows, pipeline, plain, rows, until, value};

const REGISTER: &[&str] = &["name = 'v'\naddress = 0"];

#[test]
fn a_device_that_vanishes_is_asked_again_until_it_returns() {
    let (mut server, other) = (Modbus::start(&plain()), Modbus::start(&plain()));
    let devices = [("gone", &*server.address(), ""), ("there", &*other.address(), "")];
    let job = Job::new(&pipeline("every = '50ms'\ntimeout = '5s'", &devices, &["name = 'v'\naddress = 0"]));
    let run = job.start();
    until("both are read", &run, || count(&job, "gone") > 0 && count(&job, "there") > 0);
    server.kill();
    let (before, others) = (count(&job, "gone"), count(&job, "there"));
    until("the other one is still read", &run, || count(&job, "there") > others + 20);
    assert!(count(&job, "gone") <= before + 1, "what was on its way");
    server.start();
    until("it is read again", &run, || count(&job, "gone") > before + 2);
    let said = run.stop().success();
    assert!(
        said.contains("gone: ")
            && said.contains("polls were missed")
            && said.contains("no connection: connection refused"),
        "{said}"
    );
}

#[test]
fn a_device_that_says_nothing_is_given_up_and_its_late_answers_are_not_taken() {
    let server = Modbus::start(&plain());
    let port = server.address().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let proxy = Proxy::start(port);
    let job = Job::new(&pipeline(
        "every = '50ms'\ntimeout = '1s'",
        &[("press", &proxy.address(), "")],
        &["name = 'v'\naddress = 0"],
    ));
    let run = job.start();
    until("it is read", &run, || count(&job, "press") > 0);
    proxy.set_one(Direction::Down, Fault::BlackHole);
    let connections = proxy.connections();
    until("it is connected to again", &run, || proxy.connections() > connections + 1);
    let before = count(&job, "press");
    proxy.set(Fault::None);
    until("it is read again", &run, || count(&job, "press") > before + 2);
    let said = run.stop().success();
    assert!(said.contains("no answer within 1 s"), "{said}");
    assert!(rows(&job).iter().all(|row| row["v"] == "7"));
}

#[test]
fn a_unit_that_is_busy_does_not_hold_up_the_others() {
    for (code, words) in
        [(6, "the device is busy"), (11, "the unit does not answer the gateway"), (4, "device failure")]
    {
        let mut units = plain();
        units
            .as_array_mut()
            .expect("units")
            .push(json!({ "unit": 2, "exception": code, "values": [value("holding", 0, "u16", json!(1))] }));
        let server = Modbus::start(&units);
        let address = server.address();
        let devices = [("good", address.as_str(), ""), ("bad", address.as_str(), "unit = 2")];
        let (rows, said) = first_rows(&pipeline("every = '20ms'", &devices, &["name = 'v'\naddress = 0"]), 5);
        assert!(rows.iter().all(|row| row["sensor"] == "good" && row["v"] == "7"), "{rows:?}");
        assert!(said.contains("bad: ") && said.contains(words), "{said}");
    }
}

#[test]
fn units_that_are_silent_do_not_hold_up_one_that_answers() {
    let mut all = plain();
    let silent = (2..30).map(
        |unit| json!({ "unit": unit, "silent": true, "values": [value("holding", 0, "u16", json!(1))] }),
    );
    all.as_array_mut().expect("units").extend(silent);
    let server = Modbus::start(&all);
    let address = server.address();
    let names: Vec<String> = (2..30).map(|unit| format!("silent{unit}")).collect();
    let units: Vec<String> = (2..30).map(|unit| format!("unit = {unit}\ntimeout = '250ms'")).collect();
    let silent =
        names.iter().zip(&units).map(|(name, unit)| (name.as_str(), address.as_str(), unit.as_str()));
    let devices: Vec<_> = silent.chain([("live", address.as_str(), "timeout = '30s'")]).collect();
    let job = Job::new(&pipeline("every = '50ms'", &devices, REGISTER));
    let run = job.start();
    until("it is read", &run, || count(&job, "live") > 0);
    // All that are silent have been asked. It is asked again behind one of them, not behind all.
    let begun = std::time::Instant::now();
    until("it is read again", &run, || count(&job, "live") >= 11);
    let took = begun.elapsed();
    let said = run.stop().success();
    println!("ten polls took {took:?}");
    assert!(took < Duration::from_secs(28), "ten polls, each behind 28 units, would take 70 s: {took:?}");
    assert!(said.contains("silent2: ") && said.contains("no answer within 0.25 s"), "{said}");
    // It misses polls, since its answers take longer than the interval.
    assert!(!said.lines().any(|line| line.contains("live: ") && line.contains("failed")), "{said}");
}

#[test]
fn kills_and_restarts_repeat_no_poll() {
    let (kills, mut chance) = (kills(5), Chance::new("modbus"));
    let mut server = Modbus::start(&plain());
    let job =
        Job::new(&pipeline("every = '20ms'\ntimeout = '2s'", &[("press", &server.address(), "")], REGISTER));
    let mut run = job.start();
    for round in 0..2 * kills {
        let before = count(&job, "press");
        until("it is read", &run, || count(&job, "press") > before + 5);
        std::thread::sleep(chance.pause(0, 200));
        if round % 2 == 0 {
            run.kill();
            run = job.start();
        } else {
            server.restart();
        }
    }
    let before = count(&job, "press");
    until("it is read at last", &run, || count(&job, "press") > before + 5);
    let said = run.stop().success();
    assert!(said.contains("press: ") && said.contains("polls were missed"), "{said}");
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let rows = rows(&job);
    let times: BTreeSet<_> = rows.iter().map(|row| row["time"].clone()).collect();
    println!("{kills} kills and restarts, {} rows", rows.len());
    assert!(times.len() == rows.len() && rows.iter().all(|row| row["v"] == "7"), "{rows:?}");
}

#[test]
fn devices_are_read_again_after_faults() {
    let server = Modbus::start(&plain());
    let short = Duration::from_millis(500);
    for (fault, lasts) in [
        (Fault::Latency(Duration::from_millis(20)), short),
        (Fault::Slice(3), short),
        (Fault::Reset, short),
        (Fault::BlackHole, 3 * short),
        (Fault::HalfOpen, 3 * short),
        (Fault::Corrupt(7), short),
        (Fault::Corrupt(1), short),
    ] {
        let proxy = Proxy::start(server.port());
        let job = Job::new(&pipeline(
            "every = '20ms'\ntimeout = '500ms'",
            &[("press", &proxy.address(), "")],
            REGISTER,
        ));
        let run = job.start();
        until("it is read", &run, || count(&job, "press") > 2);
        proxy.set(fault);
        std::thread::sleep(lasts);
        proxy.set(Fault::None);
        let before = count(&job, "press");
        until("it is read again", &run, || count(&job, "press") > before + 5);
        run.stop().success();
        let rows = rows(&job);
        // The protocol has no checksum: a value that was garbled on the way is not noticed.
        let is_right = |row: &std::collections::BTreeMap<String, String>| row["v"] == "7";
        let is_garbled = matches!(fault, Fault::Corrupt(_));
        assert!(is_garbled || rows.iter().all(is_right), "{fault:?}: {rows:?}");
        assert!(rows.iter().rev().take(2).all(is_right), "{fault:?}: {rows:?}");
    }
}
