//! Input that ends: several sources, several files, plain, packed, in other encodings, of JSON; a recording; and recorded while it is read.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::command::{run, text};
use super::packers;
use super::rig::{self, Count, Files, STOPPED, add, files, has_checkpoint, is_waiting};
use super::rolled;

/// The input comes in so many files, each a chunk.
const FILES: usize = 24;

/// Records of each.
const RECORDS: usize = 400;

/// After so many kills of one run, it may come to its end.
const PATIENCE: u32 = 30;

/// What stands between source and sinks.
const STAGES: [&str; 2] = [
    "[[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nrunning = true\n\
     [[stage]]\ntype = 'moving_average'\nwindow = 20\n\
     [[sink]]\ntype = 'alert'\npath = 'out/alerts.jsonl'\ncolumn = 'v'\nabove = 1.5\n",
    "[[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'normalize'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'aggregate'\nevery = '7s'\nstatistics = ['count', 'mean', 'min', 'std']\ninto = 'v_{statistic}'\n\
     [[sink]]\ntype = 'alert'\npath = 'out/alerts.jsonl'\ncolumn = 'v_mean'\nabove = 0.6\n",
];

/// Where what a run of it has recorded stands.
const RECORDED: &str = "made.rec";

/// A pipeline over one kind of input.
struct Kind {
    name: &'static str,
    /// Lines of the source.
    source: &'static str,
    /// Which [`STAGES`].
    stages: usize,
    /// Whether the input is recorded meanwhile.
    is_recorded: bool,
}

const SORTED: &str = "type = 'csv'\npath = 'in/*.csv'\norder = 'time'\ndisorder = '5s'";

const MERGED: &str = "type = 'csv'\npath = 'in/*.csv'\nmerge = 'time'";

const KINDS: [Kind; 12] = [
    Kind { name: "sorted", source: SORTED, stages: 0, is_recorded: false },
    Kind { name: "aggregated", source: SORTED, stages: 1, is_recorded: false },
    Kind { name: "recorded", source: SORTED, stages: 0, is_recorded: true },
    Kind {
        name: "packed",
        source: "type = 'csv'\npath = 'packed/*'\norder = 'time'\ndisorder = '5s'",
        stages: 1,
        is_recorded: false,
    },
    Kind {
        name: "long",
        source: "type = 'csv'\npath = 'long.csv.gz'\ncolumns = ['v']",
        stages: 0,
        is_recorded: false,
    },
    Kind { name: "json", source: "type = 'jsonl'\npath = 'json/*.json'", stages: 0, is_recorded: true },
    Kind {
        name: "encoded",
        source: "type = 'csv'\npath = 'encoded/*.csv'\norder = 'time'\ndisorder = '5s'",
        stages: 0,
        is_recorded: false,
    },
    Kind {
        name: "columns",
        source: "type = 'parquet'\npath = 'columns/*.parquet'\norder = 'time'\ndisorder = '5s'",
        stages: 0,
        is_recorded: false,
    },
    Kind { name: "played", source: "type = 'csv'\npath = 'day.rec'", stages: 0, is_recorded: false },
    Kind { name: "several", source: SORTED, stages: 0, is_recorded: true },
    Kind { name: "several merged", source: MERGED, stages: 0, is_recorded: true },
    Kind { name: "several aggregated", source: SORTED, stages: 1, is_recorded: false },
];

impl Kind {
    /// The pipeline file, with outputs in the folder `out`.
    fn pipeline(&self, out: &str) -> String {
        let (source, stages) = (self.source, STAGES[self.stages]);
        let one = format!("{source}\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 0.9\n");
        let several = |part: &str| format!("[[source]]\n{}", one.replace("in/*", &format!("in/{part}*")));
        let sources = match self.name.starts_with("several") {
            true => ["0", "1", "2"].map(several).concat(),
            false => format!("[source]\n{one}"),
        };
        let pipeline = format!(
            "{sources}{stages}\
             [[sink]]\ntype = 'csv'\npath = 'out/all.csv'\n\
             [[sink]]\ntype = 'jsonl'\npath = 'out/some.jsonl'\nsensors = ['s1*']\n\
             [[sink]]\ntype = 'dead_letter'\npath = 'out/rejects.jsonl'\n{}",
            rolled::SINKS
        );
        pipeline.replace("'out/", &format!("'{out}/"))
    }

    fn arguments(&self) -> &'static [&'static str] {
        if self.is_recorded { &["--record", RECORDED] } else { &[] }
    }
}

/// A record of an input.
struct Record {
    time: String,
    sensor: u32,
    value: String,
}

/// Records for all kinds, in so many files, the same every time: out of order here and there, values that are none among them.
fn records() -> Vec<Vec<Record>> {
    let mut random = StdRng::seed_from_u64(4);
    let mut record = |at: usize| {
        let second = (at / 8 + 6).saturating_sub(random.random_range(0..6));
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let time = format!("2024-05-01T{hour:02}:{minute:02}:{second:02}Z");
        let sensor = random.random_range(0..16);
        let value = match random.random_range(0..20) {
            0 => "none".to_owned(),
            _ => format!("{:.3}", random.random_range(-25.0..95.0)),
        };
        Record { time, sensor, value }
    };
    (0..FILES).map(|file| (0..RECORDS).map(|at| record(file * RECORDS + at)).collect()).collect()
}

fn csv(records: &[Record]) -> String {
    let mut text = String::from("t,s,v\n");
    for Record { time, sensor, value } in records {
        writeln!(text, "{time},s{sensor},{value}").expect("room");
    }
    text
}

/// Objects in an array, over several lines each.
fn json(records: &[Record]) -> String {
    let object = |Record { time, sensor, value }: &Record| {
        let value = value.parse::<f64>().map_or(format!("\"{value}\""), |value| value.to_string());
        format!("  {{\n    \"t\": \"{time}\",\n    \"s\": \"s{sensor}\",\n    \"v\": {value}\n  }}")
    };
    format!("[\n{}\n]\n", records.iter().map(object).collect::<Vec<_>>().join(",\n"))
}

/// Values that are none are texts that no number is in.
fn columns(folder: &Path, at: usize) {
    let toml = format!(
        "[source]\ntype = 'csv'\npath = 'in/{at:02}.csv'\ntime = 't'\nsensor = 's'\ntypes = {{ v = 'text' }}\n\
         [[sink]]\ntype = 'parquet'\npath = 'columns/{at:02}.parquet'\nrow_group = 90\n"
    );
    std::fs::write(folder.join("to-columns.toml"), toml).expect("written");
    let made = run(folder, &["run", "to-columns.toml", "--quiet"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// UTF-16, with line feeds in quotes.
fn encoded(records: &[Record]) -> Vec<u8> {
    let mut text = String::from("\u{feff}t,note,s,v\r\n");
    for (at, Record { time, sensor, value }) in records.iter().enumerate() {
        writeln!(text, "{time},\"Prüfung\n{at}, \"\"gut\"\"\",s{sensor},{value}\r").expect("room");
    }
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Wider than a chunk.
fn long(records: &[Vec<Record>]) -> String {
    let mut text = String::from("t,note,s,v\n");
    for (at, Record { time, sensor, value }) in records.iter().flatten().enumerate() {
        writeln!(text, "{time},{at:0>300},s{sensor},{value}").expect("room");
    }
    text
}

/// One of several packings, and how a file of it is called.
fn packed(at: usize, text: &str) -> (String, Vec<u8>) {
    let bytes = text.as_bytes();
    let (extension, packed) = match at % 7 {
        0 => (".gz", packers::gz(bytes)),
        1 => (".zst", packers::zst(bytes, true)),
        2 => (".xz", packers::xz(bytes)),
        3 => (".bz2", packers::bz2(bytes)),
        4 => (".lz4", packers::lz4(bytes)),
        5 => (".zip", archive(text)),
        _ => ("", bytes.to_vec()),
    };
    (format!("{at:02}.csv{extension}"), packed)
}

/// The records in two files of an archive.
fn archive(text: &str) -> Vec<u8> {
    let (header, records) = text.split_once('\n').expect("a header");
    let (middle, _) = records.match_indices('\n').nth(RECORDS / 2).expect("a line end");
    let parts = [&records[..=middle], &records[middle + 1..]].map(|part| format!("{header}\n{part}"));
    packers::zip(&[("a.csv", parts[0].as_bytes()), ("b.csv", parts[1].as_bytes())])
}

/// Inputs and pipelines of all kinds.
fn prepare(folder: &Path) {
    for inputs in ["in", "packed", "json", "encoded", "columns"] {
        std::fs::create_dir(folder.join(inputs)).expect("a folder");
    }
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("written");
    let records = records();
    for (at, records) in records.iter().enumerate() {
        let text = csv(records);
        let (name, bytes) = packed(at, &text);
        write(&format!("in/{at:02}.csv"), text.as_bytes());
        write(&format!("packed/{name}"), &bytes);
        write(&format!("json/{at:02}.json"), json(records).as_bytes());
        write(&format!("encoded/{at:02}.csv"), &encoded(records));
        columns(folder, at);
    }
    write("long.csv.gz", &packers::gz(long(&records).as_bytes()));
    for kind in &KINDS {
        write(&format!("{}.toml", kind.name), kind.pipeline("out").as_bytes());
        write(&format!("{}-again.toml", kind.name), kind.pipeline("again").as_bytes());
    }
    let recorded = run(folder, &["record", "sorted.toml", "-o", "day.rec", "--quiet"]);
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
}

/// What a kind gives when nobody disturbs it, and how long that takes.
fn undisturbed(folder: &Path, kind: &Kind) -> (Files, Duration) {
    let (start, pipeline) = (Instant::now(), format!("{}.toml", kind.name));
    let arguments = [&["run", &pipeline, "--quiet", "--state", "state"], kind.arguments()].concat();
    let ended = run(folder, &arguments);
    assert!(ended.status.success(), "{}: {}", kind.name, text(&ended.stderr));
    let (took, outputs) = (start.elapsed(), files(&folder.join("out")));
    rolled::check(folder, &outputs["all.csv"], &outputs["rejects.jsonl"], kind.name);
    assert!(outputs.len() == 4 && outputs.values().all(|bytes| bytes.len() > 1000), "{}", kind.name);
    clear(folder);
    (outputs, took)
}

/// Removes what runs have left.
fn clear(folder: &Path) {
    for left in ["out", "state", "again", "rolled"] {
        let _not_there = std::fs::remove_dir_all(folder.join(left));
    }
    forget_recording(folder);
}

/// Removes what has been recorded: a file, or a folder of the recordings of several sources.
fn forget_recording(folder: &Path) {
    let _not_there = std::fs::remove_file(folder.join(RECORDED));
    let _not_there = std::fs::remove_dir_all(folder.join(RECORDED));
}

/// What all kinds give, found out once.
fn expected(folder: &Path) -> &'static [(Files, Duration)] {
    static EXPECTED: OnceLock<Vec<(Files, Duration)>> = OnceLock::new();
    EXPECTED.get_or_init(|| KINDS.iter().map(|kind| undisturbed(folder, kind)).collect())
}

/// When to kill a run that takes about so long: most are anywhere in it, some at its very start.
fn delay(took: Duration, random: &mut StdRng) -> Duration {
    match random.random_range(0..4) {
        0 => took.mul_f64(random.random_range(0.0..0.25)),
        _ => took.mul_f64(random.random_range(0.0..1.1)),
    }
}

/// Runs every kind once, each killed until it has come to its end all the same.
pub(crate) fn story(folder: &Path, seed: u64, count: &Count) {
    prepare(folder);
    let mut random = StdRng::seed_from_u64(seed);
    for (kind, (outputs, took)) in KINDS.iter().zip(expected(folder)) {
        let told = format!("seed {seed}, {}", kind.name);
        kill_one(folder, kind, *took, &told, &mut random, count);
        check(folder, outputs, &told);
        if kind.is_recorded {
            check_recorded(folder, kind, outputs, &told);
        }
        clear(folder);
    }
}

/// Kills one run until it has come to its end.
fn kill_one(folder: &Path, kind: &Kind, took: Duration, told: &str, random: &mut StdRng, count: &Count) {
    let pipeline = format!("{}.toml", kind.name);
    let mut kills = 0;
    loop {
        let goes_on = has_checkpoint(folder);
        if !goes_on {
            // Without a checkpoint nothing tells whose a recording is.
            forget_recording(folder);
        }
        let mut child = rig::start(folder, &pipeline, kind.arguments(), random);
        let is_stop = random.random_range(0..16) == 0;
        if kills < PATIENCE {
            std::thread::sleep(delay(took, random));
            if child.try_wait().expect("a child").is_none() {
                if is_stop {
                    // A stop is asked for; what is durable then is all that has come in.
                    rig::ask_to_stop(&mut child);
                    add(&count.stops);
                } else {
                    child.kill().expect("killed");
                }
            }
        }
        let ended = child.wait_with_output().expect("a child");
        add(&count.runs);
        if ended.status.code().is_none() {
            kills += 1;
            count.kill(folder);
            continue;
        }
        if ended.status.code() == Some(STOPPED) {
            assert!(is_stop, "{told}, after {kills} kills: stopped by nobody");
            continue;
        }
        let said = text(&ended.stderr);
        assert!(ended.status.success(), "{told}, after {kills} kills: {said}");
        // One that began anew would give the same output too.
        assert!(!goes_on || said.contains("resumed from"), "{told}, after {kills} kills: {said}");
        count.resumed.fetch_add(u64::from(goes_on), Ordering::Relaxed);
        if files(&folder.join("out")).len() == 4 && !is_waiting(folder) {
            return;
        }
        assert!(is_stop, "{told}, after {kills} kills: a run has ended, and its output is not complete");
    }
}

/// Every output is the one of a run that nobody disturbed, and nothing is left.
fn check(folder: &Path, outputs: &Files, told: &str) {
    let found = files(&folder.join("out"));
    let names: Vec<_> = found.keys().collect();
    assert_eq!(names, outputs.keys().collect::<Vec<_>>(), "{told}");
    for (name, bytes) in outputs {
        assert!(found[name] == *bytes, "{told}: {name} differs\n{}", text(&found[name]));
    }
    rolled::check(folder, &outputs["all.csv"], &outputs["rejects.jsonl"], told);
    let kept = files(&folder.join("state"));
    assert!(kept.len() <= 6 && kept.keys().all(|name| !name.starts_with('.')), "{told}: {:?}", kept.keys());
}

/// What was recorded is complete, and gives the same outputs again.
fn check_recorded(folder: &Path, kind: &Kind, outputs: &Files, told: &str) {
    let pipeline = format!("{}-again.toml", kind.name);
    let again = run(folder, &["replay", &pipeline, "--from", RECORDED, "--quiet"]);
    assert!(again.status.success(), "{told}, played again: {}", text(&again.stderr));
    let found = files(&folder.join("again"));
    for (name, bytes) in outputs {
        assert!(found[name] == *bytes, "{told}, played again: {name} differs\n{}", text(&found[name]));
    }
}
