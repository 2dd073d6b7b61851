//! Runs the pipeline of a case, and looks at everything that it does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tidemill::registry::ComponentKind;

use super::cases::{COLUMNS, Case};
use super::command::{folder, run, text, tidemill};

/// What can be seen of a run: how it ended, what it printed, wrote and counted. What it says for people does not count.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) code: Option<i32>,
    printed: String,
    files: BTreeMap<String, Vec<u8>>,
    counted: Value,
}

/// Lines of options, those of `over` in place of those of `base`; `null` takes one out.
pub(crate) fn laid_over(base: &str, over: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let keys: Vec<_> = over.lines().map(key).collect();
    let kept = base.lines().filter(|line| !keys.contains(&key(line)));
    let lines = kept.chain(over.lines()).filter(|line| !line.ends_with("= null"));
    lines.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// `input` as files of a component's format: `in.csv`, `other.csv` with other values, `less.csv` with a column less.
pub(crate) fn write_inputs(folder: &Path, component: &str, input: &str) {
    let other = input.replace(",x,", ",z,");
    let less: String = input
        .lines()
        .map(|line| format!("{}\n", line.rsplit_once(',').map_or(line, |(all, _)| all)))
        .collect();
    for (name, content) in [("in.csv", input), ("other.csv", &other), ("less.csv", &less)] {
        let path = folder.join(name);
        match component {
            "tsv" => fs::write(path, retold(content, |_, fields| fields.join("\t"))),
            "jsonl" if content.starts_with('{') => fs::write(path, content),
            "jsonl" => fs::write(path, retold(content, object)),
            "influx" => fs::write(path, retold(content, line_protocol)),
            "parquet" => {
                fs::write(folder.join("made.csv"), content).expect("written");
                let pipeline = format!(
                    "[source]\ntype = 'csv'\npath = 'made.csv'\nsensor = 's'\n[[sink]]\ntype = 'parquet'\npath = '{name}'\n"
                );
                fs::write(folder.join("made.toml"), pipeline).expect("written");
                let made = run(folder, &["run", "made.toml", "--quiet"]);
                assert!(made.status.success(), "{}", text(&made.stderr));
                Ok(())
            }
            _ => fs::write(path, content),
        }
        .expect("written");
    }
}

/// Every record of delimited text, written by `write` from its fields and the names; the header too where it has one.
fn retold(input: &str, write: impl Fn(&[String], &[String]) -> String) -> String {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.expect("a record").iter().map(str::to_owned).collect()).collect();
    let lines = rows.iter().map(|row| write(&rows[0], row)).filter(|line| !line.is_empty());
    lines.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

fn object(names: &[String], fields: &[String]) -> String {
    if names == fields {
        return String::new();
    }
    let value = |field: &String| match field.parse::<f64>() {
        Ok(number) if number.is_finite() => serde_json::from_str(field).expect("a number"),
        _ if field.is_empty() => Value::Null,
        _ => Value::from(field.as_str()),
    };
    let fields = names.iter().zip(fields).map(|(name, field)| (name.clone(), value(field)));
    Value::Object(fields.collect()).to_string()
}

fn line_protocol(names: &[String], fields: &[String]) -> String {
    if names == fields {
        return String::new();
    }
    let field = |at: usize| fields.get(at).map_or("", |field| field.as_str());
    let b = if field(3).is_empty() { String::new() } else { format!(",b={}", field(3)) };
    let a = if field(2) == "NaN" { "0" } else { field(2) };
    let note = if fields.len() > 4 { format!(",note=\"{}\"", field(4)) } else { String::new() };
    format!("plant,s={} a={a}{b}{note} 1700000000", field(1))
}

pub(crate) fn pipeline(case: &Case, component: &str, options: &str) -> String {
    let part = |table: &str, options: &str| format!("{table}\ntype = '{component}'\n{options}");
    let source = |options: &str| laid_over(&format!("path = 'in.csv'\n{COLUMNS}"), options);
    let out = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    match case.kind {
        ComponentKind::Source => {
            let options = match component {
                "synthetic" => laid_over("records = 60\nsensors = 3", options),
                "influx" => laid_over("path = 'in.csv'\nmax_rejects = 1.0", options),
                _ => source(options),
            };
            format!("{}{}{out}", part("[source]", &options), case.more)
        }
        ComponentKind::Stage => {
            format!("[source]\ntype = 'csv'\n{}{}\n{out}", source(""), part("[[stage]]", options))
        }
        ComponentKind::Sink => {
            // A record that is refused, for those who take such.
            let options = part("[[sink]]", options);
            format!("[source]\ntype = 'csv'\n{}{options}\n{out}", source("null_values = ['hello']"))
        }
    }
}

pub(crate) fn observe(case: &Case, component: &str, options: &str) -> Seen {
    let folder = folder();
    let reads = if case.kind == ComponentKind::Source { component } else { "csv" };
    if reads != "synthetic" {
        write_inputs(folder.path(), reads, case.input);
    }
    let before = files(folder.path());
    fs::write(folder.path().join("p.toml"), pipeline(case, component, options)).expect("written");
    let mut child = tidemill(folder.path())
        .args(["run", "p.toml", "--quiet", "--threads", "1", "--report", "report.json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    // Whoever does not read it has closed it.
    let _closed = child.stdin.take().expect("piped").write_all(case.input.as_bytes());
    let output = child.wait_with_output().expect("an end");
    let report = fs::read(folder.path().join("report.json")).unwrap_or_default();
    let mut counted =
        serde_json::from_slice::<Value>(&report).map_or(Value::Null, |mut all| all["report"].take());
    keep_counts(&mut counted);
    let mut files = files(folder.path());
    files.retain(|name, _| !before.contains_key(name) && name != "p.toml" && name != "report.json");
    let seen = Seen { code: output.status.code(), printed: text(&output.stdout), files, counted };
    assert_ne!(seen.code, Some(70), "{}", text(&output.stderr));
    seen
}

/// What is left is the same for the same run.
fn keep_counts(value: &mut Value) {
    let is_count = |name: &str| {
        !name.contains("seconds") && !["bytes", "latencies", "remarks", "threads"].contains(&name)
    };
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| is_count(name));
            fields.values_mut().for_each(keep_counts);
        }
        Value::Array(list) => list.iter_mut().for_each(keep_counts),
        _ => {}
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("read"))
        })
        .collect()
}
