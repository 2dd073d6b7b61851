//! A source is told what is durable of what it gave: places that it was at, in order, the last one at the end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{RunOptions, run};
use crate::batch::Schema;
use crate::error::Result;
use crate::offset::Offset;
use crate::runtime::StateOptions;
use crate::sensor::SensorLookup;
use crate::source::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::{Pipeline, streaming};

/// Epochs and places that a source was told, and the places that it gave.
#[derive(Default)]
struct Seen {
    told: Vec<(u64, Vec<u8>)>,
    gave: Vec<Vec<u8>>,
}

/// Another source, which notes what it is told.
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
        // Live, all of it may have been read before the first checkpoint was durable.
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
