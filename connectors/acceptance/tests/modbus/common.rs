//! What these tests share.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidemill_acceptance::{Job, Run};

/// A longer wait will not succeed.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A source with these options, devices (each a name, an address, and options) and registers, to a file.
pub(crate) fn pipeline(options: &str, devices: &[(&str, &str, &str)], registers: &[&str]) -> String {
    let device = |(name, address, more): &(&str, &str, &str)| {
        format!("[[source.device]]\nname = '{name}'\naddress = '{address}'\n{more}\n")
    };
    let devices: String = devices.iter().map(device).collect();
    let registers: String =
        registers.iter().map(|register| format!("[[source.register]]\n{register}\n")).collect();
    format!(
        "[source]\ntype = 'modbus'\n{options}\n{devices}{registers}[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    )
}

/// The rows of the file so far, by column: those that are whole.
pub(crate) fn rows(job: &Job) -> Vec<BTreeMap<String, String>> {
    let entries = std::fs::read_dir(job.folder()).expect("a folder").flatten();
    let is_output = |name: &str| name == "out.csv" || name.starts_with(".out.csv.part-");
    let found = entries.filter(|entry| is_output(&entry.file_name().to_string_lossy()));
    let text: String = found.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines();
    let names: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
    let row = |line: &str| names.iter().cloned().zip(line.split(',').map(str::to_owned)).collect();
    lines.map(row).collect()
}

/// How many rows are of the device `name`.
pub(crate) fn count(job: &Job, name: &str) -> usize {
    rows(job).iter().filter(|row| row["sensor"] == name).count()
}

pub(crate) fn until(what: &str, run: &Run, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: it does not happen\n{}", run.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first `count` rows of a run of `pipeline`, which is stopped then, and what it said.
pub(crate) fn first_rows(pipeline: &str, count: usize) -> (Vec<BTreeMap<String, String>>, String) {
    let job = Job::new(pipeline);
    let run = job.start();
    until("rows are written", &run, || rows(&job).len() >= count);
    let said = run.stop().success();
    (rows(&job), said)
}

pub(crate) fn value(kind: &str, address: usize, ty: &str, value: Value) -> Value {
    json!({ "kind": kind, "address": address, "type": ty, "value": value })
}

/// A device whose holding registers 0, 1 and 3 are 7, 8 and 9.
pub(crate) fn plain() -> Value {
    let registers = [(0, 7), (1, 8), (3, 9)].map(|(at, number)| value("holding", at, "u16", json!(number)));
    json!([{ "unit": 1, "values": registers }])
}
