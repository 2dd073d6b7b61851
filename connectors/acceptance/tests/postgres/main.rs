//! The connector `postgres` against PostgreSQL.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run and the server are killed; 5 each if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

mod failures;
mod kills;
mod sink;
mod source;
mod speed;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use tidemill_acceptance::{Job, Postgres};

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

/// A sink with these options.
fn sink(postgres: &Postgres, options: &str) -> String {
    format!("[[sink]]\ntype = 'postgres'\nurl = '{}'\n{options}\n", postgres.url())
}

/// A source with these options.
fn source(postgres: &Postgres, options: &str) -> String {
    format!("[source]\ntype = 'postgres'\nurl = '{}'\n{options}\n", postgres.url())
}

/// A pipeline from `in.csv` with the columns `time`, `sensor` and `value`.
fn from_file(postgres: &Postgres, options: &str) -> String {
    let csv = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\nmeasurements = ['value']\n";
    format!("{csv}{}", sink(postgres, options))
}

/// `count` readings of 7 sensors; the values are the numbers of the records.
fn readings(count: usize) -> String {
    let mut lines = String::from("time,sensor,value\n");
    for at in 0..count {
        let (hour, minute, second) = (at / 36_000, at / 600 % 60, at / 10 % 60);
        writeln!(lines, "2026-01-01T{hour:02}:{minute:02}:{second:02}.{}Z,s{},{at}", at % 10, at % 7)
            .expect("room");
    }
    lines
}

/// Appends the readings from `from` on to `in.csv`, up to `to` of them in all: a followed file must not be written anew.
fn append(job: &Job, from: usize, to: usize) {
    let all = readings(to);
    let new = all.split_inclusive('\n').skip(1 + from).collect::<String>();
    let mut file = std::fs::File::options().append(true).open(job.path("in.csv")).expect("a file");
    file.write_all(new.as_bytes()).expect("written");
}

/// Waits until `is_so`.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A job with `in.csv`.
fn job(pipeline: &str, csv: &str) -> Job {
    let job = Job::new(pipeline);
    job.write("in.csv", csv);
    job
}

/// Whether `tidemill doctor` finds all well, and what it writes.
fn doctor(job: &Job) -> (bool, String) {
    let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
