//! A simulated clock says which live records are believed, and a recording brings its own.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use tidemill::runtime::Observer;
use tidemill::source::{Progress, Recorder};
use tidemill::time::{Clock, Timestamp};
use tidemill::{Pipeline, RunOptions};

use super::command::folder;
use super::ongoing::patiently;

/// What is believed of a time ahead of the clock, in seconds.
const MAX_AHEAD: i64 = 300;

/// A record: when it arrives, by the clock, in seconds; of which sensor; its own time.
type Record = (i64, u8, i64);

/// Counts what the run has taken.
struct Taken(Arc<AtomicU64>);

impl Observer for Taken {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.0.store(records, Ordering::Release);
    }
}

fn second(time: i64) -> Timestamp {
    Timestamp::from_nanos(time * 1_000_000_000)
}

/// What came out, and what was set aside.
type Outputs = [String; 2];

fn outputs(folder: &Path) -> Outputs {
    ["out.csv", "dead.jsonl"].map(|name| std::fs::read_to_string(folder.join(name)).expect("an output"))
}

/// A pipeline over `input`, a file or a recording, in time's order.
fn pipeline(folder: &Path, input: &str) -> Pipeline {
    let toml = format!(
        "[source]\ntype = 'csv'\npath = '@/{input}'\ntime = 't'\ntime_format = 's'\nsensor = 'sensor'\nmeasurements = ['v']\n\
         order = 'time'\ndisorder = '60s'\nmax_ahead = '{MAX_AHEAD}s'\nmax_rejects = 1.0\n[[stage]]\ntype = 'moving_average'\nwindow = 3\n\
         [[sink]]\ntype = 'csv'\npath = '@/out.csv'\n[[sink]]\ntype = 'dead_letter'\npath = '@/dead.jsonl'\n"
    );
    Pipeline::from_toml(&toml.replace('@', folder.to_str().expect("UTF-8"))).expect("a pipeline")
}

fn line(at: usize, &(_, sensor, time): &Record) -> String {
    format!("{time},s{sensor},{at}\n")
}

/// The outputs of a day on which each record comes in when the clock shows its arrival, recorded as `recording`.
fn live(folder: &Path, records: &[Record], threads: usize, recording: &str) -> Outputs {
    let pipe = folder.join("pipe");
    if !pipe.exists() {
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` runs").success());
    }
    let (clock, taken) = (Clock::simulated(second(0)), Arc::new(AtomicU64::new(0)));
    let mut options = RunOptions { threads: Some(threads), ..RunOptions::default() };
    options.open.clock = clock.clone();
    let recorder = Recorder::create(&folder.join(recording)).expect("a recording");
    options.open.record = Some(recorder.clone());
    let mut observer = Taken(Arc::clone(&taken));
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = OpenOptions::new().write(true).open(&pipe).expect("opened");
            writer.write_all(b"t,sensor,v\n").expect("taken");
            for (at, record) in records.iter().enumerate() {
                clock.set(second(record.0));
                writer.write_all(line(at, record).as_bytes()).expect("taken");
                let is_taken = || (taken.load(Ordering::Acquire) == at as u64 + 1).then_some(());
                patiently("waiting for a record to be taken", is_taken);
            }
        });
        pipeline(folder, "pipe").run_with(&options, &mut observer).expect("a run")
    });
    recorder.finish().expect("a recording");
    assert_eq!(report.sources[0].ledger.input, records.len() as u64);
    outputs(folder)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn who_is_believed_depends_on_the_simulated_clock_and_is_the_same_when_played_again(
        records in proptest::collection::vec((0..50i64, 0..4u8, -400..400i64), 1..60),
    ) {
        let mut now = 1_700_000_000;
        let records: Vec<_> = records
            .into_iter()
            .map(|(step, sensor, ahead)| {
                now += step;
                (now, sensor, now + ahead)
            })
            .collect();
        let folder = folder();
        let expected = live(folder.path(), &records, 1, "day.rec");
        let is_ahead = |(arrival, _, time): &&Record| *time > arrival + MAX_AHEAD;
        prop_assert_eq!(expected[1].matches("\"kind\":\"ahead\"").count(), records.iter().filter(is_ahead).count());
        prop_assert_eq!(&live(folder.path(), &records, 3, "again.rec"), &expected);
        // Played today, long after that day.
        pipeline(folder.path(), "day.rec").run().expect("a run");
        prop_assert_eq!(&outputs(folder.path()), &expected);
    }
}
