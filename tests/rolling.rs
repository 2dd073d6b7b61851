//! Files that roll (clause 19): cuts decide where they divide, and nothing else. `TIDEMILL_SEED` replays what a failure names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidemill::runtime::{Observer, StateOptions};
use tidemill::source::Progress;
use tidemill::time::{Clock, Timestamp};
use tidemill::{ErrorKind, Pipeline, Report, Result, RunOptions};
use tidemill_engine::{executor, streaming};

/// Records of the input.
const RECORDS: u64 = 600;

/// A folder with an input in it; `@` stands for it in what is run.
struct Place(tempfile::TempDir);

/// How a run goes.
#[derive(Clone)]
struct Way {
    threads: usize,
    is_live: bool,
    /// Stopped behind so many records.
    until: u64,
    state: Option<&'static str>,
    /// How much later the run's clock is with every piece, in nanoseconds.
    tick: i64,
    accepts: bool,
    finishes: bool,
    /// A file that somebody makes meanwhile.
    made: Option<&'static str>,
}

const PLAIN: Way = Way {
    threads: 2,
    is_live: false,
    until: u64::MAX,
    state: None,
    tick: 0,
    accepts: false,
    finishes: false,
    made: None,
};
const KEPT: Way = Way { state: Some("state"), ..PLAIN };

/// Stops a run, and moves its clock.
struct Driver {
    stop: Arc<AtomicBool>,
    until: u64,
    clock: Clock,
    tick: i64,
    /// A file that somebody makes meanwhile.
    made: Option<PathBuf>,
}

impl Observer for Driver {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.clock.set(self.clock.read().saturating_add(self.tick));
        if let Some(path) = self.made.take() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "another's").expect("written");
        }
        if records >= self.until {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Place {
    fn new() -> Self {
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

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn pipeline(&self, sinks: &str) -> Result<Pipeline> {
        let toml = format!(
            "[source]\ntype = 'csv'\npath = '@/in.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 0.5\n\
             [[stage]]\ntype = 'moving_average'\nwindow = 3\n{sinks}"
        );
        Ok(Pipeline::from_toml(&toml.replace('@', self.0.path().to_str().expect("UTF-8")))?)
    }

    fn run(&self, sinks: &str, way: &Way) -> Result<Report> {
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
            made: way.made.map(|name| self.at(name)),
        };
        match way.is_live {
            false => executor::run(&pipeline, &options, &mut driver),
            true => streaming::run(&pipeline, &options, &mut driver),
        }
    }

    /// The files below a folder by name, in order.
    fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
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
    fn check_columns(&self, told: &str) {
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
    fn joined(&self, folder: &str, start: &str, end: &str, header: &str) -> String {
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

const HEADER: &str = "t,s,v,note,v_avg\n";

/// The same records in one file each.
const WHOLE: &str = "[[sink]]\ntype = 'csv'\npath = '@/whole/all.csv'\n[[sink]]\ntype = 'jsonl'\npath = '@/whole/all.jsonl'\n\
    [[sink]]\ntype = 'dead_letter'\npath = '@/whole/rejects.jsonl'\n";

/// And in files that roll, as `roll` says.
fn rolled(roll: &str) -> String {
    format!(
        "[[sink]]\ntype = 'csv'\npath = '@/out/{{date}}/{{hour}}-{{epoch}}.csv'\nroll = {roll}\n\
         [[sink]]\ntype = 'jsonl'\npath = '@/out/{{epoch}}.jsonl'\nroll = {roll}\n\
         [[sink]]\ntype = 'dead_letter'\npath = '@/rejects/{{epoch}}.jsonl'\nroll = {roll}\n\
         [[sink]]\ntype = 'parquet'\npath = '@/columns/{{date}}/{{hour}}-{{epoch}}.parquet'\nrow_group = 64\nroll = {roll}\n"
    )
}

/// That the files that roll have what is in the whole ones; gives how many there are.
#[track_caller]
fn check(place: &Place, told: &str) -> usize {
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

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn seed() -> u64 {
    let seed = std::env::var("TIDEMILL_SEED");
    let seed = seed.map_or_else(|_| rand::rng().random(), |seed| seed.parse().expect("a number"));
    println!("TIDEMILL_SEED={seed}");
    seed
}

#[test]
fn clause_19_whatever_the_cuts_are_the_records_are_the_same() {
    let mut random = StdRng::seed_from_u64(seed());
    for round in 0..24 {
        let place = Place::new();
        place.run(WHOLE, &PLAIN).expect("a run");
        let rolls = [
            "{ size = '1B' }",
            "{ size = '5kB' }",
            "{ every = '3s' }",
            "{ every = '1h', size = '2kB' }",
            "{ every = '1d' }",
        ];
        let (roll, mut stops) = (rolls[round % rolls.len()], 0);
        let mut told = format!("round {round}, {roll}");
        loop {
            let way = Way {
                threads: random.random_range(1..4),
                is_live: random.random_bool(0.5),
                until: if stops < 6 { random.random_range(1..RECORDS * 3 / 2) } else { u64::MAX },
                tick: 500_000_000,
                ..KEPT
            };
            told += &format!(", until {} live: {}", way.until, way.is_live);
            let report = place.run(&rolled(roll), &way).unwrap_or_else(|error| panic!("{told}: {error}"));
            if !report.is_paused {
                break;
            }
            stops += 1;
            let so_far = place.joined("out", "2024-05-01/", ".csv", HEADER);
            let whole = std::fs::read_to_string(place.at("whole/all.csv")).expect("read");
            assert!(whole.starts_with(&so_far), "{told}: what is visible is a beginning");
        }
        let count = check(&place, &told);
        assert!(roll.contains("1d") || count > 4, "{told}: {count} files");
    }
}

#[test]
fn clause_19_without_checkpoints_a_file_has_its_name_when_the_next_one_begins() {
    for is_live in [false, true] {
        let place = Place::new();
        place.run(WHOLE, &PLAIN).expect("a run");
        let way = Way { is_live, ..PLAIN };
        let report = place.run(&rolled("{ size = '3kB' }"), &way).expect("a run");
        assert!(check(&place, "plain") > 8);
        let names: Vec<_> = place.files("out").into_keys().collect();
        assert!(names.contains(&"2024-05-01/11-0000000000.csv".into()), "{names:?}");
        assert!(names.contains(&"0000000000.jsonl".into()), "{names:?}");
        let remarks = report.remarks.join("\n");
        assert!(
            remarks.contains("{hour}-{epoch}.csv: ") && remarks.contains(" files delivered, the last one "),
            "{remarks}"
        );
        // Nothing of an earlier run is written over.
        let before = place.files("out");
        let report = place.run(&rolled("{ size = '3kB' }"), &way).expect("a run");
        let after = place.files("out");
        before.iter().for_each(|(name, bytes)| assert_eq!(after.get(name), Some(bytes), "{name}"));
        assert_eq!(after.len(), before.len() * 2);
        assert!(report.remarks.join("\n").contains("were there already"), "{:?}", report.remarks);
    }
}

#[test]
fn clause_20_a_run_that_fails_keeps_what_has_its_name_and_leaves_nothing_else() {
    let place = Place::new();
    place.run(WHOLE, &PLAIN).expect("a run");
    let text = std::fs::read_to_string(place.at("in.csv")).expect("read");
    // Beyond what is borne.
    std::fs::write(place.at("in.csv"), text + &"x,y,z,\n".repeat(3000)).expect("written");
    place.run(&rolled("{ size = '3kB' }"), &PLAIN).expect_err("too many are bad");
    let files = place.files("out");
    assert!(
        files.len() > 4 && files.keys().all(|name| !name.contains("/.") && !name.starts_with('.')),
        "{:?}",
        files.keys()
    );
    let (found, whole) = (place.joined("out", "2024-05-01/", ".csv", HEADER), place.files("whole"));
    assert!(whole["all.csv"].starts_with(found.as_bytes()));
}

#[test]
fn what_a_path_that_rolls_must_look_like_is_said() {
    let place = Place::new();
    for (path, what) in [
        ("out/all.csv", "no {epoch}"),
        ("out/{", "a `{` without"),
        ("out/{what}-{epoch}.csv", "unknown placeholder {what}"),
        ("{date}/../{epoch}.csv", "leads out of"),
        ("", "names no file"),
        ("-", "standard output"),
        ("/dev/null", "no {epoch}"),
    ] {
        for kind in ["csv", "jsonl", "dead_letter", "parquet"] {
            let sink = format!("type = '{kind}'\npath = '{path}'\nroll = {{ every = '1h' }}");
            let sink = format!("[[sink]]\ntype = 'null'\n[[sink]]\n{sink}");
            let error = place.run(&sink, &PLAIN).expect_err(path);
            assert_eq!(error.kind(), ErrorKind::Config, "{kind}, {path}: {error}");
            assert!(
                error.to_string().contains(what) && error.to_string().contains("{hour}-{epoch}.csv"),
                "{kind}, {path}: {error}"
            );
        }
    }
    let error = |sink: &str| {
        place.run(&format!("[[sink]]\ntype = 'null'\n{sink}"), &PLAIN).expect_err(sink).to_string()
    };
    let of_rejects =
        error("[[sink]]\ntype = 'dead_letter'\npath = '@/{date}-{epoch}.jsonl'\nroll = { every = '1h' }");
    assert!(of_rejects.contains("no time column"), "{of_rejects}");
    assert!(
        error("[[sink]]\ntype = 'csv'\npath = '@/{epoch}.csv'\nroll = {}")
            .contains("neither `every` nor `size`")
    );
    assert!(error("[[sink]]\ntype = 'csv'\npath = '@/{epoch}.csv'\nroll = { ever = '1h' }").contains("ever"));
}

#[test]
fn files_that_roll_are_nobody_elses() {
    let place = Place::new();
    let sink = |path: &str| format!("[[sink]]\ntype = 'csv'\npath = '@/{path}'\n");
    let roll = "roll = { every = '1h' }\n";
    for other in [
        sink("out/{epoch}.csv") + roll,
        sink("out/0000000007.csv"),
        sink("./out/0000000007.csv"),
        sink("out/.0000000007.csv.part-1-2"),
    ] {
        let error = place.run(&(sink("out/{epoch}.csv") + roll + &other), &PLAIN).expect_err(&other);
        assert!(
            error.to_string().contains("is both the output of sink 0 (csv) and the output of sink 1 (csv)"),
            "{error}"
        );
    }
    // An input that a sink would write over.
    std::fs::rename(place.at("in.csv"), place.at("0000000001.csv")).expect("renamed");
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = '@/0000000001.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n{}{roll}",
        sink("{epoch}.csv")
    );
    let pipeline = pipeline.replace('@', place.0.path().to_str().expect("UTF-8"));
    let error = Pipeline::from_toml(&pipeline).expect("a pipeline").run().expect_err("an input");
    assert!(error.to_string().contains("is both the input and the output of sink 0 (csv)"), "{error}");
}

#[test]
fn a_glob_leaves_rolled_files_out() {
    let place = Place::new();
    let toml = "[source]\ntype = 'csv'\npath = '@/**/*.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 0.5\n\
        [[sink]]\ntype = 'csv'\npath = '@/out/{date}/{epoch}.csv'\nroll = { size = '2kB' }\n";
    let toml = toml.replace('@', place.0.path().to_str().expect("UTF-8"));
    let run = || {
        let mut options = RunOptions::default();
        options.open.chunk_size = 700;
        Pipeline::from_toml(&toml).expect("a pipeline").run_with(&options, &mut ()).expect("a run")
    };
    let first = run().sources.remove(0).ledger;
    assert!(place.files("out").len() > 3);
    assert_eq!(run().sources.remove(0).ledger, first);
}

#[test]
fn a_run_that_begins_anew_does_not_write_among_the_files_of_another() {
    let place = Place::new();
    let sinks = rolled("{ size = '3kB' }");
    place.run(&sinks, &Way { until: 200, ..KEPT }).expect("a run");
    let before = place.files("out");
    let error = place.run(&sinks, &Way { state: Some("other"), ..KEPT }).expect_err("another run's files");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(
        error.to_string().contains("this run begins anew") && error.to_string().contains("another `path`"),
        "{error}"
    );
    assert_eq!(place.files("out"), before);
    place.run(&sinks, &KEPT).expect("goes on");
}

#[test]
fn behind_a_damaged_checkpoint_nothing_is_delivered_twice() {
    let place = Place::new();
    let sinks = rolled("{ size = '1B' }");
    place.run(&sinks, &Way { until: 200, ..KEPT }).expect("a run");
    let mut checkpoints: Vec<_> =
        place.files("state").into_keys().filter(|name| name.starts_with("checkpoint-")).collect();
    // The last one may have found nothing new.
    for newest in checkpoints.split_off(1) {
        let path = place.at("state").join(&newest);
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).expect("written");
    }
    let before = place.files("out");
    let error = place.run(&sinks, &KEPT).expect_err("its files are there");
    assert!(error.to_string().contains("which is older: what it has would be written twice"), "{error}");
    assert_eq!(place.files("out"), before);
}

#[test]
fn what_was_delivered_may_be_taken_away_or_moved_with_its_folder() {
    let place = Place::new();
    let sinks = rolled("{ size = '1B' }");
    place.run(WHOLE, &PLAIN).expect("a run");
    let mut taken = String::new();
    for until in [50, 150, 300, u64::MAX] {
        let report = place.run(&sinks, &Way { until, threads: 1, ..KEPT }).expect("a run");
        taken += place.joined("out", "2024-05-01/", ".csv", HEADER).strip_prefix(HEADER).expect("a header");
        let names =
            place.files("out").into_keys().filter(|name| name.ends_with(".csv") && !name.contains("/."));
        names.for_each(|name| std::fs::remove_file(place.at("out").join(name)).expect("removed"));
        assert_eq!(report.is_paused, until < u64::MAX);
    }
    assert!(format!("{HEADER}{taken}") == String::from_utf8_lossy(&place.files("whole")["all.csv"]));
    let again = place.run(&sinks, &KEPT).expect("it is over");
    assert!(again.remarks.join("\n").contains("nothing left to do"), "{:?}", again.remarks);
}

#[test]
fn what_a_run_was_killed_before_it_delivered_is_delivered_by_the_next_one() {
    let place = Place::new();
    let sinks = rolled("{ size = '1B' }");
    place.run(WHOLE, &PLAIN).expect("a run");
    // Where another file has its name by then, the run ends behind its checkpoint.
    let way = Way { made: Some("out/0000000005.jsonl"), ..KEPT };
    let error = place.run(&sinks, &way).expect_err("its name is taken");
    assert!(error.to_string().contains("is there already, and is not what this run wrote"), "{error}");
    assert!(place.files("out").keys().any(|name| name.starts_with(".0000000005")));
    assert_eq!(place.files("out")["0000000005.jsonl"], b"another's");
    std::fs::remove_file(place.at("out/0000000005.jsonl")).expect("removed");
    place.run(&sinks, &KEPT).expect("goes on");
    check(&place, "delivered by the next one");
}

#[test]
fn a_run_that_was_stopped_is_finished_and_what_it_had_is_visible() {
    let place = Place::new();
    let sinks = rolled("{ every = '1d' }");
    let report = place.run(&sinks, &Way { until: 100, ..KEPT }).expect("a run");
    assert!(report.remarks.join("\n").contains(".csv is still "), "{:?}", report.remarks);
    assert!(place.joined("out", "", ".jsonl", "").is_empty());
    place.run(&sinks, &Way { finishes: true, ..KEPT }).expect("finished");
    let files = place.files("out");
    assert_eq!(files.len(), 2, "{:?}", files.keys());
    assert!(files.keys().all(|name| !name.contains("/.") && !name.starts_with('.')));
}

#[test]
fn a_change_that_is_accepted_keeps_what_was_written_beside() {
    let place = Place::new();
    place.run(&rolled("{ every = '1d' }"), &Way { until: 100, ..KEPT }).expect("a run");
    place.run(&rolled("{ size = '3kB' }"), &KEPT).expect_err("changed");
    place.run(&rolled("{ size = '3kB' }"), &Way { accepts: true, ..KEPT }).expect("accepted");
    let files = place.files("out");
    let beside: Vec<_> = files.keys().filter(|name| name.contains(".until-")).collect();
    assert_eq!(beside.len(), 2, "{:?}", files.keys());
    assert!(files.keys().all(|name| !name.contains("/.") && !name.starts_with('.')), "{:?}", files.keys());
}

#[test]
fn what_is_older_than_it_is_to_be_kept_goes_and_nothing_else() {
    for way in [PLAIN, KEPT] {
        let place = Place::new();
        let old = Timestamp::from_nanos(Clock::default().read().as_nanos() - 3 * 86_400 * 1_000_000_000);
        let others = [
            "out/note.csv",
            "out/2024-05-01/11.csv",
            "out/raw/11-0000000000.csv",
            "out/2024-05-01/11-000000000.csv",
        ];
        let own = ["out/2024-05-01/11-0000000000.csv", "out/2023-05-01/11-0000000000.csv"];
        for name in others.iter().chain(&own) {
            std::fs::create_dir_all(place.at(name).parent().expect("a folder")).expect("made");
            std::fs::write(place.at(name), "x").expect("written");
            let file = std::fs::File::options().write(true).open(place.at(name)).expect("opened");
            let nanos = u64::try_from(old.as_nanos()).expect("after 1970");
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_nanos(nanos)).expect("set");
        }
        let sink = "[[sink]]\ntype = 'csv'\npath = '@/out/{date}/{hour}-{epoch}.csv'\nroll = { size = '3kB', keep = '2d' }\n";
        let report = place.run(sink, &way).expect("a run");
        let files = place.files(".");
        others.iter().for_each(|name| assert!(files.contains_key(*name), "{name}"));
        own.iter().for_each(|name| assert!(!files.contains_key(*name), "{name}"));
        assert!(report.remarks.join("\n").contains("2 files older than 2d removed"), "{:?}", report.remarks);
        assert!(place.files("out/2024-05-01").len() > 5);
    }
}

#[test]
fn what_runs_have_left_in_the_making_goes_with_the_next_one() {
    let place = Place::new();
    let day = place.at("out/2024-04-30");
    std::fs::create_dir_all(&day).expect("made");
    let (left, others) = (
        ".11-0000000009.csv.part-p4000000-0123456789abcdef",
        [".11-0000000009.csv.part-0123-1", ".x.csv.part-p4000000-1"],
    );
    std::fs::write(day.join(left), "x").expect("written");
    others.iter().for_each(|name| std::fs::write(day.join(name), "x").expect("written"));
    place.run(&rolled("{ size = '3kB' }"), &PLAIN).expect("a run");
    assert!(!day.join(left).exists());
    others.iter().for_each(|name| assert!(day.join(name).exists(), "{name}"));
}

/// A run's Parquet files by name, with their bytes, where their files end with the run and it is stopped behind each of `stops` records.
fn columns(stops: &[u64], roll: &str, way: &Way) -> BTreeMap<String, Vec<u8>> {
    let place = Place::new();
    place.run(WHOLE, &PLAIN).expect("a run");
    let sink = format!(
        "[[sink]]\ntype = 'parquet'\npath = '@/columns/{{epoch}}.parquet'\nrow_group = 50\nroll = {roll}\n"
    );
    let mut paused = 0;
    for (at, &until) in stops.iter().chain(&[u64::MAX]).enumerate() {
        let way = Way { until, threads: 1 + at % 3, is_live: at % 2 == 1, ..way.clone() };
        let report = place.run(&sink, &way).unwrap_or_else(|error| panic!("{stops:?}: {error}"));
        // Whoever reads ahead may have come to the end before it is stopped.
        paused += usize::from(report.is_paused);
        if !report.is_paused {
            break;
        }
    }
    assert!(stops.is_empty() || paused > 0, "{stops:?}");
    place.check_columns(&format!("{stops:?}"));
    place.files("columns")
}

#[test]
fn a_parquet_file_that_is_made_again_from_its_outbox_has_the_same_bytes() {
    let whole = columns(&[], "{ every = '1d' }", &KEPT);
    assert_eq!(whole.len(), 1);
    let whole = whole.values().next().expect("a file");
    for stops in [&[300][..], &[1, 2, 3], &[60, 120, 450]] {
        let again = columns(stops, "{ every = '1d' }", &KEPT);
        assert_eq!(again.len(), 1, "{:?}", again.keys());
        assert!(again.values().next() == Some(whole), "stopped behind {stops:?}");
    }
}

#[test]
fn what_a_row_of_an_outbox_became_is_noticed() {
    let place = Place::new();
    let sink = "[[sink]]\ntype = 'parquet'\npath = '@/columns/{epoch}.parquet'\nroll = { every = '1d' }\n";
    place.run(sink, &Way { until: 300, ..KEPT }).expect("a run");
    let files = place.files("columns");
    let outbox =
        files.keys().find(|name| name.contains(".rows-") && name.contains(".part-")).expect("an outbox");
    let path = place.at("columns").join(outbox);
    let mut bytes = files[outbox].clone();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let error = place.run(sink, &KEPT).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("the rows at byte 0 are damaged"), "{error}");
    // It is left as it was, for whoever can mend it.
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    place.run(sink, &KEPT).expect("mended");
    assert_eq!(place.files("columns").len(), 1);
}

#[test]
fn parquet_that_does_not_roll_has_no_checkpoints_and_it_is_said_what_to_do() {
    let place = Place::new();
    let error =
        place.run("[[sink]]\ntype = 'parquet'\npath = '@/all.parquet'\n", &KEPT).expect_err("no checkpoints");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("roll = { every = \"1h\" }"), "{error}");
    assert!(error.to_string().contains("{hour}-{epoch}.parquet"), "{error}");
}

#[test]
fn verify_compares_the_records_of_files_that_roll_and_leaves_those_alone() {
    use tidemill::verify::{VerifyOptions, verify};

    let (place, scratch) = (Place::new(), tempfile::tempdir().expect("a folder"));
    place.run(&rolled("{ size = '3kB' }"), &PLAIN).expect("a run");
    let before = (place.files("out"), place.files("columns"), place.files("rejects"));
    let make = |_: &Path| place.pipeline(&rolled("{ size = '1B' }"));
    let verdict = verify(&make, scratch.path(), &VerifyOptions { seed: 3, rounds: 3 }).expect("verified");
    assert_eq!((verdict.difference, verdict.failure, verdict.records), (None, None, RECORDS));
    for name in
        ["records of sink 0.csv", "records of sink 1.csv", "rejects of sink 2.jsonl", "records of sink 3.csv"]
    {
        assert!(verdict.files.contains(&name.to_owned()), "{:?}", verdict.files);
    }
    assert_eq!((place.files("out"), place.files("columns"), place.files("rejects")), before);
}

#[test]
fn a_file_with_the_highest_number_there_is_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("18446744073709551615.csv"), "").expect("written");
    let toml = "[source]\ntype = 'synthetic'\nrecords = 10\n[[sink]]\ntype = 'csv'\npath = '{epoch}.csv'\nroll = { size = '1KiB' }\n";
    let error = Pipeline::from_toml(toml).expect("a pipeline").with_base(folder.path()).run();
    let error = error.expect_err("no number is left").to_string();
    assert!(error.contains("18446744073709551615.csv has the highest number there is"), "{error}");
}
