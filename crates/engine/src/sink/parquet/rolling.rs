//! Parquet files that roll.
//!
//! What a Parquet file has in memory until its end cannot be resumed. With checkpoints, all rows of the unfinished file are therefore also kept in a
//! [log](crate::rows) in the state folder, as streams of Arrow IPC, one per batch. A resumed run discards the file and rebuilds it from the log: the same rows
//! give the same bytes, however they are divided into batches. The rows are removed once the file is complete and a checkpoint records that.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Schema as ArrowSchema};
use serde::{Deserialize, Serialize};

use super::Arrays;
use super::making::{ParquetLayout, ParquetWriter};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::rows::{Purpose, RowLog, Segment};
use crate::sensor::Sensors;
use crate::sink::roll::{Roll, RollingFiles};
use crate::sink::{Block, Job, Prepare, Sink, SinkCheckpoint, SinkContext};
use crate::time::Timestamp;

/// A sink of Parquet files, one after the other.
pub(super) struct RollingParquet {
    files: RollingFiles,
    layout: Arc<ParquetLayout>,
    rows: Arc<Rows>,
    /// The unfinished file.
    current: Option<ParquetWriter>,
    /// Its rows, in a run that keeps checkpoints.
    log: Option<Log>,
    /// Whether nothing more will come.
    is_over: bool,
}

/// The log, and what it is called.
struct Log {
    name: Arc<str>,
    rows: RowLog,
}

/// What a checkpoint keeps of the log.
#[derive(Serialize, Deserialize)]
struct SavedLog {
    name: Arc<str>,
    /// Of the rows of the unfinished file.
    kept: Vec<Segment>,
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
    /// The files of a sink; rebuilds the unfinished one if `context` has a state.
    ///
    /// # Errors
    /// As [`RollingFiles::open`]; a data error where its rows are not what they were.
    pub(super) fn open(layout: ParquetLayout, roll: &Roll, context: &SinkContext) -> Result<Self> {
        let (mut files, kept) = roll.open(&layout.path, context)?;
        let saved = kept.map(|kept| postcard::from_bytes(&kept)).transpose();
        let saved = saved
            .map_err(|error| Error::data(format!("the checkpoint of {} is damaged: {error}", layout.path)))?;
        let log = Log::open(context, saved)?;
        // Its file is made again.
        files.tidy(&[], context.resume.is_some());
        let arrays = Arrays(Arc::clone(&layout.schema));
        let rows = Arc::new(Rows { arrays, has_log: log.is_some() });
        let mut sink = Self { files, layout: Arc::new(layout), rows, current: None, log, is_over: false };
        if sink.files.is_begun() {
            sink.current = Some(sink.make_again()?);
        }
        Ok(sink)
    }

    /// Rebuilds the unfinished file from its rows, one frame at a time.
    fn make_again(&self) -> Result<ParquetWriter> {
        let mut making = ParquetWriter::begin(&self.layout, self.files.begin_again()?)?;
        let segments =
            self.log.iter().flat_map(|log| log.rows.kept().iter().map(|kept| log.rows.reader().rows(*kept)));
        for frames in segments {
            for frame in frames? {
                let (_, rows) = frame?;
                for records in records_of(&self.layout, &rows)? {
                    let job = making.add(records.map_err(|error| unreadable(&error))?)?;
                    job.map_or(Ok(()), |job| job())?;
                }
            }
        }
        Ok(making)
    }

    /// The file for what comes next, whose first record has the time `first`.
    fn current(&mut self, first: Option<Timestamp>) -> Result<&mut ParquetWriter> {
        if !self.files.has_checkpoints()
            && let Some(mut current) = self.current.take_if(|current| self.files.is_due(current.bytes()))
        {
            self.files.close_now(current.finish()?)?;
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => ParquetWriter::begin(&self.layout, self.files.begin(first)?)?,
        };
        Ok(self.current.insert(current))
    }

    fn take(&mut self, Prepared { first, records, rows }: Prepared) -> Result<Option<Job>> {
        // Of a piece of the input whose records were all set aside, nothing is left.
        if records.num_rows() == 0 {
            return Ok(None);
        }
        let epoch = self.files.number();
        let job = self.current(first)?.add(records)?;
        self.log.as_mut().map_or(Ok(()), |log| log.rows.append(epoch, &rows))?;
        self.request_if_due();
        Ok(job)
    }

    /// With checkpoints, a file ends at a cut.
    fn request_if_due(&mut self) {
        if let Some(current) = &self.current {
            self.files.request_if_due(current.bytes());
        }
    }

    /// The file is complete: once a checkpoint says so, its rows are no longer needed.
    fn close(&mut self, epoch: u64, mut current: ParquetWriter) -> Result<Option<SinkCheckpoint>> {
        let (Some(saved), Some(log)) = (current.finish()?.save()?, &mut self.log) else { return Ok(None) };
        // What was appended is not made durable any more.
        let _settle = log.rows.close();
        let mut forget = log.rows.forget(epoch);
        let checkpoint = self.files.close(epoch, log.saved()?, saved)?;
        let mut deliver = checkpoint.deliver;
        let deliver = move || {
            forget.take().into_iter().for_each(|forget| forget());
            deliver.as_mut().map_or(Ok(()), |deliver| deliver())
        };
        Ok(Some(SinkCheckpoint { deliver: Some(Box::new(deliver)), ..checkpoint }))
    }

    /// The state of the unfinished file in a checkpoint: its rows.
    fn keep(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        let Some(log) = &mut self.log else { return Ok(None) };
        let settle: Job = match log.rows.close() {
            Some(settle) => Box::new(settle),
            None => Box::new(|| Ok(())),
        };
        self.files.keep(epoch, log.saved()?, Vec::new(), settle).map(Some)
    }
}

impl Log {
    /// That of a sink that begins as `context` says, which had `saved` at a checkpoint; `None` in a run that keeps none.
    fn open(context: &SinkContext, saved: Option<SavedLog>) -> Result<Option<Self>> {
        let (Some(folder), Some(writer)) = (&context.state, &context.writer) else { return Ok(None) };
        let new = || SavedLog { name: Arc::clone(writer), kept: Vec::new() };
        let SavedLog { name, kept } = saved.unwrap_or_else(new);
        let rows = RowLog::open(&context.files, folder, Purpose::File, &name, kept)?;
        Ok(Some(Self { name, rows }))
    }

    /// What a checkpoint keeps.
    fn saved(&self) -> Result<Vec<u8>> {
        let saved = SavedLog { name: Arc::clone(&self.name), kept: self.rows.kept().to_vec() };
        postcard::to_stdvec(&saved)
            .map_err(|error| Error::internal(format!("the state of a log cannot be saved: {error}")))
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
            Err(_) => Err(Error::internal("a prepared block is not a batch of arrays")),
        }
    }

    fn push(&mut self) -> Result<()> {
        self.request_if_due();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.is_over = true;
        Ok(())
    }

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        let is_due = |current: &mut ParquetWriter| self.is_over || self.files.is_due(current.bytes());
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
            self.files.close_now(current.finish()?)?;
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
fn records_of<'r>(layout: &ParquetLayout, rows: &'r [u8]) -> Result<StreamReader<Cursor<&'r [u8]>>> {
    let reader = StreamReader::try_new(Cursor::new(rows), None).map_err(|error| unreadable(&error))?;
    match reader.schema() == layout.schema {
        true => Ok(reader),
        false => Err(Error::config(format!("the unfinished file for {} has other columns", layout.path))
            .with_help("undo the change of the columns, or give the sink another `path`")),
    }
}

fn unreadable(error: &ArrowError) -> Error {
    Error::data(format!("the rows of an unfinished file cannot be read: {error}"))
}
