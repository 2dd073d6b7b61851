//! Mails on their way.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `mail` | the first message that has to wait | the time at which another mail may be sent | when the sink is dropped |

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::sink::SinkContext;
use tidemill_engine::time::Clock;

use crate::budget::Budget;
use crate::held::{Held, Item, Kept, Memory};
use crate::transport::Carrier;

/// The shortest wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for the time of the next mail: the clock may be set meanwhile.
const LONGEST: Duration = Duration::from_mins(1);

/// Messages that are not sent yet, and how they are sent.
pub(crate) struct Outgoing {
    carrier: Box<dyn Carrier>,
    budget: Budget,
    held: Held,
    memory: Memory,
    clock: Clock,
    context: SinkContext,
    /// Since when the messages that wait could not be sent.
    failing: Option<Instant>,
    account: Account,
}

/// What the summary says.
#[derive(Default)]
struct Account {
    /// Messages that were gathered with others, and in how many mails.
    gathered: (u64, u64),
    /// Messages that were refused after they had been acknowledged, and the first reason.
    lost: (u64, Option<String>),
    /// How often messages that wait could not be sent.
    failures: u64,
}

/// The same, shared with the thread.
pub(crate) struct Post {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    outgoing: Mutex<Outgoing>,
    is_over: Mutex<bool>,
    ended: Condvar,
}

impl Outgoing {
    /// At most so many mails in so much time, by `carrier`; with what an earlier run has left in the state folder.
    ///
    /// # Errors
    /// If that cannot be read.
    pub(crate) fn new(
        carrier: Box<dyn Carrier>,
        (most, per): (usize, Duration),
        context: &SinkContext,
    ) -> Result<Self> {
        let memory = Memory::new(context.state.as_deref(), context.writer.as_deref().unwrap_or_default());
        let Kept { held, sent } = memory.read()?;
        Ok(Self {
            carrier,
            budget: Budget::new(most, per, &sent),
            held,
            memory,
            clock: context.clock.clone(),
            context: context.clone(),
            failing: None,
            account: Account::default(),
        })
    }

    /// Takes the messages of `epoch`, sends what may be sent, and keeps the rest.
    fn take(&mut self, epoch: u64, items: Vec<Item>) -> Result<()> {
        self.held.begin(epoch, items);
        let sent = self.send_due(0);
        if sent.is_ok() {
            self.held.acknowledge();
        }
        self.keep().and(sent)
    }

    /// Sends what may be sent now: one mail for each message, but the last one that is allowed has all that is left. Of the messages of the epoch that is not acknowledged,
    /// the first `passed` are left out.
    ///
    /// # Errors
    /// If a message of that epoch was refused, after all others were tried; at once, if nothing can be sent.
    fn send_due(&mut self, mut passed: usize) -> Result<()> {
        let mut refused = Ok(());
        for left in (1..=self.budget.room(self.now())).rev() {
            let is_last = left == 1;
            let mail = if is_last { self.held.gathered(passed) } else { self.held.next(passed) };
            let Some(mail) = mail else { break };
            match self.carrier.send(&mail) {
                Ok(()) => self.sent(is_last, passed)?,
                Err(failed) if failed.is_refused => {
                    let of_epoch = self.refused(is_last, passed, &failed.error);
                    passed += of_epoch;
                    if of_epoch > 0 && refused.is_ok() {
                        refused = Err(failed.error);
                    }
                }
                Err(failed) => return Err(failed.error),
            }
        }
        refused
    }

    /// A mail was sent, with the next message or with all.
    fn sent(&mut self, has_all: bool, passed: usize) -> Result<()> {
        let count = if has_all { self.held.count(passed) } else { 1 };
        if count > 1 {
            self.account.gathered = (self.account.gathered.0 + count, self.account.gathered.1 + 1);
        }
        self.budget.spend(self.now());
        self.take_out(has_all, passed);
        // At once: whoever is killed again and again must not send the same mails, nor more of them, each time.
        self.keep()
    }

    /// A mail was refused. Nobody else knows of messages that were acknowledged: they are told of, and given up, so that others have their turn. Gives how many it had of the
    /// epoch that is not acknowledged, which the caller of the sink decides about.
    fn refused(&mut self, has_all: bool, passed: usize, error: &Error) -> usize {
        let lost = match has_all {
            true => self.held.items.len() as u64 + self.held.more,
            false => u64::from(!self.held.items.is_empty()),
        };
        let of_epoch = match (has_all, lost) {
            (true, _) => self.held.open.len().saturating_sub(passed),
            (false, 0) => 1,
            (false, _) => 0,
        };
        if lost > 0 {
            self.take_out(has_all, self.held.open.len());
            let (count, why) = &mut self.account.lost;
            *count += lost;
            why.get_or_insert_with(|| error.to_string());
            self.context
                .warn("delivery_dropped", &format!("{lost} messages that had waited are dropped: {error}"));
        }
        of_epoch
    }

    /// Removes the next message, or all.
    fn take_out(&mut self, all: bool, passed: usize) {
        match all {
            true => {
                (self.held.items, self.held.more) = (Vec::new(), 0);
                self.held.open.truncate(passed);
            }
            false if !self.held.items.is_empty() => drop(self.held.items.remove(0)),
            false => drop(self.held.open.remove(passed)),
        }
    }

    /// Sends what may be sent of the messages that wait, and says when that fails, and when it has succeeded after that. Gives when to look again.
    fn turn(&mut self, backoff: &mut Backoff) -> Duration {
        let own = self.held.open.len();
        match (self.send_due(own).and_then(|()| self.keep()), self.failing) {
            (Ok(()), since) => {
                backoff.reset();
                if since.is_some() {
                    self.context.info("delivery_recovered", "messages that had waited are sent again");
                    self.failing = None;
                }
                let now = self.now();
                self.budget.next(now).map_or(PAUSE, |next| next - now).min(LONGEST)
            }
            (Err(error), since) => {
                self.account.failures += 1;
                if since.is_none() {
                    self.failing = Some(Instant::now());
                    let waiting = self.held.count(own);
                    self.context.warn(
                        "delivery_failed",
                        &format!("{waiting} messages that wait cannot be sent: {error}: retrying"),
                    );
                }
                PAUSE + backoff.delay(None)
            }
        }
    }

    /// Sends everything that is acknowledged in one mail. Returns remarks.
    fn finish(&mut self) -> Result<Vec<String>> {
        let own = self.held.open.len();
        if let Some(mail) = self.held.gathered(own) {
            self.carrier.send(&mail).map_err(|failed| failed.error)?;
            self.sent(true, own)?;
        }
        Ok(self.account.remarks())
    }

    /// Writes to the file what waits, and what was sent.
    fn keep(&mut self) -> Result<()> {
        self.memory.write(&Kept { held: &self.held, sent: self.budget.sent() })
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.clock.read().as_nanos()).unwrap_or(0))
    }
}

impl Account {
    fn remarks(&self) -> Vec<String> {
        let Self { gathered: (messages, mails), lost: (lost, why), failures } = self;
        let gathered = (*messages > 0).then(|| {
            format!("{messages} messages were gathered in {mails} mails, because of `most` and `per`")
        });
        let lost = (*lost > 0).then(|| {
            let why = why.as_deref().unwrap_or_default();
            format!("{lost} messages that had waited were dropped, since they had been refused: {why}")
        });
        let failures = (*failures > 0)
            .then(|| format!("sending messages that had waited failed {failures} times and was retried"));
        gathered.into_iter().chain(lost).chain(failures).collect()
    }
}

impl Post {
    pub(crate) fn new(outgoing: Outgoing) -> Self {
        let shared =
            Shared { outgoing: Mutex::new(outgoing), is_over: Mutex::new(false), ended: Condvar::new() };
        Self { shared: Arc::new(shared), thread: None }
    }

    /// Takes the messages of `epoch`.
    ///
    /// # Errors
    /// If a mail cannot be sent. With the same epoch, only the rest is sent; with a later one, the rest is given up.
    pub(crate) fn take(&mut self, epoch: u64, items: Vec<Item>) -> Result<()> {
        let taken = self.shared.outgoing().take(epoch, items);
        self.start()?;
        taken
    }

    /// Starts the thread if something waits.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.thread.is_some() || self.shared.outgoing().held.items.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let run = self.shared.outgoing().context.in_run(move || shared.run());
        let thread = std::thread::Builder::new().name("mail".into()).spawn(run);
        self.thread = Some(thread.map_err(|error| Error::internal(format!("no thread for mails: {error}")))?);
        Ok(())
    }

    /// Sends everything that waits. Returns remarks.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub(crate) fn finish(&mut self) -> Result<Vec<String>> {
        self.shared.outgoing().finish()
    }

    /// Remarks for the summary of a run that leaves what waits to the next one.
    pub(crate) fn remarks(&self) -> Vec<String> {
        self.shared.outgoing().account.remarks()
    }
}

impl Shared {
    /// The main loop of the thread.
    fn run(&self) {
        let mut backoff = Backoff::default();
        loop {
            let wait = self.outgoing().turn(&mut backoff);
            let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.ended.wait_timeout_while(is_over, wait, |is_over| !*is_over);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ended.notify_all();
        // A thread that has panicked has told so.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
