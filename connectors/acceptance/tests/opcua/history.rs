//! Values that the server has kept.

use std::time::Duration;

use serde_json::Value;
use tidemill_acceptance::chance::{Chance, kills};
use tidemill_acceptance::proxy::{Fault, Proxy};
use tidemill_acceptance::server::OpcUaOptions;
use tidemill_acceptance::{Job, OpcUa, Run};

use crate::common::{pipeline, records, start, through, wait_for};

/// So many that a run takes seconds, in small pages.
const VALUES: u32 = 10_000;

/// Waits until a run reads the history.
fn begun(server: &OpcUa, run: &mut Run) {
    let before = server.sessions().made;
    wait_for("a session", run, || server.sessions().now > 0 || server.sessions().made > before);
    std::thread::sleep(Duration::from_millis(500));
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

/// A pipeline that reads all of the history in pages of this size.
fn pages(url: &str, page: u32) -> String {
    let history = format!("{{ from = '2026-01-01', to = '2026-01-02', page = {page} }}");
    pipeline(url, &format!("nodes = ['Objects/Plant/*/Temperature']\nhistory = {history}"))
}

#[test]
fn history_is_read_whole_and_resumed_after_kills() {
    let server = OpcUa::start_with(&OpcUaOptions { history: 3000, ..OpcUaOptions::default() });
    let job = Job::new(&pages(&server.url(), 1000));
    let said = start(&job).wait().success();
    assert_eq!(history_of(&job), kept(3000));
    assert!(said.contains("120 values had the status Bad"), "{said}");
    // Small pages, and kills between and within them.
    let job = Job::new(&pages(&server.url(), 7));
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
fn history_is_read_whole_although_the_server_restarts() {
    let mut server = OpcUa::start_with(&OpcUaOptions { history: VALUES, ..OpcUaOptions::default() });
    let job = Job::new(&pages(&server.url(), 7).replace("[[sink]]", "timeout = '2s'\n[[sink]]"));
    let mut chance = Chance::new("history and restarts");
    let mut run = job.start();
    begun(&server, &mut run);
    for _ in 0..kills(5) {
        std::thread::sleep(Duration::from_millis(chance.below(300)));
        server.restart();
    }
    run.wait().success();
    assert_eq!(history_of(&job), kept(VALUES));
}

#[test]
fn an_outage_is_waited_for_and_counted() {
    let mut server = OpcUa::start_with(&OpcUaOptions { history: VALUES, ..OpcUaOptions::default() });
    let job = Job::new(&pages(&server.url(), 7));
    let mut run = job.start();
    begun(&server, &mut run);
    server.kill();
    // Attempts, of which there are ten or so, fail.
    std::thread::sleep(Duration::from_secs(15));
    server.start();
    let said = run.wait().success();
    assert!(said.contains("the connection to the server was lost 1 times"), "{said}");
    assert!(said.contains("attempts to connect to the server failed"), "{said}");
    assert_eq!(history_of(&job), kept(VALUES));
}

#[test]
fn history_is_read_whole_through_faults() {
    let server = OpcUa::start_with(&OpcUaOptions { history: VALUES, ..OpcUaOptions::default() });
    let (short, long) = (Duration::from_millis(500), Duration::from_secs(4));
    for (fault, lasts) in [
        (Fault::Latency(Duration::from_millis(20)), short),
        (Fault::Slice(100), short),
        (Fault::Reset, short),
        (Fault::BlackHole, long),
        (Fault::HalfOpen, long),
    ] {
        let proxy = Proxy::start(server.port());
        let job = Job::new(&pages(&through(&proxy), 7).replace("[[sink]]", "timeout = '2s'\n[[sink]]"));
        let mut run = job.start();
        begun(&server, &mut run);
        proxy.set(fault);
        std::thread::sleep(lasts);
        proxy.set(Fault::None);
        let said = run.wait().success();
        assert_eq!(history_of(&job), kept(VALUES), "{fault:?}: {said}");
    }
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
