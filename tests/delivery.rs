//! When an epoch becomes visible: its checkpoint is durable then, and all earlier epochs have been delivered.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::batch::{Batch, Schema};
use tidemill::runtime::{Observer, StateOptions};
use tidemill::sensor::Sensors;
use tidemill::sink::{Repeat, Sink, SinkCheckpoint, SinkContext, SinkSpec};
use tidemill::source::Progress;
use tidemill::{Error, Result, RunOptions};
use tidemill_engine::pipeline::{Pipeline, SinkEntry};
use tidemill_engine::{executor, streaming};

/// What has happened to a sink, in order.
type Told = Arc<Mutex<Vec<String>>>;

struct Telling {
    told: Told,
    state: PathBuf,
    /// The epoch that cannot be delivered.
    fails: Option<u64>,
    /// The epoch whose delivery waits until the checkpoint of a later one is durable.
    waits: Option<u64>,
}

impl SinkSpec for Telling {
    fn name(&self) -> &str {
        "telling"
    }
    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }
    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }
    fn can_resume(&self) -> bool {
        true
    }
    fn open(&self, _schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        self.told
            .lock()
            .expect("told")
            .push(format!("opened in {} behind {}", context.epoch, context.resumed));
        Ok(Box::new(Self { told: Arc::clone(&self.told), state: self.state.clone(), ..*self }))
    }
}

impl Sink for Telling {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        let path = self.state.join(format!("checkpoint-{epoch:010}"));
        let tell = |what: &str| {
            let (told, what, path) = (Arc::clone(&self.told), format!("{what} {epoch}"), path.clone());
            move || {
                let is_durable = if is_durable(&path) { ", durable" } else { "" };
                told.lock().expect("told").push(format!("{what}{is_durable}"));
            }
        };
        tell("saved")();
        let (settle, deliver, fails) = (tell("settled"), tell("delivered"), self.fails == Some(epoch));
        let later = self.state.join(format!("checkpoint-{:010}", epoch + 2));
        let waits = self.waits == Some(epoch);
        let deliver = move || {
            let begun = Instant::now();
            while waits && !is_durable(&later) && begun.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_millis(1));
            }
            deliver();
            if fails { Err(Error::unavailable("nobody is there")) } else { Ok(()) }
        };
        let settle = move || {
            settle();
            Ok(())
        };
        Ok(Some(SinkCheckpoint {
            state: Vec::new(),
            outputs: Vec::new(),
            settle: Box::new(settle),
            deliver: Some(Box::new(deliver)),
        }))
    }
    fn commit(&mut self) -> Result<Vec<String>> {
        self.told.lock().expect("told").push("committed".into());
        Ok(Vec::new())
    }
}

/// Whoever waits longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(20);

/// Whether the checkpoint at `path` is there, or a later one.
fn is_durable(path: &Path) -> bool {
    let folder = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder");
    let mut names = folder.map(|entry| entry.expect("an entry").path());
    names.any(|other| other.to_string_lossy().contains("/checkpoint-") && *other >= *path)
}

/// A run over a few chunks that is in no hurry.
struct Slow;

impl Observer for Slow {
    fn progress(&mut self, _pass: &str, _progress: Progress, _records: u64) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs over a few chunks, with a checkpoint behind each; what the sink tells, and how the run ends.
fn run(is_live: bool, fails: Option<u64>) -> (Vec<String>, Result<tidemill::Report>) {
    run_with(is_live, fails, None, &mut ())
}

fn run_with(
    is_live: bool,
    fails: Option<u64>,
    waits: Option<u64>,
    observer: &mut (dyn Observer + Send),
) -> (Vec<String>, Result<tidemill::Report>) {
    let place = tempfile::tempdir().expect("a folder");
    let input = place.path().join("in.csv");
    let lines: String = (0..200).map(|at| format!("2024-05-01T00:00:{:02}Z,s,{at}\n", at % 60)).collect();
    std::fs::write(&input, format!("t,s,v\n{lines}")).expect("written");
    let toml = format!("[source]\ntype = 'csv'\npath = '{}'\ntime = 't'\nsensor = 's'\n", input.display());
    let toml = format!("{toml}measurements = ['v']\n[[sink]]\ntype = 'null'\n");
    let mut pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
    let (told, state) = (Told::default(), place.path().join("state"));
    pipeline.sinks =
        vec![SinkEntry::new(Telling { told: Arc::clone(&told), state: state.clone(), fails, waits })];
    let mut options = RunOptions { threads: Some(2), ..RunOptions::default() };
    options.open.chunk_size = 512;
    options.state =
        Some(StateOptions { every: Duration::ZERO, waits: waits.is_none(), ..StateOptions::new(state) });
    let end = match is_live {
        false => executor::run(&pipeline, &options, observer),
        true => streaming::run(&pipeline, &options, observer),
    };
    (std::mem::take(&mut *told.lock().expect("told")), end)
}

#[test]
fn an_epoch_is_delivered_when_its_checkpoint_is_durable_and_in_order() {
    for is_live in [false, true] {
        let (told, end) = run(is_live, None);
        end.expect("a run");
        let epochs = told.iter().filter(|what| what.starts_with("saved")).count();
        assert!(epochs > 3, "{told:?}");
        let expected = (1..=epochs).flat_map(|epoch| {
            [format!("saved {epoch}"), format!("settled {epoch}"), format!("delivered {epoch}, durable")]
        });
        let expected: Vec<_> =
            ["opened in 1 behind 0".into()].into_iter().chain(expected).chain(["committed".into()]).collect();
        assert_eq!(told, expected, "live: {is_live}");
    }
}

#[test]
fn an_epoch_that_cannot_be_delivered_ends_the_run_and_none_behind_it_is() {
    for is_live in [false, true] {
        let (told, end) = run(is_live, Some(2));
        assert!(end.expect_err("not delivered").to_string().contains("nobody is there"));
        let delivered: Vec<_> = told.iter().filter(|what| what.starts_with("delivered")).collect();
        assert_eq!(delivered, ["delivered 1, durable", "delivered 2, durable"], "{told:?}");
        assert!(!told.contains(&"committed".to_owned()), "{told:?}");
    }
}

#[test]
fn an_epoch_that_takes_its_time_holds_up_no_checkpoint() {
    let begun = Instant::now();
    let (told, end) = run_with(false, None, Some(1), &mut Slow);
    end.expect("a run");
    assert!(begun.elapsed() < LIMIT, "it was delivered before a later checkpoint was made: {told:?}");
    let at =
        |what: &str| told.iter().position(|told| told == what).unwrap_or_else(|| panic!("{what}: {told:?}"));
    assert!(at("settled 3") < at("delivered 1, durable"), "{told:?}");
    let delivered: Vec<_> = told.iter().filter(|what| what.starts_with("delivered")).collect();
    let saved = told.iter().filter(|what| what.starts_with("saved")).count();
    let expected: Vec<_> = (1..=saved).map(|epoch| format!("delivered {epoch}, durable")).collect();
    assert!(delivered.into_iter().eq(&expected), "all of them, in order: {told:?}");
    assert_eq!(told.last().map(String::as_str), Some("committed"), "{told:?}");
}
