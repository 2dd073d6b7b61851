//! Targets that fail for a while, or for good: nothing is lost that is not counted, no target is called more than it should be, and nobody waits longer
//! than they have to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{RunOptions, run};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::pipeline::{BreakerTable, OnFailure, Outage, RetryTable, SinkEntry};
use crate::runtime::{Meters, StateOptions};
use crate::sensor::Sensors;
use crate::sink::{Block, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use crate::source::OpenOptions;
use crate::{Pipeline, Report};

const RECORDS: usize = 3000;

/// How long the breaker is open first.
const OPEN: Duration = Duration::from_millis(20);

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Stored,
    Away,
    Refused,
}

/// Answers a call: by its number from 0, and the rows so far.
type Answers = Box<dyn FnMut(usize, &[String]) -> Answer + Send>;

/// A target.
struct Remote {
    rows: Vec<String>,
    /// By writer: its last epoch.
    epochs: BTreeMap<String, u64>,
    answers: Answers,
    /// When it was called, and what came of it.
    calls: Vec<(Instant, Answer)>,
    /// The largest size of the state folder during a call that failed.
    largest: u64,
}

#[derive(Clone)]
struct Remotely(Arc<Mutex<Remote>>);

impl Remotely {
    fn new(answers: impl FnMut(usize, &[String]) -> Answer + Send + 'static) -> Self {
        let (rows, epochs, calls) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self(Arc::new(Mutex::new(Remote { rows, epochs, answers: Box::new(answers), calls, largest: 0 })))
    }

    /// One that is down for its first calls.
    fn down_for(calls: usize) -> Self {
        Self::new(move |call, _| if call < calls { Answer::Away } else { Answer::Stored })
    }

    fn remote(&self) -> MutexGuard<'_, Remote> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn answers(&self, answers: impl FnMut(usize, &[String]) -> Answer + Send + 'static) {
        let mut remote = self.remote();
        remote.calls.clear();
        remote.answers = Box::new(answers);
    }

    fn check_all(&self) {
        let expected: Vec<_> = (0..RECORDS).map(|at| format!("s{at}")).collect();
        assert_eq!(self.remote().rows, expected, "each once, in order");
    }
}

struct Open {
    target: Remotely,
    writer: String,
    folder: Option<std::path::PathBuf>,
}

struct Names;

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
        Ok(Box::new(Open { target: self.clone(), writer, folder: context.state.clone() }))
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
        let mut remote = self.target.remote();
        let Remote { rows: stored, epochs, answers, calls, largest } = &mut *remote;
        let answer = answers(calls.len(), stored);
        calls.push((Instant::now(), answer));
        match answer {
            Answer::Stored => {}
            Answer::Refused => return Err(Error::data("there is no such table")),
            Answer::Away => {
                *largest = self.folder.as_deref().map_or(0, outboxes).max(*largest);
                return Err(Error::unavailable("nobody answers").transient());
            }
        }
        if epochs.get(&self.writer).is_none_or(|last| *last < epoch) {
            for bytes in rows {
                let text = String::from_utf8(bytes?).expect("UTF-8");
                stored.extend(text.lines().map(str::to_owned));
            }
            epochs.insert(self.writer.clone(), epoch);
        }
        Ok(())
    }
}

/// The bytes of the outboxes in a state folder.
fn outboxes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("a folder").filter_map(std::result::Result::ok);
    let outboxes = files.filter(|file| file.file_name().to_string_lossy().starts_with("outbox-"));
    outboxes.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Options that make outages short.
fn outage(outbox: &str) -> Outage {
    let breaker = BreakerTable { calls: 3, open: "20ms".into(), ..BreakerTable::default() };
    let retry = RetryTable { base: "1ms".into(), ..RetryTable::default() };
    Outage { retry: Some(retry), breaker: Some(breaker), outbox: Some(outbox.into()) }
}

/// The pipeline from a file with as many sensors as records into these sinks.
fn pipeline(folder: &Path, sinks: Vec<SinkEntry>) -> Pipeline {
    let path = folder.join("in.csv");
    if !path.exists() {
        let lines: String = (0..RECORDS).map(|at| format!("s{at},{at}\n")).collect();
        std::fs::write(&path, format!("sensor,v\n{lines}")).expect("written");
    }
    let toml = format!(
        "[source]\ntype = 'csv'\npath = '{}'\nsensor = 'sensor'\nmeasurements = ['v']\n[[sink]]\ntype = 'null'\n",
        path.display()
    );
    let mut pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
    pipeline.sinks.extend(sinks);
    pipeline
}

fn entry(target: &Remotely, on_failure: Option<OnFailure>, outbox: &str) -> SinkEntry {
    SinkEntry { on_failure, outage: outage(outbox), ..SinkEntry::new(target.clone()) }
}

fn options(folder: &Path, has_state: bool) -> RunOptions {
    let state =
        has_state.then(|| StateOptions { every: Duration::ZERO, ..StateOptions::new(folder.join("state")) });
    let open = OpenOptions { chunk_size: 256, ..OpenOptions::default() };
    RunOptions { threads: Some(2), open, state, ..RunOptions::default() }
}

fn go(folder: &Path, sink: SinkEntry, has_state: bool) -> Result<Report> {
    run(&pipeline(folder, vec![sink]), &options(folder, has_state), &mut ())
}

/// Both ways of running.
fn each_way(test: impl Fn(&Path, bool)) {
    for has_state in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        test(folder.path(), has_state);
    }
}

#[test]
fn while_a_target_is_down_it_is_called_by_probes_alone() {
    each_way(|folder, has_state| {
        let target = Remotely::down_for(7);
        go(folder, entry(&target, Some(OnFailure::Wait), "1GiB"), has_state).expect("delivered in the end");
        target.check_all();
        let calls = target.remote().calls.clone();
        let failed = calls.iter().filter(|(_, answer)| *answer == Answer::Away).count();
        assert_eq!(failed, 7, "{calls:?}");
        // Three open it; then each probe has to wait for twice as long.
        for probe in 3..=7 {
            let (least, waited) = (OPEN * (1 << (probe - 3)), calls[probe].0 - calls[probe - 1].0);
            assert!(waited >= least, "probe {probe} after {waited:?}");
        }
    });
}

#[test]
fn an_outage_is_seen_from_outside() {
    let value = |text: &str, name: &str| -> f64 {
        let sample = format!("tidemill_{name}{{part=\"sink\",index=\"1\",type=\"remote\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&*sample));
        value.unwrap_or_else(|| panic!("no {name}:\n{text}")).parse().expect("a number")
    };
    each_way(|folder, has_state| {
        let (meters, seen) = (Meters::default(), Arc::new(Mutex::new((String::new(), Vec::new()))));
        let (shown, during) = (meters.clone(), Arc::clone(&seen));
        let target = Remotely::new(move |call, _| {
            if call == 5 {
                *during.lock().expect("no panic") = (shown.prometheus(), shown.obstacles());
            }
            if call < 7 { Answer::Away } else { Answer::Stored }
        });
        let options = RunOptions { meters: Some(meters.clone()), ..options(folder, has_state) };
        let sinks = vec![entry(&target, Some(OnFailure::Wait), "1GiB")];
        run(&pipeline(folder, sinks), &options, &mut ()).expect("delivered in the end");
        let (during, obstacles) = seen.lock().expect("no panic").clone();
        assert_eq!(value(&during, "delivery_attempts_total"), 5.0);
        assert_eq!(value(&during, "delivery_failures_total"), 5.0);
        assert_eq!(value(&during, "breaker_open"), 1.0);
        assert!(value(&during, "delivery_backlog_bytes") > 0.0, "{during}");
        assert_eq!(obstacles, ["sink 1 (remote) is not sent anything: its deliveries fail"]);
        let after = meters.prometheus();
        assert_eq!(value(&after, "delivery_failures_total"), 7.0);
        let left = ["breaker_open", "delivery_failing_seconds", "delivery_backlog_bytes"];
        assert_eq!(left.map(|name| value(&after, name)), [0.0; 3], "{after}");
        assert!(meters.obstacles().is_empty());
    });
}

#[test]
fn a_full_outbox_makes_the_input_wait_and_nothing_is_lost() {
    const ROOM: u64 = 2 << 10;
    each_way(|folder, has_state| {
        for on_failure in [Some(OnFailure::Wait), None] {
            let folder = &folder.join(format!("{on_failure:?}"));
            std::fs::create_dir(folder).expect("a folder");
            let target = Remotely::down_for(if has_state || on_failure.is_some() { 7 } else { 2 });
            let report =
                go(folder, entry(&target, on_failure, "2KiB"), has_state).expect("delivered in the end");
            target.check_all();
            assert_eq!((report.sinks[1].ledger.output, report.sinks[1].ledger.dropped), (RECORDS as u64, 0));
            // What waits, and the epoch that was open when there was no more room.
            let largest = target.remote().largest;
            assert!(largest < 2 * ROOM, "{largest} bytes");
            let all: usize = (0..RECORDS).map(|at| format!("s{at}\n").len()).sum();
            assert!(all as u64 > 4 * ROOM, "the room does not matter");
        }
    });
}

#[test]
fn one_target_that_is_down_holds_no_other_up() {
    each_way(|folder, has_state| {
        let works = Remotely::down_for(0);
        let other = works.clone();
        // It comes back only once the other has everything.
        let fails = Remotely::new(move |_, _| match other.remote().rows.len() {
            RECORDS => Answer::Stored,
            _ => Answer::Away,
        });
        let wait = Some(OnFailure::Wait);
        let sinks = vec![entry(&fails, wait, "1GiB"), entry(&works, wait, "1GiB")];
        run(&pipeline(folder, sinks), &options(folder, has_state), &mut ()).expect("both have everything");
        fails.check_all();
        works.check_all();
    });
}

#[test]
fn a_full_outbox_may_drop_whole_epochs_which_are_counted() {
    each_way(|folder, has_state| {
        let target = Remotely::down_for(7);
        let report =
            go(folder, entry(&target, Some(OnFailure::Drop), "1KiB"), has_state).expect("it goes on");
        let ledger = report.sinks[1].ledger;
        let remote = target.remote();
        assert_eq!(ledger.output, remote.rows.len() as u64, "a sink's ledger says what was delivered");
        assert_eq!(ledger.output + ledger.dropped, RECORDS as u64);
        assert!(ledger.dropped > 0 && ledger.is_balanced(), "{ledger:?}");
        assert!(remote.rows.is_sorted_by_key(|row| row[1..].parse::<u64>().expect("a number")), "in order");
        let said = |remark: &String| {
            remark.contains("were dropped, since `outbox` was full")
                || remark.contains("since they had been refused")
        };
        assert!(report.remarks.iter().any(said), "{:?}", report.remarks);
        drop(remote);
        if has_state {
            // The run that is over counts the same.
            let over = go(folder, entry(&target, Some(OnFailure::Drop), "1KiB"), true).expect("it is over");
            assert_eq!(over.sinks[1].ledger, ledger);
        }
    });
}

#[test]
fn a_full_outbox_may_end_the_run_which_goes_on_later_with_the_same_or_other_rules() {
    for rules in [(OnFailure::Stop, "1KiB"), (OnFailure::Wait, "1GiB")] {
        each_way(|folder, has_state| ends_and_goes_on(folder, has_state, rules));
    }
}

/// A run whose outbox is full ends; the next one has other `rules`.
fn ends_and_goes_on(folder: &Path, has_state: bool, rules: (OnFailure, &str)) {
    let target = Remotely::down_for(usize::MAX);
    let error = go(folder, entry(&target, Some(OnFailure::Stop), "1KiB"), has_state).expect_err("it is full");
    let error = error.to_string();
    assert!(error.contains("sink 1 (remote)"), "{error}");
    // On a slow machine, the target may be found to be down at the end of the input first.
    assert!(error.contains("`outbox` is full") || error.contains("nobody answers"), "{error}");
    if has_state {
        target.answers(|_, _| Answer::Stored);
        // What the run before had left is no reason to end while it is delivered.
        let (on_failure, outbox) = rules;
        go(folder, entry(&target, Some(on_failure), outbox), true).expect("the next run delivers it");
        target.check_all();
    }
}

#[test]
fn at_the_end_of_its_input_a_run_that_is_not_to_wait_does_not_wait() {
    each_way(|folder, has_state| {
        let target = Remotely::down_for(usize::MAX);
        let error =
            go(folder, entry(&target, Some(OnFailure::Stop), "1GiB"), has_state).expect_err("it is down");
        assert!(error.is_transient() && error.to_string().contains("nobody answers"), "{error}");
        assert!(target.remote().calls.len() >= 3, "it was given a chance");
    });
}

#[test]
fn what_a_target_refuses_is_kept_until_somebody_has_repaired_it() {
    each_way(|folder, has_state| {
        let target =
            Remotely::new(|call, _| if call == 1 || call == 2 { Answer::Refused } else { Answer::Stored });
        go(folder, entry(&target, Some(OnFailure::Wait), "1GiB"), has_state).expect("delivered in the end");
        target.check_all();
        let calls = &target.remote().calls;
        let pauses = [calls[2].0 - calls[1].0, calls[3].0 - calls[2].0];
        assert!(pauses[0] >= OPEN && pauses[1] >= 2 * OPEN, "at the breaker's pace: {pauses:?}");
    });
}

#[test]
fn what_a_target_refuses_may_be_dropped_and_is_counted() {
    each_way(|folder, has_state| {
        let target =
            Remotely::new(|call, _| if call == 1 || call == 2 { Answer::Refused } else { Answer::Stored });
        let report =
            go(folder, entry(&target, Some(OnFailure::Drop), "1GiB"), has_state).expect("it goes on");
        let (ledger, stored) = (report.sinks[1].ledger, target.remote().rows.len() as u64);
        assert_eq!((ledger.output, ledger.output + ledger.dropped), (stored, RECORDS as u64));
        assert!(ledger.dropped > 0, "{ledger:?}");
        let what = if has_state { "in 2 epochs were dropped" } else { "in 2 batches were dropped" };
        let is_said = |remark: &String| remark.contains(what) && remark.contains("there is no such table");
        assert!(report.remarks.iter().any(is_said), "{:?}", report.remarks);
    });
}

#[test]
fn without_other_rules_what_a_target_refuses_ends_the_run() {
    each_way(|folder, has_state| {
        let target = Remotely::new(|_, _| Answer::Refused);
        let error = go(folder, entry(&target, None, "1GiB"), has_state).expect_err("refused");
        assert!(error.to_string().contains("there is no such table"), "{error}");
        assert_eq!(target.remote().calls.len(), 1);
    });
}

#[test]
fn a_stop_ends_all_waits_at_once() {
    for (has_state, outbox, answer) in [
        (true, "1GiB", Answer::Away),
        (true, "1KiB", Answer::Away),
        (true, "1GiB", Answer::Refused),
        (false, "1GiB", Answer::Away),
        (false, "1KiB", Answer::Away),
        (false, "1GiB", Answer::Refused),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let target = Remotely::new(move |call, _| {
            // Once the breaker is open, or it is to be repaired.
            stopping.store(call == 2 || answer == Answer::Refused, Ordering::Relaxed);
            answer
        });
        let mut sink = entry(&target, Some(OnFailure::Wait), outbox);
        let breaker = sink.outage.breaker.get_or_insert_default();
        breaker.open = "1d".into();
        let options = RunOptions { stop: Arc::clone(&stop), ..options(folder.path(), has_state) };
        // Otherwise this waits for a day.
        let ended = run(&pipeline(folder.path(), vec![sink]), &options, &mut ());
        match ended {
            Ok(report) => assert!(report.is_paused, "{has_state} {outbox} {answer:?}"),
            Err(error) => assert_eq!(error.kind(), crate::ErrorKind::Interrupted, "{error}"),
        }
        if has_state {
            target.answers(|_, _| Answer::Stored);
            go(folder.path(), entry(&target, None, "1GiB"), true).expect("the next run delivers it");
            target.check_all();
        }
    }
}

#[test]
fn a_server_that_says_when_is_not_asked_before() {
    struct Busy(Arc<Mutex<Vec<Instant>>>);
    impl Sink for Busy {
        fn preparer(&self) -> Option<Arc<dyn Prepare>> {
            Some(Arc::new(Names))
        }

        fn deliver(&mut self, _epoch: u64, _rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
            let mut calls = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            calls.push(Instant::now());
            match calls.len() {
                1 => Err(Error::unavailable("too many requests").transient().with_retry_after(5 * OPEN)),
                _ => Ok(()),
            }
        }
    }
    #[derive(Clone)]
    struct Busily(Arc<Mutex<Vec<Instant>>>);
    impl SinkSpec for Busily {
        fn name(&self) -> &str {
            "busy"
        }

        fn parameters(&self) -> serde_json::Value {
            serde_json::json!({})
        }

        fn repeat(&self) -> Repeat {
            Repeat::Duplicates
        }

        fn delivers(&self) -> bool {
            true
        }

        fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
            Ok(Box::new(Busy(Arc::clone(&self.0))))
        }
    }
    each_way(|folder, has_state| {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let sink = SinkEntry { outage: outage("1GiB"), ..SinkEntry::new(Busily(Arc::clone(&calls))) };
        go(folder, sink, has_state).expect("delivered");
        let calls = calls.lock().expect("calls");
        assert!(calls[1] - calls[0] >= 5 * OPEN, "{:?}", calls[1] - calls[0]);
    });
}
