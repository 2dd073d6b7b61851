//! A sink that delivers by epochs, as the run calls it: what is prepared goes to its [outbox](crate::outbox); once the checkpoint that closes an epoch
//! is durable, a [thread](super::delivery) delivers it. Without a state folder there is no outbox, and every batch is delivered as it comes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::delivery::{AsItComes, Delivery, Recipient, Retry};
use super::door::Door;
use crate::batch::Batch;
use crate::checkpoint::Fence;
use crate::error::guard::asked;
use crate::error::{Error, Result};
use crate::outbox::{Kept, Outbox, OutboxReader};
use crate::sensor::Sensors;
use crate::sink::{Block, Job, Outset, Prepare, Saved, Sink};

/// The sink as the run calls it.
pub(super) struct Delivering {
    preparer: Arc<dyn Prepare>,
    way: Way,
}

enum Way {
    /// With a state folder.
    Kept { outbox: Outbox, name: Arc<str>, epoch: u64, delivery: Delivery },
    /// Without one.
    AsItComes { recipient: AsItComes, epoch: u64 },
}

/// What a checkpoint keeps.
#[derive(Serialize, Deserialize)]
struct Memory {
    name: Arc<str>,
    /// What may not have been delivered.
    kept: Vec<Kept>,
}

/// How a sink that delivers by epochs begins.
pub(super) struct Beginning {
    memory: Option<Memory>,
    /// What tells its epochs from those of others.
    name: Arc<str>,
}

impl Beginning {
    /// That of sink `at`, which begins as `outset` says.
    ///
    /// # Errors
    /// A data error where its epochs cannot be told from those that were delivered already.
    pub(super) fn of(at: usize, outset: &Outset) -> Result<Self> {
        let Some(state) = &outset.resume else {
            let name = match outset.run {
                Some(_) => format!("{}-{at}", outset.epoch),
                // Seeded by the system, and new each time.
                None => format!("once-{:016x}", RandomState::new().build_hasher().finish()),
            };
            return Ok(Self { memory: None, name: name.into() });
        };
        if outset.epoch != outset.resumed + 1 {
            let (first, last) = (outset.resumed + 1, outset.epoch - 1);
            let which = if first == last {
                format!("checkpoint {last}")
            } else {
                format!("checkpoints {first} to {last}")
            };
            return Err(Error::data(format!("{which} cannot be read, and what came before may have been delivered"))
                .with_help("rows would be delivered twice: bring back a whole copy of the state folder, or start anew with another --state"));
        }
        let memory: Memory = postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))?;
        Ok(Self { name: Arc::clone(&memory.name), memory: Some(memory) })
    }

    /// What the sink itself begins with.
    pub(super) fn outset(&self, outset: &Outset) -> Outset {
        let writer = match &outset.run {
            // Behind its id stands the checkpoint from which the run goes on, which is another after each restart.
            Some(run) => format!("{}-{}", run.split('-').next().unwrap_or(run), self.name),
            None => self.name.to_string(),
        };
        Outset { resume: None, writer: Some(writer.into()), ..outset.clone() }
    }
}

impl Delivering {
    /// Takes over `sink`, which is open. What a run before had not delivered is first.
    ///
    /// # Errors
    /// When it prepares nothing; when its outbox cannot be used, or is not what it was.
    pub(super) fn begin(
        door: &Arc<Door>,
        sink: Box<dyn Sink>,
        beginning: Beginning,
        outset: &Outset,
        fence: Option<Fence>,
        waits: bool,
    ) -> Result<(Self, Option<OutboxReader>)> {
        let preparer = asked(&door.label, || sink.preparer())?
            .ok_or_else(|| Error::internal("a sink that delivers by epochs and prepares nothing"))?;
        let (Some(folder), Some(fence)) = (&outset.state, fence) else {
            let retry = Retry::new(door, outset);
            let recipient = AsItComes { sink, retry, waits };
            return Ok((Self { preparer, way: Way::AsItComes { recipient, epoch: 0 } }, None));
        };
        let kept = beginning.memory.map_or_else(Vec::new, |memory| memory.kept);
        let outbox = Outbox::open(&outset.files, folder, &beginning.name, kept)?;
        let recipient = Recipient {
            door: Arc::clone(door),
            sink,
            reader: outbox.reader(),
            fence,
            retry: Retry::new(door, outset),
        };
        let delivery = Delivery::start(recipient)?;
        outbox.kept().iter().for_each(|kept| delivery.deliver(*kept));
        let reader = outbox.reader();
        let way = Way::Kept { outbox, name: beginning.name, epoch: outset.epoch, delivery };
        Ok((Self { preparer, way }, Some(reader)))
    }

    fn take(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.way {
            Way::Kept { outbox, epoch, delivery, .. } => {
                delivery.check()?;
                outbox.append(*epoch, &bytes)
            }
            Way::AsItComes { recipient, epoch } => {
                *epoch += 1;
                recipient.deliver(*epoch, &bytes)
            }
        }
    }
}

impl Sink for Delivering {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let block = self.preparer.prepare(batch, sensors)?;
        self.accept(block).map(drop)
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.preparer))
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<Vec<u8>>() {
            Ok(bytes) => self.take(*bytes).map(|()| None),
            Err(_) => {
                Err(Error::internal("a sink that delivers by epochs has prepared a block that is no bytes"))
            }
        }
    }

    /// Nobody reads along; but what went wrong with the delivery is seen here.
    fn push(&mut self) -> Result<()> {
        match &self.way {
            Way::Kept { delivery, .. } => delivery.check(),
            Way::AsItComes { .. } => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.way {
            Way::Kept { delivery, .. } => delivery.check(),
            Way::AsItComes { recipient, .. } => recipient.sink.flush(),
        }
    }

    fn save(&mut self, epoch: u64) -> Result<Option<Saved>> {
        let Way::Kept { outbox, name, epoch: open, delivery } = &mut self.way else { return Ok(None) };
        delivery.check()?;
        *open = epoch + 1;
        let settle = outbox.close();
        let closed = settle.is_some().then(|| outbox.kept().last().copied()).flatten();
        // Their files stay until this checkpoint, which does not speak of them, is durable.
        let forget = outbox.forget(delivery.delivered());
        let memory = Memory { name: Arc::clone(name), kept: outbox.kept().to_vec() };
        let state = postcard::to_stdvec(&memory)
            .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))?;
        let to = delivery.sender();
        let deliver = move || {
            closed.into_iter().for_each(|kept| to.deliver(kept));
            forget();
            Ok(())
        };
        let settle: Job = match settle {
            Some(settle) => Box::new(settle),
            None => Box::new(|| Ok(())),
        };
        Ok(Some(Saved { state, outputs: Vec::new(), settle, deliver: Some(Box::new(deliver)) }))
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        match &mut self.way {
            Way::Kept { delivery, .. } => delivery.pause(),
            Way::AsItComes { recipient, .. } => recipient.sink.pause(),
        }
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        match &mut self.way {
            Way::Kept { delivery, .. } => delivery.finish(),
            Way::AsItComes { recipient, .. } => {
                let mut remarks = vec![
                    "delivered as it came: without --state, what was on its way when a run is killed is lost or there twice"
                        .to_owned(),
                ];
                remarks.extend(recipient.sink.commit()?);
                Ok(remarks)
            }
        }
    }
}
