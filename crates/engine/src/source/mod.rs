//! Sources: where records come from. One file per kind of source.
//!
//! A [`SourceSpec`] describes a source as the pipeline declares it; [`SourceSpec::open`] makes the running [`Source`].
//!
//! Call order: [`SourceSpec::open`] → [`Source::begin`] (in an unbounded run) → [`Source::restore`] (when resuming) →
//! { [`Source::next`] | [`Source::save`] | [`Source::durable`] }… → [`Source::drain`] (when an unbounded run is stopped).
//! [`Source::next`] returns `None` at the end of the input. One thread at a time makes these calls, not always the same one. A source is not
//! called again after an error.

mod csv;
mod deferred;
mod file;
mod foresee;
mod influx;
mod jsonl;
mod parquet;
#[cfg(feature = "polars")]
mod polars;
mod sockets;
mod stream;
mod synthetic;
mod text;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::atomic::Outputs;
use crate::batch::{Batch, Schema};
use crate::cuts::CutRequest;
use crate::error::{Error, Masks, Result};
use crate::files::Base;
use crate::format::{Chunk, Decoded};
use crate::meter::SourceMeter;
use crate::offset::Offset;
use crate::options::{Configure, Named, Options};
use crate::probe::Probe;
use crate::sensor::SensorLookup;
use crate::time::{Clock, Period, TimeParser, Timestamp};

pub use csv::{Csv, Tsv};
pub use deferred::Deferred;
pub use file::{
    FileOptions, FileSource, InputFile, Member, OneOrMany, Recorder, beginning, is_recording,
    packed_extensions,
};
pub use file::{MappedFile, is_local};
pub use foresee::{Foresee, Foreseen};
pub use influx::Influx;

/// The position in `state` (from [`Source::save`]), as text for people; `None` if the source does not read files.
pub fn place(state: &[u8]) -> Option<String> {
    file::place(state)
}
pub use jsonl::JsonLines;
pub use parquet::{Parquet, sample as parquet_sample};
#[cfg(feature = "polars")]
pub use polars::Frame;
pub use sockets::Address;
pub(crate) use sockets::exclude;
pub use synthetic::{Quantity, Shape, Synthetic};

/// How files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Io {
    /// Memory-map where that is safe (regular, local, uncompressed files), otherwise read.
    #[default]
    Auto,
    /// Memory-map; an error where that is not possible.
    Mmap,
    /// Read into buffers.
    Read,
}

/// How a run opens its sources.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How files are read.
    pub io: Io,
    /// Target size of a chunk in bytes; a longer record makes a longer chunk.
    pub chunk_size: usize,
    /// Whether batches must carry the origin of each record ([`Batch::origins`]).
    pub origins: bool,
    /// Seed for reading plain files as if they were live input, in pieces of random sizes. For `verify`: the output must not depend on it.
    pub shred: Option<u64>,
    /// The requested range of event times; records outside it count as filtered. A source may ignore it.
    pub period: Period,
    /// Predicts what happens to records before they are read, so that the source can skip them. A source may ignore it.
    pub foresee: Option<Foresee>,
    /// Whether to read records even if it is known that a stage filters them.
    pub reads_all: bool,
    /// Records the raw input, so that it can be replayed.
    pub record: Option<Recorder>,
    /// Replay speed of a recording, as a multiple of the original speed; `None`: as fast as possible.
    pub speed: Option<f64>,
    /// Whether to wait until growing files contain enough to determine their columns. True in a run, false when a pipeline is only
    /// inspected.
    pub waits: bool,
    /// Set when the run is to stop. Every wait for input must check it.
    pub stop: Arc<AtomicBool>,
    /// A source of live input that [ticks](SourceSpec::ticks) gives a batch without records when nothing has come for so long, [received](Batch::received) then.
    pub ticks: Option<Duration>,
    /// The clock for `max_ahead` and for arrival times in recordings.
    pub clock: Clock,
    /// The checkpoint to resume from: [`Source::restore`] will be called with its position.
    pub resume: Option<Resumption>,
    /// Whether the run will call [`Source::save`]: the source then fingerprints its input when it opens it.
    pub keeps_place: bool,
    /// What to do if the input has changed since that checkpoint.
    pub changes: Changes,
    /// Files that the run writes: globs and folders do not match them.
    pub outputs: Arc<Outputs>,
    /// Requests a checkpoint before the next one is due, for a source that receives no more until earlier records are durable.
    pub cuts: CutRequest,
    /// Reports whether the source is connected, and what it counts, while it runs.
    pub meter: SourceMeter,
    /// Secrets to mask in anything that the source prints itself, other than errors and the report.
    pub masks: Arc<Masks>,
    /// Rejected records that somebody has repaired (`tidemill retry`), each as its dead letter has it: a source that [reads them](Source::reads_letters) gives these, and
    /// asks nobody for others.
    pub letters: Option<Arc<[Vec<u8>]>>,
}

impl OpenOptions {
    /// Records a batch of sources that have columns: fewer where chunks are to be small.
    fn batch_rows(&self) -> usize {
        const MOST: usize = 16_384;
        MOST.min(self.chunk_size / 16).max(1)
    }
}

/// What a resuming run does if its input has changed since the checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changes {
    /// Report the change and end the run.
    #[default]
    Refused,
    /// Report the change and resume with the input as it is now.
    Accepted,
    /// End the run whatever the user accepts: a first pass was fitted to the whole input, and the output depends on the fit.
    Unacceptable,
}

/// What a checkpoint says about an input, available before the input is opened again.
#[derive(Clone, Debug)]
pub struct Resumption {
    /// The state returned by [`Source::save`].
    pub place: Arc<[u8]>,
    /// Whether the input was read to its end: then it need not exist any more.
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
            ticks: None,
            clock: Clock::default(),
            resume: None,
            keeps_place: false,
            changes: Changes::Refused,
            outputs: Arc::default(),
            cuts: CutRequest::default(),
            meter: SourceMeter::default(),
            masks: Arc::default(),
            letters: None,
        }
    }
}

/// The guarantees of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Traits {
    /// The input ends.
    pub is_bounded: bool,
    /// It can be read again from the start, with the same result.
    pub is_replayable: bool,
    /// Anyone may send to it at any time, so bad data from one sender must not end the run.
    pub is_open: bool,
    /// What becomes of input that was read and is in no checkpoint when the process is killed.
    pub recovery: Recovery,
}

/// What becomes of input that was read and is in no checkpoint when the process is killed. From the worst to the best, so that the minimum is that of
/// several sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
// Exhaustive: it is gone, comes again perhaps with more, or comes again from an exact position.
pub enum Recovery {
    /// It is lost: nobody has it any more (standard input, sockets). Output is at most once.
    Lost,
    /// Its sender sends again everything that was not acknowledged ([`Source::durable`]), and may repeat what was (MQTT, HTTP): output is at least once.
    Redelivered,
    /// It is read again from the position in the checkpoint ([`Source::save`], [`Source::restore`]), and nothing before that (files, the log of a broker):
    /// output is exactly once.
    Replayed,
}

/// A source that pipeline files can name in `type`: `inventory::submit! { Component::of::<Mine>("mine", "…") }`.
pub struct Component(pub(crate) Named<dyn SourceSpec>);

inventory::collect!(Component);

impl Component {
    /// Registers `T` under `name`; `help` describes it in one line.
    pub const fn of<T: Configure + SourceSpec>(name: &'static str, help: &'static str) -> Self {
        let make: fn(&mut Options<'_>) -> Option<Box<dyn SourceSpec>> =
            |options| Some(Box::new(T::configure(options)?));
        Self(Named { name, help, make, schemas: T::schemas })
    }
}

/// A source as declared in a pipeline: immutable and checked; nothing is opened yet. Shared between threads.
pub trait SourceSpec: Send + Sync {
    /// The name under which it is registered.
    fn name(&self) -> &str;

    /// Its options, including defaults, for `explain` and the report.
    fn parameters(&self) -> serde_json::Value;

    /// Its guarantees.
    fn traits(&self) -> Traits;

    /// Why records may be lost before it, besides what its [`Recovery`] says: a clause for each reason, such as "with `qos = 0` the broker does not send again". With a reason,
    /// the pipeline's guarantee is at best at most once.
    fn losses(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Why records may be read again, besides what its [`Recovery`] says: a clause for each reason. With a reason, the pipeline's guarantee is at best at least once.
    fn repeats(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The files that it will read in a run that writes `outputs`: for display, and to refuse a run that would overwrite its own input.
    /// Empty for sources without files.
    fn files(&self, _outputs: &Outputs) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What it reads that no other source of the same run can read: standard input (`-`), a named pipe, an address that it listens at.
    fn exclusive(&self) -> Vec<String> {
        Vec::new()
    }

    /// The same source, whose relative paths start from `base`; `None` for one that has no paths.
    fn with_base(&self, _base: &Base) -> Option<Arc<dyn SourceSpec>> {
        None
    }

    /// The parser for the times of its records; `None` for sources that generate times.
    ///
    /// # Errors
    /// A configuration error if the options that describe the time format contradict one another.
    fn times(&self) -> Result<Option<TimeParser>> {
        Ok(None)
    }

    /// What stands in `file`, one of its inputs as messages name it, before the first record: so that rejected records can be read again by themselves, after it
    /// (`tidemill retry`). `None` if it does not read text.
    ///
    /// # Errors
    /// If a header is needed, and the file does not exist any more; if records cannot be read without the rest of their file.
    fn header(&self, _file: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Whether it supports [`Source::save`] and [`Source::restore`]. A replayable source that does not cannot be used in a run with
    /// checkpoints.
    fn can_resume(&self) -> bool {
        false
    }

    /// Checks that it can take part in a run with checkpoints, in addition to what its [`SourceSpec::traits`] say.
    ///
    /// # Errors
    /// A configuration error if it cannot.
    fn check_resumable(&self) -> Result<()> {
        Ok(())
    }

    /// Whether its batches say when they were received, and it gives [ticks](OpenOptions::ticks), or was recorded with both.
    fn ticks(&self) -> bool {
        false
    }

    /// Looks whether its endpoint could be used now, step by step: a name resolved, a connection, TLS, a login, the permission to read, the topic or table. Receives no
    /// records, and takes nothing from others. A source of files does nothing: opening it shows the same.
    fn probe(&self, _probe: &mut Probe) {}

    /// Opens the source at its start, without acquiring exclusive resources (see [`Source::begin`]).
    ///
    /// # Errors
    /// Anything that prevents the run from starting: a missing file, a missing column.
    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>>;
}

/// One item of input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// Undecoded bytes; any worker decodes them.
    Chunk(Chunk),
    /// Decoded records, from a source that decodes them itself; the line numbers of its rejections are final.
    Records(Decoded),
    /// Records that any worker decodes, from a source that has columns.
    Deferred(Deferred),
    /// Records that need not be read, because their fate is known.
    Foreseen(Foreseen),
    /// No input arrived within a short wait, but the input has not ended: call again.
    Nothing,
}

impl From<Batch> for Input {
    fn from(batch: Batch) -> Self {
        Self::Records(Decoded { batch, rejections: Vec::new(), lines: 0 })
    }
}

/// The progress of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read (as stored, before decompression), or records generated.
    pub done: u64,
    /// The total in the same unit, where it is known.
    pub total: Option<u64>,
}

/// A running source. See the [module](self) for the order of calls.
pub trait Source: Send {
    /// The columns of its records.
    fn schema(&self) -> &Arc<Schema>;

    /// Acquires exclusive resources, such as a listening port, when the run begins. [`SourceSpec::open`] must not, since inspecting a
    /// pipeline must not affect others.
    ///
    /// # Errors
    /// If the resource is not available. Nothing has been written yet.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// Returns the next item of input; `None` at its end. If input may be slow to arrive, it returns what is there, or [`Input::Nothing`]
    /// after a wait short enough not to delay a stop. Sources of batches get sensor ids from `sensors`; when sensors are given up, an id may
    /// refer to another sensor in the next call.
    ///
    /// # Errors
    /// Any error ends the run; the source is not called again.
    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>>;

    /// Called when a run stops before the end of the input: returns, item by item, input that was received but not returned yet; then
    /// `None`. An incomplete record is rejected, unless the run can resume from [`Source::save`] (`can_resume`) and read it again.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn drain(&mut self, _can_resume: bool, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        Ok(None)
    }

    /// The offset of the next item.
    fn offset(&self) -> Offset;

    /// Moves to an offset returned by [`Source::offset`] for the same input.
    ///
    /// # Errors
    /// If the source cannot move back, or the input has changed.
    fn seek(&mut self, offset: Offset) -> Result<()>;

    /// The position for a checkpoint, with a fingerprint of the input. `None` if the input cannot be read again: what was read is lost if
    /// the process is killed.
    ///
    /// # Errors
    /// If the input cannot be inspected.
    fn save(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Moves to the position returned by [`Source::save`] for the same input.
    ///
    /// # Errors
    /// If the input has changed.
    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::internal("cannot restore a source that saves no position"))
    }

    /// Everything that the source returned before `position` (from [`Source::save`]) is durable with the checkpoint that closes `epoch`:
    /// acknowledge messages or commit offsets now. Called on the reading thread, before a later [`Source::next`] and at the end of the run,
    /// only for the newest of several checkpoints. A run that is killed before this call makes it up at the next checkpoint after it
    /// resumes. A source that waits for this call requests a cut ([`OpenOptions::cuts`]) and returns [`Input::Nothing`] until then.
    ///
    /// # Errors
    /// Any error ends the run.
    fn durable(&mut self, _epoch: u64, _position: &[u8]) -> Result<()> {
        Ok(())
    }

    /// When the last item arrived, if the input is live: records further ahead of that than `max_ahead` are rejected. `None` for historical
    /// input, which is not checked.
    fn received(&self) -> Option<Timestamp> {
        None
    }

    /// In a recording of several sources: the ordinal of the next item among the items of all sources. `None` for sources that are read one
    /// after the other.
    ///
    /// # Errors
    /// If the recording cannot be read.
    fn arrival(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Remarks for the end of the run, such as the number of senders and refused connections.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Input that could not be read while the rest could, such as a damaged part of a recording. The run continues to its end, publishes
    /// its output, and then fails with this message.
    fn missing(&self) -> Option<String> {
        None
    }

    /// The progress so far.
    fn progress(&self) -> Progress;

    /// The number of messages that wait at its origin, such as those of a broker behind the position of the source; `None` where it is not known. Called after each
    /// [`Source::next`] of live input if somebody wants to see it: it returns what is known, and asks nobody.
    fn waiting(&self) -> Option<u64> {
        None
    }

    /// Whether it gives the [letters](OpenOptions::letters) that it was opened with. A source of text files does not: it reads files with repaired records.
    fn reads_letters(&self) -> bool {
        false
    }

    /// Bytes read from files, as stored; 0 for sources without files.
    fn bytes(&self) -> u64 {
        0
    }
}
