//! What these tests share.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidemill_acceptance::server::Written;
use tidemill_acceptance::{Job, Proxy, Run};

/// A longer wait will not succeed.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// 2026-01-01 in microseconds since 1970.
pub(crate) const BEGIN: i64 = 1_767_225_600_000_000;

/// A pipeline of the source with these options, to a file of JSON.
pub(crate) fn pipeline(url: &str, options: &str) -> String {
    let is_live = !options.contains("history =") && !options.contains("publishing_interval");
    let interval = if is_live { "publishing_interval = '50ms'" } else { "" };
    format!(
        "[source]\ntype = 'opcua'\nurl = '{url}'\n{interval}\n{options}\n\
         [[sink]]\ntype = 'jsonl'\npath = 'out.jsonl'\n"
    )
}

/// The URL of a server behind `proxy`.
pub(crate) fn through(proxy: &Proxy) -> String {
    format!("opc.tcp://localhost:{}/tide", proxy.port())
}

/// Waits for something else than records.
pub(crate) fn wait_for(what: &str, run: &mut Run, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(run.is_running() && begun.elapsed() < LIMIT, "{what}: it does not happen\n{}", run.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The records that were written so far, also before the file has its name.
pub(crate) fn records(job: &Job) -> Vec<Value> {
    let files = std::fs::read_dir(job.folder()).expect("a folder").map(|file| file.expect("a file").path());
    // Beside them are files that tell whose they are.
    let own =
        |path: &PathBuf| path.ends_with("out.jsonl") || path.to_string_lossy().contains(".out.jsonl.part-");
    let text: String =
        files.filter(own).map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for records like these.
pub(crate) fn until(job: &Job, run: &mut Run, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
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

pub(crate) fn start(job: &Job) -> Run {
    job.start_with(&["--report", "report.json"])
}

pub(crate) fn good(node: &'static str, value: impl Into<Value>, micros: i64) -> Written {
    Written { node, value: value.into(), status: "Good", micros }
}

/// What `tidemill doctor` says.
pub(crate) fn doctor(job: &Job) -> String {
    let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
