//! Records as bytes, which are kept until their epoch is delivered: a stream of Arrow's IPC format for each batch, with the columns that are written, and its CRC-32C (4 bytes,
//! little-endian). The decoder of Arrow panics at some streams that are damaged: they do not get that far.

use std::sync::{Arc, Mutex, PoisonError};

use crc32c::crc32c;
use delta_kernel::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, TimestampMicrosecondType, TimestampNanosecondType,
};
use delta_kernel::arrow::array::{ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use delta_kernel::arrow::buffer::Buffer;
use delta_kernel::arrow::datatypes::{
    DataType, Field as ArrowField, Schema as ArrowSchema, SchemaRef, TimeUnit,
};
use delta_kernel::arrow::error::ArrowError;
use delta_kernel::arrow::ipc::reader::StreamDecoder;
use delta_kernel::arrow::ipc::writer::StreamWriter;
use tidemill_engine::arrow::Encoder as ArrowEncoder;
use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};

use crate::kind::Own;
use crate::target::Written;

const MICROSECOND: i64 = 1000;
const DAY: i64 = 86_400_000_000_000;

/// Encodes batches: on any thread, in any order.
pub(crate) struct Encoder {
    arrow: ArrowEncoder,
    columns: Vec<Written>,
    /// What is kept, under the names in the records.
    kept: SchemaRef,
    /// How many times had nanoseconds.
    cut: Arc<Mutex<u64>>,
}

impl Encoder {
    pub(crate) fn new(schema: &Schema, columns: Vec<Written>, cut: Arc<Mutex<u64>>) -> Self {
        let arrow = ArrowEncoder::new(schema);
        let kept = Arc::new(kept(&columns, arrow.schema()));
        Self { arrow, columns, kept, cut }
    }

    /// What is kept of `records`.
    fn select(&self, records: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
        let column = |written: &Written| {
            let column = records.column(written.at);
            match written.own {
                Own::Time => self.micros(column),
                Own::Day => days(column),
                _ => Arc::clone(column),
            }
        };
        RecordBatch::try_new(Arc::clone(&self.kept), self.columns.iter().map(column).collect())
    }

    /// Times in microseconds; what is cut off is counted.
    fn micros(&self, times: &ArrayRef) -> ArrayRef {
        let times = times.as_primitive::<TimestampNanosecondType>();
        let cut = times.values().iter().filter(|nanos| *nanos % MICROSECOND != 0).count();
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) += cut as u64;
        let micros: PrimitiveArray<TimestampMicrosecondType> = divided(times, MICROSECOND);
        Arc::new(micros.with_timezone("UTC"))
    }
}

/// Days since 1970, in UTC.
fn days(times: &ArrayRef) -> ArrayRef {
    let times = times.as_primitive::<TimestampNanosecondType>();
    // Times are within 106,752 days of 1970.
    Arc::new(times.unary::<_, Date32Type>(|nanos| nanos.div_euclid(DAY) as i32))
}

fn divided<T: ArrowPrimitiveType<Native = i64>>(
    times: &PrimitiveArray<TimestampNanosecondType>,
    by: i64,
) -> PrimitiveArray<T> {
    times.unary(|nanos| nanos.div_euclid(by))
}

/// The columns that are kept, of those that `records` have.
fn kept(columns: &[Written], records: &ArrowSchema) -> ArrowSchema {
    let field = |written: &Written| {
        let field = records.field(written.at);
        let ty = match written.own {
            Own::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Own::Day => DataType::Date32,
            _ => field.data_type().clone(),
        };
        ArrowField::new(&written.field, ty, true)
    };
    ArrowSchema::new(columns.iter().map(field).collect::<Vec<_>>())
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut bytes = Vec::new();
        if !batch.is_empty() {
            let records = self.arrow.encode(batch.clone(), sensors)?;
            let written = self.select(&records).and_then(|kept| write(&kept, &mut bytes));
            written.map_err(|error| Error::internal(format!("records cannot be kept: {error}")))?;
            bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        }
        Ok(Box::new(bytes))
    }
}

fn write(records: &RecordBatch, bytes: &mut Vec<u8>) -> std::result::Result<(), ArrowError> {
    let mut writer = StreamWriter::try_new(bytes, records.schema_ref())?;
    writer.write(records)?;
    writer.finish()
}

/// The records of a block that was kept.
///
/// # Errors
/// A data error if it cannot be read, or is of other columns.
pub(crate) fn read(bytes: Vec<u8>, columns: &[Written]) -> Result<Vec<RecordBatch>> {
    let all = decode(bytes).map_err(|error| {
        Error::data(format!("rows that were kept cannot be read: {error}"))
            .with_help("restore an intact copy of the state folder")
    })?;
    for records in &all {
        let names: Vec<_> = records.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        if !names.iter().copied().eq(columns.iter().map(|written| written.field.as_str())) {
            return Err(Error::data(format!(
                "rows that were kept have the columns {}, and those of the records are different now",
                names.join(", ")
            ))
            .with_help(
                "deliver them with the pipeline that made them, or begin a new run with another --state",
            ));
        }
    }
    Ok(all)
}

/// Reads a stream whose checksum is right.
fn decode(mut bytes: Vec<u8>) -> std::result::Result<Vec<RecordBatch>, ArrowError> {
    let is_intact =
        bytes.split_last_chunk().is_some_and(|(stream, sum)| crc32c(stream).to_le_bytes() == *sum);
    if !is_intact {
        return Err(ArrowError::IpcError("its checksum is wrong".to_owned()));
    }
    bytes.truncate(bytes.len() - size_of::<u32>());
    let (mut decoder, mut rest, mut all) = (StreamDecoder::new(), Buffer::from(bytes), Vec::new());
    while let Some(records) = decoder.decode(&mut rest)? {
        all.push(records);
    }
    decoder.finish()?;
    Ok(all)
}
