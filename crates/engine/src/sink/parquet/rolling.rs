//! Parquet files that roll.
//!
//! What a Parquet file has in memory until its end cannot be gone on with. So, where a run keeps checkpoints, all rows of the file in the making
//! are in a [log](crate::rows) beside it too, as streams of Arrow IPC, one a batch. A run that goes on throws the file away and makes it
//! again from those: the same rows give the same bytes, whatever batches they come in. When the file is complete and a checkpoint says so, the
//! log goes.

use std::ffi::{OsStr, OsString};
use std::io::Cursor;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Schema as ArrowSchema};

use super::Arrays;
use super::making::{Layout, Making};
use crate::atomic::RollingFiles;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::rows::{Place, RowLog, SavedRows};
use crate::sensor::Sensors;
use crate::sink::roll::Roll;
use crate::sink::{Block, Job, Outset, Prepare, Saved, Sink};
use crate::time::Timestamp;

/// A sink of Parquet files, one after the other.
pub(super) struct RollingParquet {
    files: RollingFiles,
    layout: Arc<Layout>,
    rows: Arc<Rows>,
    current: Option<Current>,
    /// Whether nothing more will come.
    is_over: bool,
}

/// The file in the making.
struct Current {
    making: Making,
    /// Its rows, in a run that keeps checkpoints.
    log: Option<RowLog>,
}

/// Makes of batches what the file and its log take.
struct Rows {
    arrays: Arrays,
    has_log: bool,
}

/// A batch on its way to the file.
struct Prepared {
    /// The time of its first record.
    first: Option<Timestamp>,
    records: RecordBatch,
    /// For the log, where there is one.
    rows: Vec<u8>,
}

impl RollingParquet {
    /// The files of a sink that begins as `outset` says; the one in the making is made again.
    ///
    /// # Errors
    /// As [`RollingFiles::open`]; a data error where its rows are not what they were.
    pub(super) fn open(layout: Layout, roll: &Roll, outset: &Outset) -> Result<Self> {
        let (mut files, kept) = roll.open(&layout.path, outset)?;
        let arrays = Arrays(Arc::clone(&layout.schema));
        let rows = Arc::new(Rows { arrays, has_log: files.has_checkpoints() });
        let place: Option<Place> = kept
            .map(|kept| postcard::from_bytes(&kept))
            .transpose()
            .map_err(|error| Error::data(format!("the checkpoint of {} is damaged: {error}", layout.path)))?;
        let kept: Vec<OsString> = place.as_ref().map(Place::names).unwrap_or_default();
        files.tidy(&kept.iter().map(OsString::as_os_str).collect::<Vec<&OsStr>>(), outset.resume.is_some());
        let mut sink = Self { files, layout: Arc::new(layout), rows, current: None, is_over: false };
        if let Some(place) = place {
            let log = RowLog::resume(&sink.files.begun_place()?, outset, place)?;
            sink.current = Some(sink.again(log)?);
        }
        Ok(sink)
    }

    /// Makes the file of these rows again, a frame at a time.
    fn again(&self, mut log: RowLog) -> Result<Current> {
        let mut making = Making::begin(&self.layout, self.files.begin_again()?)?;
        for rows in log.read(0)? {
            let (_, rows) = rows?;
            for records in records_of(&self.layout, &rows)? {
                making.add(records.map_err(|error| unreadable(&error))?)?.map_or(Ok(()), |job| job())?;
            }
        }
        Ok(Current { making, log: Some(log) })
    }

    /// The file for what comes next, whose first record has the time `first`.
    fn current(&mut self, first: Option<Timestamp>) -> Result<&mut Current> {
        if !self.files.has_checkpoints()
            && let Some(mut current) =
                self.current.take_if(|current| self.files.is_due(current.making.bytes()))
        {
            self.files.close_now(current.making.finish()?)?;
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => {
                let making = Making::begin(&self.layout, self.files.begin(first)?)?;
                let log = match self.files.has_checkpoints() {
                    true => Some(RowLog::new(&self.files.begun_place()?, self.files.outset())),
                    false => None,
                };
                Current { making, log }
            }
        };
        Ok(self.current.insert(current))
    }

    fn take(&mut self, Prepared { first, records, rows }: Prepared) -> Result<Option<Job>> {
        // Of a piece of the input whose records were all set aside, nothing is left.
        if records.num_rows() == 0 {
            return Ok(None);
        }
        let epoch = self.files.number();
        let current = self.current(first)?;
        current.log.as_mut().map_or(Ok(()), |log| log.append(epoch, &rows))?;
        current.making.add(records)
    }

    /// The file in the making is complete: what a checkpoint keeps of that, and the log, which is needed no more behind it.
    fn close(&mut self, epoch: u64, mut current: Current) -> Result<Option<Saved>> {
        let saved = current.making.finish()?.save()?;
        let saved = self.files.save(epoch, saved, true)?;
        Ok(saved.map(|Saved { state, outputs, settle, deliver }| {
            let forget = move || {
                // The file is complete, and a checkpoint says so. That the rows are gone is durable once the name is: both are in one folder.
                current.log.iter_mut().for_each(|log| log.forget(u64::MAX));
                deliver.map_or(Ok(()), |deliver| deliver())
            };
            Saved { state, outputs, settle, deliver: Some(Box::new(forget)) }
        }))
    }

    /// What a checkpoint keeps of the file in the making: its rows.
    fn keep(&mut self, epoch: u64) -> Result<Option<Saved>> {
        let log = self.current.as_mut().and_then(|current| current.log.as_mut());
        let saved = match log {
            None => None,
            Some(log) => {
                let SavedRows { place, outputs, settle } = log.save()?;
                let state = postcard::to_stdvec(&place).map_err(|error| {
                    Error::internal(format!("the place in an log cannot be saved: {error}"))
                })?;
                Some(Saved { state, outputs, settle, deliver: None })
            }
        };
        self.files.save(epoch, saved, false)
    }
}

impl Rows {
    fn prepared(&self, batch: &Batch, sensors: &Sensors) -> Result<Prepared> {
        let records = self.arrays.of(batch, sensors)?;
        let rows = match self.has_log && records.num_rows() > 0 {
            true => rows_of(&self.arrays.0, &records)
                .map_err(|error| Error::internal(format!("records cannot be written to the log: {error}")))?,
            false => Vec::new(),
        };
        Ok(Prepared { first: batch.times().and_then(|times| times.first().copied()), records, rows })
    }
}

impl Prepare for Rows {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(self.prepared(batch, sensors)?))
    }
}

impl Sink for RollingParquet {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let prepared = self.rows.prepared(batch, sensors)?;
        self.take(prepared)?.map_or(Ok(()), |job| job())
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.rows) as _)
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<Prepared>() {
            Ok(prepared) => self.take(*prepared),
            Err(_) => Err(Error::internal("a block that is no batch of arrays")),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.is_over = true;
        Ok(())
    }

    fn save(&mut self, epoch: u64) -> Result<Option<Saved>> {
        let is_due = |current: &mut Current| self.is_over || self.files.is_due(current.making.bytes());
        match self.current.take_if(is_due) {
            Some(current) => self.close(epoch, current),
            None => self.keep(epoch),
        }
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(self.files.remarks())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        if let Some(mut current) = self.current.take().filter(|_| !self.files.has_checkpoints()) {
            self.files.close_now(current.making.finish()?)?;
        }
        Ok(self.files.remarks())
    }
}

/// Records as a stream of Arrow IPC.
fn rows_of(schema: &ArrowSchema, records: &RecordBatch) -> std::result::Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    writer.write(records)?;
    writer.into_inner()
}

/// The records of such a stream.
fn records_of<'r>(layout: &Layout, rows: &'r [u8]) -> Result<StreamReader<Cursor<&'r [u8]>>> {
    let reader = StreamReader::try_new(Cursor::new(rows), None).map_err(|error| unreadable(&error))?;
    match reader.schema() == layout.schema {
        true => Ok(reader),
        false => Err(Error::config(format!("the file for {} was begun with other columns", layout.path))
            .with_help("undo what changed the columns, or give the sink another `path`")),
    }
}

fn unreadable(error: &ArrowError) -> Error {
    Error::data(format!("the rows of a file in the making cannot be read: {error}"))
}
