//! Sinks that deliver by epochs: each record arrives once, whatever fails and is retried, in whichever run.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{RunOptions, run};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::files::Disk;
use crate::pipeline::SinkEntry;
use crate::runtime::StateOptions;
use crate::sensor::Sensors;
use crate::sink::{Block, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use crate::source::OpenOptions;
use crate::{Pipeline, Report, rows};

/// What goes wrong in a delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// A transient error.
    Away,
    /// The rows were stored, then a transient error.
    Unanswered,
    /// The rows were stored, then a permanent error.
    Taken,
    /// A permanent error.
    Refuses,
    Panics,
}

/// The target of deliveries.
#[derive(Default)]
struct Remote {
    rows: Vec<String>,
    /// By writer: its last epoch.
    epochs: BTreeMap<String, u64>,
    faults: VecDeque<Fault>,
    calls: usize,
}

#[derive(Clone, Default)]
struct Remotely(Arc<Mutex<Remote>>);

struct Open(Remotely, String);

struct Names;

impl Remotely {
    fn remote(&self) -> MutexGuard<'_, Remote> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SinkSpec for Remotely {
    fn name(&self) -> &str {
        "remote"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn delivers(&self) -> bool {
        true
    }

    fn open(&self, _schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let writer = context.writer.as_ref().expect("a writer").to_string();
        Ok(Box::new(Open(self.clone(), writer)))
    }
}

impl Prepare for Names {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let names = batch.sensors().iter().map(|&id| format!("{}\n", sensors.name(id)));
        Ok(Box::new(names.collect::<String>().into_bytes()))
    }
}

impl Sink for Open {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Names))
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let mut remote = self.0.remote();
        remote.calls += 1;
        let fault = remote.faults.pop_front().unwrap_or(Fault::Nothing);
        match fault {
            Fault::Nothing | Fault::Unanswered | Fault::Taken => {}
            Fault::Away => return Err(Error::unavailable("nobody answers").transient()),
            Fault::Refuses => return Err(Error::data("it does not want them")),
            Fault::Panics => panic!("in a delivery"),
        }
        let last = remote.epochs.get(&self.1).copied();
        if last.is_none_or(|last| last < epoch) {
            for bytes in rows {
                let text = String::from_utf8(bytes?).expect("UTF-8");
                remote.rows.extend(text.lines().map(str::to_owned));
            }
            remote.epochs.insert(self.1.clone(), epoch);
        }
        match fault {
            Fault::Unanswered => Err(Error::unavailable("nobody answered").transient()),
            Fault::Taken => Err(Error::data("it wants no more")),
            _ => Ok(()),
        }
    }
}

const RECORDS: usize = 60;

/// A run with as many sensors as records, and a checkpoint before each chunk.
fn go(folder: &Path, sink: &Remotely, has_state: bool) -> Result<Report> {
    let path = folder.join("in.csv");
    let lines: String = (0..RECORDS).map(|at| format!("s{at},{at}\n")).collect();
    if !path.exists() {
        std::fs::write(&path, format!("sensor,v\n{lines}")).expect("written");
    }
    let (input, out) = (path.display(), folder.join("out.csv"));
    let mut pipeline = Pipeline::from_toml(&format!(
        "[source]\ntype = 'csv'\npath = '{input}'\nsensor = 'sensor'\nmeasurements = ['v']\n[[sink]]\ntype = 'csv'\npath = '{}'\n",
        out.display()
    ))
    .expect("a pipeline");
    pipeline.sinks.push(SinkEntry::new(sink.clone()));
    let state = has_state.then(|| StateOptions {
        every: Duration::ZERO,
        waits: true,
        ..StateOptions::new(folder.join("state"))
    });
    let open = OpenOptions { chunk_size: 64, ..OpenOptions::default() };
    run(&pipeline, &RunOptions { threads: Some(2), open, state, ..RunOptions::default() }, &mut ())
}

fn check(folder: &Path, sink: &Remotely) {
    let expected: Vec<_> = (0..RECORDS).map(|at| format!("s{at}")).collect();
    assert_eq!(sink.remote().rows, expected, "each once, in order");
    let written = std::fs::read_to_string(folder.join("out.csv")).expect("a file");
    assert_eq!(written.lines().count(), RECORDS + 1);
}

#[test]
fn clause_20_a_run_that_goes_on_delivers_under_the_same_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Remotely::default();
    for _ in 0..3 {
        // Stored, but the run ends before it knows that: these are delivered again.
        sink.remote().faults = [Fault::Nothing, Fault::Taken].into();
        go(folder.path(), &sink, true).expect_err("it has failed");
    }
    sink.remote().faults = VecDeque::new();
    go(folder.path(), &sink, true).expect("delivered in the end");
    check(folder.path(), &sink);
    assert_eq!(sink.remote().epochs.len(), 1, "{:?}", sink.remote().epochs);
}

#[test]
fn clause_20_what_fails_for_a_while_is_delivered_again_and_arrives_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Remotely::default();
    sink.remote().faults =
        [Fault::Away, Fault::Nothing, Fault::Unanswered, Fault::Away, Fault::Nothing].into();
    let report = go(folder.path(), &sink, true).expect("delivered in the end");
    check(folder.path(), &sink);
    let remote = sink.remote();
    let (writer, last) = remote.epochs.first_key_value().expect("a writer");
    assert!(writer.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{writer}");
    assert!(remote.calls as u64 > 3 && *last > 3, "several epochs");
    assert!(
        report.remarks.iter().any(|remark| remark.contains("delivery failed 3 times")),
        "{:?}",
        report.remarks
    );
    assert!(
        rows::look(&Disk, &folder.path().join("state")).expect("a folder").is_empty(),
        "all is delivered"
    );
}

#[test]
fn clause_20_what_a_run_could_not_deliver_the_next_one_does_first() {
    for (before, fault) in [(0, Fault::Refuses), (2, Fault::Refuses), (1, Fault::Panics), (3, Fault::Refuses)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = Remotely::default();
        let faults = || sink.remote().faults.clone();
        sink.remote().faults = std::iter::repeat_n(Fault::Nothing, before).chain([fault]).collect();
        let error = go(folder.path(), &sink, true).expect_err("it is refused");
        assert!(error.message().contains("sink 1 (remote)"), "{error}");
        assert!(faults().is_empty());
        go(folder.path(), &sink, true).expect("the next run delivers it");
        check(folder.path(), &sink);
        let over = go(folder.path(), &sink, true).expect("it is over");
        assert!(over.remarks.iter().any(|remark| remark.contains("already ended")), "{:?}", over.remarks);
        check(folder.path(), &sink);
    }
}

#[test]
fn what_a_run_killed_in_the_end_leaves_of_its_outbox_the_next_one_removes() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Remotely::default();
    let outbox = || rows::look(&Disk, &folder.path().join("state")).expect("a folder");
    sink.remote().faults = [Fault::Refuses].into();
    go(folder.path(), &sink, true).expect_err("it is refused");
    let left = outbox().into_iter().map(|(path, ..)| (std::fs::read(&path).expect("read"), path));
    let left: Vec<_> = left.collect();
    assert!(!left.is_empty());
    go(folder.path(), &sink, true).expect("the next run delivers it");
    assert!(outbox().is_empty());
    // As if that run had been killed between its last checkpoint and their removal.
    left.iter().for_each(|(bytes, path)| std::fs::write(path, bytes).expect("written"));
    let over = go(folder.path(), &sink, true).expect("it is over");
    assert!(over.remarks.iter().any(|remark| remark.contains("already ended")), "{:?}", over.remarks);
    assert!(outbox().is_empty(), "what was delivered is gone");
    check(folder.path(), &sink);
}

#[test]
fn what_was_not_delivered_and_is_gone_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Remotely::default();
    sink.remote().faults = [Fault::Refuses].into();
    go(folder.path(), &sink, true).expect_err("it is refused");
    let files = rows::look(&Disk, &folder.path().join("state")).expect("a folder");
    // Later ones are of no checkpoint.
    let (first, ..) = files.iter().min_by_key(|(.., epoch)| *epoch).expect("an epoch");
    std::fs::remove_file(first).expect("removed");
    let error = go(folder.path(), &sink, true).expect_err("rows are missing");
    assert!(error.message().contains("have not been delivered"), "{error}");
}

#[test]
fn what_a_sink_that_is_gone_had_not_delivered_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Remotely::default();
    sink.remote().faults = [Fault::Refuses].into();
    go(folder.path(), &sink, true).expect_err("it is refused");
    let pipeline = Pipeline::from_toml(&format!(
        "[source]\ntype = 'csv'\npath = '{}'\nsensor = 'sensor'\nmeasurements = ['v']\n[[sink]]\ntype = 'csv'\npath = '{}'\n",
        folder.path().join("in.csv").display(),
        folder.path().join("out.csv").display()
    ))
    .expect("a pipeline");
    let state = StateOptions { accept_changes: true, ..StateOptions::new(folder.path().join("state")) };
    let options = RunOptions { state: Some(state), ..RunOptions::default() };
    let report = run(&pipeline, &options, &mut ()).expect("the other sink goes on");
    let is_said =
        |remark: &String| remark.contains("has undelivered rows of a sink that was changed or removed");
    assert!(report.remarks.iter().any(is_said), "{:?}", report.remarks);
}

#[test]
fn without_a_state_folder_rows_are_delivered_as_they_come_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Remotely::default();
    let report = go(folder.path(), &sink, false).expect("delivered");
    check(folder.path(), &sink);
    assert!(
        report.remarks.iter().any(|remark| remark.contains("delivered without checkpoints")),
        "{:?}",
        report.remarks
    );
}
