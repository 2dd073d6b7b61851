//! Payloads become records, and records payloads.

use std::collections::BTreeSet;

use tidemill_acceptance::{Job, Mosquitto};

use crate::broker::{client, echo, finish, keep, kept, publish, publish_lines, succeeds};

#[test]
fn numbers_come_and_go_with_both_versions_and_all_qualities() {
    let mosquitto = Mosquitto::start();
    for (version, qos) in [("5", 0), ("5", 1), ("5", 2), ("3.1.1", 1), ("3.1.1", 2)] {
        keep(&mosquitto, "out", "out/#");
        let source = format!(
            "version = '{version}'\nqos = {qos}\ntopic = 'plant/{{line}}/{{sensor}}/temp'\npayload = 'number'"
        );
        let sink = format!(
            "version = '{version}'\nqos = {qos}\ntopic = 'out/{{line}}/{{sensor}}'\npayload = 'number'"
        );
        let job = Job::new(&echo(&mosquitto, &source, &sink));
        // Retained, so that it does not matter which of the two is first.
        succeeds(client(
            "mosquitto_pub",
            &mosquitto,
            &["-q", "1", "-r", "-t", "plant/north/t1/temp", "-m", "20.5"],
        ));
        let run = if qos == 0 { job.start_with(&["--report", "report.json"]) } else { job.start() };
        assert_eq!(kept(&mosquitto, "out", "out/#", 1), ["out/north/t1 20.5"], "{version} {qos}");
        run.stop().success();
        assert_eq!(job.report()["report"]["source"]["output"], 1, "{version} {qos}");
        // The session of the source is of no other version.
        succeeds(client("mosquitto_sub", &mosquitto, &["-i", "in", "-t", "x", "-E"]));
    }
}

#[test]
fn payloads_of_all_kinds_become_records() {
    let mosquitto = Mosquitto::start();
    for (payload, options, message, expected) in [
        (
            "json",
            "time = 'at'\nsensor = 'unit.id'\nmeasurements = ['temp']\nfields = ['@topic', '@qos']",
            r#"{"at":"2026-01-01T00:00:00Z","unit":{"id":"t1"},"temp":20.5}"#,
            r#"{"at":"2026-01-01T00:00:00Z","unit.id":"t1","temp":20.5,"@topic":"plant/x","@qos":"1"}"#,
        ),
        (
            "csv",
            "names = ['at', 'id', 'temp']\ntime = 'at'\nsensor = 'id'\nmeasurements = ['temp']",
            "2026-01-01T00:00:00Z,t1,20.5",
            r#"{"at":"2026-01-01T00:00:00Z","id":"t1","temp":20.5}"#,
        ),
        (
            "influx",
            "sensor = 'id'\nmeasurements = ['temp']\ncolumns = []",
            "m,id=t1 temp=20.5 1767225600000000000",
            r#""id":"t1","temp":20.5"#,
        ),
        ("senml", "", r#"[{"bn":"t1","bt":1767225600,"u":"Cel","v":20.5}]"#, r#""sensor":"t1","value":20.5"#),
    ] {
        keep(&mosquitto, "in", "plant/x");
        keep(&mosquitto, "out", "out");
        publish(&mosquitto, "plant/x", message);
        let source = format!("topic = 'plant/x'\npayload = '{payload}'\n{options}");
        let job = Job::new(&echo(&mosquitto, &source, "topic = 'out'"));
        let run = job.start();
        let got = kept(&mosquitto, "out", "out", 1).concat();
        assert!(got.contains(expected), "{payload}: {got}");
        run.stop().success();
    }
}

#[test]
fn what_is_no_number_is_rejected_with_its_topic() {
    let mosquitto = Mosquitto::start();
    keep(&mosquitto, "in", "plant/+");
    keep(&mosquitto, "out", "out");
    for (topic, payload) in [("plant/t1", "warm"), ("plant/t2", ""), ("plant/t3", "1.5")] {
        publish(&mosquitto, topic, payload);
    }
    let pipeline =
        echo(&mosquitto, "topic = 'plant/{sensor}'\npayload = 'number'", "topic = 'out'\npayload = 'number'");
    let job = Job::new(&format!("{pipeline}[[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n"));
    let run = job.start();
    assert_eq!(kept(&mosquitto, "out", "out", 1), ["out 1.5"]);
    let said = run.stop().success();
    finish(&job);
    let rejects = job.read("rejects.jsonl");
    assert!(rejects.contains("warm") && rejects.contains("t1"), "{rejects}");
    assert_eq!(rejects.lines().count(), 1, "{rejects}");
    assert!(said.contains("1 messages without a payload"), "{said}");
}

#[test]
fn two_runs_of_a_group_share_the_messages() {
    let mosquitto = Mosquitto::start();
    keep(&mosquitto, "out", "out/#");
    let job = |id: &str| {
        let pipeline = echo(
            &mosquitto,
            "topic = 'plant/{sensor}'\nshare = 'g'\npayload = 'number'",
            &format!("topic = 'out/{id}'\npayload = 'number'"),
        );
        Job::new(&pipeline.replace("'in'", &format!("'{id}'")))
    };
    let jobs = [job("a"), job("b")];
    // Sessions of both.
    for id in ["a", "b"] {
        keep(&mosquitto, id, "$share/g/plant/+");
    }
    let lines: String = (0..100).map(|at| format!("{at}\n")).collect();
    publish_lines(&mosquitto, 1, "plant/t1", &lines);
    let runs = jobs.each_ref().map(Job::start);
    let got = kept(&mosquitto, "out", "out/#", 100);
    for run in runs {
        run.stop().success();
    }
    let numbers: BTreeSet<&str> =
        got.iter().filter_map(|line| line.split_once(' ')).map(|(_, number)| number).collect();
    assert_eq!(numbers.len(), 100);
    for id in ["out/a ", "out/b "] {
        assert!(got.iter().filter(|line| line.starts_with(id)).count() >= 20, "{got:?}");
    }
}
