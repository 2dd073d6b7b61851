//! A simulated clock says which live records are believed, and a recording brings its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use proptest::prelude::*;
use tidemill::batch::Schema;
use tidemill::offset::Offset;
use tidemill::sensor::SensorLookup;
use tidemill::source::{Input, OpenOptions, Progress, Recorder, Source, SourceSpec, Traits};
use tidemill::time::{Clock, Timestamp};
use tidemill::{Pipeline, Result, RunOptions};

use super::command::folder;

/// What is believed of a time ahead of the clock, in seconds.
const MAX_AHEAD: i64 = 300;

/// The records of another source as if they came live, each when the clock shows the next of `times`, in seconds.
struct Arriving {
    inner: Arc<dyn SourceSpec>,
    times: Vec<i64>,
}

impl SourceSpec for Arriving {
    fn name(&self) -> &str {
        "arriving"
    }

    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: false, is_replayable: false, is_open: true, is_kept: false }
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        // A record a chunk.
        let inner = self.inner.open(&OpenOptions { chunk_size: 1, ..options.clone() })?;
        Ok(Box::new(Arrivals { inner, clock: options.clock.clone(), times: self.times.clone().into_iter() }))
    }
}

struct Arrivals {
    inner: Box<dyn Source>,
    clock: Clock,
    times: vec::IntoIter<i64>,
}

impl Source for Arrivals {
    fn schema(&self) -> &Arc<Schema> {
        self.inner.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        if let Some(time) = self.times.next() {
            self.clock.set(second(time));
        }
        self.inner.next(sensors)
    }

    fn received(&self) -> Option<Timestamp> {
        self.inner.received()
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

    fn bytes(&self) -> u64 {
        self.inner.bytes()
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
         order = 'time'\ndisorder = '60s'\nmax_ahead = '{MAX_AHEAD}s'\n[[stage]]\ntype = 'moving_average'\nwindow = 3\n\
         [[sink]]\ntype = 'csv'\npath = '@/out.csv'\n[[sink]]\ntype = 'dead_letter'\npath = '@/dead.jsonl'\n"
    );
    Pipeline::from_toml(&toml.replace('@', folder.to_str().expect("UTF-8"))).expect("a pipeline")
}

/// The outputs of a day on which records came at these times of the clock; each is (arrival, sensor, its own time).
fn live(folder: &Path, records: &[(i64, u8, i64)], threads: usize, record: Option<PathBuf>) -> Outputs {
    let mut pipeline = pipeline(folder, "in.csv");
    let times = records.iter().map(|(arrival, _, _)| *arrival).collect();
    pipeline.source = Arc::new(Arriving { inner: Arc::clone(&pipeline.source), times });
    let mut options = RunOptions { threads: Some(threads), ..RunOptions::default() };
    options.open.clock = Clock::simulated(second(0));
    options.open.record = record.map(|path| Recorder::create(&path).expect("a recording"));
    let recorder = options.open.record.clone();
    let report = pipeline.run_with(&options, &mut ()).expect("a run");
    assert_eq!(report.source.ledger.input, records.len() as u64);
    recorder.map_or(Ok(()), |recorder| recorder.finish()).expect("a recording");
    outputs(folder)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

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
        let lines = records.iter().enumerate().map(|(at, (_, sensor, time))| format!("{time},s{sensor},{at}\n"));
        let text: String = std::iter::once("t,sensor,v\n".to_owned()).chain(lines).collect();
        std::fs::write(folder.path().join("in.csv"), text).expect("written");
        let expected = live(folder.path(), &records, 1, None);
        let is_ahead = |(arrival, _, time): &&(i64, u8, i64)| *time > arrival + MAX_AHEAD;
        prop_assert_eq!(expected[1].matches("\"kind\":\"ahead\"").count(), records.iter().filter(is_ahead).count());
        prop_assert_eq!(&live(folder.path(), &records, 3, Some(folder.path().join("day.rec"))), &expected);
        // Played today, long after that day.
        pipeline(folder.path(), "day.rec").run().expect("a run");
        prop_assert_eq!(&outputs(folder.path()), &expected);
    }
}
