//! The connector `mqtt` against mosquitto.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run and the broker are killed; 5 each if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "mqtt")]

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tidemill_acceptance::proxy::{Fault, Proxy};
use tidemill_acceptance::server::MosquittoOptions;
use tidemill_acceptance::{Job, Mosquitto};

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(60);

/// `mosquitto_pub` or `mosquitto_sub` for the plain listener.
fn client(program: &str, mosquitto: &Mosquitto, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &mosquitto.port().to_string()]).args(arguments);
    command
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Lets the broker keep messages of `topic` for the client `id` from now on.
fn keep(mosquitto: &Mosquitto, id: &str, topic: &str) {
    succeeds(client(
        "mosquitto_sub",
        mosquitto,
        &["-V", "5", "-x", "3600", "-i", id, "-c", "-q", "1", "-t", topic, "-E"],
    ));
}

/// The next `count` messages that are kept for the client `id`: topic and payload of each.
fn kept(mosquitto: &Mosquitto, id: &str, topic: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments =
        ["-V", "5", "-x", "3600", "-i", id, "-c", "-q", "1", "-t", topic, "-v", "-C", &count, "-W", "60"];
    succeeds(client("mosquitto_sub", mosquitto, &arguments)).lines().map(str::to_owned).collect()
}

fn publish(mosquitto: &Mosquitto, topic: &str, payload: &str) {
    succeeds(client("mosquitto_pub", mosquitto, &["-q", "1", "-t", topic, "-m", payload]));
}

/// Publishes each line as a message.
fn publish_lines(mosquitto: &Mosquitto, topic: &str, lines: &str) {
    let mut command = client("mosquitto_pub", mosquitto, &["-q", "1", "-t", topic, "-l"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("written");
    assert!(child.wait().expect("an end").success());
}

/// What `tidemill doctor` says.
fn doctor(job: &Job) -> String {
    let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Ends a run that was stopped, which publishes its files.
fn finish(job: &Job) {
    job.start_with(&["--state", "state", "--finish"]).wait().success();
}

/// A pipeline from `plant/…` to `out/…`.
fn echo(mosquitto: &Mosquitto, source: &str, sink: &str) -> String {
    let url = mosquitto.url();
    format!(
        "[source]\ntype = 'mqtt'\nurl = '{url}'\nclient_id = 'in'\n{source}\n\
         [[sink]]\ntype = 'mqtt'\nurl = '{url}'\n{sink}\n"
    )
}

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
fn a_login_that_is_refused_says_so() {
    let options =
        MosquittoOptions { user: Some(("plant".into(), "right".into())), ..MosquittoOptions::default() };
    let mosquitto = Mosquitto::start_with(&options);
    for version in ["5", "3.1.1"] {
        let login = format!("version = '{version}'\nuser = 'plant'\npassword = 'planted-secret'\n");
        let source = format!("{login}topic = 'plant/x'\npayload = 'number'");
        let job = Job::new(&echo(&mosquitto, &source, &format!("{login}topic = 'out'")));
        for said in [job.start().wait().failure(), doctor(&job)] {
            assert!(
                said.contains("the broker refuses the connection") && said.contains("`password`"),
                "{said}"
            );
            assert!(!said.contains("planted-secret"), "{said}");
        }
    }
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let source = format!(
        "[source]\ntype = 'mqtt'\nurl = 'mqtt://127.0.0.1:{port}'\ntopic = 'a'\npayload = 'number'\n"
    );
    let job = Job::new(&format!("{source}[[sink]]\ntype = 'null'\n"));
    let said = job.start_with(&[]).wait().failure();
    assert!(said.contains(&format!("mqtt://127.0.0.1:{port}")) && said.contains("refused"), "{said}");
}

#[test]
fn checkpoints_need_a_client_id() {
    let mosquitto = Mosquitto::start();
    let pipeline = echo(&mosquitto, "topic = 'a'\npayload = 'number'", "topic = 'out'");
    let job = Job::new(&pipeline.replace("client_id = 'in'\n", ""));
    let said = job.start().wait().failure();
    assert!(said.contains("`client_id`"), "{said}");
}

#[test]
fn certificates_are_verified_and_the_failed_check_is_named() {
    let mosquitto = Mosquitto::start();
    let other = Mosquitto::start();
    let expired = mosquitto.authority().expired_server();
    let stranger = mosquitto.authority().other_server();
    let port = || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let (first, second) = (port(), port());
    let listener = |port: u16, certificate: &std::path::Path, key: &std::path::Path| {
        let ca = mosquitto.authority().certificate();
        format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n",
            ca.display(),
            certificate.display(),
            key.display()
        )
    };
    let lines = listener(first, &expired.certificate, &expired.key)
        + &listener(second, &stranger.certificate, &stranger.key);
    let _third = Mosquitto::start_with(&MosquittoOptions { lines, ..MosquittoOptions::default() });
    let right = mosquitto.authority().certificate();
    let wrong = other.authority().certificate();
    for (url, ca, expected) in [
        (mosquitto.tls_url(), &wrong, "the server's certificate was refused"),
        (format!("mqtts://localhost:{first}"), &right, "it has expired"),
        (format!("mqtts://localhost:{second}"), &right, "it is not valid for this host name"),
        (mosquitto.url().replace("mqtt:", "mqtts:"), &right, "TLS"),
    ] {
        let source = format!(
            "[source]\ntype = 'mqtt'\nurl = '{url}'\ntopic = 'a'\npayload = 'number'\ntls = {{ ca = '{}' }}\n",
            ca.display()
        );
        let job = Job::new(&format!("{source}[[sink]]\ntype = 'null'\n"));
        let said = job.start_with(&[]).wait().failure();
        assert!(said.contains(expected), "{url}: {said}");
    }
}

#[test]
fn a_client_certificate_is_shown_to_a_broker_that_asks_for_one() {
    let mosquitto =
        Mosquitto::start_with(&MosquittoOptions { client_certificate: true, ..MosquittoOptions::default() });
    let ca = mosquitto.authority().certificate();
    let client = mosquitto.authority().client("tidemill");
    keep(&mosquitto, "in", "plant/x");
    keep(&mosquitto, "out", "out");
    publish(&mosquitto, "plant/x", "1.5");
    let with = format!(
        "tls = {{ ca = '{}', certificate = '{}', key = '{}' }}\n",
        ca.display(),
        client.certificate.display(),
        client.key.display()
    );
    let pipeline = echo(
        &mosquitto,
        &format!("{with}topic = 'plant/x'\npayload = 'number'"),
        &format!("{with}topic = 'out'\npayload = 'number'"),
    );
    let pipeline = pipeline.replace(&mosquitto.url(), &mosquitto.tls_url());
    let job = Job::new(&pipeline);
    let run = job.start();
    assert_eq!(kept(&mosquitto, "out", "out", 1), ["out 1.5"]);
    run.stop().success();
    let without = format!("tls = {{ ca = '{}' }}\n", ca.display());
    let said = Job::new(&pipeline.replace(&with, &without)).start().wait().failure();
    assert!(said.contains("`certificate`"), "{said}");
}

#[test]
fn doctor_looks_at_the_broker_without_disturbing_a_run() {
    let mosquitto = Mosquitto::start();
    keep(&mosquitto, "out", "out");
    let job = Job::new(&echo(
        &mosquitto,
        "topic = 'plant/x'\nshare = 'g'\npayload = 'number'",
        "topic = 'out'\npayload = 'number'",
    ));
    let run = job.start();
    let said = doctor(&job);
    assert!(said.contains("accepts a subscription to plant/x"), "{said}");
    let begun = Instant::now();
    // The run may not have subscribed yet.
    let got = std::thread::scope(|scope| {
        let got = scope.spawn(|| kept(&mosquitto, "out", "out", 1));
        while !got.is_finished() && begun.elapsed() < LIMIT {
            publish(&mosquitto, "plant/x", "1.5");
        }
        got.join().expect("messages")
    });
    assert_eq!(got, ["out 1.5"]);
    let said = run.stop().success();
    assert!(!said.contains("lost"), "{said}");
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
    publish_lines(&mosquitto, "plant/t1", &lines);
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

/// A protocol buffer of Sparkplug B with one metric: a name or an alias, and a double.
fn sparkplug(seq: u8, name: Option<&str>, alias: u8, value: f64) -> Vec<u8> {
    let mut metric = Vec::new();
    if let Some(name) = name {
        metric.extend([0x0a, name.len() as u8]);
        metric.extend(name.as_bytes());
    }
    metric.extend([0x10, alias, 0x20, 10, 0x69]);
    metric.extend(value.to_le_bytes());
    let mut payload = vec![0x12, metric.len() as u8];
    payload.extend(metric);
    payload.extend([0x18, seq]);
    payload
}

fn publish_bytes(mosquitto: &Mosquitto, topic: &str, payload: &[u8]) {
    let mut command = client("mosquitto_pub", mosquitto, &["-q", "1", "-t", topic, "-s"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(payload).expect("written");
    assert!(child.wait().expect("an end").success());
}

#[test]
fn sparkplug_asks_for_births_and_names_numbered_metrics() {
    let mosquitto = Mosquitto::start();
    keep(&mosquitto, "in", "spBv1.0/#");
    keep(&mosquitto, "out", "out/#");
    keep(&mosquitto, "node", "spBv1.0/+/NCMD/#");
    publish_bytes(&mosquitto, "spBv1.0/g/NDATA/n", &sparkplug(7, None, 1, 1.0));
    let pipeline = echo(
        &mosquitto,
        "topic = 'spBv1.0/#'\npayload = 'sparkplug'",
        "topic = 'out/{sensor}'\nslashes = true\npayload = 'number'\ncolumn = 'value'",
    );
    let job = Job::new(&format!("{pipeline}[[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n"));
    let run = job.start();
    let asked = kept(&mosquitto, "node", "spBv1.0/+/NCMD/#", 1).concat();
    assert!(asked.contains("spBv1.0/g/NCMD/n") && asked.contains("Node Control/Rebirth"), "{asked}");
    publish_bytes(&mosquitto, "spBv1.0/g/NBIRTH/n", &sparkplug(0, Some("temp"), 1, 20.5));
    publish_bytes(&mosquitto, "spBv1.0/g/NDATA/n", &sparkplug(1, None, 1, 21.5));
    assert_eq!(kept(&mosquitto, "out", "out/#", 2), ["out/g/n/temp 20.5", "out/g/n/temp 21.5"]);
    let said = run.stop().success();
    assert!(said.contains("Sparkplug: 1 births"), "{said}");
    finish(&job);
    assert!(job.read("rejects.jsonl").contains("alias 1"), "{}", job.read("rejects.jsonl"));
}

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn kills_of_the_run_and_of_the_broker_lose_nothing() {
    const MESSAGES: usize = 3000;
    let kills = variable("TIDEMILL_KILLS").unwrap_or(5);
    let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("TIDEMILL_SEED={seed}, {kills} kills");
    let mut chance = seed | 1;
    let mut next = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    let mut mosquitto = Mosquitto::start();
    keep(&mosquitto, "in", "plant/#");
    let lines: String = (0..MESSAGES).map(|at| format!("{at}\n")).collect();
    publish_lines(&mosquitto, "plant/t1", &lines);
    let source = format!(
        "[source]\ntype = 'mqtt'\nurl = '{}'\nclient_id = 'in'\ntopic = 'plant/{{sensor}}'\npayload = 'number'\n",
        mosquitto.url()
    );
    let job = Job::new(&format!(
        "{source}[[sink]]\ntype = 'csv'\npath = 'out/{{epoch}}.csv'\nroll = {{ size = '1KiB' }}\n"
    ));
    let numbers = || {
        let mut numbers = BTreeMap::<usize, u64>::new();
        let files = std::fs::read_dir(job.path("out")).into_iter().flatten().flatten();
        let files =
            files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|is| is == "csv"));
        for file in
            files.filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')))
        {
            for line in std::fs::read_to_string(file).expect("a file").lines().skip(1) {
                let number: f64 = line.rsplit(',').find_map(|field| field.parse().ok()).expect("a number");
                *numbers.entry(number as usize).or_default() += 1;
            }
        }
        numbers
    };
    let (mut run, mut killed) = (job.start(), 0);
    let begun = Instant::now();
    while numbers().len() < MESSAGES {
        assert!(begun.elapsed() < LIMIT * 3, "{} of {MESSAGES}", numbers().len());
        std::thread::sleep(Duration::from_millis(next(400)));
        if killed < kills {
            killed += 1;
            run.kill();
            run = job.start();
            std::thread::sleep(Duration::from_millis(next(400)));
            // A run that meets no broker when it begins ends.
            mosquitto.restart();
            if !run.is_running() {
                run = job.start();
            }
        } else if !run.is_running() {
            run = job.start();
        } else if numbers().len() + 100 > MESSAGES {
            // The last file ends with the run.
            run.stop().success();
            run = job.start();
        }
    }
    run.stop().success();
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
        publish_lines(&mosquitto, "plant/t1", &lines);
        std::thread::sleep(lasts);
        proxy.set(Fault::None);
        collect(&mosquitto, "out", "out", &mut numbers, 300);
        let said = run.stop().success();
        let is_lost = said.contains("was lost");
        let expected = !matches!(fault, Fault::Latency(_) | Fault::Slice(_));
        assert_eq!(is_lost, expected, "{fault:?}: {said}");
    }
}

/// A client of a broker that ends with this test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// 200 MiB of large messages.
#[test]
fn a_flood_does_not_grow_memory() {
    let mosquitto = Mosquitto::start();
    let source = format!(
        "[source]\ntype = 'mqtt'\nurl = '{}'\nqos = 0\ntopic = 'plant/{{sensor}}'\npayload = 'json'\nmeasurements = ['v']\n",
        mosquitto.url()
    );
    let job = Job::new(&format!("{source}[[sink]]\ntype = 'null'\n"));
    let run = job.start_with(&["--report", "report.json"]);
    let line = format!("{{\"v\":1,\"filler\":\"{}\"}}\n", "x".repeat(200 << 10));
    let mut command = client("mosquitto_pub", &mosquitto, &["-q", "0", "-t", "plant/t1", "-l"]);
    let mut child = Ends(command.stdin(Stdio::piped()).spawn().expect("it runs"));
    let mut stdin = child.0.stdin.take().expect("a pipe");
    let mut most = 0;
    for _ in 0..1000 {
        stdin.write_all(line.as_bytes()).expect("written");
        most = most.max(run.memory());
    }
    drop(stdin);
    assert!(child.0.wait().expect("an end").success());
    run.stop().success();
    println!("{} MiB", most >> 20);
    assert!(most < 160 << 20, "{most}");
}
