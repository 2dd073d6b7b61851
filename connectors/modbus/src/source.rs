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
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::connection::{Address, Gateway};
use crate::options::Modbus;
use crate::records::Records;
use crate::resolve::Target;
use crate::task::{Counts, Polled, Task, backoff};

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
        let mut addresses: BTreeMap<Address, (Arc<Gateway>, usize)> = BTreeMap::new();
        for Target { address, .. } in &targets {
            let gateway = || (Arc::new(Gateway::new(address.clone())), 0);
            addresses.entry(address.clone()).or_insert_with(gateway).1 += 1;
        }
        let task = |Target { address, every, device }| {
            let (gateway, devices) = &addresses[&address];
            Task {
                gateway: Arc::clone(gateway),
                backoff: backoff(device.timeout, devices - 1),
                device,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, device, modbus, wait};

    #[test]
    fn however_many_units_are_silent_one_that_answers_waits_for_one_of_them() {
        const SILENT: u8 = 40;
        let (address, asked) = device(|asked| match asked.unit {
            0 => Reply::Body(asked.addresses()),
            // It never comes: the connection is closed before the next request.
            _ => Reply::Late(asked.addresses()),
        });
        let unit = |unit| {
            let timeout = if unit == 0 { "60s" } else { "100ms" };
            format!(
                "[[device]]\nname = 'd{unit}'\naddress = '{address}'\nunit = {unit}\ntimeout = '{timeout}'\n"
            )
        };
        let units: String = (0..=SILENT).rev().map(unit).collect();
        let options = modbus(&format!("every = '10ms'\n{units}[[register]]\nname = 'v'\naddress = 7\n"));
        let targets = options.targets(&Arc::new(options.map().expect("a map"))).expect("devices");
        let inbox = Arc::new(Inbox::default());
        let tasks = options.tasks(targets, &Clock::default(), &inbox);
        let answers = || asked.lock().expect("no panic").iter().filter(|asked| asked.unit == 0).count();
        let answered = async {
            while answers() < 20 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        wait(async {
            tokio::select! {
                () = poll(tasks, &inbox) => panic!("it ends"),
                () = answered => {}
            }
        });
        let units: Vec<u8> = asked.lock().expect("no panic").iter().map(|asked| asked.unit).collect();
        let between: Vec<usize> = units.split(|unit| *unit == 0).skip(1).map(<[u8]>::len).collect();
        // Two, if the machine was slow.
        assert!(between.iter().all(|silent| *silent <= 2), "{between:?}");
        assert!(units.len() > 30, "silent units are asked too: {units:?}");
    }

    #[test]
    fn delays_leave_half_of_a_connection_to_those_that_answer() {
        let mean = |others| {
            let mut backoff = backoff(Duration::from_secs(1), others).with_seed(7);
            let _first: Duration = (0..20).map(|_| backoff.delay(None)).sum();
            let all: Duration = (0..1000).map(|_| backoff.delay(None)).sum();
            all.as_secs_f64() / 1000.0
        };
        assert!((13.0..17.0).contains(&mean(0)), "{}", mean(0));
        assert!(mean(50) > 1.8 * 50.0, "{}", mean(50));
    }
}
