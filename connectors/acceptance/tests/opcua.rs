//! The connector `opcua` against the server of asyncua.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run is killed; 5 if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "opcua")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidemill_acceptance::chance::{Chance, kills};
use tidemill_acceptance::server::{OpcUaOptions, Written};
use tidemill_acceptance::{Job, OpcUa, Run};

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

/// 2026-01-01 in microseconds since 1970.
const BEGIN: i64 = 1_767_225_600_000_000;

/// A pipeline of the source with these options, to a file of JSON.
fn pipeline(url: &str, options: &str) -> String {
    format!(
        "[source]\ntype = 'opcua'\nurl = '{url}'\npublishing_interval = '50ms'\n{options}\n\
         [[sink]]\ntype = 'jsonl'\npath = 'out.jsonl'\n"
    )
}

/// The records that were written so far, also before the file has its name.
fn records(job: &Job) -> Vec<Value> {
    let files = std::fs::read_dir(job.folder()).expect("a folder").map(|file| file.expect("a file").path());
    let own = |path: &std::path::PathBuf| path.to_string_lossy().contains("out.jsonl");
    let text: String =
        files.filter(own).map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for records like these.
fn until(job: &Job, run: &mut Run, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let records = records(job);
        if is_wanted(&records) {
            return records;
        }
        assert!(run.is_running() && begun.elapsed() < LIMIT, "{}\n{records:?}", run.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(job: &Job) -> Run {
    job.start_with(&["--report", "report.json"])
}

fn good(node: &'static str, value: impl Into<Value>, micros: i64) -> Written {
    Written { node, value: value.into(), status: "Good", micros }
}

/// What `tidemill doctor` says.
fn doctor(job: &Job) -> String {
    let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

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

/// The history of both nodes, as the server has it: time, sensor, value.
fn kept(count: u32) -> Vec<(String, String, Option<f64>)> {
    let of = |line: u32| {
        (0..count).map(move |at| {
            let second = if at % 10 == 9 { at - 1 } else { at };
            let time = format!("2026-01-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
            (time, format!("Plant/Line{line}/Temperature"), (at % 50 != 7).then_some(f64::from(at)))
        })
    };
    of(1).chain(of(2)).collect()
}

fn history_of(job: &Job) -> Vec<(String, String, Option<f64>)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    records(job)
        .iter()
        .map(|record| (text(&record["time"]), text(&record["sensor"]), record["value"].as_f64()))
        .collect()
}

#[test]
fn history_is_read_whole_and_resumed_after_kills() {
    let server = OpcUa::start_with(&OpcUaOptions { history: 3000, ..OpcUaOptions::default() });
    let pages = |page: u32| {
        let history = format!("{{ from = '2026-01-01', to = '2026-01-02', page = {page} }}");
        pipeline(&server.url(), &format!("nodes = ['Objects/Plant/*/Temperature']\nhistory = {history}"))
    };
    let job = Job::new(&pages(1000));
    let said = start(&job).wait().success();
    assert_eq!(history_of(&job), kept(3000));
    assert!(said.contains("120 values had the status Bad"), "{said}");
    // Small pages, and kills between and within them.
    let job = Job::new(&pages(7));
    let mut chance = Chance::new("history");
    for _ in 0..kills(5) {
        let run = job.start();
        std::thread::sleep(Duration::from_millis(chance.below(1500)));
        run.kill();
    }
    job.start().wait().success();
    assert_eq!(history_of(&job), kept(3000));
}

#[test]
fn a_part_of_the_history_ends_before_its_end_and_a_page_that_is_too_small_says_so() {
    let server = OpcUa::start_with(&OpcUaOptions { history: 100, ..OpcUaOptions::default() });
    let history = |options: &str| {
        let options = format!("nodes = ['ns=2;s=Line1.Temperature']\nhistory = {{ {options} }}");
        Job::new(&pipeline(&server.url(), &options))
    };
    let job = history("from = '2026-01-01T00:00:05Z', to = '2026-01-01T00:00:20Z', page = 4");
    start(&job).wait().success();
    let values: Vec<_> = records(&job).iter().map(|record| record["value"].as_f64()).collect();
    let expected: Vec<_> = (5..20).map(|at| (at != 7).then_some(f64::from(at))).collect();
    assert_eq!(values, expected);
    let said = start(&history("from = '2026-01-01', page = 1")).wait().failure();
    assert!(said.contains("a page of 1 values has nothing new") && said.contains("`page`"), "{said}");
    let said = start(&history("from = '2027-01-01', to = '2028-01-01'")).wait().success();
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn certificates_are_checked_and_each_check_is_named() {
    let protected = OpcUaOptions { is_protected: true, history: 10, ..OpcUaOptions::default() };
    let server = OpcUa::start_with(&protected);
    let elsewhere = OpcUa::start_with(&OpcUaOptions { host: "elsewhere.test".into(), ..protected });
    let with = |server: &OpcUa, trusted: &OpcUa, security: &str, more: &str| {
        let options = format!(
            "nodes = ['ns=2;s=Line1.Temperature']\nhistory = {{ from = '2026-01-01', to = '2026-01-02' }}\n\
             security = '{security}'\ncertificate = 'own/client.der'\nkey = 'own/client.pem'\n\
             server_certificate = '{}'\n{more}",
            trusted.certificate().display()
        );
        Job::new(&pipeline(&server.url(), &options))
    };
    for (security, server, more) in [
        ("sign_and_encrypt", &server, ""),
        ("sign", &server, "policy = 'Basic256Sha256'"),
        ("sign", &elsewhere, "verify_host = false"),
    ] {
        let job = with(server, server, security, more);
        start(&job).wait().success();
        assert_eq!(records(&job).len(), 10, "{security}");
        assert!(job.path("own/client.pem").exists());
        let said = doctor(&job);
        assert!(said.contains("Basic256Sha256") && said.contains("1 variables"), "{said}");
    }
    for (job, check) in [
        (with(&server, &elsewhere, "sign", ""), "it is not the one in `server_certificate`"),
        (with(&elsewhere, &elsewhere, "sign", ""), "it is not made for the host localhost"),
    ] {
        for said in [start(&job).wait().failure(), doctor(&job)] {
            assert!(said.contains("the server's certificate was refused") && said.contains(check), "{said}");
        }
    }
    let said = start(&with(&server, &server, "sign", "policy = 'Aes256_Sha256_RsaPss'")).wait().failure();
    assert!(said.contains("Basic256Sha256 (sign)"), "{said}");
    let plain = Job::new(&pipeline(&server.url(), "nodes = ['Objects/**']"));
    let said = start(&plain).wait().failure();
    assert!(said.contains("no endpoint") && said.contains("sign_and_encrypt"), "{said}");
}

#[test]
fn a_login_that_is_refused_says_so_and_keeps_the_password() {
    let user = Some(("plant".to_owned(), "right".to_owned()));
    let server = OpcUa::start_with(&OpcUaOptions { user, history: 10, ..OpcUaOptions::default() });
    let with = |login: &str| {
        let history = "history = { from = '2026-01-01', to = '2026-01-02' }";
        Job::new(&pipeline(
            &server.url(),
            &format!("nodes = ['ns=2;s=Line1.Temperature']\n{history}\n{login}"),
        ))
    };
    let job = with("user = 'plant'\npassword = 'right'");
    start(&job).wait().success();
    assert_eq!(records(&job).len(), 10);
    let job = with("user = 'plant'\npassword = 'planted-secret'");
    for said in [start(&job).wait().failure(), doctor(&job)] {
        assert!(said.contains("BadUserAccessDenied") && said.contains("`password`"), "{said}");
        assert!(!said.contains("planted-secret"), "{said}");
    }
    let said = start(&with("")).wait().failure();
    assert!(said.contains("does not accept anonymous users"), "{said}");
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
