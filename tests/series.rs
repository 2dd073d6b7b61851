//! Two long series as instruments give them (`datasets/series`): a clock that runs back, gaps, labelled anomalies. What comes
//! out is held to what a plain loop over the `csv` crate's records finds in the files.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/command.rs"]
mod command;

use std::path::{Path, PathBuf};

use bench::Bench;
use tidemill::Report;

/// 2,000 readings of a machine, one every 5 minutes; its clock runs back once.
const MACHINE: &str = "machine";
/// 700 hourly readings of an office, with gaps.
const OFFICE: &str = "office";

/// One reading, as the file has it.
#[derive(Clone, Debug, PartialEq)]
struct Reading {
    line: usize,
    text: String,
    seconds: i64,
    value: f64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/series")
}

fn file(series: &str) -> PathBuf {
    folder().join(format!("{series}.csv"))
}

/// All readings of a file, in order.
fn readings(file: &Path) -> Vec<Reading> {
    let mut reader = csv::Reader::from_path(file).expect("a file");
    let reading = |(at, record): (usize, csv::Result<csv::StringRecord>)| {
        let record = record.expect("a record");
        Reading {
            line: at + 2,
            text: record[0].to_owned(),
            seconds: seconds(&record[0]),
            value: record[1].parse().expect("a number"),
        }
    };
    reader.records().enumerate().map(reading).collect()
}

fn seconds(text: &str) -> i64 {
    let time: jiff::civil::DateTime = text.parse().expect("a time");
    time.to_zoned(jiff::tz::TimeZone::UTC).expect("in range").timestamp().as_second()
}

/// A series as `in.csv` through these stages: its readings, the fields of each record that came out, and the report.
fn through(series: &str, source: &str, stages: &str) -> (Vec<Reading>, Vec<Vec<String>>, Report) {
    let file = file(series);
    let bench = Bench::new(&[]);
    std::fs::copy(&file, bench.path("in.csv")).expect("copied");
    let report = bench.through(&format!("time = \"timestamp\"\n{source}"), stages).expect("a run");
    let fields = |line: &String| line.split(',').map(str::to_owned).collect();
    (readings(&file), bench.out().iter().map(fields).collect(), report)
}

/// The readings that are behind the newest before them by more than `bound` seconds, with how much.
fn late(readings: &[Reading], bound: i64) -> Vec<(usize, i64)> {
    let (mut newest, mut late) = (i64::MIN, Vec::new());
    for reading in readings {
        if newest.saturating_sub(reading.seconds) > bound {
            late.push((reading.line, newest - reading.seconds));
        }
        newest = newest.max(reading.seconds);
    }
    late
}

/// The first readings after a step of more than `seconds`.
fn after_gaps(readings: &[Reading], seconds: i64) -> Vec<String> {
    let is_gap = |pair: &&[Reading]| pair[1].seconds - pair[0].seconds > seconds;
    readings.windows(2).filter(is_gap).map(|pair| pair[1].text.clone()).collect()
}

#[test]
fn every_reading_comes_through_as_it_was() {
    for (series, count) in [(MACHINE, 2000), (OFFICE, 700)] {
        let (readings, records, report) = through(series, "", "");
        assert_eq!((readings.len(), records.len()), (count, count));
        assert_eq!((report.sources[0].ledger.input, report.sources[0].ledger.rejected), (count as u64, 0));
        for (reading, record) in readings.iter().zip(&records) {
            let value: f64 = record[2].parse().expect("a number");
            assert_eq!(
                (&record[0], value.to_bits()),
                (&reading.text, reading.value.to_bits()),
                "line {}",
                reading.line
            );
        }
    }
}

#[test]
fn both_files_are_one_input_of_two_sensors() {
    let bench = Bench::new(&[]);
    let report = bench
        .run(&format!(
            "[source]\ntype = \"csv\"\npath = \"{}/*.csv\"\ntime = \"timestamp\"\n[[sink]]\ntype = \"csv\"\npath = \"@/out.csv\"",
            folder().display()
        ))
        .expect("a run");
    assert_eq!(
        (report.sources[0].ledger.input, report.sources[0].ledger.rejected, report.sensors),
        (2700, 0, 2)
    );
    let is_of = |series: &'static str| move |line: &&String| line.split(',').nth(1) == Some(series);
    let count = |series| bench.out().iter().filter(is_of(series)).count();
    assert_eq!((count(MACHINE), count(OFFICE)), (2000, 700));
}

#[test]
fn the_clock_that_runs_back_makes_readings_late_where_time_matters() {
    let window = "[[stage]]\ntype = \"moving_average\"\nwindow = \"1h\"";
    let (readings, records, report) = through(MACHINE, "", window);
    let late = late(&readings, 0);
    // From 02:55 back to 02:00: eleven readings are older than the newest, the twelfth is as old.
    assert_eq!((late.len(), late[0], late[10]), (11, (1190, 55 * 60), (1200, 5 * 60)));
    assert_eq!((report.rejects.late, records.len()), (11, 1989));
    let shown: Vec<_> =
        report.rejects.first.iter().map(|shown| (shown.line as usize, shown.reason.as_str())).collect();
    let reasons: Vec<_> = ["55m", "50m", "45m", "40m", "35m"]
        .map(|behind| format!("late: {behind} behind the newest record of its sensor"))
        .into();
    let expected: Vec<_> =
        late.iter().zip(&reasons).map(|(&(line, _), reason)| (line, reason.as_str())).collect();
    assert_eq!(shown, expected);
    assert_eq!(report.rejects.first[0].raw, format!("2031-03-05 02:00:00,{}", raw_value(1190)));
    // Without a window of time nothing is late.
    let rows = "[[stage]]\ntype = \"moving_average\"\nwindow = 12";
    let (_, records, report) = through(MACHINE, "", rows);
    assert_eq!((report.rejects.late, records.len()), (0, 2000));
}

/// The value on a line of the machine's file, as it stands there.
fn raw_value(line: usize) -> String {
    let text = std::fs::read_to_string(file(MACHINE)).expect("a file");
    let line = text.lines().nth(line - 1).expect("a line");
    line.rsplit(',').next().expect("a value").to_owned()
}

#[test]
fn sorting_by_time_mends_the_clock_within_the_bound() {
    for (disorder, bound) in [("1h", 3600), ("55m", 3300), ("30m", 1800), ("1s", 1)] {
        let source = format!("order = \"time\"\ndisorder = \"{disorder}\"");
        let (readings, records, report) = through(MACHINE, &source, "");
        let late = late(&readings, bound);
        let mut kept: Vec<&Reading> =
            readings.iter().filter(|reading| late.iter().all(|&(line, _)| line != reading.line)).collect();
        kept.sort_by_key(|reading| (reading.seconds, reading.line));
        let expected: Vec<_> = kept.iter().map(|reading| (reading.text.as_str(), reading.value)).collect();
        let got: Vec<_> =
            records.iter().map(|record| (record[0].as_str(), record[2].parse().expect("a number"))).collect();
        assert_eq!(report.rejects.late, late.len() as u64, "{disorder}");
        assert!(got == expected, "{disorder}");
    }
    assert_eq!(late(&readings(&file(MACHINE)), 1800).len(), 5);
}

#[test]
fn after_a_gap_the_window_holds_one_reading() {
    // An hour and a half has two hourly readings, and one after a gap.
    let window = "[[stage]]\ntype = \"moving_average\"\nwindow = \"90m\"\ncount = true";
    let (readings, records, _) = through(OFFICE, "", window);
    let gaps = after_gaps(&readings, 3600);
    assert_eq!(gaps.len(), 10);
    assert!(gaps.contains(&"2030-07-18 07:00:00".to_owned()), "after 7 days and 6 hours");
    let alone: Vec<_> = records.iter().filter(|record| record[4] == "1").collect();
    let (first, rest) = alone.split_first().expect("the first reading");
    assert_eq!(first[0], "2030-07-04 00:00:00");
    assert_eq!(rest.iter().map(|record| &record[0]).collect::<Vec<_>>(), gaps.iter().collect::<Vec<_>>());
    assert!(alone.iter().all(|record| record[2] == record[3]), "the mean of one reading is the reading");
    assert_eq!(records.iter().filter(|record| record[4] == "2").count(), readings.len() - 11);
}

/// The windows of a series that are labelled as anomalies, in seconds.
fn windows(series: &str) -> Vec<[i64; 2]> {
    let labels = std::fs::read(folder().join("windows.json")).expect("labels");
    let labels: serde_json::Value = serde_json::from_slice(&labels).expect("JSON");
    let bounds = |window: &serde_json::Value| [0, 1].map(|at| seconds(window[at].as_str().expect("a time")));
    labels[series].as_array().expect("windows").iter().map(bounds).collect()
}

fn is_within([start, end]: [i64; 2], time: i64) -> bool {
    (start..=end).contains(&time)
}

#[test]
fn the_labelled_windows_keep_their_readings() {
    for (series, counts) in [(MACHINE, &[100, 50][..]), (OFFICE, &[41])] {
        let (readings, records, _) = through(series, "order = \"time\"\ndisorder = \"1h\"", "");
        let found = windows(series).into_iter().map(|window| {
            let before = readings.iter().filter(|reading| is_within(window, reading.seconds)).count();
            let after = records.iter().filter(|record| is_within(window, seconds(&record[0]))).count();
            assert_eq!(before, after);
            after
        });
        assert_eq!(found.collect::<Vec<_>>(), counts, "{series}");
    }
}

#[test]
fn what_is_far_from_the_mean_lies_in_the_labelled_windows() {
    let stages = "[[stage]]\ntype = \"normalize\"\nmethod = \"z_score\"\nfit = true\n[[stage]]\ntype = \"threshold\"\nmin = -4\nmax = 4";
    for series in [MACHINE, OFFICE] {
        let (readings, records, report) = through(series, "", stages);
        let kept: std::collections::BTreeSet<&str> = records.iter().map(|record| &*record[0]).collect();
        let far: Vec<i64> = readings
            .iter()
            .filter(|reading| !kept.contains(&*reading.text))
            .map(|reading| reading.seconds)
            .collect();
        assert_eq!(
            (far.len(), report.stages[1].ledger.filtered),
            (readings.len() - records.len(), far.len() as u64)
        );
        let windows = windows(series);
        assert!(
            far.iter().all(|&time| windows.iter().any(|&window| is_within(window, time))),
            "{series}: {far:?}"
        );
        assert!(
            windows.iter().all(|&window| far.iter().any(|&time| is_within(window, time))),
            "{series}: {far:?}"
        );
    }
}

#[test]
fn init_writes_a_pipeline_that_runs_unchanged() {
    for series in [MACHINE, OFFICE] {
        let (folder, file) = (command::folder(), file(series).display().to_string());
        for arguments in [&["init", &file, "-o", "p.toml"][..], &["run", "p.toml"]] {
            let output = command::run(folder.path(), arguments);
            assert_eq!(output.status.code(), Some(0), "{}", command::text(&output.stderr));
        }
    }
}
