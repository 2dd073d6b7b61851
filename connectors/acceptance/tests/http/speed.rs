//! A million records through each way, beside a plain loop that does nothing else: `cargo test --release … --test http -- --ignored --nocapture speed`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tidemill_acceptance::{HttpSink, Job};

use crate::common::{free_port, from_file, send, start};

const RECORDS: usize = 1_000_000;

/// Records of a request.
const BATCH: usize = 5000;

fn told(what: &str, time: Duration) -> f64 {
    let rate = RECORDS as f64 / time.as_secs_f64();
    println!("{what}: {rate:.0} records/s");
    rate
}

fn bodies() -> Vec<String> {
    let line = |mut text: String, at: usize| {
        let time = 1_767_225_600_000_000_000_u64 + at as u64 * 1_000_000;
        writeln!(text, "readings,sensor=m{} v={}.25 {time}", at % 100, at % 1000).expect("room");
        text
    };
    (0..RECORDS / BATCH).map(|batch| (batch * BATCH..(batch + 1) * BATCH).fold(String::new(), line)).collect()
}

/// Sends all bodies from four connections at a time, which is what Telegraf and others do.
fn post_all(port: u16, bodies: &[String]) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for body in bodies.iter().skip(part).step_by(4) {
                    let answered = send(port, "POST", "/write", &[], body.as_bytes()).expect("an answer");
                    assert!(answered.status < 300, "{answered:?}");
                }
            });
        }
    });
    begun.elapsed()
}

#[test]
#[ignore = "figures, with a release build"]
fn a_million_records_into_the_server() {
    let (bodies, plain, port) = (bodies(), HttpSink::start(), free_port());
    let pipeline = format!(
        "[source]\ntype = 'http'\nlisten = '127.0.0.1:{port}'\npayload = 'influx'\nmeasurements = ['v']\ncolumns = []\nsensor = 'sensor'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    );
    let job = Job::new(&pipeline);
    let run = start(&job, port);
    let own = told("source http to a file, answered when durable", post_all(port, &bodies));
    run.stop().success();
    let loop_alone = told(
        "the same requests, answered at once by a server that counts them",
        post_all(plain.port(), &bodies),
    );
    println!("ratio: {:.2}", own / loop_alone);
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    assert_eq!(job.read("out.csv").lines().count(), RECORDS + 1);
}

#[test]
#[ignore = "figures, with a release build"]
fn a_million_records_to_influxdb() {
    let server = HttpSink::start();
    let job = Job::new(&from_file(&format!(
        "type = 'influxdb'\nurl = '{}'\ndatabase = 'x'\ngzip = false",
        server.url()
    )));
    let mut input = String::from("time,sensor,v\n");
    for at in 0..RECORDS {
        let (minute, second) = (at / 60_000, at / 1000 % 60);
        writeln!(
            input,
            "2026-01-01T00:{minute:02}:{second:02}.{:03}Z,m{},{}",
            at % 1000,
            at % 100,
            at % 1000
        )
        .expect("room");
    }
    job.write("in.csv", &input);
    let begun = Instant::now();
    job.start().wait().success();
    let own = told("a file to the sink influxdb", begun.elapsed());
    let sent = server.requests();
    let lines: usize = sent.iter().map(|request| request.text().lines().count()).sum();
    assert_eq!(lines, RECORDS);
    let begun = Instant::now();
    for request in &sent {
        send(server.port(), "POST", &request.path, &[], &request.body).expect("an answer");
    }
    let loop_alone = told("the same requests by a plain loop", begun.elapsed());
    println!("ratio: {:.2}", own / loop_alone);
}
