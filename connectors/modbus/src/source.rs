//! The source `modbus`.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `modbus` | the beginning of the run | devices; the next polls | when the source is dropped |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tidemill_connect::inbox::Inbox;
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::offset::Offset;
use tidemill_engine::options::parameters_of;
use tidemill_engine::probe::Probe;
use tidemill_engine::sensor::SensorLookup;
use tidemill_engine::source::{
    Component, Input, OpenOptions, Progress, Recovery, Source, SourceSpec, Traits,
};
use tidemill_engine::time::{Clock, Timestamp};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::task::JoinSet;

use crate::connection::{Address, Connection};
use crate::options::Modbus;
use crate::records::Records;
use crate::resolve::Target;
use crate::task::{Counts, Polled, Task};

/// How long the source waits for a poll: a stop waits as long.
const WAIT: Duration = Duration::from_millis(50);

/// Remarks about single devices at most.
const REMARKS: usize = 20;

inventory::submit! { Component::of::<Modbus>("modbus", "registers of devices that speak Modbus TCP, polled concurrently") }

impl SourceSpec for Modbus {
    fn name(&self) -> &str {
        "modbus"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: false, is_replayable: false, is_open: true, recovery: Recovery::Lost }
    }

    fn ticks(&self) -> bool {
        true
    }

    fn probe(&self, probe: &mut Probe) {
        crate::probe::probe(self, probe);
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let map = Arc::new(self.map()?);
        let units: Vec<_> = self.register.iter().map(|register| register.unit.clone()).collect();
        let records = Records::new(&map, &units, options.origins)?;
        let inbox = Arc::new(Inbox::new(options.meter.clone()));
        let tasks = self.tasks(self.targets(&map)?, &options.clock, &inbox);
        let counts =
            tasks.iter().map(|task| (Arc::clone(&task.device.name), Arc::clone(&task.counts))).collect();
        Ok(Box::new(Poller {
            tasks,
            inbox,
            records,
            counts,
            crew: None,
            received: None,
            given: options.clock.read(),
            ticks: options.ticks,
            clock: options.clock.clone(),
        }))
    }
}

impl Modbus {
    /// A task for each device; devices with the same address share a connection.
    fn tasks(&self, targets: Vec<Target>, clock: &Clock, inbox: &Arc<Inbox<Polled>>) -> Vec<Task> {
        let mut connections: BTreeMap<Address, Arc<AsyncMutex<Connection>>> = BTreeMap::new();
        let task = |Target { address, every, device }| {
            let connection = connections.entry(address.clone());
            let connection =
                connection.or_insert_with(|| Arc::new(AsyncMutex::new(Connection::new(address))));
            Task {
                device,
                connection: Arc::clone(connection),
                every,
                refused: self.refused,
                time: self.time,
                clock: clock.clone(),
                inbox: Arc::clone(inbox),
                counts: Arc::default(),
                has_answered: false,
            }
        };
        targets.into_iter().map(task).collect()
    }
}

/// The running source.
struct Poller {
    /// Those that have not been started.
    tasks: Vec<Task>,
    inbox: Arc<Inbox<Polled>>,
    records: Records,
    /// By device.
    counts: Vec<(Arc<str>, Arc<Counts>)>,
    crew: Option<Crew>,
    received: Option<Timestamp>,
    /// When records or a tick were given last.
    given: Timestamp,
    ticks: Option<Duration>,
    clock: Clock,
}

impl Poller {
    /// The records of what has been polled; `None` if that is nothing.
    fn take(&mut self, wait: Duration, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let polls = self.inbox.take(wait)?;
        let Some(last) = polls.last() else { return Ok(None) };
        (self.received, self.given) = (Some(last.received), last.received);
        Ok(Some(self.records.batch(&polls, sensors)?.into()))
    }

    /// A tick, if one is due.
    fn tick(&mut self) -> Option<Input> {
        let every = i64::try_from(self.ticks?.as_nanos()).ok()?;
        let now = self.clock.read();
        let is_due = now.checked_since(self.given).is_none_or(|since| !(0..every).contains(&since));
        is_due.then(|| {
            (self.received, self.given) = (Some(now), now);
            self.records.tick(now).into()
        })
    }
}

impl Source for Poller {
    fn schema(&self) -> &Arc<Schema> {
        &self.records.schema
    }

    fn begin(&mut self) -> Result<()> {
        self.crew = Some(Crew::start(std::mem::take(&mut self.tasks), Arc::clone(&self.inbox))?);
        Ok(())
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let input = self.take(WAIT, sensors)?;
        Ok(Some(input.or_else(|| self.tick()).unwrap_or(Input::Nothing)))
    }

    fn drain(&mut self, _can_resume: bool, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        // No poll begins any more.
        self.crew = None;
        self.take(Duration::ZERO, sensors)
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.records.made, line: self.records.made + 1 }
    }

    fn seek(&mut self, _offset: Offset) -> Result<()> {
        Err(Error::internal("what was polled cannot be read a second time"))
    }

    fn received(&self) -> Option<Timestamp> {
        self.received
    }

    fn remarks(&self) -> Vec<String> {
        let all = self.counts.iter().filter_map(|(device, counts)| counts.remark(device));
        let mut remarks: Vec<String> = all.collect();
        let more = remarks.len().saturating_sub(REMARKS);
        remarks.truncate(REMARKS);
        if more > 0 {
            remarks.push(format!("and {more} more devices with missed polls, failures or refusals"));
        }
        remarks
    }

    fn progress(&self) -> Progress {
        Progress { done: self.records.made, total: None }
    }
}

/// The thread on which devices are polled. When it is dropped, polls that are under way are given up.
struct Crew {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Crew {
    fn start(tasks: Vec<Task>, inbox: Arc<Inbox<Polled>>) -> Result<Self> {
        let failed = |error: std::io::Error| Error::internal(format!("no thread for Modbus: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = poll(tasks, &inbox) => {}
                    _ = stopped => {}
                }
            });
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        };
        let thread = Builder::new().name("modbus".into()).spawn(work).map_err(failed)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Nobody waits if the thread has ended.
        let _ended = self.stop.take().map(|stop| stop.send(()));
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

/// Polls all devices, until one of them ends the run.
async fn poll(tasks: Vec<Task>, inbox: &Inbox<Polled>) {
    let mut running = JoinSet::new();
    for task in tasks {
        running.spawn(task.run());
    }
    if let Some(Err(error)) = running.join_next().await {
        inbox.end(Some(Error::internal(format!("a poll of Modbus has ended: {error}"))));
    }
}
