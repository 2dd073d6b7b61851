//! Mails on their way.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `mail` | the first message that has to wait | the time at which another mail may be sent | when the sink is dropped |

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidemill_connect::blocking::Blocking;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;

use crate::budget::Budget;
use crate::held::{Held, Item, Memory};
use crate::transport::Transport;

/// The shortest wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages that wait, and how they are sent.
pub(crate) struct Outgoing {
    pub(crate) transport: Transport,
    pub(crate) runtime: Blocking,
    pub(crate) budget: Budget,
    pub(crate) held: Held,
    pub(crate) memory: Memory,
    pub(crate) begun: Instant,
    /// Messages that were gathered with others, and in how many mails.
    pub(crate) gathered: (u64, u64),
    /// Whether the file is not that of nothing.
    pub(crate) is_written: bool,
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
    /// Takes the messages of `epoch`, sends what may be sent, and keeps the rest.
    fn take(&mut self, epoch: u64, items: Vec<Item>) -> Result<()> {
        self.held.add(epoch, items);
        self.send_due()?;
        self.keep()
    }

    /// Sends what may be sent now: one mail for each message, but the last one that is allowed has all that is left.
    fn send_due(&mut self) -> Result<()> {
        loop {
            let now = self.begun.elapsed();
            match self.budget.room(now) {
                _ if self.held.is_empty() => return Ok(()),
                0 => return Ok(()),
                1 => return self.send_all(),
                _ => {
                    let Self { runtime, transport, held, .. } = self;
                    runtime.wait(transport.send(&held.items[0]))?;
                    self.budget.spend(now);
                    self.held.items.remove(0);
                }
            }
        }
    }

    /// Sends everything that waits in one mail.
    fn send_all(&mut self) -> Result<()> {
        let Some(one) = self.held.gathered() else { return Ok(()) };
        self.runtime.wait(self.transport.send(&one))?;
        self.budget.spend(self.begun.elapsed());
        let all = self.held.items.len() as u64 + self.held.more;
        if all > 1 {
            self.gathered = (self.gathered.0 + all, self.gathered.1 + 1);
        }
        self.held = Held { epoch: self.held.epoch, ..Held::default() };
        Ok(())
    }

    /// Writes what waits to the file, or that nothing does.
    fn keep(&mut self) -> Result<()> {
        if self.held.is_empty() && !self.is_written {
            return Ok(());
        }
        self.is_written = !self.held.is_empty();
        self.memory.write(&self.held)
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
    /// If a mail cannot be sent: what was taken waits, and is not taken again with the same epoch.
    pub(crate) fn take(&mut self, epoch: u64, items: Vec<Item>) -> Result<()> {
        let taken = self.shared.outgoing().take(epoch, items);
        self.start()?;
        taken
    }

    /// Starts the thread if something waits.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.thread.is_some() || self.shared.outgoing().held.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("mail".into()).spawn(move || shared.run());
        self.thread = Some(thread.map_err(|error| Error::internal(format!("no thread for mails: {error}")))?);
        Ok(())
    }

    /// Sends everything that waits. Returns remarks.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub(crate) fn finish(&mut self) -> Result<Vec<String>> {
        let mut outgoing = self.shared.outgoing();
        outgoing.send_all()?;
        outgoing.keep()?;
        let (messages, mails) = outgoing.gathered;
        let told = format!("{messages} messages were gathered in {mails} mails, because of `most` and `per`");
        Ok((messages > 0).then_some(told).into_iter().collect())
    }
}

impl Shared {
    /// The main loop of the thread.
    fn run(&self) {
        let mut backoff = Backoff::default();
        loop {
            let wait = {
                let mut outgoing = self.outgoing();
                // The next delivery reports what does not pass.
                match outgoing.send_due().and_then(|()| outgoing.keep()) {
                    Ok(()) => {
                        backoff.reset();
                        let now = outgoing.begun.elapsed();
                        outgoing.budget.next(now).map_or(PAUSE, |next| next - now)
                    }
                    Err(_) => PAUSE + backoff.delay(None),
                }
            };
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
