//! `tidemill chaos` with a real server: it writes to the table itself, which is counted before and after.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_SEED` | replays the schedule of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "postgres")]

use std::fmt::Write as _;

use serde_json::Value;
use tidemill_acceptance::chance::Chance;
use tidemill_acceptance::{Job, Postgres};

const RECORDS: usize = 20_000;

/// A job from a file to the table `readings` of `postgres`. Its breaker opens though many deliveries have succeeded just before, and for a short time only.
fn job(postgres: &Postgres) -> Job {
    let source = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\n";
    let sink = format!("type = 'postgres'\nurl = '{}'\ntable = 'readings'", postgres.url());
    let job = Job::new(&format!(
        "{source}[[sink]]\n{sink}\nbreaker = {{ failures = 0.1, calls = 2, within = '2s', open = '300ms' }}\n"
    ));
    let mut lines = String::from("time,sensor,value\n");
    for at in 0..RECORDS {
        writeln!(lines, "2026-01-01T0{}:{:02}:{:02}Z,s{},{at}", at / 3600, at / 60 % 60, at % 60, at % 7)
            .expect("room");
    }
    job.write("in.csv", &lines);
    job
}

#[test]
fn a_table_has_every_record_once_whatever_happens() {
    let (postgres, mut chance) = (Postgres::start(), Chance::new("chaos: file to PostgreSQL"));
    postgres.sql("CREATE TABLE readings (time timestamptz, sensor text, value double precision)");
    let job = job(&postgres);
    let psql = postgres.psql();
    let count =
        format!("0={:?} -qXtA {} -c 'select count(*) from readings'", psql.get_program(), postgres.url());
    let seed = chance.below(1_000_000).to_string();
    println!("--seed {seed}");
    let mut command = job.tidemill();
    command.args(["chaos", "pipeline.toml", "--json", "--yes", "--count-by", &count, "--seed", &seed]);
    // Each kind once.
    command.args(["--count", "8", "--for", "8s", "--checkpoint-every", "100ms", "--keep", "kept"]);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let sink = &report["sinks"][0];
    assert_eq!(
        (&sink["judged_by"], &sink["promise"]),
        (&"count".into(), &"exactly once".into()),
        "{report:#}"
    );
    assert_eq!((&sink["expected"], &sink["arrived"]), (&RECORDS.into(), &RECORDS.into()), "{report:#}");
    let found = postgres.sql("SELECT count(*), count(DISTINCT value), min(value), max(value) FROM readings");
    assert_eq!(found.trim(), format!("{RECORDS}|{RECORDS}|0|{}", RECORDS - 1));
    if report["struck"]["outage"] == 1 {
        assert!(job.read("kept/chaos/log").contains("its target is down"), "{}", job.read("kept/chaos/log"));
    }
}

#[test]
fn an_outage_of_a_real_target_opens_its_breaker_and_all_is_delivered_afterwards() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE readings (time timestamptz, sensor text, value double precision)");
    let job = job(&postgres);
    let mut command = job.tidemill();
    command.args(["chaos", "pipeline.toml", "--json", "--yes", "--seed", "1", "--faults", "outage"]);
    command.args(["--count", "1", "--for", "1s", "--checkpoint-every", "100ms", "--keep", "kept"]);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["struck"]["outage"], 1, "{report:#}");
    let log = job.read("kept/chaos/log");
    assert!(log.contains("its target is down") && log.contains("its target is there again"), "{log}");
    assert_eq!(postgres.sql("SELECT count(DISTINCT value) FROM readings").trim(), RECORDS.to_string());
}
