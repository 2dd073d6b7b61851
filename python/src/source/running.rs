//! The running source, as the engine reads it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_array::RecordBatch;
use tidemill::arrow::Decoder;
use tidemill::batch::Schema;
use tidemill::sensor::SensorLookup;
use tidemill::source::{Input, Offset, OpenOptions, Progress, Source};
use tidemill::{Error, Result};

use crate::saved::Snapshot;
use crate::source::place::Place;
use crate::source::shared::Taken;
use crate::source::{Declared, Opened, Resumes, with_defaults};

/// Records of a batch of Arrow's that go through the pipeline at once.
const BATCH: usize = 65_536;

pub(super) struct Running {
    declared: Arc<Declared>,
    decoder: Decoder,
    stop: Arc<AtomicBool>,
    /// `None` where it goes on at `place`, and has not been read yet.
    opened: Option<Opened>,
    /// Where the run began to read it.
    place: Place,
    /// How far the records go that were read since.
    position: Option<Snapshot>,
    /// Records that had been read before, and are passed over.
    skip: u64,
    /// What is left of a batch that goes through the pipeline in parts.
    left: Option<RecordBatch>,
    records: u64,
    origins: bool,
    is_read: bool,
    is_done: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        match self.is_read {
            true => opened.shared.0.finish(),
            // It was opened to look at its columns.
            false => *self.declared.looked.lock() = Some(opened),
        }
    }
}

impl Running {
    /// One that begins.
    pub(super) fn new(declared: Arc<Declared>, opened: Opened, options: &OpenOptions) -> Result<Self> {
        let place = Place { records: 0, schema: Arc::clone(&opened.schema), position: None };
        let mut running = Self::resuming(declared, place, options)?;
        running.opened = Some(opened);
        Ok(running)
    }

    /// One that goes on at `place`.
    pub(super) fn resuming(declared: Arc<Declared>, place: Place, options: &OpenOptions) -> Result<Self> {
        let columns = with_defaults(&declared.columns, &place.schema);
        let decoder = Decoder::new(&*declared.object.label, &columns, &place.schema)?;
        let skip = if declared.resumes == Resumes::ByCount { place.records } else { 0 };
        let records = place.records - skip;
        Ok(Self {
            declared,
            decoder,
            stop: Arc::clone(&options.stop),
            opened: None,
            place,
            position: None,
            skip,
            left: None,
            records,
            origins: options.origins,
            is_read: false,
            is_done: false,
        })
    }

    /// The next record batch, cut to size.
    fn taken(&mut self) -> Result<Option<RecordBatch>> {
        let batch = match self.left.take() {
            Some(batch) => batch,
            None => match self.given()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        // A position is behind all records of a batch.
        if batch.num_rows() > BATCH && self.declared.resumes != Resumes::AtPosition {
            self.left = Some(batch.slice(BATCH, batch.num_rows() - BATCH));
            return Ok(Some(batch.slice(0, BATCH)));
        }
        Ok(Some(batch))
    }

    /// What the object has given next; `None` if it has given nothing yet, or all.
    fn given(&mut self) -> Result<Option<RecordBatch>> {
        self.is_read = true;
        if self.opened.is_none() {
            self.opened = Some(self.declared.opened(&self.stop, true, Some(&self.place))?);
        }
        let Some(opened) = &self.opened else { return Ok(None) };
        match opened.shared.0.take()? {
            Taken::Given(given) => {
                self.position = given.position;
                let read = self.skip.min(given.records.num_rows() as u64) as usize;
                self.skip -= read as u64;
                self.records += read as u64;
                let left = given.records.num_rows() - read;
                Ok((read == 0 || left > 0).then(|| given.records.slice(read, left)))
            }
            Taken::Nothing => Ok(None),
            Taken::Over if self.skip > 0 => Err(Error::data(format!(
                "`{}` has {} records, fewer than when the checkpoint was made",
                self.declared.object.label, self.records
            ))
            .with_help("give it the same records, or use another state folder")),
            Taken::Over => {
                self.is_done = true;
                Ok(None)
            }
        }
    }

    fn decoded(&mut self, records: &RecordBatch, sensors: &mut dyn SensorLookup) -> Result<Input> {
        let decoded = self.decoder.decode(records, self.records, self.origins, sensors)?;
        self.records += records.num_rows() as u64;
        Ok(Input::Records(decoded))
    }

    /// The position after the records that were read.
    fn reached(&self) -> Result<Option<Vec<u8>>> {
        let Some(position) = &self.position else { return Ok(self.place.position.clone()) };
        position
            .encoded()
            .map(Some)
            .map_err(|error| pyo3::Python::attach(|py| self.declared.object.failed(py, error)))
    }
}

impl Source for Running {
    fn schema(&self) -> &Arc<Schema> {
        self.decoder.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let Some(records) = self.taken()? else {
            return Ok((!self.is_done).then_some(Input::Nothing));
        };
        self.decoded(&records, sensors).map(Some)
    }

    /// What the object has given is read again after a restart, or else now.
    fn drain(&mut self, can_resume: bool, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let Some(opened) = &self.opened else { return Ok(None) };
        opened.shared.0.close();
        if can_resume && matches!(self.declared.resumes, Resumes::AtPosition | Resumes::ByCount) {
            return Ok(None);
        }
        let batch = match self.left.take() {
            Some(batch) => Some(batch),
            None => opened.shared.0.rest()?.map(|given| given.records),
        };
        batch.map(|records| self.decoded(&records, sensors)).transpose()
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.records, line: 0 }
    }

    fn seek(&mut self, _offset: Offset) -> Result<()> {
        Err(Error::internal("a source in Python cannot move"))
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        let position = match self.declared.resumes {
            Resumes::AtPosition => self.reached()?,
            Resumes::ByCount => None,
            Resumes::WithLoss | Resumes::Unknown => return Ok(None),
        };
        let schema = Arc::clone(&self.place.schema);
        Place { records: self.records + self.skip, schema, position }.encode().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let place = Place::decode(state)?;
        if place.schema != self.place.schema {
            return Err(Error::data(format!(
                "`{}` has other columns than when the checkpoint was made",
                self.declared.object.label
            ))
            .with_help("give it the same columns, or use another state folder"));
        }
        // What was opened is at its beginning.
        self.opened = None;
        let skip = if self.declared.resumes == Resumes::ByCount { place.records } else { 0 };
        (self.records, self.skip, self.place) = (place.records - skip, skip, place);
        Ok(())
    }

    fn durable(&mut self, _epoch: u64, position: &[u8]) -> Result<()> {
        let (Some(opened), true) = (&self.opened, self.declared.is_told) else { return Ok(()) };
        match Place::decode(position)?.position {
            Some(position) => opened.shared.0.tell(position),
            None => Ok(()),
        }
    }

    fn remarks(&self) -> Vec<String> {
        self.decoder.remarks()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.records, total: None }
    }
}
