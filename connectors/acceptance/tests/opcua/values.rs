//! Values as they come.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tidemill_acceptance::server::{OpcUaOptions, Written};
use tidemill_acceptance::{Job, OpcUa};

use crate::common::{BEGIN, doctor, good, pipeline, records, start, until};

#[test]
fn a_thousand_values_come_with_status_time_and_unit() {
    let server = OpcUa::start();
    let options =
        "nodes = ['Objects/Plant/{line}/Temperature']\nqueue_size = 1000\nfields = ['@status', '@low']";
    let job = Job::new(&pipeline(&server.url(), options));
    let mut run = start(&job);
    // The server sends what there is first.
    until(&job, &mut run, |records| records.len() == 2);
    let values = (0..1000_i64).map(|at| Written {
        node: if at % 2 == 0 { "Line1.Temperature" } else { "Line2.Temperature" },
        value: json!(at as f64 / 4.0),
        status: if at % 5 == 4 { "UncertainSensorNotAccurate" } else { "Good" },
        micros: BEGIN + 1000 * at + 7,
    });
    server.write(values);
    until(&job, &mut run, |records| records.len() == 1002);
    run.stop().success();
    assert_eq!(job.report()["report"]["source"]["output"], 1002);
    for (at, line) in [(0, "Line1"), (1, "Line2")] {
        let own: Vec<_> = records(&job).into_iter().filter(|record| record["line"] == line).collect();
        for (step, record) in own.iter().skip(1).enumerate() {
            let place = 2 * step as i64 + at;
            let status = if place % 5 == 4 { "UncertainSensorNotAccurate" } else { "Good" };
            let quality = if place % 5 == 4 { "Uncertain" } else { "Good" };
            let expected = json!({
                "time": format!("2026-01-01T00:00:{:02}.{:03}007Z", place / 1000, place % 1000),
                "sensor": format!("Plant/{line}/Temperature"), "value": place as f64 / 4.0, "text": null,
                "unit": "°C", "quality": quality, "line": line, "@status": status, "@low": "-40",
            });
            for (key, value) in expected.as_object().expect("an object") {
                let is_same = match value.as_f64() {
                    Some(number) => record[key].as_f64() == Some(number),
                    None => record[key] == *value,
                };
                assert!(is_same, "{key}: {record} is not {expected}");
            }
        }
        assert_eq!(own.len(), 501);
    }
}

#[test]
fn paths_find_variables_of_every_kind_and_what_is_no_single_value_is_rejected() {
    let server = OpcUa::start();
    let rejects = "[[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n";
    let job = Job::new(&(pipeline(&server.url(), "nodes = ['Objects/**']\nfields = ['@node']") + rejects));
    let mut run = start(&job);
    let records = until(&job, &mut run, |records| records.len() >= 8);
    run.stop().success();
    let by_sensor: BTreeMap<_, _> =
        records.iter().map(|record| (record["sensor"].as_str().expect("a name"), record)).collect();
    assert_eq!(by_sensor.len(), 8, "{by_sensor:?}");
    assert_eq!(by_sensor["Plant/Line1/State"]["text"], "idle");
    assert!(by_sensor["Plant/Line1/State"]["value"].is_null());
    assert_eq!(by_sensor["Plant/Line2/Runs"]["value"].as_f64(), Some(1.0));
    assert_eq!(by_sensor["Plant/Line2/Pressure"]["unit"], "bar");
    assert_eq!(by_sensor["Plant/Line2/Pressure"]["@node"], "ns=2;s=Line2.Pressure");
    let rejects = job.read("rejects.jsonl");
    assert!(rejects.contains("Objects/Plant/Spectrum: an array is not a single value"), "{rejects}");
    for (nodes, expected) in [
        (
            "['Objects/Plant/*/Temp*', 'ns=2;s=Line2.Temperature']",
            &["Plant/Line1/Temperature", "Plant/Line2/Temperature"][..],
        ),
        ("['Objects/**/2:Runs']", &["Plant/Line1/Runs", "Plant/Line2/Runs"]),
        ("['Objects/{sensor}/Line1/State']", &["Plant"]),
        ("['ns=2;s=Line1.Pressure']", &["ns=2;s=Line1.Pressure"]),
    ] {
        let job = Job::new(&pipeline(&server.url(), &format!("nodes = {nodes}")));
        let mut run = start(&job);
        let records = until(&job, &mut run, |records| records.len() >= expected.len());
        run.stop().success();
        let sensors: BTreeSet<_> = records.iter().filter_map(|record| record["sensor"].as_str()).collect();
        assert_eq!(sensors.into_iter().collect::<Vec<_>>(), expected, "{nodes}");
    }
}

#[test]
fn bad_values_are_nothing_or_rejected_and_counted() {
    let server = OpcUa::start();
    // The last value is another one each time: the next subscription begins with it.
    for (bad, rejected, last) in [("null", 0, 5), ("reject", 1, 6)] {
        let options = format!("nodes = ['ns=2;s=Line1.Pressure']\nbad = '{bad}'\nfields = ['@status']");
        let job = Job::new(&pipeline(&server.url(), &options));
        let mut run = start(&job);
        until(&job, &mut run, |records| records.len() == 1);
        let wrong = Written { status: "BadSensorFailure", ..good("Line1.Pressure", 4, BEGIN) };
        server.write([wrong, good("Line1.Pressure", last, BEGIN + 1)]);
        let records =
            until(&job, &mut run, |records| records.last().is_some_and(|record| record["value"] == last));
        assert_eq!(records.len(), 3 - rejected, "{records:?}");
        if rejected == 0 {
            assert!(
                records[1]["value"].is_null() && records[1]["@status"] == "BadSensorFailure",
                "{records:?}"
            );
        }
        let said = run.stop().success();
        assert!(said.contains("1 values had the status Bad"), "{said}");
        assert_eq!(job.report()["report"]["source"]["rejected"], rejected, "{bad}");
    }
}

#[test]
fn nodes_that_are_not_there_are_named() {
    let server = OpcUa::start();
    for (nodes, why) in [
        ("['ns=2;s=Line9.Temperature']", "the node ns=2;s=Line9.Temperature"),
        ("['i=85']", "it is not a variable"),
        ("['Objects/Plant/Line9/*']", "matches no variable"),
    ] {
        let job = Job::new(&pipeline(&server.url(), &format!("nodes = {nodes}")));
        for said in [start(&job).wait().failure(), doctor(&job)] {
            assert!(said.contains(why) && said.contains(&server.url()), "{nodes}: {said}");
        }
    }
    let job = Job::new(&pipeline("opc.tcp://localhost:1", "nodes = ['Objects/**']"));
    let said = start(&job).wait().failure();
    assert!(said.contains("opc.tcp://localhost:1") && said.contains("cannot connect"), "{said}");
}

#[test]
fn nothing_is_missing_however_few_answers_the_server_can_continue() {
    for room in [1, 3] {
        let server = OpcUa::start_with(&OpcUaOptions { room, ..OpcUaOptions::default() });
        let job = Job::new(&pipeline(&server.url(), "nodes = ['Objects/Plant/*/*']"));
        let mut run = start(&job);
        let records = until(&job, &mut run, |records| records.len() >= 8);
        let said = run.stop().success();
        let sensors: BTreeSet<_> = records.iter().filter_map(|record| record["sensor"].as_str()).collect();
        assert_eq!(sensors.len(), 8, "{sensors:?}");
        let units: BTreeSet<_> = records.iter().filter_map(|record| record["unit"].as_str()).collect();
        assert_eq!(units.into_iter().collect::<Vec<_>>(), ["bar", "°C"]);
        assert!(!said.contains("do not show"), "{said}");
    }
}

#[test]
fn nodes_that_the_server_hides_are_counted() {
    let server = OpcUa::start_with(&OpcUaOptions { hidden: vec!["Line2"], ..OpcUaOptions::default() });
    let job = Job::new(&pipeline(&server.url(), "nodes = ['Objects/Plant/*/State']"));
    let mut run = start(&job);
    let records = until(&job, &mut run, |records| !records.is_empty());
    assert!(records.iter().all(|record| record["sensor"] == "Plant/Line1/State"), "{records:?}");
    let said = run.stop().success();
    for said in [said, doctor(&job)] {
        assert!(said.contains("1 nodes do not show what they refer to"), "{said}");
    }
    let job = Job::new(&pipeline(&server.url(), "nodes = ['Objects/Plant/Line2/*']"));
    let said = start(&job).wait().failure();
    assert!(said.contains("matches no variable; 1 nodes do not show"), "{said}");
}

#[test]
fn a_node_may_change_its_type() {
    let server = OpcUa::start();
    let job = Job::new(&pipeline(&server.url(), "nodes = ['ns=2;s=Line1.Temperature']"));
    let mut run = start(&job);
    until(&job, &mut run, |records| records.len() == 1);
    for (ty, value, at) in [
        ("String", json!("warm"), 1),
        ("Int64", json!(7), 2),
        ("ByteString", json!(null), 3),
        ("Double", json!(1.5), 4),
    ] {
        server.retype("Line1.Temperature", ty);
        server.write([good("Line1.Temperature", value, BEGIN + at)]);
    }
    let records = until(&job, &mut run, |records| {
        records.last().is_some_and(|record| record["value"].as_f64() == Some(1.5))
    });
    run.stop().success();
    let found: Vec<_> =
        records[1..].iter().map(|record| (record["value"].as_f64(), record["text"].as_str())).collect();
    assert_eq!(found, [(None, Some("warm")), (Some(7.0), None), (Some(1.5), None)]);
    assert_eq!(job.report()["report"]["source"]["rejected"], 1, "bytes");
}
