//! `idle_sensors`: in every way of running, sensors are given up after the same records, start anew, and make room for others.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Report, RunOptions, run};
use crate::Pipeline;
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::files::Disk;
use crate::format::Witness;
use crate::offset::Offset;
use crate::runtime::StateOptions;
use crate::sensor::SensorLookup;
use crate::source::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};

/// A run over records of second, sensor and value; returns its output.
fn go(
    folder: &Path,
    records: &[(u32, &str, f64)],
    options: &str,
    stages: &str,
    how: &RunOptions,
) -> Result<(Report, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut text = "t,sensor,v\n".to_owned();
    for (second, sensor, value) in records {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        writeln!(text, "2026-01-01T{hour:02}:{minute:02}:{second:02}Z,{sensor},{value}").expect("room");
    }
    std::fs::write(path("in.csv"), text).expect("written");
    let pipeline = Pipeline::from_toml(&format!(
        "[source]\ntype = \"csv\"\npath = \"{}\"\ntime = \"t\"\nsensor = \"sensor\"\nmax_rejects = 1.0\nagree = 1\n{options}\n\
         {stages}[[sink]]\ntype = \"csv\"\npath = \"{}\"\n",
        path("in.csv"),
        path("out.csv")
    ))?;
    let report = run(&pipeline, how, &mut ())?;
    Ok((report, std::fs::read_to_string(path("out.csv")).expect("written")))
}

/// The same in all ways, which must agree.
fn in_all_ways(records: &[(u32, &str, f64)], options: &str, stages: &str) -> (Report, String) {
    let folder = tempfile::tempdir().expect("folder");
    let (report, plain) = go(
        folder.path(),
        records,
        options,
        stages,
        &RunOptions { sequential: true, ..RunOptions::default() },
    )
    .expect("run");
    for chunk_size in [1, 30, 100, 1000, 1 << 20] {
        for (threads, sequential) in [(1, true), (1, false), (3, false)] {
            let open = OpenOptions { chunk_size, ..OpenOptions::default() };
            let how = RunOptions { threads: Some(threads), sequential, open, ..RunOptions::default() };
            let (other, text) = go(folder.path(), records, options, stages, &how).expect("run");
            assert_eq!(text, plain, "chunks of {chunk_size}, {threads} threads");
            let counts = |report: &Report| {
                let stages: Vec<_> = report.stages.iter().map(|entry| entry.ledger).collect();
                (
                    report.sources[0].ledger,
                    stages,
                    report.sensors,
                    report.sensors_given_up,
                    report.rejects.malformed,
                )
            };
            assert_eq!(counts(&other), counts(&report));
        }
    }
    (report, plain)
}

/// `a` reports three times, is idle while `b` continues, and reports again.
fn come_again() -> Vec<(u32, &'static str, f64)> {
    let first = [(0, "a", 1.0), (1, "a", 2.0), (2, "a", 3.0)];
    let meanwhile = (3..40).map(|second| (second, "b", 0.0));
    first.into_iter().chain(meanwhile).chain([(40, "a", 7.0), (41, "b", 0.0)]).collect()
}

#[test]
fn clause_27_a_sensor_that_comes_again_begins_anew() {
    let window = "[[stage]]\ntype = \"moving_average\"\nwindow = 4\n";
    let last = |text: &str| text.lines().rev().nth(1).map(str::to_owned);
    let (report, text) = in_all_ways(&come_again(), "idle_sensors = \"10s\"", window);
    assert_eq!(last(&text).as_deref(), Some("2026-01-01T00:00:40Z,a,7,7"));
    assert_eq!((report.sensors, report.sensors_given_up), (3, 1));
    assert!(report.remarks.iter().any(|remark| remark.starts_with("1 sensor has been given up")));
    let (report, text) = in_all_ways(&come_again(), "idle_sensors = \"39s\"", window);
    assert_eq!(last(&text).as_deref(), Some("2026-01-01T00:00:40Z,a,7,3.25"));
    assert_eq!((report.sensors, report.sensors_given_up), (2, 0));
}

#[test]
fn clause_27_what_is_open_of_a_sensor_is_written_when_it_is_given_up() {
    let hourly = "[[stage]]\ntype = \"aggregate\"\nevery = \"1h\"\nstatistics = [\"count\", \"max\"]\n\
                  [[stage]]\ntype = \"threshold\"\nmin = 0.0\n";
    let (_, text) = in_all_ways(&come_again(), "idle_sensors = \"10s\"", hourly);
    let hour = "2026-01-01T00:00:00Z";
    assert_eq!(text, format!("t,sensor,v_count,v_max\n{hour},a,3,3\n{hour},a,1,7\n{hour},b,38,0\n"));
    // After the record that decides it and before the next one: held records of `a` are released between two records of `b`.
    let sorted = "idle_sensors = \"10s\"\norder = \"time\"\ndisorder = \"1m\"";
    let (report, text) = in_all_ways(&come_again(), sorted, "");
    let order: Vec<_> = text.lines().skip(1).take(3).map(|line| &line[17..]).collect();
    assert_eq!((order, report.sensors_given_up), (vec!["00Z,a,1", "01Z,a,2", "02Z,a,3"], 1));
    let jump = "idle_sensors = \"10s\"\nmax_jump = \"1s\"";
    let jumped = [
        (0, "a", 1.0),
        (9, "a", 2.0),
        (10, "b", 0.0),
        (11, "b", 0.0),
        (30, "b", 1.0),
        (31, "b", 2.0),
        (0, "a", 3.0),
    ];
    let (_, text) = in_all_ways(&jumped, jump, "");
    let order: Vec<_> = text.lines().skip(1).map(|line| &line[17..]).collect();
    assert_eq!(order, ["00Z,a,1", "10Z,b,0", "11Z,b,0", "09Z,a,2", "30Z,b,1", "31Z,b,2", "00Z,a,3"]);
}

/// Sensors that report twice each, one after the other, seconds apart.
fn ever_new(names: &[String], apart: u32) -> Vec<(u32, &str, f64)> {
    let of = |at: usize| (at as u32 * apart, names[at].as_str(), at as f64);
    (0..names.len()).flat_map(|at| [of(at), (of(at).0 + 1, of(at).1, 0.5)]).collect()
}

#[test]
fn clause_27_ever_new_sensors_take_no_more_room_than_those_in_use() {
    let folder = tempfile::tempdir().expect("folder");
    let names: Vec<_> = (0..2000).map(|at| format!("sensor number {at}")).collect();
    let options = "idle_sensors = \"10s\"\nmax_sensors = 30\nmax_sensor_bytes = 1000";
    let stages = "[[stage]]\ntype = \"threshold\"\nsensors.\"*7\" = { max = 0.75 }\n\
                  [[stage]]\ntype = \"moving_average\"\nwindow = 2\n\
                  [[stage]]\ntype = \"aggregate\"\nevery = \"1h\"\n";
    let open = OpenOptions { chunk_size: 400, ..OpenOptions::default() };
    let state =
        StateOptions { every: Duration::ZERO, waits: true, ..StateOptions::new(folder.path().join("state")) };
    let how = RunOptions { open, state: Some(state), ..RunOptions::default() };
    let (report, text) = go(folder.path(), &ever_new(&names, 2), options, stages, &how).expect("run");
    assert_eq!((report.rejects.malformed, report.sensors), (0, 2000), "{:?}", report.rejects);
    assert!(report.sensors_given_up > 1950, "{}", report.sensors_given_up);
    let found = crate::checkpoint::look(&Disk, &folder.path().join("state")).expect("a folder");
    let (manifest, _) = found.manifest.expect("a checkpoint");
    assert!(manifest.sensors.len() < 60, "{} names", manifest.sensors.len());
    // A sensor with a reassigned id follows its own rules.
    let kept = |line: &&str| line.split(',').nth(2) == Some("2");
    let two: BTreeSet<_> = text.lines().filter(kept).filter_map(|line| line.split(',').nth(1)).collect();
    let expected = |name: &&String| !name.ends_with('7');
    assert_eq!(two.len(), names.iter().filter(expected).count());
    assert!(names.iter().filter(expected).all(|name| two.contains(name.as_str())));
}

#[test]
fn clause_27_names_that_find_no_room_do_not_pile_up() {
    let folder = tempfile::tempdir().expect("folder");
    let names: Vec<_> = (0..2000).map(|at| format!("sensor number {at}")).collect();
    let records = ever_new(&names, 0);
    let options = "idle_sensors = \"10s\"\nmax_sensors = 30";
    let open = OpenOptions { chunk_size: 400, ..OpenOptions::default() };
    let state =
        StateOptions { every: Duration::ZERO, waits: true, ..StateOptions::new(folder.path().join("state")) };
    let how = RunOptions { open, state: Some(state), ..RunOptions::default() };
    let (report, _) = go(folder.path(), &records, options, "", &how).expect("run");
    assert_eq!((report.rejects.malformed, report.sensors), (3940, 30));
    let found = crate::checkpoint::look(&Disk, &folder.path().join("state")).expect("a folder");
    let (manifest, _) = found.manifest.expect("a checkpoint");
    assert!(manifest.sensors.len() < 60, "{} names", manifest.sensors.len());
    let (report, _) = in_all_ways(&records[..400], options, "");
    assert_eq!(report.rejects.malformed, 340);
}

#[test]
fn what_forgets_no_sensor_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let error = |options: &str, stages: &str| {
        let how = RunOptions::default();
        go(folder.path(), &come_again(), options, stages, &how).expect_err("refused").to_string()
    };
    let fitted = "[[stage]]\ntype = \"normalize\"\nfit = true\n";
    let message = error("idle_sensors = \"10s\"", fitted);
    assert!(message.contains("`idle_sensors` cannot be combined with stage 0 (normalize)"), "{message}");
    let message = error("idle_sensors = \"10s\"\norder = \"newest_first\"", "");
    assert!(message.contains("cannot be combined with order"), "{message}");
    for wrong in ["0s", "ten"] {
        let message = error(&format!("idle_sensors = \"{wrong}\""), "");
        assert!(message.contains("`idle_sensors`: ") && message.contains("such as"), "{message}");
    }
}

/// A source whose file changes after a piece has been checked a number of times.
struct Changing(Arc<dyn SourceSpec>, usize);

struct ChangingFile(Box<dyn Source>, Arc<Looks>);

struct Looks {
    left: AtomicUsize,
}

impl Witness for Looks {
    fn check_unchanged(&self, _at: u64) -> Result<()> {
        let looked = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        looked.map(drop).map_err(|_| Error::data("the file has changed"))
    }
}

impl SourceSpec for Changing {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn parameters(&self) -> serde_json::Value {
        self.0.parameters()
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let looks = Arc::new(Looks { left: AtomicUsize::new(self.1) });
        Ok(Box::new(ChangingFile(self.0.open(options)?, looks)))
    }
}

impl Source for ChangingFile {
    fn schema(&self) -> &Arc<Schema> {
        self.0.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let mut input = self.0.next(sensors)?;
        if let Some(Input::Chunk(chunk)) = &mut input {
            chunk.witness = Some(Arc::clone(&self.1) as Arc<dyn Witness>);
        }
        Ok(input)
    }

    fn offset(&self) -> Offset {
        self.0.offset()
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.0.seek(offset)
    }

    fn progress(&self) -> Progress {
        self.0.progress()
    }
}

#[test]
fn every_part_of_a_piece_is_looked_at_before_it_is_handed_over() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    // One piece, with a part after every record, since the sensor of the previous one is idle by then.
    let line = |at: u32| format!("2026-01-01T{at:02}:00:00Z,a{at},1\n2026-01-01T{at:02}:00:00Z,b{at},1\n");
    let text: String = std::iter::once("t,sensor,v\n".to_owned()).chain((0..10).map(line)).collect();
    std::fs::write(path("in.csv"), text).expect("written");
    let toml = format!(
        "[source]\ntype = \"csv\"\npath = \"{}\"\ntime = \"t\"\nsensor = \"sensor\"\nagree = 1\nidle_sensors = \"10s\"\n\
         [[sink]]\ntype = \"csv\"\npath = \"{}\"\n",
        path("in.csv"),
        path("out.csv")
    );
    let pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
    let go = |looks: usize| {
        let mut changing = pipeline.clone();
        let source = &mut changing.sources[0].spec;
        *source = Arc::new(Changing(Arc::clone(source), looks));
        run(&changing, &RunOptions::default(), &mut ())
    };
    for looks in 0..5 {
        let error = go(looks).expect_err("a change");
        assert!(error.message().contains("the file has changed"), "{error}");
        assert!(!folder.path().join("out.csv").exists(), "nothing is published");
    }
    assert!(go(100).expect("no change").sensors_given_up > 5);
}
