//! Where records go, one sink a file.
//!
//! A [`SinkSpec`] is what the pipeline says; [`SinkSpec::open`] makes the running [`Sink`]. The runtime calls
//! [`Sink::write`] (or [`Sink::reject`]) in order, then [`Sink::flush`] on all sinks, then [`Sink::commit`] on all.
//! A sink dropped without `commit` leaves nothing behind that looks finished (clause 19).

mod alert;
mod console;
mod csv;
mod dead_letter;
mod file;
mod jsonl;
mod null;
mod parquet;
#[cfg(feature = "polars")]
mod polars;
mod roll;
mod rolling;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::batch::{Batch, Schema};
use crate::error::{Error, Rejection, Result};
use crate::files::{Base, FilePath};
use crate::options::{Configure, Named, Options};
use crate::sensor::{SensorId, Sensors};

pub use crate::atomic::{Job, Outset, Saved, Template};
pub use alert::{Alert, Thresholds, end_alert_commands};
pub use console::Console;
pub use csv::CsvFile;
pub use dead_letter::DeadLetter;
pub use jsonl::JsonLinesFile;
pub use null::Null;
pub use parquet::ParquetFile;
#[cfg(feature = "polars")]
pub use polars::{Frame, FrameHandle};
pub use roll::Roll;

/// What a sink is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// The records that leave the last stage.
    Records,
    /// The records that were set aside.
    Rejections,
}

/// What happens when a batch is written a second time, after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Nothing: uncommitted output is thrown away first.
    Harmless,
    /// It is there twice.
    Duplicates,
}

impl Repeat {
    /// That of what is written to a path: a file appears when it is complete, and a stream keeps what it was given.
    pub(crate) fn of(path: &FilePath) -> Self {
        if crate::atomic::is_stream(path) { Self::Duplicates } else { Self::Harmless }
    }
}

/// A sink that can stand in a pipeline file, under a name: `inventory::submit! { Component::of::<Mine>("mine", "…") }`.
pub struct Component(pub(crate) Named<dyn SinkSpec>);

inventory::collect!(Component);

impl Component {
    /// `T` under `name`; `help` says in one line what it does.
    pub const fn of<T: Configure + SinkSpec>(name: &'static str, help: &'static str) -> Self {
        let make: fn(&mut Options<'_>) -> Option<Box<dyn SinkSpec>> =
            |options| Some(Box::new(T::configure(options)?));
        Self(Named { name, help, make, schemas: T::schemas })
    }
}

/// A sink as written in a pipeline: immutable, checked, nothing opened yet.
pub trait SinkSpec: Send + Sync {
    /// The name it is registered under.
    fn name(&self) -> &str;

    /// Its options with their defaults, for `explain` and the report.
    fn parameters(&self) -> serde_json::Value;

    /// Records, or rejections.
    fn takes(&self) -> Takes {
        Takes::Records
    }

    /// What a repeat of the same batch does.
    fn repeat(&self) -> Repeat;

    /// The file that it will write, if it writes one; none for files that roll, nor for standard output, named pipes and devices.
    fn file(&self) -> Option<PathBuf> {
        None
    }

    /// How the files are called that it writes one after the other, if it does: then it has no [`SinkSpec::file`].
    fn rolls(&self) -> Option<Template> {
        None
    }

    /// The named pipe or device that it writes to, where it is one.
    fn stream(&self) -> Option<PathBuf> {
        None
    }

    /// Whether its records go to standard output.
    fn is_stdout(&self) -> bool {
        false
    }

    /// The patterns of sensor names that its options have: one that fits no sensor of a run is said at its end.
    fn sensor_patterns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The same sink, whose relative paths start from `base`; `None` for one that has no paths.
    fn with_base(&self, _base: &Base) -> Option<Arc<dyn SinkSpec>> {
        None
    }

    /// Checks the options against the columns that will come in.
    ///
    /// # Errors
    /// A configuration error.
    fn check(&self, _schema: &Schema) -> Result<()> {
        Ok(())
    }

    /// Whether it can go on where a checkpoint found it ([`Sink::save`]). Others may only take part in a run that goes on after a
    /// restart where a repeat is [`Repeat::Duplicates`]: they begin anew then.
    fn can_resume(&self) -> bool {
        false
    }

    /// Whether it delivers by epochs, as what is no file does: a database, a broker, a server. Then its [`Sink::preparer`] makes bytes
    /// (`Vec<u8>`) of batches, which the run keeps in its state folder; when the checkpoint that closes an epoch is durable, they are handed to
    /// [`Sink::deliver`]. Without a state folder, each batch is delivered as it comes. Such a sink needs no [`Sink::save`]: it is told by the
    /// numbers of epochs, and by [`Outset::writer`], what it has already.
    fn delivers(&self) -> bool {
        false
    }

    /// Opens it; where `outset` says so, it goes on where a checkpoint found it. Nothing appears under the final name yet.
    ///
    /// # Errors
    /// What keeps the run from starting: a folder that is not there, a command that cannot be run.
    fn open(&self, schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>>;
}

/// What a sink's [`Prepare`] made of a batch, for its [`Sink::accept`].
pub type Block = Box<dyn Any + Send>;

/// The part of a sink that does not depend on order: encoding, for one. Shared by all workers.
pub trait Prepare: Send + Sync {
    /// Does with a batch whatever can be done before its turn.
    ///
    /// # Errors
    /// What ends the run.
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block>;
}

/// A sink in use. A run calls either [`Sink::write`], or [`Sink::accept`] with what its [`Sink::preparer`] made; of a sink that
/// [delivers by epochs](SinkSpec::delivers), neither, but [`Sink::deliver`].
///
/// ```text
/// at rest              the sink's own thread                                             at rest
/// open → preparer →  { accept | write | reject | give_up → push (live) | save } …  →  flush → save → commit
///                                                                                       or: push → save → pause
/// by epochs: open → preparer → { deliver (thread of its own, behind the checkpoint) } … → commit
/// ```
///
/// All calls are one after the other. After an error it is not called again.
pub trait Sink: Send {
    /// Takes the records of `batch`, after those of all earlier calls.
    ///
    /// # Errors
    /// What ends the run.
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Err(Error::internal("a sink was given records, but takes only what it has prepared"))
    }

    /// These sensors are given up (clause 27): what comes under their ids from now on is of others, or of the same ones as if they were new. A
    /// sink that keeps anything by id forgets it.
    ///
    /// # Errors
    /// What ends the run.
    fn give_up(&mut self, _gone: &[SensorId]) -> Result<()> {
        Ok(())
    }

    /// Takes a record that was set aside; only sinks that take [`Takes::Rejections`] are given any.
    ///
    /// # Errors
    /// What ends the run.
    fn reject(&mut self, _rejection: &Rejection) -> Result<()> {
        Ok(())
    }

    /// What can be done with batches before their turn; `None` where [`Sink::write`] does it all.
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        None
    }

    /// Takes a prepared batch, after those of all earlier calls; gives what is left to do, if anything.
    ///
    /// # Errors
    /// What ends the run.
    fn accept(&mut self, _block: Block) -> Result<Option<Job>> {
        Err(Error::internal("a sink was given a prepared batch, but prepares none"))
    }

    /// Hands what it has gathered to whoever reads along: called after every batch of an input that does not end.
    ///
    /// # Errors
    /// What ends the run.
    fn push(&mut self) -> Result<()> {
        Ok(())
    }

    /// Nothing more will come: hands everything to the operating system.
    ///
    /// # Errors
    /// What ends the run: a full disk, for one.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes `rows` visible where they belong: all that was prepared in `epoch`, in order, as it was prepared. Called for one epoch after the
    /// other, with numbers that grow and may have gaps, on a thread of its own, when the checkpoint that closes the epoch is durable.
    ///
    /// An epoch may come again, after a failure and after a run was killed, with the same rows; of the epochs that were delivered no other does.
    /// That must be harmless: whoever can, writes [`Outset::writer`] and the number in the transaction of the rows, and does nothing where they
    /// are there. A sink that cannot says [`Repeat::Duplicates`].
    ///
    /// # Errors
    /// One that is [transient](Error::is_transient) has the epoch delivered once more, after a while, for as long as it takes; any other ends
    /// the run, and the next run begins with this epoch.
    fn deliver(&mut self, _epoch: u64, _rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        Err(Error::internal("a sink that delivers by epochs, and does not deliver"))
    }

    /// What it has taken so far, for the checkpoint that closes `epoch`: called between two batches, with numbers that grow. `None` where it
    /// begins anew after a restart. Behind [`Sink::flush`] it is the last one: what is to be delivered at the end of the run, is with this epoch.
    ///
    /// # Errors
    /// What ends the run.
    fn save(&mut self, _epoch: u64) -> Result<Option<Saved>> {
        Ok(None)
    }

    /// The run has been stopped, and will go on from the checkpoint that was made: what cannot wait until then is to be done now. Gives remarks
    /// for the summary.
    ///
    /// # Errors
    /// What lets the run fail, which goes on from that checkpoint all the same.
    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Makes the output visible under its final name. Gives remarks for the summary.
    ///
    /// # Errors
    /// What ends the run.
    fn commit(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
