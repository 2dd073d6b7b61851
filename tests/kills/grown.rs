//! Files that grow: appended to in pieces, renamed, truncated, made anew, replaced, packed and removed, while the run that follows them is
//! killed and started again.
//!
//! What was written in all is kept aside, and a plain run over it says what the output has to be: byte for byte where one log was written, and
//! sensor for sensor where there are several, for which of them is read first depends on who writes first. Before a log loses what was written to
//! it, a checkpoint has it: nobody promises what was never read.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::command::{run, text};
use super::packers;
use super::rig::{self, Count, has_checkpoint, lines, settle};
use super::rolled;

/// Starts of a run in one story.
const STARTS: usize = 10;

/// Longer than a tick of the file system's clock: logs that are rotated are told apart by when they were written.
const TICK: Duration = Duration::from_millis(12);

const RECORDED: &str = "made.rec";

/// A log and what is known of it.
struct Log {
    name: &'static str,
    folder: PathBuf,
    /// All that was ever written.
    written: String,
    /// What has to come to end a line.
    pending: String,
    records: u64,
    rotations: u32,
    /// Rotated files that are still there.
    rotated: Vec<PathBuf>,
}

impl Log {
    fn new(folder: &Path, name: &'static str) -> Self {
        let log = Self {
            name,
            folder: folder.to_owned(),
            written: String::new(),
            pending: String::new(),
            records: 0,
            rotations: 0,
            rotated: Vec::new(),
        };
        File::create(log.path()).expect("made");
        log
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("logs/{}.log", self.name))
    }

    /// The next record: some seconds early or not, some no number.
    fn record(&mut self, random: &mut StdRng) -> String {
        let second = (self.records / 4 + 6).saturating_sub(random.random_range(0..6));
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let (name, sensor, number) = (self.name, random.random_range(0..3), self.records);
        let value = match random.random_range(0..20) {
            0 => format!("none-{name}-{number}"),
            _ => format!("{}.{number:05}", random.random_range(-20..90)),
        };
        self.records += 1;
        format!("2024-05-01T{hour:02}:{minute:02}:{second:02}Z,{name}{sensor},{value}\n")
    }

    /// Ends the line that has begun.
    fn complete(&mut self) {
        let rest = std::mem::take(&mut self.pending);
        self.write(&rest);
    }

    /// Appends records, in some pieces; the last one may stay open.
    fn append(&mut self, random: &mut StdRng) {
        self.complete();
        let mut text: String = (0..random.random_range(1..40)).map(|_| self.record(random)).collect();
        if random.random_range(0..3) == 0 {
            let end = text.len() - random.random_range(1..text.len().min(60));
            self.pending = text.split_off(end);
        }
        let middle = random.random_range(0..=text.len());
        self.write(&text[..middle]);
        self.write(&text[middle..]);
    }

    fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let file = OpenOptions::new().create(true).append(true).open(self.path());
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
        self.written += text;
    }

    /// The log gets another name; the next record makes a new one.
    fn rotate(&mut self, random: &mut StdRng) {
        self.complete();
        if !self.path().exists() {
            return;
        }
        sleep(TICK);
        self.rotations += 1;
        let rotated = self.folder.join(format!("logs/{}.log.{}", self.name, self.rotations));
        std::fs::rename(self.path(), &rotated).expect("renamed");
        self.rotated.push(rotated);
        if random.random_range(0..4) > 0 {
            self.append(random);
        }
    }

    /// What was written goes, or gets another form; a checkpoint has all of it.
    fn lose(&mut self, random: &mut StdRng) {
        match random.random_range(0..6) {
            0 => drop(File::create(self.path()).expect("cut off")),
            1 => {
                // Cut off and grown again at once, beyond where it was read to.
                File::create(self.path()).expect("cut off");
                (0..10).for_each(|_| self.append(random));
            }
            2 => {
                let _rotated = std::fs::remove_file(self.path());
            }
            3 => {
                let aside = self.folder.join(format!("logs/.{}.new", self.name));
                let text: String = (0..20).map(|_| self.record(random)).collect();
                std::fs::write(&aside, &text).expect("written");
                self.written += &text;
                std::fs::rename(&aside, self.path()).expect("replaced");
            }
            4 => self.rotated.drain(..).for_each(|path| std::fs::remove_file(path).expect("removed")),
            _ => self.rotated.drain(..).for_each(|path| pack(&path)),
        }
    }
}

/// What packs logs when they are rotated puts a packed file in their place.
fn pack(path: &Path) {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    std::fs::write(name, packers::gz(&std::fs::read(path).expect("read"))).expect("written");
    std::fs::remove_file(path).expect("removed");
}

/// What one story is about.
struct Setting {
    folder: PathBuf,
    is_recorded: bool,
    /// Lines of the source.
    order: &'static str,
}

impl Setting {
    /// From the files of `pattern` to a folder.
    fn pipeline(&self, pattern: &str, follow: bool, out: &str) -> String {
        let order = self.order;
        format!(
            "[source]\ntype = 'csv'\npath = '{pattern}'\nfollow = {follow}\nheader = false\nnames = ['t', 's', 'v']\nmeasurements = ['v']\n\
             time = 't'\nsensor = 's'\nmax_rejects = 0.9\n{order}\n\
             [[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nrunning = true\ninto = 'z'\n\
             [[stage]]\ntype = 'moving_average'\nwindow = 5\ncolumns = ['v']\n\
             [[sink]]\ntype = 'csv'\npath = '{out}/all.csv'\n[[sink]]\ntype = 'dead_letter'\npath = '{out}/rejects.jsonl'\n{}",
            if out == "out" { rolled::SINKS } else { "" }
        )
    }

    fn arguments(&self) -> &'static [&'static str] {
        if self.is_recorded { &["--record", RECORDED] } else { &[] }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("written");
    }

    /// Runs it to its end, and gives what it has written.
    fn outputs(&self, arguments: &[&str], out: &str) -> (Vec<String>, Vec<String>) {
        let ended = run(&self.folder, &[arguments, &["--quiet"]].concat());
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        self.read(out)
    }

    /// The lines of an output, and what was set aside.
    fn read(&self, out: &str) -> (Vec<String>, Vec<String>) {
        let letters = lines(&self.folder.join(out).join("rejects.jsonl"));
        let raw = |line: &String| {
            let letter: serde_json::Value = serde_json::from_str(line).expect("JSON");
            letter["raw"].as_str().expect("text").to_owned()
        };
        (lines(&self.folder.join(out).join("all.csv")), letters.iter().map(raw).collect())
    }
}

/// Writes and kills for a while, then compares.
pub(crate) fn story(folder: &Path, seed: u64, count: &Count) {
    println!("follow: {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let names: &[&str] = if random.random_range(0..2) == 0 { &["a"] } else { &["a", "b", "c"] };
    // No sensor is quiet before all others have come as far: whose log is read first makes no difference then.
    let sorted = if names.len() == 1 { "agree = 3" } else { "agree = 9" };
    let order = format!("order = 'time'\ndisorder = '6s'\n{sorted}");
    let setting = Setting {
        folder: folder.to_owned(),
        is_recorded: random.random_range(0..2) == 0,
        order: if random.random_range(0..2) == 0 { "" } else { order.leak() },
    };
    std::fs::create_dir(folder.join("logs")).expect("a folder");
    setting.write("p.toml", &setting.pipeline("logs/*.log*", true, "out"));
    setting.write("plain.toml", &setting.pipeline("written/*.csv", false, "plain"));
    setting.write("again.toml", &setting.pipeline("logs/*.log*", true, "again"));
    let mut logs: Vec<_> = names.iter().map(|name| Log::new(folder, name)).collect();
    for _ in 0..STARTS {
        let (mut child, goes_on) = begin(&setting, &mut random);
        count.resumed.fetch_add(u64::from(goes_on), Ordering::Relaxed);
        write(&mut logs, &mut random);
        if random.random_range(0..3) == 0 {
            settle_all(folder, &mut child, &mut logs);
            let at = random.random_range(0..logs.len());
            logs[at].lose(&mut random);
            write(&mut logs, &mut random);
        }
        sleep(Duration::from_millis(random.random_range(0..150)));
        rig::end(child, folder, &mut random, count);
        // Nobody watches.
        write(&mut logs, &mut random);
    }
    let (mut child, _) = begin(&setting, &mut random);
    settle_all(folder, &mut child, &mut logs);
    rig::end(child, folder, &mut random, count);
    rig::finish(folder, setting.arguments(), &mut random, count);
    compare(&setting, &logs, &format!("seed {seed}"));
}

/// Starts the run, and says whether it goes on from a checkpoint.
fn begin(setting: &Setting, random: &mut StdRng) -> (Child, bool) {
    let goes_on = has_checkpoint(&setting.folder);
    if !goes_on {
        // Without a checkpoint nothing tells whose a recording is.
        let _not_there = std::fs::remove_file(setting.folder.join(RECORDED));
    }
    (rig::start(&setting.folder, "p.toml", setting.arguments(), random), goes_on)
}

/// Some logs grow or are rotated.
fn write(logs: &mut [Log], random: &mut StdRng) {
    for _ in 0..random.random_range(0..6) {
        let at = random.random_range(0..logs.len());
        match random.random_range(0..5) {
            0 => logs[at].rotate(random),
            _ => logs[at].append(random),
        }
        sleep(Duration::from_millis(random.random_range(0..10)));
    }
}

/// Waits until a checkpoint has all that was written.
fn settle_all(folder: &Path, child: &mut Child, logs: &mut [Log]) {
    logs.iter_mut().for_each(Log::complete);
    settle(folder, child, logs.iter().map(|log| log.records).sum());
}

/// Whether the output is what a plain run makes of all that was written, and what was recorded gives it once more.
fn compare(setting: &Setting, logs: &[Log], told: &str) {
    let folder = &setting.folder;
    std::fs::create_dir(folder.join("written")).expect("a folder");
    for log in logs {
        setting.write(&format!("written/{}.csv", log.name), &log.written);
    }
    let found = setting.read("out");
    let out = rig::files(&folder.join("out"));
    rolled::check(folder, &out["all.csv"], &out["rejects.jsonl"], told);
    let plain = setting.outputs(&["run", "plain.toml"], "plain");
    match logs.len() {
        1 => assert!(found == plain, "{told}: {}", difference(&found.0, &plain.0)),
        _ => {
            let (found, plain) = (by_sensor(&found), by_sensor(&plain));
            assert!(found == plain, "{told}: {}", difference(&found, &plain));
        }
    }
    if setting.is_recorded {
        let again = setting.outputs(&["replay", "again.toml", "--from", RECORDED], "again");
        assert!(again == found, "{told}, played again: {}", difference(&again.0, &found.0));
    }
}

/// Lines sensor by sensor, and what was set aside log by log, each in the order in which they came.
fn by_sensor((lines, rejects): &(Vec<String>, Vec<String>)) -> Vec<String> {
    let mut all: Vec<_> = lines.iter().chain(rejects).cloned().collect();
    all.sort_by_key(|line| line.split(',').nth(1).map(str::to_owned));
    all
}

/// Where two lists part.
fn difference(found: &[String], expected: &[String]) -> String {
    let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    let mut told = format!("{} lines where {} are expected; from line {at} on:", found.len(), expected.len());
    for (name, lines) in [("found", found), ("expected", expected)] {
        write!(told, "\n{name}: {:?}", lines.iter().skip(at.saturating_sub(1)).take(4).collect::<Vec<_>>())
            .expect("room");
    }
    told
}
