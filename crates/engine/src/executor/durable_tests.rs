//! A source is told what is durable of what it gave: places that it was at, in order, the last one at the end; and at once, where it asks for that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{RunOptions, run};
use crate::batch::Schema;
use crate::checkpoint::ordinals;
use crate::cuts::CutRequest;
use crate::error::{Error, Result};
use crate::files::Disk;
use crate::offset::Offset;
use crate::runtime::StateOptions;
use crate::sensor::SensorLookup;
use crate::source::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::{Pipeline, streaming};

/// The epochs and positions that a source was told, and the positions that it returned.
#[derive(Default)]
struct Seen {
    told: Vec<(u64, Vec<u8>)>,
    gave: Vec<Vec<u8>>,
}

/// Wraps a source and records what it is told.
struct Noting(Arc<dyn SourceSpec>, Arc<Mutex<Seen>>);

struct Open(Box<dyn Source>, Arc<Mutex<Seen>>);

impl SourceSpec for Noting {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn parameters(&self) -> serde_json::Value {
        self.0.parameters()
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(Open(self.0.open(options)?, Arc::clone(&self.1))))
    }
}

impl Source for Open {
    fn schema(&self) -> &Arc<Schema> {
        self.0.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.0.next(sensors)
    }

    fn offset(&self) -> Offset {
        self.0.offset()
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.0.seek(offset)
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        let place = self.0.save()?;
        self.1.lock().expect("no panic").gave.extend(place.clone());
        Ok(place)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.0.restore(state)
    }

    fn durable(&mut self, epoch: u64, position: &[u8]) -> Result<()> {
        self.1.lock().expect("no panic").told.push((epoch, position.to_vec()));
        Ok(())
    }

    fn progress(&self) -> Progress {
        self.0.progress()
    }
}

#[test]
fn a_source_is_told_what_is_durable_in_order_and_at_the_end() {
    for is_live in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let lines: String = (0..200).map(|at| format!("s{at},{at}\n")).collect();
        std::fs::write(path("in.csv"), format!("s,v\n{lines}")).expect("written");
        let mut pipeline = Pipeline::from_toml(&format!(
            "[source]\ntype = 'csv'\npath = '{}'\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = '{}'\n",
            path("in.csv"),
            path("out.csv")
        ))
        .expect("a pipeline");
        let seen = Arc::new(Mutex::new(Seen::default()));
        pipeline.sources[0].spec = Arc::new(Noting(Arc::clone(&pipeline.sources[0].spec), Arc::clone(&seen)));
        let state = StateOptions { every: Duration::ZERO, waits: true, ..StateOptions::new(path("state")) };
        let open = OpenOptions { chunk_size: 64, ..OpenOptions::default() };
        let options = RunOptions { threads: Some(2), open, state: Some(state), ..RunOptions::default() };
        match is_live {
            true => streaming::run(&pipeline, &options, &mut ()),
            false => run(&pipeline, &options, &mut ()),
        }
        .expect("a run");
        let seen = seen.lock().expect("no panic");
        // In a live run, everything may have been read before the first checkpoint was durable.
        let least = if is_live { 1 } else { 4 };
        assert!(seen.told.len() >= least, "live: {is_live}, told {} times", seen.told.len());
        assert!(seen.told.is_sorted_by_key(|(epoch, _)| *epoch));
        let mut gave = seen.gave.iter();
        assert!(
            seen.told.iter().all(|(_, place)| gave.any(|other| other == place)),
            "places that it gave, in order"
        );
        assert_eq!(seen.told.last().map(|(_, place)| place), seen.gave.last(), "the end, too");
    }
}

/// Another source, which gives no more than so many pieces before they are durable, as a broker does.
struct Windowed(Arc<dyn SourceSpec>);

const WINDOW: usize = 6;

struct OpenWindowed {
    inner: Box<dyn Source>,
    cuts: CutRequest,
    /// Where it was behind each piece that is not durable.
    given: VecDeque<Vec<u8>>,
    waits_since: Option<Instant>,
}

impl SourceSpec for Windowed {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn parameters(&self) -> serde_json::Value {
        self.0.parameters()
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let (inner, cuts) = (self.0.open(options)?, options.cuts.clone());
        Ok(Box::new(OpenWindowed { inner, cuts, given: VecDeque::new(), waits_since: None }))
    }
}

impl Source for OpenWindowed {
    fn schema(&self) -> &Arc<Schema> {
        self.inner.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        if self.given.len() == WINDOW {
            let since = *self.waits_since.get_or_insert_with(Instant::now);
            if since.elapsed() > Duration::from_secs(20) {
                return Err(Error::unavailable("nothing is acknowledged"));
            }
            std::thread::sleep(Duration::from_millis(1));
            return Ok(Some(Input::Nothing));
        }
        self.waits_since = None;
        let next = self.inner.next(sensors)?;
        if next.is_some() {
            self.given.extend(self.inner.save()?);
        }
        if 2 * self.given.len() >= WINDOW {
            self.cuts.ask();
        }
        Ok(next)
    }

    fn offset(&self) -> Offset {
        self.inner.offset()
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.inner.seek(offset)
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        self.inner.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.inner.restore(state)
    }

    fn durable(&mut self, _epoch: u64, position: &[u8]) -> Result<()> {
        if let Some(last) = self.given.iter().position(|place| place == position) {
            self.given.drain(..=last);
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}

#[test]
fn a_source_that_may_give_no_more_asks_for_a_cut_and_goes_on() {
    for is_live in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let lines: String = (0..200).map(|at| format!("s{at},{at}\n")).collect();
        std::fs::write(path("in.csv"), format!("s,v\n{lines}")).expect("written");
        let mut pipeline = Pipeline::from_toml(&format!(
            "[source]\ntype = 'csv'\npath = '{}'\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = '{}'\n",
            path("in.csv"),
            path("out.csv")
        ))
        .expect("a pipeline");
        pipeline.sources[0].spec = Arc::new(Windowed(Arc::clone(&pipeline.sources[0].spec)));
        let state = StateOptions { every: Duration::from_secs(3600), ..StateOptions::new(path("state")) };
        let open = OpenOptions { chunk_size: 64, ..OpenOptions::default() };
        let options = RunOptions { threads: Some(2), open, state: Some(state), ..RunOptions::default() };
        let report = match is_live {
            true => streaming::run(&pipeline, &options, &mut ()),
            false => run(&pipeline, &options, &mut ()),
        };
        let report = report.unwrap_or_else(|error| panic!("live: {is_live}: {error}"));
        assert_eq!(report.sources[0].ledger.output, 200, "live: {is_live}");
        // Two more are those of the end; no more are made than are asked for.
        let (newest, _) = ordinals(&Disk, folder.path().join("state").as_path())
            .expect("a folder")
            .into_iter()
            .max()
            .expect("checkpoints");
        assert!((3..=40).contains(&newest), "live: {is_live}, {newest} checkpoints");
    }
}
