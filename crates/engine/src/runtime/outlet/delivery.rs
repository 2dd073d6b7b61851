//! The thread that delivers the epochs of one sink, in order, each until that succeeds.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `deliver <n>` | [`Delivery::start`] | the next epoch whose checkpoint is durable; whoever the sink delivers to; where that fails for a while, between two tries | when the run lets go of it and all is delivered; at a failure that will not pass; at a stop, at the next failure of any kind |

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::door::Door;
use crate::checkpoint::Fence;
use crate::error::guard::caught;
use crate::error::{Error, ErrorKind, Masks, Result};
use crate::files::backoff::Backoff;
use crate::notes::say;
use crate::outbox::{Kept, OutboxReader};
use crate::sink::{Outset, Sink};

/// What the thread needs.
pub(super) struct Recipient {
    pub(super) door: Arc<Door>,
    pub(super) sink: Box<dyn Sink>,
    pub(super) reader: OutboxReader,
    pub(super) fence: Fence,
    pub(super) retry: Retry,
}

/// A sink without an outbox, which each batch is delivered to as it comes.
pub(super) struct AsItComes {
    pub(super) sink: Box<dyn Sink>,
    pub(super) retry: Retry,
    /// Whether what may pass by itself is waited for.
    pub(super) waits: bool,
}

/// How a delivery is tried again: the seat of whatever decides when, and when not.
pub(super) struct Retry {
    label: String,
    stop: Arc<AtomicBool>,
    masks: Arc<Masks>,
}

/// The thread.
pub(super) struct Delivery {
    sender: Option<Sender<Kept>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Box<dyn Sink>>>,
}

/// Where epochs are handed to the thread.
pub(super) struct Epochs(Option<Sender<Kept>>, Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// All up to this epoch has been delivered.
    delivered: AtomicU64,
    /// Whether nothing is to be waited for any more.
    is_ending: AtomicBool,
    /// Epochs that are handed over and not delivered.
    waiting: AtomicU64,
    /// How often it was tried in vain.
    failures: AtomicU64,
    /// What ended it.
    failure: Mutex<Option<Error>>,
}

impl Delivery {
    pub(super) fn start(recipient: Recipient) -> Result<Self> {
        let (sender, epochs) = unbounded();
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let name = format!("deliver {}", recipient.door.at);
        let thread = std::thread::Builder::new().name(name).spawn(move || recipient.run(&epochs, &its));
        let thread = thread.map_err(|error| Error::internal(format!("no thread to deliver: {error}")))?;
        Ok(Self { sender: Some(sender), shared, thread: Some(thread) })
    }

    /// Has an epoch delivered, whose checkpoint is durable.
    pub(super) fn deliver(&self, kept: Kept) {
        self.sender().deliver(kept);
    }

    /// Where epochs are handed over by others; they let go of it soon.
    pub(super) fn sender(&self) -> Epochs {
        Epochs(self.sender.clone(), Arc::clone(&self.shared))
    }

    /// The last epoch up to which all has been delivered.
    pub(super) fn delivered(&self) -> u64 {
        self.shared.delivered.load(Ordering::Acquire)
    }

    /// # Errors
    /// What ended the delivery.
    pub(super) fn check(&self) -> Result<()> {
        self.shared.failure().take().map_or(Ok(()), Err)
    }

    /// The run goes on later: what cannot be delivered now stays in the outbox. Gives remarks.
    ///
    /// # Errors
    /// What ended the delivery.
    pub(super) fn pause(&mut self) -> Result<Vec<String>> {
        self.shared.is_ending.store(true, Ordering::Release);
        let _sink = self.join()?;
        Ok(self.left().into_iter().chain(self.tries()).collect())
    }

    /// No more epochs will come: waits until all are delivered. Gives remarks.
    ///
    /// # Errors
    /// What ended the delivery; that it was stopped before all was delivered.
    pub(super) fn finish(&mut self) -> Result<Vec<String>> {
        let sink = self.join()?;
        if let Some(left) = self.left() {
            return Err(Error::new(ErrorKind::Interrupted, left).with_help("the same command delivers it"));
        }
        let mut remarks: Vec<_> = self.tries().collect();
        if let Some(mut sink) = sink {
            remarks.extend(sink.commit()?);
        }
        Ok(remarks)
    }

    fn join(&mut self) -> Result<Option<Box<dyn Sink>>> {
        self.sender = None;
        let Some(thread) = self.thread.take() else { return Ok(None) };
        let sink = thread.join().map_err(|_| Error::internal("the thread that delivers panicked"))?;
        self.check().map(|()| Some(sink))
    }

    /// How much is left.
    fn left(&self) -> Option<String> {
        match self.shared.waiting.load(Ordering::Acquire) {
            0 => None,
            1 => Some(
                "what came until one checkpoint is not delivered yet: it is kept in the state folder".into(),
            ),
            left => Some(format!(
                "what came until {left} checkpoints is not delivered yet: it is kept in the state folder"
            )),
        }
    }

    /// How often it was tried in vain.
    fn tries(&self) -> impl Iterator<Item = String> + use<> {
        let failures = self.shared.failures.load(Ordering::Relaxed);
        let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
        (failures > 0).then(|| format!("could not deliver {times}, and tried again")).into_iter()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // Of a run that has failed: what is left is for the next one.
        self.shared.is_ending.store(true, Ordering::Release);
        let _failed_already = self.join();
    }
}

impl Epochs {
    /// Has an epoch delivered, whose checkpoint is durable.
    pub(super) fn deliver(&self, kept: Kept) {
        self.1.waiting.fetch_add(1, Ordering::AcqRel);
        // A thread that has failed is asked what of, later.
        let _ended = self.0.as_ref().map(|epochs| epochs.send(kept));
    }
}

impl Shared {
    fn failure(&self) -> MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a try.
enum Tried {
    Delivered,
    /// It is left for the next run.
    Left,
}

impl Recipient {
    /// The life of the thread.
    fn run(mut self, epochs: &Receiver<Kept>, shared: &Shared) -> Box<dyn Sink> {
        for kept in epochs {
            match caught("a delivery", || self.deliver(kept, shared)) {
                Ok(Tried::Delivered) => {
                    shared.delivered.store(kept.epoch, Ordering::Release);
                    shared.waiting.fetch_sub(1, Ordering::AcqRel);
                }
                Ok(Tried::Left) => break,
                Err(error) => {
                    *shared.failure() = Some(error);
                    break;
                }
            }
        }
        self.sink
    }

    /// Delivers an epoch, as often as it takes.
    fn deliver(&mut self, kept: Kept, shared: &Shared) -> Result<Tried> {
        let Self { door, sink, reader, fence, retry } = self;
        let goes_on = || {
            shared.failures.fetch_add(1, Ordering::Relaxed);
            !shared.is_ending.load(Ordering::Acquire)
        };
        let delivered = retry.until_it_succeeds(goes_on, || {
            // A run that another one has taken over from must not.
            fence.check()?;
            let mut rows = reader.entries(kept)?;
            door.named(|| sink.deliver(kept.epoch, &mut rows))
        });
        match delivered {
            Ok(()) => Ok(Tried::Delivered),
            Err(error) if error.is_transient() => Ok(Tried::Left),
            Err(error) => Err(error),
        }
    }
}

impl AsItComes {
    /// Delivers what came at once.
    pub(super) fn deliver(&mut self, epoch: u64, bytes: &[u8]) -> Result<()> {
        let Self { sink, retry, waits } = self;
        retry.until_it_succeeds(|| *waits, || sink.deliver(epoch, &mut std::iter::once(Ok(bytes.to_vec()))))
    }
}

impl Retry {
    pub(super) fn new(door: &Door, outset: &Outset) -> Self {
        let (stop, masks) = (Arc::clone(&outset.stop), Arc::clone(&outset.masks));
        Self { label: door.label.clone(), stop, masks }
    }

    /// Calls `act` until it succeeds: again only where what fails may pass by itself, somebody `goes_on`, and the run is not to stop. That it waits
    /// and that it goes on is said, once each.
    fn until_it_succeeds(
        &self,
        goes_on: impl Fn() -> bool,
        mut act: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut backoff = Backoff::default();
        loop {
            let error = match act() {
                Ok(()) => break,
                Err(error) => error,
            };
            if !error.is_transient() || !goes_on() {
                return Err(error);
            }
            if backoff.is_first() {
                self.say(&format!("{error}: it is tried again until it succeeds"));
            }
            if !backoff.wait(|| !self.stop.load(Ordering::Relaxed)) {
                return Err(error);
            }
        }
        if !backoff.is_first() {
            self.say(&format!("{}: it is delivered again", self.label));
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        say(&self.masks.hide(what));
    }
}
