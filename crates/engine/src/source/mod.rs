//! Where records come from, one source a file.
//!
//! A [`SourceSpec`] is what the pipeline says; [`SourceSpec::open`] makes the running [`Source`].
//! The runtime calls [`Source::next`] until it gives `None`; after an error it is not called again.

mod csv;
mod file;
mod foresee;
mod influx;
mod jsonl;
mod parquet;
#[cfg(feature = "polars")]
mod polars;
mod synthetic;
mod typed;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::atomic::Outputs;
use crate::batch::{Batch, Schema};
use crate::error::{Error, Masks, Result};
use crate::files::Base;
use crate::format::{Chunk, Decoded};
use crate::offset::Offset;
use crate::options::{Configure, Named, Options};
use crate::sensor::SensorLookup;
use crate::time::{Clock, Period, TimeParser, Timestamp};

pub use csv::{Csv, Tsv};
pub use file::{
    Address, FileOptions, FileSource, InputFile, Member, OneOrMany, Recorder, beginning, is_recording,
    packed_extensions,
};
pub use file::{MappedFile, is_local};
pub use foresee::{Foresee, Foreseen};
pub use influx::Influx;

/// Where a source was when it gave `state` ([`Source::save`]), for people; `None` where it is not one of files.
pub fn place(state: &[u8]) -> Option<String> {
    file::place(state)
}
pub use jsonl::JsonLines;
pub use parquet::{Parquet, sample as parquet_sample};
#[cfg(feature = "polars")]
pub use polars::Frame;
pub use synthetic::{Kind, Shape, Synthetic};

/// How files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Io {
    /// Map where that is safe (regular, local, uncompressed files), read otherwise.
    #[default]
    Auto,
    /// Map; an error where that cannot be done.
    Mmap,
    /// Read.
    Read,
}

/// What a run asks of its source.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How files are read.
    pub io: Io,
    /// Bytes a chunk, about; a record longer than that makes a longer chunk.
    pub chunk_size: usize,
    /// Whether batches must say where each record came from ([`Batch::origins`]).
    pub origins: bool,
    /// Plain files are read as live input is, in pieces of random sizes, of which this is the seed: what comes out must not depend on
    /// that.
    pub shred: Option<u64>,
    /// The times that are asked for: what is outside counts as filtered. A source need not look at it.
    pub period: Period,
    /// What is known of records before they are read. A source need not ask.
    pub foresee: Option<Foresee>,
    /// Whether records are read too of which it is known that a stage filters them.
    pub reads_all: bool,
    /// Keeps what comes in as it came, to be played again.
    pub record: Option<Recorder>,
    /// How many times as fast as it was received a recording is played; as fast as possible where `None`.
    pub speed: Option<f64>,
    /// Whether files that grow are waited for until they say what their columns are: a run does that, and whoever only looks at a pipeline
    /// does not.
    pub waits: bool,
    /// Set when the run is to stop: whoever waits for input looks at it.
    pub stop: Arc<AtomicBool>,
    /// The clock by which live records are believed, and by which a recording says when they came.
    pub clock: Clock,
    /// The checkpoint from which the run goes on: [`Source::restore`] will be called with its place.
    pub resume: Option<Resumption>,
    /// Whether the run asks for its place in the input ([`Source::save`]): what lies ahead is looked at once, to be known again.
    pub keeps_place: bool,
    /// What happens where the input is not what it was at that checkpoint.
    pub changes: Changes,
    /// What the run writes: globs and folders do not take it for input.
    pub outputs: Arc<Outputs>,
    /// What whoever says something by itself, past the errors and the report, must not say.
    pub masks: Arc<Masks>,
}

/// What a run does that goes on where its input is not what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Changes {
    /// It says what has changed, and ends.
    #[default]
    Refused,
    /// It says what has changed, and goes on with what is there.
    Accepted,
    /// It ends whatever the user accepts: a first pass has learnt from all of the input, and what is written goes by that.
    Unacceptable,
}

/// What is known of an input from a checkpoint, before it is opened again.
#[derive(Clone, Debug)]
pub struct Resumption {
    /// What [`Source::save`] gave.
    pub place: Arc<[u8]>,
    /// Whether nothing is read any more: then the input need not be there.
    pub finishes: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            io: Io::Auto,
            chunk_size: 1 << 20,
            origins: false,
            shred: None,
            period: Period::default(),
            foresee: None,
            reads_all: false,
            record: None,
            speed: None,
            waits: false,
            stop: Arc::default(),
            clock: Clock::default(),
            resume: None,
            keeps_place: false,
            changes: Changes::Refused,
            outputs: Arc::default(),
            masks: Arc::default(),
        }
    }
}

/// What a source promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Traits {
    /// The input ends.
    pub is_bounded: bool,
    /// It can be read again from the start, with the same result.
    pub is_replayable: bool,
    /// Anybody may send, at any time: what one of them sends must not end the run.
    pub is_open: bool,
    /// What was read can be read again after a restart: it lies in files.
    pub is_kept: bool,
}

/// A source that can stand in a pipeline file, under a name: `inventory::submit! { Component::of::<Mine>("mine", "…") }`.
pub struct Component(pub(crate) Named<dyn SourceSpec>);

inventory::collect!(Component);

impl Component {
    /// `T` under `name`; `help` says in one line what it does.
    pub const fn of<T: Configure + SourceSpec>(name: &'static str, help: &'static str) -> Self {
        let make: fn(&mut Options<'_>) -> Option<Box<dyn SourceSpec>> =
            |options| Some(Box::new(T::configure(options)?));
        Self(Named { name, help, make, schemas: T::schemas })
    }
}

/// A source as written in a pipeline: immutable, checked, nothing opened yet.
pub trait SourceSpec: Send + Sync {
    /// The name it is registered under.
    fn name(&self) -> &str;

    /// Its options with their defaults, for `explain` and the report.
    fn parameters(&self) -> serde_json::Value;

    /// What it promises.
    fn traits(&self) -> Traits;

    /// The files that it will read, for people and for refusing to overwrite an input, in a run that writes `outputs`; empty for sources
    /// without files.
    fn files(&self, _outputs: &Outputs) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The same source, whose relative paths start from `base`; `None` for one that has no paths.
    fn with_base(&self, _base: &Base) -> Option<Arc<dyn SourceSpec>> {
        None
    }

    /// Who reads the times of its records; `None` for sources that make them.
    ///
    /// # Errors
    /// A configuration error: options that say how times are written, and make no sense.
    fn times(&self) -> Result<Option<TimeParser>> {
        Ok(None)
    }

    /// Whether it can go on where a checkpoint found it ([`Source::save`]). One that can be read again and cannot do that takes no
    /// part in a run that goes on after a restart.
    fn can_resume(&self) -> bool {
        false
    }

    /// Opens it at its start.
    ///
    /// # Errors
    /// What keeps the run from starting: a missing file, a missing column.
    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>>;
}

/// One step of a source.
#[derive(Debug)]
pub enum Input {
    /// Bytes, to be decoded by whoever has time.
    Chunk(Chunk),
    /// Records, from a source that decodes them itself; the lines of its rejections are final.
    Records(Decoded),
    /// Records that need not be read.
    Foreseen(Foreseen),
    /// Nothing has come for a while, though the input has not ended: ask again.
    Nothing,
}

impl From<Batch> for Input {
    fn from(batch: Batch) -> Self {
        Self::Records(Decoded { batch, rejections: Vec::new(), lines: 0 })
    }
}

/// How far a source has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read (of the file as it lies there), or records made.
    pub done: u64,
    /// How many there will be, where that is known.
    pub total: Option<u64>,
}

/// A source in use.
pub trait Source: Send {
    /// The columns of its records.
    fn schema(&self) -> &Arc<Schema>;

    /// The run is about to begin: takes what only one can have, such as the port that it listens at. It is opened without, because
    /// looking at a pipeline must disturb nobody.
    ///
    /// # Errors
    /// When it cannot be had; then nothing has been written yet.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// The next piece of the input; `None` at its end. Where the input may keep its reader waiting, it gives what is there, and
    /// [`Input::Nothing`] after a wait that a stop can bear. Sources of batches give ids to sensors from `sensors`; an id may mean another sensor
    /// in the next call, where sensors are given up.
    ///
    /// # Errors
    /// What ends the run. [`Source::next`] is not called after an error.
    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>>;

    /// The run leaves an input that has not ended: piece by piece, what has come in already and not been given out; then `None`. A record
    /// of which only a part has come is a rejection, unless the run `goes_on` later from [`Source::save`] and can read it again then.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn drain(&mut self, _goes_on: bool) -> Result<Option<Input>> {
        Ok(None)
    }

    /// Where the next piece begins.
    fn offset(&self) -> Offset;

    /// Goes to a place that [`Source::offset`] gave, in the same input.
    ///
    /// # Errors
    /// When the source cannot go back, or the input is not what it was.
    fn seek(&mut self, offset: Offset) -> Result<()>;

    /// Where it is, for a checkpoint, with what tells whether the input is still the same. `None` for an input that cannot be read
    /// again: what was read when the process died is gone then.
    ///
    /// # Errors
    /// When the input cannot be looked at.
    fn save(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Goes to the place that [`Source::save`] gave, in the same input.
    ///
    /// # Errors
    /// When the input is not what it was.
    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::internal("a source that saves nothing was to be restored"))
    }

    /// All that it gave before `position`, which [`Source::save`] gave, is durable with the checkpoint that closes `epoch`: whoever acknowledges what it
    /// has been sent does so now, or commits its offsets. Called by the thread that reads it, before a later [`Source::next`] and at the end, for
    /// the newest of several checkpoints only; after a kill, the run that goes on calls it for its next one.
    ///
    /// # Errors
    /// What ends the run.
    fn durable(&mut self, _epoch: u64, _position: &[u8]) -> Result<()> {
        Ok(())
    }

    /// When the piece given last came in, if it is live: a record that is far ahead of that is not believed
    /// (`max_ahead`). History is believed as it is: then `None`.
    fn received(&self) -> Option<Timestamp> {
        None
    }

    /// Of a recording of several sources: the place of the next piece among those of all of them. Others are read one after the other.
    ///
    /// # Errors
    /// When the recording cannot be read.
    fn arrival(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// What is worth knowing at the end: who has sent, who was sent away.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// What of the input could not be read, though the rest was: a damaged part of a recording. The run goes on to its end and publishes
    /// what it has, and then says that it is not all.
    fn missing(&self) -> Option<String> {
        None
    }

    /// How far it has come.
    fn progress(&self) -> Progress;

    /// How many bytes of files, as they lie there, it has read; 0 for sources of something else.
    fn bytes(&self) -> u64 {
        0
    }
}
