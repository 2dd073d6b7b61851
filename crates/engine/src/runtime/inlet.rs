//! The source of a run, every call of which is guarded: a panic in it becomes an error that names it.

use std::sync::Arc;

use crate::batch::Schema;
use crate::error::guard::{asked, caught};
use crate::error::{Part, Result};
use crate::sensor::SensorIds;
use crate::source::{Input, OpenOptions, Progress, Source, SourceSpec};
use crate::time::Timestamp;

/// A source in use.
pub(crate) struct Inlet {
    label: String,
    source: Box<dyn Source>,
}

/// A piece of the input, and what the source says of it.
pub(crate) struct Arrived {
    pub(crate) input: Input,
    /// When it came in, if it is live.
    pub(crate) received: Option<Timestamp>,
    pub(crate) progress: Progress,
}

impl Inlet {
    /// Opens the source that `spec` describes.
    pub(crate) fn open(spec: &dyn SourceSpec, options: &OpenOptions) -> Result<Self> {
        let label = format!("source ({})", asked("source", || spec.name().to_owned())?);
        let source = caught(&label, || spec.open(options)).map_err(|error| error.with_part(Part::Source))?;
        Ok(Self { label, source })
    }

    /// The columns of its records.
    pub(crate) fn schema(&self) -> Result<Arc<Schema>> {
        asked(&self.label, || Arc::clone(self.source.schema()))
    }

    /// As [`Source::begin`].
    pub(crate) fn begin(&mut self) -> Result<()> {
        caught(&self.label, || self.source.begin()).map_err(|error| error.with_part(Part::Source))
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
        let source = &mut *self.source;
        caught(&self.label, || {
            let input = give(source)?;
            let arrived = |input| Arrived { input, received: source.received(), progress: source.progress() };
            Ok(input.map(arrived))
        })
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
