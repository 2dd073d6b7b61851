//! Sinks: where records go. One file per kind of sink.
//!
//! A [`SinkSpec`] describes a sink as the pipeline declares it; [`SinkSpec::open`] makes the running [`Sink`], whose documentation gives
//! the order of calls. A sink that is dropped without [`Sink::commit`] leaves no file under its final name (clause 19).

mod alert;
mod checkpoint;
mod console;
mod csv;
mod dead_letter;
mod encoded;
mod jsonl;
mod null;
mod parquet;
#[cfg(feature = "polars")]
mod polars;
mod roll;
mod target;
mod text;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::batch::{Batch, Schema};
use crate::error::{Error, Rejection, Result};
use crate::files::Base;
use crate::options::{Configure, Named, Options};
use crate::probe::Probe;
use crate::sensor::{SensorId, Sensors};

pub use crate::atomic::{Job, Template};
pub use crate::context::SinkContext;
pub use alert::{Alert, Thresholds, end_alert_commands};
pub use checkpoint::SinkCheckpoint;
pub use console::Console;
pub use csv::CsvFile;
pub use dead_letter::DeadLetter;
pub use jsonl::JsonLinesFile;
pub use null::Null;
pub use parquet::ParquetFile;
#[cfg(feature = "polars")]
pub use polars::{Frame, FrameHandle};
pub use roll::Roll;
pub(crate) use roll::parse_size;
pub use target::FileTarget;

/// What a sink receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// Exhaustive: a record is passed on or rejected.
pub enum Takes {
    /// The records that leave the last stage.
    Records,
    /// The rejected records, including late ones.
    Rejections,
}

/// What happens if a batch is written again after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
// Exhaustive: it has an effect or none.
pub enum Repeat {
    /// No effect: uncommitted output is discarded first.
    Harmless,
    /// The records are duplicated.
    Duplicates,
}

/// A sink that can stand in a pipeline file, under a name: `inventory::submit! { Component::of::<Mine>("mine", "…") }`.
pub struct Component(pub(crate) Named<dyn SinkSpec>);

inventory::collect!(Component);

impl Component {
    /// Registers `T` under `name`; `help` describes it in one line.
    pub const fn of<T: Configure + SinkSpec>(name: &'static str, help: &'static str) -> Self {
        let make: fn(&mut Options<'_>) -> Option<Box<dyn SinkSpec>> =
            |options| Some(Box::new(T::configure(options)?));
        Self(Named { name, help, make, schemas: T::schemas })
    }
}

/// A sink as declared in a pipeline: immutable and checked; nothing is opened yet. Shared between threads.
pub trait SinkSpec: Any + Send + Sync {
    /// The name under which it is registered.
    fn name(&self) -> &str;

    /// Its options, including defaults, for `explain` and the report.
    fn parameters(&self) -> serde_json::Value;

    /// Whether it receives records or rejections.
    fn takes(&self) -> Takes {
        Takes::Records
    }

    /// What happens if the same batch is written twice.
    fn repeat(&self) -> Repeat;

    /// Why records may be lost behind it, although it has reported no error: a clause for each reason, such as "with `qos = 0` the broker acknowledges nothing". None, if the
    /// other side confirms everything. With a reason, the pipeline's guarantee is at best at most once.
    fn losses(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Where it writes, for a sink of files or a stream.
    fn target(&self) -> Option<FileTarget> {
        None
    }

    /// The file that it will write, if it writes one; none for files that roll, nor for standard output, named pipes and devices.
    fn file(&self) -> Option<PathBuf> {
        self.target()?.file()
    }

    /// The name template of the rolling files that it writes; such a sink has no [`SinkSpec::file`].
    fn rolls(&self) -> Option<Template> {
        self.target()?.rolls()
    }

    /// The named pipe or device that it writes to, if any.
    fn stream(&self) -> Option<PathBuf> {
        self.target()?.stream()
    }

    /// Whether it writes to standard output.
    fn is_stdout(&self) -> bool {
        self.target().is_some_and(|target| target.is_stdout())
    }

    /// The patterns for sensor names in its options. A pattern that matches no sensor is reported at the end of the run.
    fn sensor_patterns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The same sink with relative paths resolved against `base`; `None` if it has no paths.
    fn with_base(&self, _base: &Base) -> Option<Arc<dyn SinkSpec>> {
        None
    }

    /// Checks its options against the columns that it will receive.
    ///
    /// # Errors
    /// A configuration error if they do not fit.
    fn check(&self, _schema: &Schema) -> Result<()> {
        Ok(())
    }

    /// Whether it can resume from a checkpoint ([`Sink::save`]). A sink that cannot starts anew after a restart; it is allowed in a run
    /// with checkpoints only if its [`SinkSpec::repeat`] is [`Repeat::Duplicates`].
    fn can_resume(&self) -> bool {
        false
    }

    /// Checks that it can take part in a run with checkpoints, in addition to what [`SinkSpec::can_resume`] and [`SinkSpec::repeat`] say.
    ///
    /// # Errors
    /// A configuration error if it cannot.
    fn check_resumable(&self) -> Result<()> {
        Ok(())
    }

    /// Whether it delivers by epochs, as sinks other than files do: databases, brokers, servers. Its [`Sink::preparer`] then encodes
    /// batches to bytes (`Vec<u8>`), which the run keeps in the outbox in its state folder; once the checkpoint that closes an epoch is
    /// durable, it passes them to [`Sink::deliver`]. Without a state folder, each batch is an epoch, and waits in memory. Such a sink needs no
    /// [`Sink::save`]: epoch numbers and [`SinkContext::writer`] identify what it already has.
    fn delivers(&self) -> bool {
        false
    }

    /// Whether `option` may change during a run; [`Sink::reload`] then applies the new value.
    fn reloads(&self, _option: &str) -> bool {
        false
    }

    /// Looks whether its endpoint could be used now, step by step: a name resolved, a connection, TLS, a login, the permission to write, the topic or table with the columns
    /// of `schema`, if those are known. Writes nothing.
    fn probe(&self, _schema: Option<&Schema>, _probe: &mut Probe) {}

    /// Opens the sink, resuming from a checkpoint if `context` has one. Nothing appears under the final name yet.
    ///
    /// # Errors
    /// Anything that prevents the run from starting: a missing folder, a command that cannot be run.
    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>>;
}

/// A batch prepared by a sink's [`Prepare`], for its [`Sink::accept`].
pub type Block = Box<dyn Any + Send>;

/// The bytes that a block takes, where they are known: most are text.
pub(crate) fn size_of_block(block: &Block) -> Option<usize> {
    let encoded = || block.downcast_ref::<encoded::Encoded>().map(encoded::Encoded::size);
    block.downcast_ref::<Vec<u8>>().map(Vec::capacity).or_else(encoded)
}

/// The part of a sink that does not depend on order: encoding, for one. Shared by all workers.
pub trait Prepare: Send + Sync {
    /// Does all work for a batch that does not depend on earlier batches. Called by any worker, in any order.
    ///
    /// # Errors
    /// Any error ends the run.
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block>;
}

/// A running sink. A run calls either [`Sink::write`], or [`Sink::accept`] with batches from its [`Sink::preparer`]; if the sink [delivers
/// by epochs](SinkSpec::delivers), it calls only [`Sink::deliver`].
///
/// ```text
/// at rest              the sink's own thread, for a prompt one also a worker               at rest
/// open → preparer →  { accept | write | reject | give_up | reload → push (live) | save } … →  flush → save → commit
///                                                                                          or: push → save → pause
/// by epochs: open → preparer → { deliver (thread of its own, once the checkpoint is durable) } … → commit
/// ```
///
/// Calls never overlap. A sink is not called again after an error.
pub trait Sink: Send {
    /// Writes the records of `batch`, which follow those of all earlier calls.
    ///
    /// # Errors
    /// Any error ends the run.
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Err(Error::internal("a sink that accepts only prepared batches was given records"))
    }

    /// These sensors are given up (clause 27): from now on their ids refer to other sensors, or to the same ones starting anew. A sink that
    /// keeps state by id discards theirs.
    ///
    /// # Errors
    /// Any error ends the run.
    fn give_up(&mut self, _gone: &[SensorId]) -> Result<()> {
        Ok(())
    }

    /// Writes a rejected record; called only for sinks that take [`Takes::Rejections`].
    ///
    /// # Errors
    /// Any error ends the run.
    fn reject(&mut self, _rejection: &Rejection) -> Result<()> {
        Ok(())
    }

    /// The part of the sink that may run out of order on any worker; `None` if [`Sink::write`] does everything.
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        None
    }

    /// Whether [`Sink::write`] and [`Sink::accept`] return at once, since anything that takes time is left as a job. While nothing is queued
    /// for such a sink, a worker calls it directly, in order: that saves waking the sink's own thread for every batch.
    fn is_prompt(&self) -> bool {
        false
    }

    /// Writes a prepared batch, which follows those of all earlier calls. May return a job, which any worker may run.
    ///
    /// # Errors
    /// Any error ends the run.
    fn accept(&mut self, _block: Block) -> Result<Option<Job>> {
        Err(Error::internal("a sink that prepares no batches was given a prepared batch"))
    }

    /// Passes everything gathered so far to the readers of the output: called after every batch of unbounded input, and from time to time while none arrives.
    ///
    /// # Errors
    /// Any error ends the run.
    fn push(&mut self) -> Result<()> {
        Ok(())
    }

    /// No more records will come: passes everything to the operating system.
    ///
    /// # Errors
    /// Any error ends the run, for example a full disk.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Delivers `rows`: everything that was prepared in `epoch`, in order. Called for one epoch after the other, with increasing numbers
    /// that may have gaps, on a thread of its own, once the checkpoint that closes the epoch is durable.
    ///
    /// An epoch may be delivered again with the same rows, after a failure; after the run was killed, this may be several of the last epochs, in order.
    /// That must be idempotent: if the target has transactions, write [`SinkContext::writer`] and the epoch number in the same transaction as
    /// the rows, and do nothing if this epoch or a later one is already there. A sink that cannot do this returns [`Repeat::Duplicates`].
    ///
    /// # Errors
    /// After a [transient](Error::is_transient) error the same epoch is retried, by the pipeline's `retry` and `breaker`: a sink does not retry by itself, and says
    /// with [`Error::with_retry_after`] what the server has asked for. What happens after any other error says the pipeline's `on_failure`: the run ends, and
    /// the next one starts with this epoch; or it is retried from time to time; or it is dropped.
    fn deliver(&mut self, _epoch: u64, _rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        Err(Error::internal("a sink that delivers by epochs does not implement `deliver`"))
    }

    /// Applies the options of `spec` from the next record on. It has the same type, and differs only in options that [may change](SinkSpec::reloads).
    ///
    /// # Errors
    /// Any error ends the run.
    fn reload(&mut self, _spec: &Arc<dyn SinkSpec>) -> Result<()> {
        Err(Error::internal("a sink declares options that may change, but does not implement `reload`"))
    }

    /// The state for the checkpoint that closes `epoch`: called between two batches, with increasing numbers. `None` if the sink starts
    /// anew after a restart. The call after [`Sink::flush`] is the last one: output that remains is delivered with this epoch.
    ///
    /// # Errors
    /// Any error ends the run.
    fn save(&mut self, _epoch: u64) -> Result<Option<SinkCheckpoint>> {
        Ok(None)
    }

    /// The run was stopped and will resume from the checkpoint just made: finish anything that cannot wait until then. Returns remarks for
    /// the summary.
    ///
    /// # Errors
    /// An error makes the run fail; the next run still resumes from that checkpoint.
    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Makes the output visible under its final name. Returns remarks for the summary.
    ///
    /// # Errors
    /// Any error makes the run fail.
    fn commit(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
