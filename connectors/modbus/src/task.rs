//! Polls a device until the run ends.
//!
//! | what happens | then |
//! |---|---|
//! | values | the next poll is the next one that is due; polls that were due in the meantime are missed, and counted |
//! | no answer; an exception that passes | tried again after a delay drawn at random, which is longer where many devices share a connection |
//! | a refusal of registers | at the first time, the run ends with an error, unless the option says otherwise; later it is counted |
//! | the pipeline does not keep up | nothing is asked until there is room: a poll that is missed, and counted |

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemill_connect::inbox::Inbox;
use tidemill_engine::batch::Number;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::time::{Clock, Timestamp};

use crate::connection::Gateway;
use crate::device::{Device, Readout};
use crate::options::{Refused, TimeOf};
use crate::schedule::Schedule;

/// The values of a device at one time.
#[derive(Debug)]
pub(crate) struct Polled {
    pub(crate) device: Arc<str>,
    pub(crate) time: Timestamp,
    pub(crate) received: Timestamp,
    /// By register.
    pub(crate) values: Box<[Option<Number>]>,
}

/// What has happened to a device.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Polls that were due and not done.
    missed: u64,
    /// Attempts without an answer.
    failed: u64,
    last_failure: Option<String>,
    /// Requests that were refused.
    refused: u64,
    last_refusal: Option<String>,
}

impl Counts {
    fn count(&self, count: impl FnOnce(&mut Counted)) {
        count(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn missed(&self, polls: u64) {
        self.count(|counted| counted.missed += polls);
    }

    fn failed(&self, error: &Error) {
        self.count(|counted| {
            counted.failed += 1;
            counted.last_failure = Some(error.message().to_owned());
        });
    }

    fn refused(&self, error: &Error) {
        self.count(|counted| {
            counted.refused += 1;
            counted.last_refusal = Some(error.message().to_owned());
        });
    }

    /// What is worth saying at the end of the run.
    pub(crate) fn remark(&self, device: &str) -> Option<String> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Counted { missed, failed, last_failure, refused, last_refusal } = &*counted;
        let said = [
            (*missed > 0).then(|| format!("{missed} polls were missed")),
            last_failure.as_ref().map(|last| format!("{failed} attempts failed, the last one: {last}")),
            last_refusal
                .as_ref()
                .map(|last| format!("{refused} requests were refused, the last one: {last}")),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| format!("{device}: {}", said.join("; ")))
    }
}

/// A device that is polled.
pub(crate) struct Task {
    pub(crate) device: Device,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) backoff: Backoff,
    pub(crate) every: Duration,
    pub(crate) refused: Refused,
    pub(crate) time: TimeOf,
    pub(crate) clock: Clock,
    pub(crate) inbox: Arc<Inbox<Polled>>,
    pub(crate) counts: Arc<Counts>,
    /// Whether the device has answered before.
    pub(crate) has_answered: bool,
}

/// The delays before attempts to ask a device that shares its connection with so many others. Each attempt may keep them waiting for `timeout`: if all were silent, half of the time would
/// be left.
pub(crate) fn backoff(timeout: Duration, others: usize) -> Backoff {
    let (least, most) = (Duration::from_secs(30), Duration::from_mins(5));
    // A delay is half of the longest one on average.
    let longest = timeout.saturating_mul(2 * 2 * u32::try_from(others).unwrap_or(u32::MAX / 4));
    Backoff::new(Duration::from_millis(100), longest.clamp(least, most))
}

impl Task {
    /// Polls until it is dropped, or the inbox has ended.
    pub(crate) async fn run(mut self) {
        let mut schedule = Schedule::new(self.every, self.clock.read());
        if self.time == TimeOf::Due {
            // The values of now are not those of the last time that a poll was due.
            tokio::time::sleep(schedule.done(self.clock.read()).delay).await;
        }
        loop {
            let polled = match self.inbox.has_room() {
                true => self.poll(schedule.due()).await,
                false => {
                    self.counts.missed(1);
                    Ok(())
                }
            };
            let now = self.clock.read();
            let pause = match polled {
                Ok(()) => {
                    self.backoff.reset();
                    schedule.done(now)
                }
                Err(error) if !error.is_transient() => return self.inbox.end(Some(error)),
                Err(error) => {
                    self.counts.failed(&error);
                    schedule.failed(now, self.backoff.delay(error.retry_after()))
                }
            };
            self.counts.missed(pause.missed);
            tokio::time::sleep(pause.delay).await;
        }
    }

    /// Polls once.
    async fn poll(&mut self, due: Timestamp) -> Result<()> {
        let readout = self.device.read(&self.gateway).await?;
        let received = self.clock.read();
        self.note_refusals(&readout)?;
        self.has_answered = true;
        if readout.answered > 0 {
            let time = if self.time == TimeOf::Due { due } else { received };
            let device = Arc::clone(&self.device.name);
            let bytes = size_of::<Polled>() + size_of_val(&*readout.values);
            self.inbox.offer(&mut vec![Polled { device, time, received, values: readout.values }], bytes);
        }
        Ok(())
    }

    /// Counts what was refused.
    ///
    /// # Errors
    /// The first refusal of a device that has not answered before, if it shows that the map is wrong.
    fn note_refusals(&self, readout: &Readout) -> Result<()> {
        let stops = self.refused == Refused::Stop && !self.has_answered;
        for refused in &readout.refused {
            let error = self.device.refusal(refused);
            if stops && refused.why.is_of_map() {
                return Err(error);
            }
            self.counts.refused(&error);
        }
        Ok(())
    }
}
