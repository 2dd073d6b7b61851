//! Sinks run on threads of their own: a blocked sink does not block the others, and the first error in order is reported, whichever occurs
//! first in time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{RunOptions, run};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::sensor::Sensors;
use crate::sink::{Repeat, Sink, SinkContext, SinkSpec};
use crate::source::OpenOptions;
use crate::{Pipeline, Report, streaming};

/// Counts the records that a sink has received, and wakes those that wait for a count.
#[derive(Default)]
struct Gate {
    records: Mutex<u64>,
    changed: Condvar,
}

impl Gate {
    fn add(&self, records: u64) {
        *self.records.lock().unwrap_or_else(PoisonError::into_inner) += records;
        self.changed.notify_all();
    }

    /// Waits for a number of records.
    fn wait_for(&self, records: u64) {
        let there = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.changed.wait_while(there, |there| *there < records);
        drop(there.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A sink that first waits until `awaited` has received a number of records, then fails if told to.
#[derive(Clone, Default)]
struct Waiting {
    taken: Arc<Gate>,
    awaited: Arc<Gate>,
    until: u64,
    fails: bool,
    /// Counts its calls.
    calls: Arc<AtomicU64>,
    /// The sensor names seen.
    names: Arc<Mutex<Vec<String>>>,
    is_prompt: bool,
    /// The threads that have called it.
    threads: Arc<Mutex<BTreeSet<String>>>,
}

impl SinkSpec for Waiting {
    fn name(&self) -> &str {
        "waiting"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(self.clone()))
    }
}

impl Sink for Waiting {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        self.threads.lock().expect("no panic").insert(thread);
        self.awaited.wait_for(self.until);
        if self.fails {
            return Err(Error::unavailable("it takes nothing"));
        }
        let names = batch.sensors().iter().map(|&id| sensors.name(id).to_owned());
        self.names.lock().expect("no panic").extend(names);
        self.taken.add(batch.len() as u64);
        Ok(())
    }

    fn is_prompt(&self) -> bool {
        self.is_prompt
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A run over `records` records of as many sensors, followed by the text `last`, into two sinks.
fn go(records: u64, last: &str, sinks: [&Waiting; 2], is_live: bool) -> Result<Report> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.csv");
    let lines: String = (0..records).map(|at| format!("s{at},{at}\n")).collect();
    std::fs::write(&path, format!("sensor,v\n{lines}{last}")).expect("written");
    let mut pipeline = Pipeline::from_toml(&format!(
        "[source]\ntype = 'csv'\npath = '{}'\nsensor = 'sensor'\nmeasurements = ['v']\nmax_rejects = 0\n[[sink]]\ntype = 'null'\n",
        path.display()
    ))
    .expect("a pipeline");
    pipeline.sinks = sinks.map(|sink| crate::pipeline::SinkEntry::new(sink.clone())).into();
    let open = OpenOptions { chunk_size: 64, ..OpenOptions::default() };
    let options = RunOptions { threads: Some(2), open, ..RunOptions::default() };
    match is_live {
        true => streaming::run(&pipeline, &options, &mut ()),
        false => run(&pipeline, &options, &mut ()),
    }
}

#[test]
fn clause_20_a_sink_that_stands_still_keeps_no_other_waiting() {
    for is_live in [false, true] {
        let quick = Waiting::default();
        // It continues when the other one has everything.
        let slow = Waiting { awaited: Arc::clone(&quick.taken), until: 1000, ..Waiting::default() };
        let report = go(1000, "", [&slow, &quick], is_live).expect("both get everything");
        for (sink, entry) in [&slow, &quick].into_iter().zip(&report.sinks) {
            assert_eq!((entry.ledger.input, entry.ledger.output), (1000, 1000));
            // Names are those at the time when the records were passed on, and arrive in order.
            let names: Vec<_> = (0..1000).map(|at| format!("s{at}")).collect();
            assert_eq!(*sink.names.lock().expect("no panic"), names);
        }
    }
}

#[test]
fn clause_20_what_goes_wrong_first_is_told_whoever_notices_it_first() {
    for is_live in [false, true] {
        // The other sink receives everything before the last line, which ends the run, before this one fails at its first record.
        let quick = Waiting::default();
        let failing =
            Waiting { awaited: Arc::clone(&quick.taken), until: 500, fails: true, ..Waiting::default() };
        for sinks in [[&failing, &quick], [&quick, &failing]] {
            let error = go(500, "x,no number\n", sinks, is_live).expect_err("it fails");
            assert!(error.message().contains("it takes nothing"), "{error}");
            assert_eq!(failing.calls.swap(0, Ordering::Relaxed), 1, "it is not called again");
        }
    }
}

#[test]
fn clause_20_a_prompt_sink_is_called_by_the_workers_of_a_bounded_run() {
    let (prompt, other) = (Waiting { is_prompt: true, ..Waiting::default() }, Waiting::default());
    go(1000, "", [&prompt, &other], false).expect("both get everything");
    let names: Vec<_> = (0..1000).map(|at| format!("s{at}")).collect();
    for sink in [&prompt, &other] {
        assert_eq!(*sink.names.lock().expect("no panic"), names, "in order");
    }
    let threads = |sink: &Waiting| sink.threads.lock().expect("no panic").clone();
    assert!(!threads(&prompt).contains("sink 0"), "{:?}", threads(&prompt));
    assert_eq!(threads(&other), BTreeSet::from(["sink 1".to_owned()]));
    let failing = Waiting { fails: true, is_prompt: true, ..Waiting::default() };
    let error = go(1000, "", [&failing, &other], false).expect_err("it fails");
    assert!(error.message().contains("it takes nothing"), "{error}");
    assert_eq!(failing.calls.load(Ordering::Relaxed), 1, "it is not called again");
}
