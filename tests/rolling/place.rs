//! A folder in which pipelines roll files, how a run of one goes, and what its files must have.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill::files::FileSystem;
use tidemill::runtime::{Observer, StateOptions};
use tidemill::source::Progress;
use tidemill::time::Clock;
use tidemill::{Pipeline, Report, Result, RunOptions};
use tidemill_engine::files::Disk;
use tidemill_engine::{executor, streaming};

/// Records of the input.
pub(crate) const RECORDS: u64 = 600;

/// A folder with an input in it; `@` stands for it in what is run.
pub(crate) struct Place(pub(crate) tempfile::TempDir);

/// How a run goes.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) threads: usize,
    pub(crate) is_live: bool,
    /// Stopped behind so many records.
    pub(crate) until: u64,
    pub(crate) state: Option<&'static str>,
    /// How much later the run's clock is with every piece, in nanoseconds.
    pub(crate) tick: i64,
    pub(crate) accepts: bool,
    pub(crate) finishes: bool,
    /// Epochs whose file `out/{epoch}.jsonl` somebody else makes meanwhile.
    pub(crate) taken: Range<u64>,
}

pub(crate) const PLAIN: Way = Way {
    threads: 2,
    is_live: false,
    until: u64::MAX,
    state: None,
    tick: 0,
    accepts: false,
    finishes: false,
    taken: 0..0,
};
pub(crate) const KEPT: Way = Way { state: Some("state"), ..PLAIN };

/// Stops a run, and moves its clock.
struct Driver {
    stop: Arc<AtomicBool>,
    until: u64,
    clock: Clock,
    tick: i64,
    /// Files that somebody else makes meanwhile.
    taken: Vec<PathBuf>,
}

impl Observer for Driver {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.clock.set(self.clock.read().saturating_add(self.tick));
        for path in self.taken.drain(..) {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "another's").expect("written");
        }
        if records >= self.until {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        let line = |at: u64| {
            // Some are bad, some late; the hour changes on the way.
            let second = 3600 - RECORDS / 2 + at;
            let (hour, minute, second) = (11 + second / 3600, second / 60 % 60, second % 60);
            let value = if at % 37 == 5 { "none".to_owned() } else { format!("{}.5", at * 7 % 100) };
            format!("2024-05-01T{hour:02}:{minute:02}:{second:02}Z,s{},{value},\"a\n{at}\"\n", at % 5)
        };
        let text = (0..RECORDS).map(line).collect::<String>();
        std::fs::write(place.at("in.csv"), format!("t,s,v,note\n{text}")).expect("written");
        place
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn pipeline(&self, sinks: &str) -> Result<Pipeline> {
        let toml = format!(
            "[source]\ntype = 'csv'\npath = '@/in.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 0.5\n\
             [[stage]]\ntype = 'moving_average'\nwindow = 3\n{sinks}"
        );
        Ok(Pipeline::from_toml(&toml.replace('@', self.0.path().to_str().expect("UTF-8")))?)
    }

    pub(crate) fn run(&self, sinks: &str, way: &Way) -> Result<Report> {
        self.run_on(Arc::new(Disk), sinks, way)
    }

    /// The same with the outputs and the state folder on `files`, if there is one.
    pub(crate) fn run_on(&self, files: Arc<dyn FileSystem>, sinks: &str, way: &Way) -> Result<Report> {
        let pipeline = self.pipeline(sinks)?;
        let stop = Arc::new(AtomicBool::new(false));
        let clock = match way.tick {
            0 => Clock::default(),
            _ => Clock::simulated(Clock::default().read()),
        };
        let state = way.state.map(|name| StateOptions {
            every: Duration::ZERO,
            waits: true,
            accept_changes: way.accepts,
            finishes: way.finishes,
            files: Arc::clone(&files),
            ..StateOptions::new(self.at(name))
        });
        let mut options = RunOptions {
            threads: Some(way.threads),
            stop: Arc::clone(&stop),
            state,
            ..RunOptions::default()
        };
        options.open.chunk_size = 700;
        options.open.clock = clock.clone();
        let mut driver = Driver {
            stop,
            until: way.until,
            clock,
            tick: way.tick,
            taken: way.taken.clone().map(|epoch| self.at(&format!("out/{epoch:010}.jsonl"))).collect(),
        };
        match way.is_live {
            false => executor::run(&pipeline, &options, &mut driver),
            true => streaming::run(&pipeline, &options, &mut driver),
        }
    }

    /// The files below a folder by name, in order.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.at(folder);
        let (mut files, mut folders) = (BTreeMap::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below").to_string_lossy().into_owned();
                    files.insert(name, std::fs::read(&path).expect("read"));
                }
            }
        }
        files
    }

    /// That the Parquet files have the records that the whole CSV file has.
    #[track_caller]
    pub(crate) fn check_columns(&self, told: &str) {
        let toml = "[source]\ntype = 'parquet'\npath = '@/columns/**/*.parquet'\ntime = 't'\nsensor = 's'\nmeasurements = ['v', 'v_avg']\n\
            [[sink]]\ntype = 'csv'\npath = '@/again.csv'\n";
        let toml = toml.replace('@', self.0.path().to_str().expect("UTF-8"));
        Pipeline::from_toml(&toml)
            .expect("a pipeline")
            .run()
            .unwrap_or_else(|error| panic!("{told}: {error}"));
        let [again, whole] =
            ["again.csv", "whole/all.csv"].map(|name| std::fs::read(self.at(name)).expect("read"));
        assert!(again == whole, "{told}, columns: {}", String::from_utf8_lossy(&again));
    }

    /// The text of the visible files whose names begin and end so, one behind the other, without what they begin with but the first.
    pub(crate) fn joined(&self, folder: &str, start: &str, end: &str, header: &str) -> String {
        let files = self.files(folder);
        let is_one = |name: &&String| {
            let own = Path::new(name).file_name().expect("a name").to_string_lossy();
            name.starts_with(start) && name.ends_with(end) && !own.starts_with('.')
        };
        let texts = files.keys().filter(is_one).map(|name| {
            let text = String::from_utf8(files[name].clone()).expect("text");
            text.strip_prefix(header).unwrap_or_else(|| panic!("{name} begins otherwise: {text}")).to_owned()
        });
        header.to_owned() + &texts.collect::<String>()
    }
}

pub(crate) const HEADER: &str = "t,s,v,note,v_avg\n";

/// The same records in one file each.
pub(crate) const WHOLE: &str = "[[sink]]\ntype = 'csv'\npath = '@/whole/all.csv'\n[[sink]]\ntype = 'jsonl'\npath = '@/whole/all.jsonl'\n\
    [[sink]]\ntype = 'dead_letter'\npath = '@/whole/rejects.jsonl'\n";

/// And in files that roll, as `roll` says.
pub(crate) fn rolled(roll: &str) -> String {
    format!(
        "[[sink]]\ntype = 'csv'\npath = '@/out/{{date}}/{{hour}}-{{epoch}}.csv'\nroll = {roll}\n\
         [[sink]]\ntype = 'jsonl'\npath = '@/out/{{epoch}}.jsonl'\nroll = {roll}\n\
         [[sink]]\ntype = 'dead_letter'\npath = '@/rejects/{{epoch}}.jsonl'\nroll = {roll}\n\
         [[sink]]\ntype = 'parquet'\npath = '@/columns/{{date}}/{{hour}}-{{epoch}}.parquet'\nrow_group = 64\nroll = {roll}\n"
    )
}

/// That the files that roll have what is in the whole ones; gives how many there are.
#[track_caller]
pub(crate) fn check(place: &Place, told: &str) -> usize {
    let whole = place.files("whole");
    let whole = |name: &str| String::from_utf8_lossy(&whole[name]).into_owned();
    assert!(place.joined("out", "2024-05-01/", ".csv", HEADER) == whole("all.csv"), "{told}");
    assert!(place.joined("out", "", ".jsonl", "") == whole("all.jsonl"), "{told}");
    assert!(place.joined("rejects", "", ".jsonl", "") == whole("rejects.jsonl"), "{told}");
    place.check_columns(told);
    let files = place.files("out");
    let hidden = files.keys().chain(place.files("columns").keys()).cloned().collect::<Vec<_>>();
    let hidden: Vec<_> = hidden.iter().filter(|name| name.contains("/.") || name.starts_with('.')).collect();
    assert!(hidden.is_empty(), "{told}: {hidden:?}");
    files.len()
}
