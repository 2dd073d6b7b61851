//! The summary at the end of a run.

use std::fmt::Write;
use std::time::Duration;

use super::output::TerminalText;
use tidemill_core::error::visible;
use tidemill_core::metrics::{Entry, Latency, Ledger};
use tidemill_engine::executor::{Report, Shown};

/// A column of the ledger: its heading and its value.
type LedgerColumn = (&'static str, fn(&Ledger) -> u64);

const LEDGER: [LedgerColumn; 9] = [
    ("in", |ledger| ledger.input),
    ("made", |ledger| ledger.made),
    ("out", |ledger| ledger.output),
    ("folded", |ledger| ledger.folded),
    ("filtered", |ledger| ledger.filtered),
    ("rejected", |ledger| ledger.rejected),
    ("late", |ledger| ledger.late),
    ("dropped", |ledger| ledger.dropped),
    ("held", |ledger| ledger.held),
];

/// Columns that are shown only if they have any records.
const RARE: [&str; 3] = ["made", "folded", "dropped"];

/// The ledger, the rejects, the rates and the remarks of a run; `first` stages ran before those in the file.
pub(super) fn summary(report: &Report, first: usize) -> TerminalText {
    let mut page = TerminalText::from(&*table(report, first));
    rejects(report, &mut page);
    latencies(report, &mut page);
    for remark in &report.remarks {
        let _ = writeln!(page, "note: {}", visible(remark));
    }
    let _ = page.write_str(&rates(report));
    page
}

/// Latencies since the arrival of records, for live input.
fn latencies(report: &Report, page: &mut TerminalText) {
    if report.latencies.is_empty() {
        return;
    }
    let head = ["from arrival to", "p50", "p99", "p99.9", "max"].map(str::to_owned).to_vec();
    let row = |latency: &Latency| {
        let Latency { part, p50, p99, p999, longest, .. } = latency;
        let times = [p50, p99, p999, longest].map(|time| short_time(*time));
        std::iter::once(part.clone()).chain(times).collect()
    };
    let rows: Vec<_> = std::iter::once(head).chain(report.latencies.iter().map(row)).collect();
    let _ = page.write_str(&aligned(&rows));
}

/// A duration that may be a fraction of a millisecond.
fn short_time(duration: Duration) -> String {
    match duration.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        _ => time(duration),
    }
}

fn table(report: &Report, first: usize) -> String {
    let (before, stages) = report.stages.split_at(first.min(report.stages.len()));
    let mut entries: Vec<_> = labelled_sources(&report.sources).collect();
    entries.extend(before.iter().map(|entry| ("before".to_owned(), entry)));
    entries.extend(labelled("stage", stages).chain(labelled("sink", &report.sinks)));
    let is_used = |&(head, of): &LedgerColumn| {
        !RARE.contains(&head) || entries.iter().any(|(_, entry)| of(&entry.ledger) > 0)
    };
    let columns: Vec<LedgerColumn> = LEDGER.into_iter().filter(is_used).collect();
    let heads = columns.iter().map(|&(head, _)| head);
    let head = std::iter::once("").chain(heads).chain(["time", "share"]).map(str::to_owned).collect();
    let rows = entries.iter().map(|(label, entry)| row(label, entry, &columns, report.elapsed));
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// A single source has no number.
pub(super) fn labelled_sources(sources: &[Entry]) -> impl Iterator<Item = (String, &Entry)> {
    labelled("source", sources)
        .map(|(label, entry)| (if sources.len() == 1 { "source".into() } else { label }, entry))
}

pub(super) fn labelled<'a>(kind: &'a str, entries: &'a [Entry]) -> impl Iterator<Item = (String, &'a Entry)> {
    entries.iter().enumerate().map(move |(at, entry)| (format!("{kind} {at}"), entry))
}

fn row(label: &str, entry: &Entry, columns: &[LedgerColumn], elapsed: Duration) -> Vec<String> {
    let share = 100.0 * entry.time.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
    let counts = columns.iter().map(|(_, of)| count(of(&entry.ledger)));
    let label = format!("{label} ({})", entry.name);
    std::iter::once(label).chain(counts).chain([time(entry.time), format!("{share:.0} %")]).collect()
}

/// Columns as wide as their widest cell; the first left-aligned, the others right-aligned.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(line, "  {cell:>width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn rejects(report: &Report, page: &mut TerminalText) {
    let rejects = &report.rejects;
    let total = rejects.malformed + rejects.late + rejects.ahead;
    if total == 0 {
        return;
    }
    let shown = rejects.first.len() as u64;
    let title = if shown < total {
        format!("rejects, the first {shown} of {}", count(total))
    } else {
        "rejects".into()
    };
    page.strong(&format!("{title}:"));
    let _ = writeln!(page);
    for reject in &rejects.first {
        let column = reject.column.as_ref().map(|name| format!("column `{name}`: ")).unwrap_or_default();
        let Shown { file, line, offset, reason, raw, .. } = reject;
        let place = format!("{file}:{line} (byte {offset}): {column}{reason}");
        let _ = writeln!(page, "  {}", visible(&place));
        if !raw.is_empty() {
            let _ = writeln!(page, "    {}", shortened(raw));
        }
    }
}

/// One line of about 120 characters.
fn shortened(raw: &str) -> String {
    let mut letters = raw.chars();
    let mut line = visible(&letters.by_ref().take(120).collect::<String>()).into_owned();
    if letters.next().is_some() {
        line.push('…');
    }
    line
}

fn rates(report: &Report) -> String {
    let seconds = report.elapsed.as_secs_f64().max(1e-9);
    let (records, before) = (report.records(), report.records_before);
    let now = records.saturating_sub(before);
    let per_second = |amount: f64| amount / seconds;
    let now_only = if before > 0 { format!(", {} since it was resumed", count(now)) } else { String::new() };
    let passes = if report.passes > 1 { format!(" in {} passes", report.passes) } else { String::new() };
    // Not every source reads bytes.
    let bytes = match report.bytes {
        bytes if bytes == 0 || before > 0 => String::new(),
        bytes => format!(", {:.1} MB/s", per_second(bytes as f64) / 1e6),
    };
    format!(
        "{} of {}{now_only}{passes} in {}: {} records/s{bytes}",
        plural(records, "record"),
        plural(report.sensors, "sensor"),
        time(report.elapsed),
        count(per_second(now as f64) as u64),
    )
}

/// A count with thousands separators: 1,234,567.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, in the plural if needed.
pub(super) fn plural(value: u64, what: &str) -> String {
    format!("{} {what}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A duration in a suitable unit.
pub(super) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        0 => format!("{:.1} ms", seconds * 1e3),
        1..120 => format!("{seconds:.2} s"),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_times_have_units() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let times = [15, 1500, 150_000].map(|ms| time(Duration::from_millis(ms)));
        assert_eq!(times, ["15.0 ms", "1.50 s", "2 min 30 s"]);
    }

    #[test]
    fn stages_have_the_numbers_that_they_have_in_the_file() {
        let report =
            Report { stages: ["order", "threshold"].map(Entry::new).into(), bytes: 0, ..Report::default() };
        let text = summary(&report, 1);
        assert!(text.contains("\nbefore (order) ") && text.contains("\nstage 0 (threshold) "), "{text}");
        assert!(text.ends_with(" records/s"), "nothing was read: {text}");
    }

    #[test]
    fn the_ledger_stands_in_columns() {
        let ledger = Ledger { input: 1200, output: 1000, filtered: 200, ..Ledger::default() };
        let stage = Entry { ledger, time: Duration::from_millis(250), ..Entry::new("threshold") };
        let report = Report {
            sources: vec![Entry::default()],
            stages: vec![stage],
            elapsed: Duration::from_secs(1),
            ..Report::default()
        };
        let text = summary(&report, 0);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "                        in    out  filtered  rejected  late  held      time  share"
        );
        assert_eq!(
            lines[2],
            "stage 0 (threshold)  1,200  1,000       200         0     0     0  250.0 ms   25 %"
        );
    }

    #[test]
    fn summaries_have_columns_where_there_are_any() {
        let ledger = Ledger { input: 1200, folded: 1200, made: 3, output: 3, ..Ledger::default() };
        let stage = Entry { ledger, ..Entry::new("aggregate") };
        let sources = vec![Entry::default()];
        let text = summary(&Report { sources, stages: vec![stage], ..Report::default() }, 0);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..4], ["in", "made", "out", "folded"]);
        assert_eq!(lines[2][3..7], ["1,200", "3", "3", "1,200"]);
    }

    #[test]
    fn a_reject_is_one_line_whatever_it_holds() {
        assert_eq!(shortened("a\nb\u{1b}[1m"), "a\\nb\\u{1b}[1m");
        assert_eq!(shortened(&"x".repeat(200)).chars().count(), 121);
    }
}
