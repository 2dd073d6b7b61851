//! `--timings`: where the time of a run went, so that it adds up: threads times wall time.

use std::time::Duration;

use super::summary::{aligned, count, labelled, labelled_sources, time};
use tidemill_core::metrics::Entry;
use tidemill_engine::executor::Report;

const HEAD: [&str; 6] = ["", "records", "ns/record", "time", "share", "waiting"];

/// The time of every part, summed over the threads; `first` stages ran before those in the file.
pub(super) fn timings(report: &Report, first: usize) -> String {
    let parts = parts(report, first);
    let all = report.elapsed * report.threads.max(1) as u32;
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(parts.iter().map(|(label, entry)| row(label, entry, all)));
    let sum = |of: fn(&Entry) -> Duration| parts.iter().map(|(_, entry)| of(entry)).sum::<Duration>();
    let waiting = sum(|entry| entry.waiting) + report.handing_over;
    let beside = all.saturating_sub(sum(|entry| entry.time) + waiting);
    rows.push(spare("total waiting", waiting, all));
    rows.push(spare("other: start, end, idle threads", beside, all));
    let threads = if report.threads == 1 { "1 thread".into() } else { format!("{} threads", report.threads) };
    format!("{}share of {} = {threads} × {}", aligned(&rows), time(all), time(report.elapsed))
}

/// All parts of all passes.
fn parts(report: &Report, first: usize) -> Vec<(String, &Entry)> {
    let mut parts = Vec::new();
    for (at, pass) in report.first_passes.iter().enumerate() {
        let entries = pass.sources.iter().chain(&pass.stages).chain([&pass.fit]);
        let sources = pass.sources.iter().map(|_| "source");
        let places = sources.chain(pass.stages.iter().map(|_| "stage")).chain(["fit"]);
        parts.extend(places.zip(entries).map(|(place, entry)| (format!("pass {at}: {place}"), entry)));
    }
    let (before, stages) = report.stages.split_at(first.min(report.stages.len()));
    parts.extend(labelled_sources(&report.sources));
    parts.extend(before.iter().map(|entry| ("before".to_owned(), entry)));
    parts.extend(labelled("stage", stages).chain(labelled("sink", &report.sinks)));
    parts
}

fn row(label: &str, entry: &Entry, all: Duration) -> Vec<String> {
    let records = entry.ledger.input;
    let each = match records {
        0 => String::new(),
        records => format!("{:.1}", entry.time.as_nanos() as f64 / records as f64),
    };
    let label = format!("{label} ({})", entry.name);
    vec![label, count(records), each, time(entry.time), share(entry.time, all), time(entry.waiting)]
}

fn spare(label: &str, spent: Duration, all: Duration) -> Vec<String> {
    vec![label.into(), String::new(), String::new(), time(spent), share(spent, all), String::new()]
}

fn share(part: Duration, all: Duration) -> String {
    format!("{:.1} %", 100.0 * part.as_secs_f64() / all.as_secs_f64().max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::metrics::Ledger;

    fn entry(name: &str, records: u64, time: u64, waiting: u64) -> Entry {
        let ledger = Ledger { input: records, output: records, ..Ledger::default() };
        let (time, waiting) = (Duration::from_millis(time), Duration::from_millis(waiting));
        Entry { ledger, time, waiting, ..Entry::new(name) }
    }

    #[test]
    fn the_shares_add_up() {
        let report = Report {
            sources: vec![entry("csv", 1_000_000, 100, 0)],
            stages: vec![entry("threshold", 1_000_000, 30, 20)],
            sinks: vec![entry("null", 0, 0, 0)],
            threads: 2,
            handing_over: Duration::from_millis(10),
            elapsed: Duration::from_millis(100),
            ..Report::default()
        };
        let text = timings(&report, 0);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1][2..], ["1,000,000", "100.0", "100.0", "ms", "50.0", "%", "0.0", "ms"]);
        assert_eq!(rows[2][3..], ["1,000,000", "30.0", "30.0", "ms", "15.0", "%", "20.0", "ms"]);
        assert!(text.contains("total waiting") && rows[4].ends_with(&["30.0", "ms", "15.0", "%"]), "{text}");
        assert!(rows[5].ends_with(&["40.0", "ms", "20.0", "%"]), "{text}");
        assert!(text.ends_with("share of 200.0 ms = 2 threads × 100.0 ms"), "{text}");
    }
}
