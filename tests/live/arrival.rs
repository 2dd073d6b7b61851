//! Line protocol without a timestamp is of the moment at which it came, and stays so when it is played again.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemill::runtime::Observer;
use tidemill::source::{Progress, Recorder};
use tidemill::time::{Clock, Timestamp};
use tidemill::{Error, Pipeline, RunOptions};

use super::command::folder;
use super::ongoing::patiently;

/// Counts what the run has taken.
struct Taken(Arc<AtomicU64>);

impl Observer for Taken {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.0.store(records, Ordering::Release);
    }
}

fn pipeline(folder: &Path, input: &str, more: &str) -> Result<Pipeline, Error> {
    let toml = format!(
        "[source]\ntype = 'influx'\npath = '@/{input}'\nmissing_time = 'arrival'\nsensor = 's'\nmeasurements = ['v']\ntexts = []\ntable = ''\n{more}\n\
         [[stage]]\ntype = 'moving_average'\nwindow = '15s'\n[[sink]]\ntype = 'csv'\npath = '@/out.csv'\n"
    );
    Ok(Pipeline::from_toml(&toml.replace('@', folder.to_str().expect("UTF-8")))?)
}

const DUE: &str = "time,s,v,v_avg\n\
    2023-11-14T22:13:20Z,a,1,1\n\
    2023-11-14T22:13:30Z,a,2,1.5\n\
    1700000015000000000,a,4,3\n\
    2023-11-14T22:13:50Z,b,8,8\n";

#[test]
fn clause_23_a_missing_time_is_that_of_the_arrival_and_a_recording_keeps_it() {
    let lines = ["m,s=a v=1\n", "m,s=a v=2\n", "m,s=a v=4 1700000015000000000\n", "m,s=b v=8\n"];
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` runs").success());
    let out = || std::fs::read_to_string(folder.path().join("out.csv")).expect("an output");
    for threads in [1, 3] {
        let second = |second: i64| Timestamp::from_nanos((1_700_000_000 + second) * 1_000_000_000);
        let (clock, taken) = (Clock::simulated(second(0)), Arc::new(AtomicU64::new(0)));
        let mut options = RunOptions { threads: Some(threads), ..RunOptions::default() };
        options.open.clock = clock.clone();
        let name = format!("day-{threads}.rec");
        let recorder = Recorder::create(&folder.path().join(&name)).expect("a recording");
        options.open.record = Some(recorder.clone());
        let mut observer = Taken(Arc::clone(&taken));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = OpenOptions::new().write(true).open(&pipe).expect("opened");
                for (at, line) in lines.iter().enumerate() {
                    clock.set(second(10 * at as i64));
                    writer.write_all(line.as_bytes()).expect("taken");
                    let is_taken = || (taken.load(Ordering::Acquire) == at as u64 + 1).then_some(());
                    patiently("waiting for a record to be taken", is_taken);
                }
            });
            let pipeline = pipeline(folder.path(), "pipe", "").expect("a pipeline");
            pipeline.run_with(&options, &mut observer).expect("a run")
        });
        recorder.finish().expect("a recording");
        assert_eq!(out(), DUE);
        // Played long after that day.
        pipeline(folder.path(), &name, "").expect("a pipeline").run().expect("a run");
        assert_eq!(out(), DUE);
    }
}

#[test]
fn clause_23_what_lies_in_a_file_did_not_arrive() {
    let folder = folder();
    std::fs::write(folder.path().join("lies.lp"), "m,s=a v=1\n").expect("written");
    for more in ["", "follow = true"] {
        let outcome = pipeline(folder.path(), "lies.lp", more).and_then(|pipeline| pipeline.run());
        let said = outcome.expect_err("refused").to_string();
        assert!(said.contains("a file at rest, whose records have no arrival time"), "{said}");
    }
}
