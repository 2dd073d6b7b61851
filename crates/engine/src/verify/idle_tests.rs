//! `idle_sensors` over every kind of source: an id is reassigned only when no data in flight uses it, whoever assigns ids, and when.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::Pipeline;
use crate::atomic::Outputs;
use crate::batch::Schema;
use crate::error::Result;
use crate::offset::Offset;
use crate::runtime::{RunOptions, StateOptions};
use crate::sensor::{SensorIds, SensorLookup, SharedSensors};
use crate::source::{Csv, Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::time::TimeParser;
use crate::{executor, streaming};

const SENSORS: usize = 47;

const IDLE: &str = "idle_sensors = \"10s\"\nagree = 1\n";

/// Sensors in turn, so that each is given up before it reports again, in changing orders.
fn records() -> Vec<(usize, usize)> {
    (0..2000).map(|at| (at, at * (1 + at / SENSORS % 5) % SENSORS)).collect()
}

/// The same as a file of every kind, with the options that read it.
fn sources(folder: &Path) -> Vec<(&'static str, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (mut csv, mut json) = ("t,sensor,v\n".to_owned(), String::new());
    for (at, sensor) in records() {
        let time = format!("2026-01-01T{:02}:{:02}:{:02}Z", at / 3600, at / 60 % 60, at % 60);
        writeln!(csv, "{time},s{sensor},{sensor}").expect("room");
        writeln!(json, "{{\"t\":\"{time}\",\"sensor\":\"s{sensor}\",\"v\":{sensor}}}").expect("room");
    }
    std::fs::write(path("in.csv"), &csv).expect("written");
    std::fs::write(path("in.jsonl"), json).expect("written");
    let file = std::fs::File::create(path("in.csv.gz")).expect("made");
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(csv.as_bytes()).and_then(|()| packed.finish().map(drop)).expect("written");
    let source = |kind: &str, file: &str| {
        format!("type = \"{kind}\"\npath = \"{}\"\ntime = \"t\"\nsensor = \"sensor\"\n", path(file))
    };
    let convert = format!(
        "[source]\n{}[[sink]]\ntype = \"parquet\"\npath = \"{}\"\n",
        source("csv", "in.csv"),
        path("in.parquet")
    );
    executor::run(&Pipeline::from_toml(&convert).expect("a pipeline"), &RunOptions::default(), &mut ())
        .expect("written");
    vec![
        ("csv", source("csv", "in.csv")),
        ("jsonl", source("jsonl", "in.jsonl")),
        ("csv, packed", source("csv", "in.csv.gz")),
        ("parquet", source("parquet", "in.parquet")),
        (
            "synthetic",
            format!("type = \"synthetic\"\nrecords = 2000\nsensors = {SENSORS}\ninterval = \"1m\"\n"),
        ),
    ]
}

fn pipeline(folder: &Path, source: &str, idle: &str) -> Pipeline {
    let out = folder.join("out.csv").display().to_string();
    Pipeline::from_toml(&format!("[source]\n{source}{idle}[[sink]]\ntype = \"csv\"\npath = \"{out}\"\n"))
        .expect("a pipeline")
}

/// At rest in one run, on each runtime, and with a checkpoint after every piece.
fn ways(folder: &Path, can_resume: bool) -> Vec<(&'static str, RunOptions, bool)> {
    let open = || OpenOptions { chunk_size: 1000, ..OpenOptions::default() };
    let how = || RunOptions { open: open(), ..RunOptions::default() };
    let kept = |name: &str| {
        let folder = folder.join(name);
        // A finished run is not started again.
        let _none_before = std::fs::remove_dir_all(&folder);
        let state = StateOptions { every: Duration::ZERO, waits: true, ..StateOptions::new(folder) };
        RunOptions { state: Some(state), ..how() }
    };
    let mut ways = vec![
        ("the plain loop", RunOptions { sequential: true, ..how() }, false),
        ("in parallel", how(), false),
        ("live", how(), true),
    ];
    if can_resume {
        ways.push(("in parallel, with checkpoints", kept("state at rest"), false));
        ways.push(("live, with checkpoints", kept("state live"), true));
    }
    ways
}

/// Runs `pipeline` in one way; returns its output, and how often a sensor was given up.
fn go(folder: &Path, pipeline: &Pipeline, how: &RunOptions, is_live: bool) -> (String, u64) {
    let report = match is_live {
        true => streaming::run(pipeline, how, &mut ()),
        false => executor::run(pipeline, how, &mut ()),
    };
    let given_up = report.expect("run").sensors_given_up;
    (std::fs::read_to_string(folder.join("out.csv")).expect("written"), given_up)
}

#[test]
fn clause_27_every_source_names_the_sensors_that_it_means() {
    let folder = tempfile::tempdir().expect("folder");
    for (kind, source) in sources(folder.path()) {
        let (expected, _) =
            go(folder.path(), &pipeline(folder.path(), &source, ""), &RunOptions::default(), false);
        let pipeline = pipeline(folder.path(), &source, IDLE);
        for (way, how, is_live) in ways(folder.path(), pipeline.can_resume()) {
            let (text, given_up) = go(folder.path(), &pipeline, &how, is_live);
            assert!(given_up > 1000, "{kind}, {way}: {given_up} given up");
            assert!(text == expected, "{kind}, {way}");
        }
    }
}

/// Returns text and records alternately, as no source of this crate does.
struct Mixed(Csv);

struct Mixing {
    inner: Box<dyn Source>,
    turn: usize,
}

impl SourceSpec for Mixed {
    fn name(&self) -> &str {
        "mixed"
    }
    fn parameters(&self) -> serde_json::Value {
        self.0.parameters()
    }
    fn traits(&self) -> Traits {
        self.0.traits()
    }
    fn files(&self, outputs: &Outputs) -> Vec<PathBuf> {
        self.0.files(outputs)
    }
    fn times(&self) -> Result<Option<TimeParser>> {
        self.0.times()
    }
    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(Mixing { inner: self.0.open(options)?, turn: 0 }))
    }
}

impl Source for Mixing {
    fn schema(&self) -> &Arc<Schema> {
        self.inner.schema()
    }
    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.turn += 1;
        Ok(match self.inner.next(sensors)? {
            Some(Input::Chunk(chunk)) if self.turn.is_multiple_of(3) => {
                let mut decoded = chunk.decode(sensors)?;
                decoded.batch.sequence = chunk.sequence;
                Some(Input::Records(decoded))
            }
            other => other,
        })
    }
    fn offset(&self) -> Offset {
        self.inner.offset()
    }
    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.inner.seek(offset)
    }
    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}

#[test]
fn clause_27_ids_that_were_given_ahead_stay_what_they_are() {
    let folder = tempfile::tempdir().expect("folder");
    let of_csv = sources(folder.path()).remove(0).1;
    let (expected, _) =
        go(folder.path(), &pipeline(folder.path(), &of_csv, ""), &RunOptions::default(), false);
    let mut pipeline = pipeline(folder.path(), &of_csv, IDLE);
    let csv = Csv::new(folder.path().join("in.csv").display().to_string()).time("t").sensor("sensor");
    pipeline.sources[0].spec = Arc::new(Mixed(csv));
    for (way, how, is_live) in ways(folder.path(), false) {
        let (text, given_up) = go(folder.path(), &pipeline, &how, is_live);
        assert!(text == expected && given_up > 1000, "{way}: {given_up} given up");
    }
}

#[test]
fn ids_are_given_to_others_until_one_was_given_ahead() {
    let shared = Arc::new(SharedSensors::default());
    let (mut worker, mut ahead) =
        (SensorIds::new(Arc::clone(&shared)), SensorIds::ahead(Arc::clone(&shared)));
    let first = worker.id("a").expect("room");
    assert!(shared.forget(&[first]), "nobody waits");
    let mut worker = SensorIds::new(Arc::clone(&shared));
    assert_eq!(worker.id("b").expect("room"), first);
    assert_eq!(ahead.id("b").expect("known"), first);
    assert!(!shared.forget(&[first]), "a record of `b` may wait");
    assert_eq!(shared.read().find("b"), Some(first));
}
