//! Whether the counts of a run add up, and are those of a run without faults.

use serde::Serialize;
use serde_json::Value;

use crate::cli::summary::count;
use tidemill_core::metrics::Ledger;

/// The ledgers of the last process, which has counted the records of all.
#[derive(Debug, Serialize)]
pub(super) struct LedgerVerdict {
    /// Whether each adds up; `None` if there is none, because the run was given up.
    pub(super) is_balanced: Option<bool>,
    /// The sources and stages that have counted something else than in the run without faults.
    pub(super) differences: Vec<String>,
}

/// The ledger of each source, stage and sink in the report of a process.
pub(super) fn ledgers(report: &Value) -> Vec<(String, Ledger)> {
    let report = &report["report"];
    let entries = |kind: &str, value: &Value| -> Vec<(String, Ledger)> {
        let list = match value {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        let entry = |(at, entry): (usize, Value)| {
            let label = format!("{kind} {at} ({})", entry["name"].as_str().unwrap_or_default());
            Some((label, serde_json::from_value(entry).ok()?))
        };
        list.into_iter().enumerate().filter_map(entry).collect()
    };
    ["source", "stage", "sink"]
        .into_iter()
        .flat_map(|kind| {
            let name = if kind == "source" { kind.to_owned() } else { format!("{kind}s") };
            entries(kind, &report[&name])
        })
        .collect()
}

impl LedgerVerdict {
    pub(super) fn of(quiet: Option<Vec<(String, Ledger)>>, chaos: Option<Vec<(String, Ledger)>>) -> Self {
        let Some(chaos) = chaos else { return Self { is_balanced: None, differences: Vec::new() } };
        let is_balanced = Some(!chaos.is_empty() && chaos.iter().all(|(_, ledger)| ledger.is_balanced()));
        let is_counted = |(part, _): &&(String, Ledger)| !part.starts_with("sink");
        let quiet = quiet.unwrap_or_default();
        let pairs = quiet.iter().filter(is_counted).zip(chaos.iter().filter(is_counted));
        let differences =
            pairs.filter(|((_, quiet), (_, chaos))| quiet != chaos).map(|((part, quiet), (_, chaos))| {
                let told =
                    |ledger: &Ledger| format!("{} in, {} out", count(ledger.input), count(ledger.output));
                format!("{part}: {}, and {} without faults", told(chaos), told(quiet))
            });
        Self { is_balanced, differences: differences.collect() }
    }

    pub(super) fn told(&self) -> &'static str {
        match self.is_balanced {
            None => "none, because the run was given up",
            Some(false) => "does NOT add up",
            Some(true) if !self.differences.is_empty() => {
                "adds up, but is NOT that of the run without faults"
            }
            Some(true) => "adds up, and is that of the run without faults",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(read: u64, passed: u64, written: u64) -> Value {
        let entry = |name: &str, input: u64, output: u64, filtered: u64| {
            let ledger = Ledger { input, output, filtered, ..Ledger::default() };
            let mut entry = serde_json::to_value(ledger).expect("a ledger");
            entry["name"] = json!(name);
            entry
        };
        json!({ "report": {
            "source": entry("csv", read, read, 0),
            "stages": [entry("threshold", read, passed, read.saturating_sub(passed))],
            "sinks": [entry("jsonl", written, written, 0)],
        }})
    }

    #[test]
    fn counts_are_those_of_the_run_without_faults_or_else_it_is_said_of_which_part() {
        let of = |quiet: &Value, chaos: &Value| LedgerVerdict::of(Some(ledgers(quiet)), Some(ledgers(chaos)));
        let same = of(&report(10, 8, 8), &report(10, 8, 9));
        assert_eq!(
            (same.is_balanced, same.differences.len()),
            (Some(true), 0),
            "a sink may write more than once"
        );
        let less = of(&report(10, 8, 8), &report(10, 7, 7));
        assert_eq!(less.differences, ["stage 0 (threshold): 10 in, 7 out, and 10 in, 8 out without faults"]);
        assert!(less.told().contains("NOT"));
        let wrong = of(&report(10, 8, 8), &report(10, 11, 8));
        assert_eq!(wrong.is_balanced, Some(false));
        assert_eq!(LedgerVerdict::of(Some(Vec::new()), None).is_balanced, None);
    }
}
