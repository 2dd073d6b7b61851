//! The parallel runtime gives bit for bit the result of the one-thread loop: outputs, ledgers, rejections, errors.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Observer, Report, RunOptions, run};
use crate::Pipeline;
use crate::batch::{Batch, Schema};
use crate::error::{ErrorKind, Result};
use crate::sensor::Sensors;
use crate::sink::{CsvFile, Null};
use crate::source::{Csv, Io, OpenOptions, Progress, Synthetic};
use crate::stage::{Fit, Fitted, Flow, MovingAverage, Process, Reach, Stage};

/// Stages of every reach, as fragments of a pipeline file.
pub(crate) const STAGES: [&str; 19] = [
    "type = \"threshold\"\nmin = -50.0\nmax = 90.0",
    "type = \"threshold\"\nmin = 0.0\naction = \"mask\"\nsensors.\"s1*\" = { min = 10.0 }",
    "type = \"normalize\"\nmethod = \"min_max\"\nfit = true",
    "type = \"normalize\"\nmethod = \"robust\"\nfit = true",
    "type = \"normalize\"\nmethod = \"z_score\"\nrunning = true",
    "type = \"moving_average\"\nwindow = 3\ninto = \"{column}_3\"\ncount = true",
    "type = \"moving_average\"\nwindow = \"4s\"",
    "type = \"threshold\"\nmax = 50.0\naction = \"flag\"",
    "type = \"moving_min\"\nwindow = \"5s\"",
    "type = \"moving_max\"\nwindow = 4\nnon_finite = \"propagate\"",
    "type = \"moving_std\"\nwindow = 5\nddof = 1",
    "type = \"moving_median\"\nwindow = \"3s\"",
    "type = \"aggregate\"\nevery = \"10s\"\ninto = \"v{statistic}\"\ncolumns = [\"v\"]\nquantiles = [0.9]",
    "type = \"pivot\"\nkey = \"w\"\nnames = [\"v\", \"x\"]\nvalue = \"v\"",
    "type = \"rate\"\ncounter = true",
    "type = \"dedupe\"\ntolerance = 20.0\nheartbeat = \"6s\"",
    "type = \"silence\"\nafter = \"4s\"",
    "type = \"silence\"\nafter = \"2s\"\ninto = \"gone\"\nkeep = \"changes\"",
    "type = \"alerts\"\ncolumn = \"v\"\nabove = 50.0\nclear_above = 30.0\nhold = \"1s\"",
];

/// Stages that may follow them.
pub(crate) const LAST: [&str; 3] = [
    "",
    "[[stage]]\ntype = \"aggregate\"\nquantiles = [0.5]\nstatistics = [\"std\", \"mean\", \"max\"]\n",
    "[[stage]]\ntype = \"pivot\"\nkey = \"w\"\nnames = [\"v\", \"x\"]\nvalue = \"v\"\n",
];

/// Options of the source that insert stages or make other records.
pub(crate) const LEADING: [&str; 13] = [
    "",
    "order = \"time\"\ndisorder = \"3s\"",
    "order = \"newest_first\"",
    "max_jump = \"2s\"",
    "max_jump = \"2s\"\norder = \"time\"\ndisorder = \"3s\"",
    "idle_sensors = \"4s\"",
    "idle_sensors = \"3s\"\norder = \"time\"\ndisorder = \"2s\"\nmax_jump = \"5s\"\nagree = 1",
    "idle_sensors = \"7s\"\nmax_sensors = 9",
    "from = \"2026-01-01T00:00:05Z\"\nuntil = \"2026-01-01T00:01:00Z\"",
    "timezone = \"Europe/Zurich\"",
    "timezone = \"Europe/Zurich\"\norder = \"time\"\ndisorder = \"2s\"\nuntil = \"2026-10-25T01:00:40Z\"",
    "time_format = \"2026-01-01T%H:%M:%SZ\"\nstart = \"2026-01-01T00:00:00Z\"",
    "unpivot = { sensor = \"{sensor}.{column}\", value = \"v\" }",
];

#[derive(Clone, Debug)]
pub(crate) struct Case {
    rows: Vec<(u8, i64, String)>,
    stages: Vec<usize>,
    /// An index into [`LEADING`].
    leading: usize,
    /// An index into [`LAST`].
    last: usize,
    max_rejects: u64,
}

impl Case {
    pub(crate) fn text(&self) -> String {
        let mut clock = 0;
        // Times that the clocks of the zone show twice, if there is a zone.
        let is_local = LEADING[self.leading].contains("timezone");
        let (hour, zone) = if is_local { ("2026-10-25T02", "") } else { ("2026-01-01T00", "Z") };
        let row = |(sensor, step, value): &(u8, i64, String)| {
            clock = (clock + step).max(0);
            let key = ["v", "x", "y"][(clock + step) as usize % 3];
            format!("{hour}:{:02}:{:02}{zone},s{sensor},{value},{key}\n", clock / 60 % 60, clock % 60)
        };
        "t,sensor,v,w\n".to_owned() + &self.rows.iter().map(row).collect::<String>()
    }

    pub(crate) fn pipeline(&self, folder: &Path, out: &str) -> Pipeline {
        let order = LEADING[self.leading];
        let folder = folder.display();
        let mut file = format!(
            "[source]\ntype = \"csv\"\npath = \"{folder}/in.csv\"\ntime = \"t\"\nsensor = \"sensor\"\n\
             measurements = [\"v\"]\nmax_rejects = {}\n{order}\n",
            self.max_rejects
        );
        for &stage in &self.stages {
            file += &format!("[[stage]]\n{}\n", STAGES[stage]);
        }
        file += LAST[self.last];
        for (kind, more) in
            [("csv", ""), ("jsonl", "sensors = [\"s1*\"]"), ("dead_letter", ""), ("parquet", "row_group = 7")]
        {
            file += &format!("[[sink]]\ntype = \"{kind}\"\npath = \"{folder}/{out}/{kind}\"\n{more}\n");
        }
        Pipeline::from_toml(&file).expect("a pipeline")
    }
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let value = prop_oneof![
        8 => (-1000..1500i32).prop_map(|v| (f64::from(v) / 10.0).to_string()),
        1 => proptest::sample::select(&["", "NaN", "inf", "1e17", "x", "1,2", "\"3\n\"", "\" 4 \""][..]).prop_map(str::to_owned),
    ];
    let rows = proptest::collection::vec((0..20u8, -3..6i64, value), 1..120);
    let stages = proptest::sample::subsequence((0..STAGES.len()).collect::<Vec<_>>(), 0..5).prop_shuffle();
    let max_rejects = prop_oneof![3 => Just(1000u64), 1 => 0..4u64];
    (rows, stages, 0..LEADING.len(), 0..LAST.len(), max_rejects).prop_map(
        |(rows, stages, leading, last, max_rejects)| Case { rows, stages, leading, last, max_rejects },
    )
}

/// Everything that a run leaves behind: its files, its ledgers without durations, or its error.
fn outcome(folder: &Path, out: &str, result: Result<Report>) -> Vec<String> {
    let file = |kind: &str| {
        let bytes = std::fs::read(folder.join(out).join(kind)).unwrap_or_default();
        format!("{kind}: {}", bytes.escape_ascii())
    };
    let mut all = vec![match result {
        Err(error) => format!("{error:?}").replace(&format!("/{out}/"), "/"),
        Ok(report) => {
            let entries = report.sources.iter().chain(&report.stages).chain(&report.sinks);
            let ledgers: Vec<_> = entries.map(|entry| (&entry.name, entry.ledger)).collect();
            format!("{ledgers:?} {:?} {} {:?}", report.rejects, report.sensors, report.remarks)
        }
    }];
    all.extend(["csv", "jsonl", "dead_letter", "parquet"].map(file));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn clauses_8_and_10_any_number_of_workers_gives_the_bits_of_one(case in case(), chunk_size in 1..400usize) {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("in.csv"), case.text()).expect("written");
        let go = |out: &str, options: RunOptions| {
            let result = run(&case.pipeline(folder.path(), out), &options, &mut ());
            outcome(folder.path(), out, result)
        };
        let plain = go("plain", RunOptions { sequential: true, ..RunOptions::default() });
        for (threads, chunk_size, io) in
            [(1, chunk_size, Io::Auto), (2, chunk_size, Io::Read), (7, 64, Io::Auto), (16, 1 << 20, Io::Read)]
        {
            let open = OpenOptions { chunk_size, io, ..OpenOptions::default() };
            let options = RunOptions { threads: Some(threads), open, ..RunOptions::default() };
            prop_assert_eq!(&go(&format!("by{threads}"), options), &plain, "{} threads", threads);
        }
    }
}

/// Learns nothing, and panics at the value 13.
struct Learning;

impl Fit for Learning {
    fn fork(&self) -> Box<dyn Fit> {
        Box::new(Self)
    }

    fn merge(&mut self, _fork: Box<dyn Fit>) -> Result<()> {
        Ok(())
    }

    fn observe(&mut self, batch: &Batch, _sensors: &Sensors) -> Result<()> {
        let at = batch.schema().index_of("v").expect("a column");
        assert!(!batch.measurement(at).values.contains(&13.0), "thirteen");
        Ok(())
    }

    fn finish(&mut self, _sensors: &Sensors) -> Result<Option<Fitted>> {
        Ok(Some(Fitted { stage: Box::new(Superstitious { reach: Reach::Row }), remarks: Vec::new() }))
    }
}

/// Panics when it observes progress.
struct Shy;

impl Observer for Shy {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        assert!(records < 13, "thirteen");
    }
}

/// Panics at the value 13, in its first pass if it has one.
#[derive(Clone, Copy)]
struct Superstitious {
    reach: Reach,
}

impl Stage for Superstitious {
    fn name(&self) -> &str {
        "superstitious"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        Ok(input.clone())
    }

    fn fit(&self, _input: &Arc<Schema>) -> Result<Option<Box<dyn Fit>>> {
        Ok((self.reach == Reach::Global).then(|| Box::new(Learning) as _))
    }

    fn start(&self, _input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(|batch: Batch, _: &Sensors, _: &mut Flow| {
            let at = batch.schema().index_of("v").expect("a column");
            assert!(!batch.measurement(at).values.contains(&13.0), "thirteen");
            Ok(batch)
        }))
    }
}

#[test]
fn a_panic_in_a_stage_is_an_error_that_names_it_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("folder");
    let rows: String = (0..40).map(|at| format!("s{},{at}\n", at % 3)).collect();
    std::fs::write(folder.path().join("in.csv"), format!("sensor,v\n{rows}")).expect("written");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let reaches = [Reach::Row, Reach::Series, Reach::Global];
    for (threads, reach) in reaches.into_iter().flat_map(|reach| [(1, reach), (3, reach)]) {
        let pipeline = Pipeline::builder()
            .source(Csv::new(path("in.csv")).sensor("sensor"))
            .stage(MovingAverage::rows(2))
            .stage(Superstitious { reach })
            .sink(CsvFile::new(path("out.csv")))
            .build()
            .expect("a pipeline");
        let open = OpenOptions { chunk_size: 10, ..OpenOptions::default() };
        for sequential in [true, false] {
            let options = RunOptions {
                threads: Some(threads),
                sequential,
                open: open.clone(),
                ..RunOptions::default()
            };
            let error = run(&pipeline, &options, &mut ()).expect_err("a panic");
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert_eq!(error.message(), "stage 1 (superstitious) panicked: thirteen", "{reach:?}");
            let names: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").collect();
            assert_eq!(names.len(), 1, "only the input is there: {names:?}");
        }
    }
}

#[test]
fn a_panic_anywhere_in_a_worker_ends_the_run_and_keeps_nobody_waiting() {
    let pipeline = Pipeline::builder()
        .source(Synthetic::default().records(1000))
        .stage(MovingAverage::rows(2))
        .sink(Null::default())
        .build()
        .expect("a pipeline");
    let open = OpenOptions { chunk_size: 100, ..OpenOptions::default() };
    let options = RunOptions { threads: Some(3), open, ..RunOptions::default() };
    let error = run(&pipeline, &options, &mut Shy).expect_err("a panic");
    assert_eq!(error.message(), "the observer panicked: thirteen");
}
