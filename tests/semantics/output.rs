//! Clauses 18 to 20: what is written, when it appears, and what sinks have to do with one another.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::{CsvFile, Null, Repeat, Sink, SinkSpec};
use tidemill::source::{Csv, Progress, Synthetic};
use tidemill::{Error, ErrorKind, Pipeline, Result};
use tidemill_engine::executor::{self, Observer, RunOptions};

use crate::bench::Bench;

/// What a file gives through a sink of this type.
fn written(text: &str, stages: &str, sink: &str) -> Vec<String> {
    let bench = Bench::new(&[("in.csv", text)]);
    let source = "[source]\ntype = \"csv\"\npath = \"@/in.csv\"\nmeasurements = [\"v\"]";
    bench.run(&format!("{source}\n{stages}\n[[sink]]\n{sink}\npath = \"@/out\"")).expect("a run");
    std::fs::read_to_string(bench.path("out")).expect("an output").lines().map(str::to_owned).collect()
}

#[test]
fn clause_18_nulls_are_empty_in_csv_and_null_in_json() {
    let text = "v,note\n1.50,\n,a\nnan,\"b,\"\"c\"\"\"\n-inf,d\n";
    assert_eq!(
        written(text, "", "type = \"csv\""),
        ["sensor,v,note", "in,1.5,", "in,,a", "in,NaN,\"b,\"\"c\"\"\"", "in,-inf,d"]
    );
    assert_eq!(
        written(text, "", "type = \"jsonl\""),
        [
            r#"{"sensor":"in","v":1.5,"note":null}"#,
            r#"{"sensor":"in","v":null,"note":"a"}"#,
            r#"{"sensor":"in","v":"NaN","note":"b,\"c\""}"#,
            r#"{"sensor":"in","v":"-inf","note":"d"}"#,
        ]
    );
}

#[test]
fn clause_18_an_alert_on_an_infinity_says_so() {
    let sink = "type = \"alert\"\ncolumn = \"v\"\nabove = 10\nbelow = -10\nclear_above = 0";
    let alerts = written("v\ninf\n-0.0\n-inf\n", "", sink);
    let told = |line: &String| {
        let alert: serde_json::Value = serde_json::from_str(line).expect("JSON");
        format!("{} {} {}", alert["state"], alert["value"], alert["threshold"])
    };
    assert_eq!(
        alerts.iter().map(told).collect::<Vec<_>>(),
        [r#""raised" "inf" 10.0"#, r#""cleared" -0.0 10.0"#, r#""raised" "-inf" -10.0"#]
    );
}

#[test]
fn an_alert_to_the_log_writes_numbers_as_files_have_them() {
    let bench = Bench::new(&[("in.csv", "v\n1e308\n-1e-300\n")]);
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = '{}'\n[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 1.5e300\n",
        bench.path("in.csv")
    );
    std::fs::write(bench.path("p.toml"), pipeline).expect("written");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidemill"));
    let output = command.arg("run").arg(bench.path("p.toml")).output().expect("the command runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("alert v: v of in is 1e308, above 1.5e300"), "{said}");
    assert!(said.contains("v of in is -1e-300, no longer above 1.5e300"), "{said}");
}

#[test]
fn clause_12_an_alert_by_glob_watches_all_that_fit() {
    let bench = Bench::new(&[("in.csv", "TI101,TI102,FI1\n20,19,99\n20,21.5,99\n19,20,99\n")]);
    let source = "[source]\ntype = \"csv\"\npath = \"@/in.csv\"";
    let sink = "[[sink]]\ntype = \"alert\"\ncolumn = \"TI*\"\nabove = 20\npath = \"@/out\"";
    let alerts = |more: &str| {
        let report = bench.run(&format!("{source}\n{sink}{more}")).expect("a run");
        let alerts = std::fs::read_to_string(bench.path("out")).expect("an output");
        let told = |line: &str| {
            let alert: serde_json::Value = serde_json::from_str(line).expect("JSON");
            format!("{} {} {} {}", alert["state"], alert["rule"], alert["column"], alert["value"])
        };
        (alerts.lines().map(told).collect::<Vec<_>>(), report.remarks)
    };
    let (told, remarks) = alerts("");
    assert_eq!(told, [r#""raised" "TI102" "TI102" 21.5"#, r#""cleared" "TI102" "TI102" 20.0"#]);
    assert_eq!(remarks, ["alert TI*: 1 raised, 0 still open"]);
    // The records' order, then that of the columns.
    let (told, remarks) = alerts("\nname = \"hot\"\nrules = { in = { above = 18.5 } }");
    assert_eq!(told, [r#""raised" "hot" "TI101" 20.0"#, r#""raised" "hot" "TI102" 19.0"#]);
    assert_eq!(remarks, ["alert hot: 2 raised, 2 still open"]);
}

#[test]
fn clause_18_decimals_are_optional() {
    let text = "v,x\n0.12345,a\n2,b\n-0.0004,c\n1e21,d\n";
    let decimals = ["in,0.123,a", "in,2.000,b", "in,-0.000,c", "in,1000000000000000000000.000,d"];
    assert_eq!(written(text, "", "type = \"csv\"\ndecimals = 3")[1..], decimals);
    assert_eq!(
        written(text, "", "type = \"csv\"")[1..],
        ["in,0.12345,a", "in,2,b", "in,-0.0004,c", "in,1e21,d"]
    );
    assert_eq!(written(text, "", "type = \"jsonl\"\ndecimals = 1")[0], r#"{"sensor":"in","v":0.1,"x":"a"}"#);
}

#[test]
fn clause_18_what_is_written_reads_back_to_the_same_bits() {
    let text = "v,x\n5e-324,a\n-0.0,b\n1.7976931348623157e308,c\n0.1,d\n9007199254740993,e\n";
    let once = written(text, "", "type = \"csv\"");
    let again: Vec<String> = once
        .iter()
        .map(|line| line.strip_prefix("sensor,").or(line.strip_prefix("in,")).unwrap_or(line).to_owned())
        .collect();
    assert_eq!(written(&again.join("\n"), "", "type = \"csv\""), once);
}

#[test]
fn clause_18_times_that_came_without_text_are_rfc_3339_in_utc() {
    let bench = Bench::new(&[]);
    let source = Synthetic { start: "2026-01-01T01:00:00.5+01:00".into(), ..Synthetic::default().records(1) };
    Pipeline::builder().source(source).sink(CsvFile::new(bench.path("out.csv"))).run().expect("a run");
    assert!(bench.out()[0].starts_with("2026-01-01T00:00:00.500Z,"), "{:?}", bench.out());
}

/// Looks at a folder after every piece of the input.
struct Watch(PathBuf, Vec<Vec<String>>);

impl Observer for Watch {
    fn progress(&mut self, _pass: &str, _progress: Progress, _records: u64) {
        self.1.push(names(&self.0));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn clause_19_while_a_run_lasts_there_is_the_older_file_and_one_under_another_name() {
    let bench = Bench::new(&[("out.csv", "older\n")]);
    let pipeline = Pipeline::builder()
        .source(Synthetic::default().records(50_000))
        .sink(CsvFile::new(bench.path("out.csv")))
        .build()
        .expect("a pipeline");
    let mut watch = Watch(bench.0.path().to_owned(), Vec::new());
    executor::run(&pipeline, &RunOptions::default(), &mut watch).expect("a run");
    assert!(watch.1.len() > 1);
    for names in &watch.1 {
        assert_eq!((names.len(), names[1].as_str()), (2, "out.csv"));
        assert!(names[0].starts_with(".out.csv.part-"), "{names:?}");
    }
    assert_eq!((names(bench.0.path()), bench.out().len()), (vec!["out.csv".to_owned()], 50_000));
}

/// When a sink gives up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Open,
    Write,
    Flush,
    Commit,
    Never,
}

/// A sink that gives up, and notes what it was given until then.
#[derive(Clone)]
struct Fragile {
    fails: Moment,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default, PartialEq)]
struct Log {
    records: usize,
    flushed: bool,
    committed: bool,
}

impl Fragile {
    fn new(fails: Moment) -> Self {
        Self { fails, log: Arc::default() }
    }

    fn at(&self, moment: Moment, note: impl FnOnce(&mut Log)) -> Result<()> {
        if self.fails == moment {
            return Err(Error::new(ErrorKind::Io, "it broke").with_help("mend it"));
        }
        note(&mut self.log.lock().expect("a log"));
        Ok(())
    }
}

impl SinkSpec for Fragile {
    fn name(&self) -> &str {
        "fragile"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn open(&self, _schema: &Arc<Schema>, _context: &tidemill::sink::SinkContext) -> Result<Box<dyn Sink>> {
        self.at(Moment::Open, |_| ())?;
        Ok(Box::new(self.clone()))
    }
}

impl Sink for Fragile {
    fn write(&mut self, batch: &Batch, _sensors: &Sensors) -> Result<()> {
        self.at(Moment::Write, |log| log.records += batch.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.at(Moment::Flush, |log| log.flushed = true)
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.at(Moment::Commit, |log| log.committed = true).map(|()| Vec::new())
    }
}

#[test]
fn clause_20_a_sink_that_fails_ends_the_run_before_another_shows_anything() {
    for fails in [Moment::Open, Moment::Write, Moment::Flush] {
        let bench = Bench::new(&[("out.csv", "older\n")]);
        let (before, after) = (Fragile::new(Moment::Never), Fragile::new(Moment::Never));
        let error = Pipeline::builder()
            .source(Synthetic::default().records(1000))
            .sink(before.clone())
            .sink(CsvFile::new(bench.path("out.csv")))
            .sink(Fragile::new(fails))
            .sink(after.clone())
            .run()
            .expect_err("it broke");
        assert_eq!(error.to_string(), "sink 2 (fragile): it broke; mend it", "{fails:?}");
        let committed = [&before, &after].map(|sink| sink.log.lock().expect("a log").committed);
        assert_eq!(committed, [false, false], "{fails:?}");
        assert_eq!(names(bench.0.path()), ["out.csv"], "{fails:?}");
        assert_eq!(std::fs::read_to_string(bench.path("out.csv")).expect("the older"), "older\n");
    }
}

#[test]
fn clause_20_a_sink_that_fails_at_the_last_moment_takes_nothing_from_those_before_it() {
    let bench = Bench::new(&[]);
    let first = Fragile::new(Moment::Never);
    let error = Pipeline::builder()
        .source(Synthetic::default().records(1000))
        .sink(first.clone())
        .sink(CsvFile::new(bench.path("out.csv")))
        .sink(Fragile::new(Moment::Commit))
        .run()
        .expect_err("it broke");
    assert_eq!(error.to_string(), "sink 2 (fragile): it broke; mend it");
    assert_eq!(*first.log.lock().expect("a log"), Log { records: 1000, flushed: true, committed: true });
    assert_eq!((names(bench.0.path()), bench.out().len()), (vec!["out.csv".to_owned()], 1000));
}

#[test]
fn clause_20_what_a_sink_is_said_to_have_taken_lies_in_its_file() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let good: String = (0..700).map(|at| format!("s{},{}\n", at % 7, at % 11)).collect();
    let bench = Bench::new(&[("in.csv", &format!("s,v\n{good}{}", "s1,x\n".repeat(5)))]);
    let mut pipeline = String::from(
        "[source]\ntype = \"csv\"\npath = \"@/in.csv\"\nsensor = \"s\"\nmeasurements = [\"v\"]\n",
    );
    for (kind, sensors) in [("csv", "s1"), ("jsonl", "s[23]"), ("parquet", "s[4-6]"), ("dead_letter", "")] {
        let sensors = if sensors.is_empty() { String::new() } else { format!("sensors = [\"{sensors}\"]") };
        pipeline += &format!("[[sink]]\ntype = \"{kind}\"\npath = \"@/{kind}\"\n{sensors}\n");
    }
    pipeline += "[[stage]]\ntype = \"threshold\"\nmin = 1\n";
    let report = bench.run(&pipeline).expect("a run");
    let lines =
        |name: &str| std::fs::read_to_string(bench.path(name)).expect("an output").lines().count() as u64;
    let table = std::fs::File::open(bench.path("parquet")).expect("an output");
    let table =
        SerializedFileReader::new(table).expect("Parquet").metadata().file_metadata().num_rows() as u64;
    let found = [lines("csv") - 1, lines("jsonl"), table, lines("dead_letter")];
    let told: Vec<_> = report.sinks.iter().map(|sink| sink.ledger.output).collect();
    assert_eq!(told, found);
    // Counted here: zeros go, five records are refused.
    let of =
        |sensors: &[usize]| (0..700).filter(|at| at % 11 > 0 && sensors.contains(&(at % 7))).count() as u64;
    assert_eq!(found, [of(&[1]), of(&[2, 3]), of(&[4, 5, 6]), 5]);
}

#[test]
fn clause_20_each_sink_has_its_own_filter() {
    let bench = Bench::new(&[("in.csv", "s,v\na1,1\na2,2\nb1,3\na1,4\n")]);
    let run = |patterns: &[&str]| {
        let report = Pipeline::builder()
            .source(Csv::new(bench.path("in.csv")).sensor("s"))
            .sink(Null::default())
            .sink_for(patterns.iter().copied(), CsvFile::new(bench.path("out.csv")))
            .run()
            .expect("a run");
        let (ledger, written) = (report.sinks[1].ledger, bench.out());
        assert_eq!((report.sinks[0].ledger.output, ledger.input), (4, 4));
        assert_eq!((ledger.output, ledger.filtered), (written.len() as u64, 4 - written.len() as u64));
        written
    };
    assert_eq!(run(&["a?"]), ["a1,1", "a2,2", "a1,4"]);
    assert_eq!(run(&["a1", "b*"]), ["a1,1", "b1,3", "a1,4"]);
    assert_eq!(run(&["nobody"]), [""; 0]);
}
