//! One source of a run. Every call is guarded: a panic becomes an error that names the source.

use std::sync::Arc;

use super::durable::Durable;
use crate::batch::Schema;
use crate::error::guard::{asked, caught};
use crate::error::{Error, PartIndex, Result};
use crate::meter::SourceMeter;
use crate::pipeline::Pipeline;
use crate::pipeline::sources::source_label;
use crate::sensor::SensorIds;
use crate::source::{Input, OpenOptions, Progress, Recorder, Source};
use crate::time::Timestamp;

/// A running source.
pub(crate) struct Inlet {
    label: String,
    /// Its index in the pipeline.
    at: usize,
    source: Box<dyn Source>,
    /// What it reports.
    meter: SourceMeter,
    /// Maximum time of a record ahead of its arrival, in nanoseconds.
    max_ahead: i64,
    /// Records its input, among several sources.
    recorder: Option<Recorder>,
    /// The durable positions, if there are checkpoints.
    durable: Option<Arc<Durable>>,
    /// The last epoch that the source was told is durable.
    told: u64,
}

/// A piece of the input: of one source, or of several that are merged by time.
pub(crate) struct Arrived {
    /// At least one. Where there are more, each has decoded records, the triggers of which are their places among those of all
    /// ([`Trigger::merged`](crate::offset::Trigger::merged)).
    pub(crate) shares: Vec<Share>,
    pub(crate) progress: Progress,
}

/// The share that one source has in a piece, and what it says of that.
pub(crate) struct Share {
    pub(crate) source: usize,
    pub(crate) input: Input,
    /// The latest time that is believed of its records, where it was received live.
    pub(crate) latest: Option<Timestamp>,
}

impl Arrived {
    /// The first source that has a share.
    pub(crate) fn source(&self) -> usize {
        self.shares.first().map_or(0, |share| share.source)
    }

    /// Whether no source had anything.
    pub(crate) fn is_nothing(&self) -> bool {
        self.shares.iter().all(|share| matches!(share.input, Input::Nothing))
    }
}

impl Inlet {
    /// Opens source `at` of `pipeline`.
    pub(crate) fn open(pipeline: &Pipeline, at: usize, options: &OpenOptions) -> Result<Self> {
        let entry = &pipeline.sources[at];
        let label = asked("source", || source_label(pipeline, at))?;
        let in_part = |error: Error| error.with_part(PartIndex::Source(at));
        let meter = SourceMeter::new(&label, &options.masks);
        let options = &OpenOptions { meter: meter.clone(), ..options.clone() };
        let source = caught(&label, || entry.spec.open(options)).map_err(in_part)?;
        let max_ahead = entry.input.max_ahead().map_err(in_part)?;
        let recorder = options.record.clone();
        if recorder.as_ref().is_some_and(|recorder| !recorder.is_taken()) {
            return Err(in_part(Error::config(format!("the {label} cannot be recorded")).with_help(
                "only text from files, pipes and sockets can be recorded; other input can be read again",
            )));
        }
        Ok(Self { label, at, source, meter, max_ahead, recorder, durable: None, told: 0 })
    }

    /// Its index in the pipeline.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What it reports while it runs.
    pub(crate) fn meter(&self) -> &SourceMeter {
        &self.meter
    }

    /// The columns of its records.
    pub(crate) fn schema(&self) -> Result<Arc<Schema>> {
        asked(&self.label, || Arc::clone(self.source.schema()))
    }

    /// As [`Source::begin`].
    pub(crate) fn begin(&mut self) -> Result<()> {
        caught(&self.label, || self.source.begin())
            .map_err(|error| error.with_part(PartIndex::Source(self.at)))
    }

    /// As [`Source::next`].
    pub(crate) fn next(&mut self, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        self.arrived(|source| source.next(ids))
    }

    /// As [`Source::drain`].
    pub(crate) fn drain(&mut self, can_resume: bool, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        self.arrived(|source| source.drain(can_resume, ids))
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
            let arrived = |input| {
                let share = Share { source: *at, input, latest: latest() };
                Arrived { shares: vec![share], progress: source.progress() }
            };
            Ok(input.map(arrived))
        })
    }

    /// From now on the source is told which positions are durable.
    pub(crate) fn acknowledge_by(&mut self, durable: &Arc<Durable>) {
        self.durable = Some(Arc::clone(durable));
    }

    /// Tells the source its durable position, if it is newer than the last one.
    pub(crate) fn acknowledge(&mut self) -> Result<()> {
        let Self { label, at, source, durable, told, .. } = self;
        let newer = durable.as_ref().and_then(|durable| durable.newer_than(*told, *at));
        let Some((epoch, position)) = newer else { return Ok(()) };
        *told = epoch;
        let Some(position) = position else { return Ok(()) };
        caught(label, || source.durable(epoch, &position))
            .map_err(|error| error.with_part(PartIndex::Source(*at)))
    }

    /// As [`Source::arrival`].
    pub(crate) fn arrival(&mut self) -> Result<Option<u64>> {
        let Self { label, source, .. } = self;
        caught(label, || source.arrival())
    }

    /// As [`Source::waiting`]; a source that panics knows nothing.
    pub(crate) fn waiting(&self) -> Option<u64> {
        asked(&self.label, || self.source.waiting()).ok().flatten()
    }

    /// From now on, its pieces are recorded only when they are [accepted](Inlet::accept).
    pub(crate) fn hold(&self) {
        self.recorder.iter().for_each(Recorder::hold);
    }

    /// Accepts the last piece, with this ordinal among those of all sources.
    pub(crate) fn accept(&self, arrival: u64) -> Result<()> {
        self.recorder.as_ref().map_or(Ok(()), |recorder| recorder.accept(arrival))
    }

    /// Drops the last piece, for which there was no room.
    pub(crate) fn drop_piece(&self) {
        self.recorder.iter().for_each(Recorder::drop_held);
    }

    /// The ordinal after its last recorded piece, among those of all sources.
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
