//! Compares instruction counts with those recorded: `tidemill-instructions RECORD [--record]` reads what the
//! benches print (a JSON object each, on standard input) and fails where a count grew by more than 3 %.
//!
//! Counts depend on the compiler and on the instructions that the processor has, so both are recorded. Under
//! another compiler the comparison is only shown; with other instructions it would mean nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The growth that is let through, in per cent.
const LIMIT: u64 = 3;

/// What is kept in the repository.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    /// The compiler's version.
    rustc: String,
    /// The architecture, and whether it has what kernels look for at run time.
    target: String,
    /// Instructions by bench.
    counts: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [path] => check(path),
        [path, "--record"] => record(path),
        _ => Err("usage: tidemill-instructions RECORD [--record]".into()),
    };
    match result {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprintln!("{report}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let recorded = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    compare(&recorded, &measured()?)
}

fn record(path: &str) -> Result<String, String> {
    let measured = measured()?;
    let text = serde_json::to_string_pretty(&measured).map_err(|error| error.to_string())?;
    std::fs::write(path, text + "\n").map_err(|error| format!("{path}: {error}"))?;
    Ok(format!("{} counts written to {path}", measured.counts.len()))
}

/// What standard input says, on this machine.
fn measured() -> Result<Record, String> {
    let text =
        std::io::read_to_string(std::io::stdin()).map_err(|error| format!("standard input: {error}"))?;
    Ok(Record { rustc: rustc()?, target: target(), counts: counts(&text)? })
}

fn rustc() -> Result<String, String> {
    let output =
        Command::new("rustc").arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(1).map(str::to_owned).ok_or("rustc does not tell its version".into())
}

fn target() -> String {
    #[cfg(target_arch = "x86_64")]
    let extension = if std::is_x86_feature_detected!("avx2") { " with AVX2" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let extension = "";
    format!("{}{extension}", std::env::consts::ARCH)
}

/// The counts in the summaries that gungraun prints, one JSON object after another.
fn counts(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let summaries = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let count = |summary: Result<Value, serde_json::Error>| {
        let summary = summary.map_err(|error| format!("not a summary of gungraun: {error}"))?;
        let part = |name: &str| summary[name].as_str().unwrap_or_default().to_owned();
        let name = format!("{}, {}", part("function_name"), part("id"));
        let instructions = &summary["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"];
        // Beside a former run's figure, gungraun gives both.
        let new = instructions.get("new").or_else(|| instructions.get("both")?.get(0));
        let count =
            new.and_then(Value::as_u64).ok_or_else(|| format!("{name}: no count in {instructions}"))?;
        Ok((name, count))
    };
    let counts: BTreeMap<_, _> = summaries.map(count).collect::<Result<_, String>>()?;
    if counts.is_empty() { Err("no bench told a count".into()) } else { Ok(counts) }
}

/// A table of both, as an error where a count grew too much or the benches are not the same.
fn compare(recorded: &Record, measured: &Record) -> Result<String, String> {
    if recorded.target != measured.target {
        let (here, there) = (&measured.target, &recorded.target);
        return Ok(format!("nothing to compare with: this is {here}, the record is of {there}"));
    }
    let mut report = String::from("    recorded         now   change\n");
    let mut is_exceeded = false;
    let names: std::collections::BTreeSet<_> = recorded.counts.keys().chain(measured.counts.keys()).collect();
    for name in names {
        let (line, is_over) = match (recorded.counts.get(name), measured.counts.get(name)) {
            (Some(&old), Some(&new)) => {
                let growth = new as f64 / old as f64 - 1.0;
                let is_over = 100 * new > (100 + LIMIT) * old;
                let mark = if is_over { "  <- too much" } else { "" };
                (format!("{old:>12}{new:>12} {:>+7.1} %  {name}{mark}", growth * 100.0), is_over)
            }
            (Some(&old), None) => (format!("{old:>12}           –            {name}  <- is gone"), true),
            (None, new) => {
                (format!("           –{:>12}            {name}  <- is new", new.unwrap_or(&0)), true)
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(report, "{line}");
        is_exceeded |= is_over;
    }
    if !is_exceeded {
        return Ok(report);
    }
    if recorded.rustc != measured.rustc {
        let (here, there) = (&measured.rustc, &recorded.rustc);
        return Ok(report + &format!("not held against it: recorded with rustc {there}, this is {here}"));
    }
    Err(report
        + "find out why (profiling/README.md), or keep the new counts with `cargo xtask instructions --record`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(counts: &[(&str, u64)]) -> Record {
        let counts = counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Record { rustc: "1.95.0".into(), target: "x86_64 with AVX2".into(), counts }
    }

    fn summary(id: &str, values: &str) -> String {
        format!(
            r#"{{"function_name":"decode","id":"{id}","profiles":[{{"data":{{"total":{{"metrics":{{"Ir":{{"values":{values}}}}}}}}}}}]}}"#
        )
    }

    #[test]
    fn counts_are_read_one_after_another() {
        let text = summary("csv", r#"{"new":12}"#) + "\n" + &summary("jsonl", r#"{"both":[34,30]}"#);
        assert_eq!(
            counts(&text).expect("counts"),
            record(&[("decode, csv", 12), ("decode, jsonl", 34)]).counts
        );
        assert!(counts(&summary("csv", r#"{"old":12}"#)).expect_err("no count").starts_with("decode, csv"));
        assert!(counts("").is_err());
        assert!(counts("Running").is_err());
    }

    #[test]
    fn growth_is_let_through_up_to_three_per_cent() {
        let old = record(&[("a", 1000)]);
        for new in [0, 500, 1000, 1030] {
            assert!(compare(&old, &record(&[("a", new)])).is_ok(), "{new}");
        }
        assert!(compare(&old, &record(&[("a", 1031)])).expect_err("too much").contains("+3.1 %"));
    }

    #[test]
    fn new_and_lost_benches_are_to_be_recorded() {
        let old = record(&[("a", 1000)]);
        assert!(compare(&old, &record(&[("a", 1000), ("b", 1)])).expect_err("new").contains("is new"));
        assert!(compare(&old, &record(&[("b", 1)])).expect_err("gone").contains("is gone"));
    }

    #[test]
    fn what_cannot_be_compared_is_said_and_let_through() {
        let old = record(&[("a", 1000)]);
        let other_compiler = Record { rustc: "1.96.0".into(), ..record(&[("a", 2000)]) };
        assert!(compare(&old, &other_compiler).expect("shown only").contains("recorded with rustc 1.95.0"));
        let other_machine = Record { target: "aarch64".into(), ..record(&[("a", 2000)]) };
        assert!(compare(&old, &other_machine).expect("skipped").contains("nothing to compare"));
    }
}
