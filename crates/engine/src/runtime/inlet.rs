//! A source of a run, every call of which is guarded: a panic in it becomes an error that names it.

use std::sync::Arc;

use super::durable::Durable;
use crate::batch::Schema;
use crate::error::guard::{asked, caught};
use crate::error::{Error, Part, Result};
use crate::pipeline::Pipeline;
use crate::pipeline::sources::source_label;
use crate::sensor::SensorIds;
use crate::source::{Input, OpenOptions, Progress, Recorder, Source};
use crate::time::Timestamp;

/// A source in use.
pub(crate) struct Inlet {
    label: String,
    /// Which source of the pipeline it is.
    at: usize,
    source: Box<dyn Source>,
    /// What is believed of the times of what was received, in nanoseconds ahead of then.
    max_ahead: i64,
    /// Keeps what it gives, beside those of other sources.
    recorder: Option<Recorder>,
    /// Says how far it is durable, where there are checkpoints.
    durable: Option<Arc<Durable>>,
    /// The last epoch that it was told is.
    told: u64,
}

/// A piece of the input, and what its source says of it.
pub(crate) struct Arrived {
    pub(crate) input: Input,
    /// Which source gave it.
    pub(crate) source: usize,
    /// The latest time that is believed of its records, where it was received live.
    pub(crate) latest: Option<Timestamp>,
    pub(crate) progress: Progress,
}

impl Inlet {
    /// Opens source `at` of `pipeline`.
    pub(crate) fn open(pipeline: &Pipeline, at: usize, options: &OpenOptions) -> Result<Self> {
        let entry = &pipeline.sources[at];
        let label = asked("source", || source_label(pipeline, at))?;
        let in_part = |error: Error| error.with_part(Part::Source(at));
        let source = caught(&label, || entry.spec.open(options)).map_err(in_part)?;
        let max_ahead = entry.input.max_ahead().map_err(in_part)?;
        let recorder = options.record.clone();
        if recorder.as_ref().is_some_and(|recorder| !recorder.is_taken()) {
            return Err(in_part(
                Error::config(format!("the {label} cannot be recorded")).with_help(
                    "text is, from files, pipes and sockets; what else there is can be read again",
                ),
            ));
        }
        Ok(Self { label, at, source, max_ahead, recorder, durable: None, told: 0 })
    }

    /// Which source of the pipeline it is.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The columns of its records.
    pub(crate) fn schema(&self) -> Result<Arc<Schema>> {
        asked(&self.label, || Arc::clone(self.source.schema()))
    }

    /// As [`Source::begin`].
    pub(crate) fn begin(&mut self) -> Result<()> {
        caught(&self.label, || self.source.begin()).map_err(|error| error.with_part(Part::Source(self.at)))
    }

    /// As [`Source::next`].
    pub(crate) fn next(&mut self, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        self.arrived(|source| source.next(ids))
    }

    /// As [`Source::drain`].
    pub(crate) fn drain(&mut self, goes_on: bool) -> Result<Option<Arrived>> {
        self.arrived(|source| source.drain(goes_on))
    }

    fn arrived(
        &mut self,
        give: impl FnOnce(&mut dyn Source) -> Result<Option<Input>>,
    ) -> Result<Option<Arrived>> {
        self.acknowledge()?;
        let Self { label, at, source, max_ahead, .. } = self;
        caught(label, || {
            let input = give(&mut **source)?;
            let latest = || source.received().map(|received| received.saturating_add(*max_ahead));
            let arrived =
                |input| Arrived { input, source: *at, latest: latest(), progress: source.progress() };
            Ok(input.map(arrived))
        })
    }

    /// From now on it is told what is durable.
    pub(crate) fn acknowledge_by(&mut self, durable: &Arc<Durable>) {
        self.durable = Some(Arc::clone(durable));
    }

    /// Tells the source what is durable, if more is than it was told.
    pub(crate) fn acknowledge(&mut self) -> Result<()> {
        let Self { label, at, source, durable, told, .. } = self;
        let newer = durable.as_ref().and_then(|durable| durable.newer_than(*told, *at));
        let Some((epoch, position)) = newer else { return Ok(()) };
        *told = epoch;
        let Some(position) = position else { return Ok(()) };
        caught(label, || source.durable(epoch, &position)).map_err(|error| error.with_part(Part::Source(*at)))
    }

    /// As [`Source::arrival`].
    pub(crate) fn arrival(&mut self) -> Result<Option<u64>> {
        let Self { label, source, .. } = self;
        caught(label, || source.arrival())
    }

    /// From now on, what it gives is recorded only when it is [taken on](Inlet::accept).
    pub(crate) fn hold(&self) {
        self.recorder.iter().for_each(Recorder::hold);
    }

    /// The piece that it gave last is taken on, as the one with this ordinal among those of all sources.
    pub(crate) fn accept(&self, arrival: u64) -> Result<()> {
        self.recorder.as_ref().map_or(Ok(()), |recorder| recorder.accept(arrival))
    }

    /// Nobody has room for the piece that it gave last.
    pub(crate) fn drop_piece(&self) {
        self.recorder.iter().for_each(Recorder::drop_held);
    }

    /// The ordinal behind those of its pieces that have been recorded, among those of all sources.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorder.as_ref().map_or(0, Recorder::next)
    }

    /// As [`Source::progress`].
    pub(crate) fn progress(&self) -> Result<Progress> {
        asked(&self.label, || self.source.progress())
    }

    /// As [`Source::save`].
    pub(crate) fn save(&self) -> Result<Option<Vec<u8>>> {
        caught(&self.label, || self.source.save())
    }

    /// As [`Source::restore`].
    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<()> {
        caught(&self.label, || self.source.restore(state))
    }

    /// As [`Source::remarks`].
    pub(crate) fn remarks(&self) -> Result<Vec<String>> {
        asked(&self.label, || self.source.remarks())
    }

    /// As [`Source::missing`].
    pub(crate) fn missing(&self) -> Result<Option<String>> {
        asked(&self.label, || self.source.missing())
    }

    /// As [`Source::bytes`].
    pub(crate) fn bytes(&self) -> Result<u64> {
        asked(&self.label, || self.source.bytes())
    }
}
