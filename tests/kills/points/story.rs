//! Processes that are killed one after the other, then one that runs to its end, and what they leave.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions as Opening};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::process::{Input, Order, delivered, run, spawn};
use super::{Call, Moment, POINTS, Point};
use crate::command::{self, text};
use crate::rig::{self, Count, Files, files, newest};
use crate::rolled;

/// Records of the input.
const RECORDS: usize = 2400;

/// Sensors whose names alone take more than a checkpoint that always has everything.
const LONG_NAMES: usize = 80;

/// How long a process may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How often a story may miss its point, in a row.
const MISSES: u32 = 60;

/// How many deliveries a run has, about.
const DELIVERIES: u64 = 20;

/// How many milliseconds a run takes, about.
const RUN: u64 = 400;

/// Kills runs at each point until each has had its share of all `kills`.
pub(crate) fn campaign(kills: u64) {
    let (seed, inputs) = (rig::seed(), [Input::AtRest, Input::Followed]);
    let share = (kills / inputs.len() as u64 / POINTS.iter().map(|point| point.weight()).sum::<u64>()).max(1);
    println!("TIDEMILL_SEED={seed}, {share} kills at each of {} points", POINTS.len());
    std::thread::scope(|scope| {
        for input in inputs {
            scope.spawn(move || {
                let (folder, count) = (command::folder(), Count::default());
                let mut story = Story::new(folder.path(), input, seed);
                let mut met = BTreeMap::<_, u64>::new();
                for point in POINTS {
                    let mut misses = 0;
                    while met.get(point.name).copied().unwrap_or(0) < share * point.weight() {
                        let hit = story.tell(point, &mut met, &count);
                        misses = if hit { 0 } else { misses + 1 };
                        assert!(misses < MISSES, "{input:?}: a run never comes to `{}`", point.name);
                    }
                }
                println!("{input:?}: {} kills: {met:?}", met.values().sum::<u64>());
            });
        }
    });
}

/// One campaign of stories, over one kind of input.
struct Story<'a> {
    folder: &'a Path,
    input: Input,
    random: StdRng,
    expected: Files,
    text: String,
    /// How many records have been written.
    written: usize,
}

impl<'a> Story<'a> {
    fn new(folder: &'a Path, input: Input, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ input as u64);
        let text = records(&mut random);
        let mut story = Self { folder, input, random, expected: Files::new(), text, written: 0 };
        story.clear();
        story.write(RECORDS);
        let plain = Order { input: Input::AtRest, kill: None, threads: 1, outage: u64::MAX, finishes: false };
        run(folder, plain, false).expect("a run");
        story.expected = files(&folder.join("out"));
        assert!(story.expected.len() == 3 && story.expected.values().all(|bytes| bytes.len() > 500));
        story
    }

    /// Removes what runs have left.
    fn clear(&mut self) {
        let _not_there = std::fs::remove_dir_all(self.folder.join("state"));
        for name in ["out", "rolled"].into_iter().chain(delivered()) {
            let _not_there = std::fs::remove_dir_all(self.folder.join(name));
            std::fs::create_dir(self.folder.join(name)).expect("a folder");
        }
        File::create(self.folder.join("in.csv"))
            .and_then(|mut file| file.write_all(b"t,s,v\n"))
            .expect("made");
        self.written = 0;
    }

    /// Appends so many records to the input, as far as there are some.
    fn write(&mut self, records: usize) {
        let records = records.min(RECORDS - self.written);
        let lines: String = self.text.split_inclusive('\n').skip(self.written).take(records).collect();
        let file = Opening::new().append(true).open(self.folder.join("in.csv"));
        file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("written");
        self.written += records;
    }

    /// Kills a run at `point`, resumes it, and compares; whether it came to that point.
    fn tell(&mut self, point: Point, met: &mut BTreeMap<&'static str, u64>, count: &Count) -> bool {
        self.clear();
        if self.input == Input::AtRest {
            self.write(RECORDS);
        }
        let mut told = format!("{:?}", self.input);
        let before = met.get(point.name).copied();
        let [earlier, later] = [2, 3].map(|most| {
            let some = self.random.random_range(0..most);
            (0..some).map(|_| POINTS[self.random.random_range(0..POINTS.len())]).collect::<Vec<_>>()
        });
        for point in earlier.into_iter().chain([point]).chain(later) {
            let order = self.order(Some(point), false);
            write!(told, ", {}", order.text()).expect("room");
            let Some(is_over) = self.start(order, &told) else {
                *met.entry(point.name).or_default() += 1;
                count.kill(self.folder);
                continue;
            };
            if is_over {
                self.check(&told);
                return before != met.get(point.name).copied();
            }
        }
        self.write(RECORDS);
        self.end(&told);
        self.check(&told);
        before != met.get(point.name).copied()
    }

    fn order(&mut self, point: Option<Point>, finishes: bool) -> Order {
        let random = &mut self.random;
        let moments = [Moment::Before, Moment::Midway, Moment::After];
        let most = [1, 4, 16][random.random_range(0..3)];
        let kill =
            point.map(|point| (point, moments[random.random_range(0..3)], random.random_range(1..=most)));
        let (threads, outage) = (random.random_range(1..=3), random.random_range(0..DELIVERIES));
        Order { input: self.input, kill, threads, outage, finishes }
    }

    /// Has a run that nobody kills come to its end.
    fn end(&mut self, told: &str) {
        let order = self.order(None, false);
        assert!(self.start(order, told).is_some(), "{told}: killed by nobody");
        if self.input == Input::Followed {
            let order = self.order(None, true);
            assert!(self.start(order, told).is_some(), "{told}: killed by nobody");
        }
    }

    /// Starts a process and waits for its end: `None` if it was killed, otherwise whether all its output is complete.
    fn start(&mut self, order: Order, told: &str) -> Option<bool> {
        let is_followed = self.input == Input::Followed && !order.finishes;
        let mut child = spawn(self.folder, order);
        if is_followed {
            let records = self.random.random_range(100..600);
            self.write(records);
        }
        if order.kill.is_some_and(|(point, ..)| point.call == Call::Any) {
            std::thread::sleep(Duration::from_millis(self.random.random_range(0..RUN)));
            child.kill().expect("killed");
        } else if is_followed {
            self.settle(&mut child, told);
        }
        drop(child.stdin.take());
        let ended = child.wait_with_output().expect("a child");
        match ended.status.signal() {
            Some(_) => None,
            None => {
                assert!(ended.status.success(), "{told}: {}\n{}", text(&ended.stdout), text(&ended.stderr));
                Some(!is_followed)
            }
        }
    }

    /// Waits until a checkpoint has all that was written, or the process has ended.
    fn settle(&self, child: &mut Child, told: &str) {
        let start = Instant::now();
        while child.try_wait().expect("a child").is_none() {
            if newest(self.folder).is_some_and(|manifest| manifest.records == self.written as u64) {
                return;
            }
            if start.elapsed() > LIMIT {
                child.kill().expect("killed");
                panic!("{told}: the run does not come to the end of its input");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Every output is the one of a run that nobody disturbed.
    fn check(&self, told: &str) {
        let found = files(&self.folder.join("out"));
        let names: Vec<_> = found.keys().collect();
        assert_eq!(names, self.expected.keys().collect::<Vec<_>>(), "{told}");
        for (name, bytes) in &self.expected {
            assert!(found[name] == *bytes, "{told}: {name} differs\n{}", text(&found[name]));
        }
        rolled::check(self.folder, &found["all.csv"], &found["rejects.jsonl"], told);
        let all = text(&found["all.csv"]);
        let sensors: String = all
            .lines()
            .skip(1)
            .map(|line| format!("{}\n", line.split(',').nth(1).expect("a sensor")))
            .collect();
        for name in delivered() {
            let epochs = files(&self.folder.join(name)).into_iter().filter(|(name, _)| name != "aside");
            let rows: String = epochs.map(|(_, bytes)| text(&bytes)).collect();
            assert!(rows == sensors, "{told}: {name} has\n{rows}");
        }
        let kept = files(&self.folder.join("state")).into_keys();
        let left: Vec<_> =
            kept.filter(|name| name.starts_with("outbox-") || name.starts_with("rows-")).collect();
        assert!(left.is_empty(), "{told}: what is not needed any more is still there: {left:?}");
    }
}

/// The lines of the input: out of order here and there, values that are none among them. The first ones are of sensors with long names, so that checkpoints have only
/// what has changed.
fn records(random: &mut StdRng) -> String {
    let mut text = String::new();
    for at in 0..RECORDS {
        let second = (at / 8 + 6).saturating_sub(random.random_range(0..6));
        let (minute, second) = (second / 60, second % 60);
        let sensor = match at {
            0..LONG_NAMES => format!("{}{at}", "-".repeat(900)),
            _ => random.random_range(0..16).to_string(),
        };
        let value = match random.random_range(0..20) {
            0 => "none".to_owned(),
            _ => format!("{:.3}", random.random_range(-25.0..95.0)),
        };
        writeln!(text, "2024-05-01T00:{minute:02}:{second:02}Z,s{sensor},{value}").expect("room");
    }
    text
}
