//! When an epoch becomes visible: its checkpoint is durable then, and all earlier epochs have been delivered.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::batch::{Batch, Schema};
use tidemill::runtime::StateOptions;
use tidemill::sensor::Sensors;
use tidemill::sink::{Outset, Repeat, Saved, Sink, SinkSpec};
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
    fn open(&self, _schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>> {
        self.told.lock().expect("told").push(format!("opened in {} behind {}", outset.epoch, outset.resumed));
        Ok(Box::new(Self { told: Arc::clone(&self.told), state: self.state.clone(), fails: self.fails }))
    }
}

impl Sink for Telling {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    fn save(&mut self, epoch: u64) -> Result<Option<Saved>> {
        let path = self.state.join(format!("checkpoint-{epoch:010}"));
        let tell = |what: &str| {
            let (told, what, path) = (Arc::clone(&self.told), format!("{what} {epoch}"), path.clone());
            move || {
                let is_durable = if path.exists() { ", durable" } else { "" };
                told.lock().expect("told").push(format!("{what}{is_durable}"));
            }
        };
        tell("saved")();
        let (settle, deliver, fails) = (tell("settled"), tell("delivered"), self.fails == Some(epoch));
        let deliver = move || {
            deliver();
            if fails { Err(Error::unavailable("nobody is there")) } else { Ok(()) }
        };
        let settle = move || {
            settle();
            Ok(())
        };
        Ok(Some(Saved {
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

/// Runs over a few chunks, with a checkpoint behind each; what the sink tells, and how the run ends.
fn run(is_live: bool, fails: Option<u64>) -> (Vec<String>, Result<tidemill::Report>) {
    let place = tempfile::tempdir().expect("a folder");
    let input = place.path().join("in.csv");
    let lines: String = (0..200).map(|at| format!("2024-05-01T00:00:{:02}Z,s,{at}\n", at % 60)).collect();
    std::fs::write(&input, format!("t,s,v\n{lines}")).expect("written");
    let toml = format!("[source]\ntype = 'csv'\npath = '{}'\ntime = 't'\nsensor = 's'\n", input.display());
    let toml = format!("{toml}measurements = ['v']\n[[sink]]\ntype = 'null'\n");
    let mut pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
    let (told, state) = (Told::default(), place.path().join("state"));
    pipeline.sinks = vec![SinkEntry::new(Telling { told: Arc::clone(&told), state: state.clone(), fails })];
    let mut options = RunOptions { threads: Some(2), ..RunOptions::default() };
    options.open.chunk_size = 512;
    options.state = Some(StateOptions { every: Duration::ZERO, waits: true, ..StateOptions::new(state) });
    let end = match is_live {
        false => executor::run(&pipeline, &options, &mut ()),
        true => streaming::run(&pipeline, &options, &mut ()),
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
