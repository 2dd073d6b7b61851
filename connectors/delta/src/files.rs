//! Rows as Parquet files, one or more for each partition.

use std::collections::HashMap;
use std::sync::Arc;

use delta_kernel::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use delta_kernel::arrow::compute::take_record_batch;
use delta_kernel::arrow::error::ArrowError;
use delta_kernel::arrow::row::{RowConverter, SortField};
use delta_kernel::engine::arrow_conversion::TryFromArrow;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::expressions::Scalar;
use delta_kernel::parquet::arrow::ArrowWriter;
use delta_kernel::parquet::arrow::arrow_writer::ArrowWriterOptions;
use delta_kernel::parquet::basic::{Compression, ZstdLevel};
use delta_kernel::parquet::file::properties::WriterProperties;
use delta_kernel::schema::Schema;
use delta_kernel::transaction::{BoundWriteContext, WriteState};
use delta_kernel::{ExpressionEvaluator, KernelError};
use delta_kernel_default_engine::build_add_file_metadata;
use delta_kernel_default_engine::parquet::DataFileMetadata;
use delta_kernel_default_engine::stats::FileStatsAccumulator;
use indexmap::IndexMap;
use tidemill_engine::error::{Error, Result};
use uuid::Uuid;

use crate::failure::failure;
use crate::fit::Fit;
use crate::table::Table;
use crate::target::Target;

/// Bytes that files take in memory until they are complete. Beyond that, the largest one is completed.
const LIMIT: usize = 128 << 20;

/// How many files are open at most. Beyond that, the largest one is completed.
const OPEN: usize = if cfg!(test) { 8 } else { 1_000 };

/// Bytes that a file takes besides those of its rows, about.
const FILE: usize = 16 << 10;

/// The files of an epoch.
pub(crate) struct Files<'a> {
    table: &'a Table,
    fit: &'a Fit,
    state: Arc<WriteState>,
    options: ArrowWriterOptions,
    place: String,
    /// Those that are being written, by the values of their partition.
    open: IndexMap<Vec<u8>, File>,
    /// The bytes that these take in memory.
    size: usize,
    /// What the log has to say about those that are complete.
    complete: Vec<RecordBatch>,
}

/// A file that is being written.
struct File {
    context: BoundWriteContext,
    /// Makes the columns of the file from those of the table.
    evaluator: Arc<dyn ExpressionEvaluator>,
    statistics: FileStatsAccumulator,
    /// There is one from the first rows on.
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(
        table: &'a Table,
        fit: &'a Fit,
        state: Arc<WriteState>,
        target: &Target,
    ) -> Result<Self> {
        let level = ZstdLevel::try_new(target.level)
            .map_err(|_| Error::config(format!("`level` {} is not from 1 to 22", target.level)))?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("tidemill ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(target.row_group));
        // Their types follow from the log.
        let options =
            ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let place = target.path.to_string();
        let (open, complete) = (IndexMap::new(), Vec::new());
        Ok(Self { table, fit, state, options, place, open, size: 0, complete })
    }

    /// Adds rows that were kept.
    pub(crate) fn add(&mut self, kept: &RecordBatch) -> Result<()> {
        let records = self.fit.records(kept)?;
        let columns = self.fit.partition_columns(kept)?;
        if columns.is_empty() {
            return self.write(Vec::new(), None, &records);
        }
        for (key, rows) in by_partition(&columns).map_err(unexpected)? {
            let values = self.fit.partition(&columns, rows[0] as usize);
            let part = take_record_batch(&records, &UInt32Array::from(rows)).map_err(unexpected)?;
            self.write(key, Some(values), &part)?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        key: Vec<u8>,
        values: Option<HashMap<String, Scalar>>,
        records: &RecordBatch,
    ) -> Result<()> {
        if !self.open.contains_key(&key) {
            if self.open.len() >= OPEN {
                self.complete_largest()?;
            }
            let file = self.begin(values).map_err(|error| self.failed(error))?;
            self.size += file.size();
            self.open.insert(key.clone(), file);
        }
        let Some(file) = self.open.get_mut(&key) else { return Ok(()) };
        let before = file.size();
        let written = file.write(records, &self.options);
        self.size = self.size - before + file.size();
        written.map_err(|error| failure(&self.place, "write a file", error))?;
        while self.size > LIMIT && !self.open.is_empty() {
            self.complete_largest()?;
        }
        Ok(())
    }

    fn failed(&self, error: KernelError) -> Error {
        failure(&self.place, "write a file", error)
    }

    fn begin(&self, values: Option<HashMap<String, Scalar>>) -> std::result::Result<File, KernelError> {
        let builder = self.state.write_context_builder();
        let context = match values {
            Some(values) => builder.with_partition_values(values),
            None => builder,
        };
        let context = context.build()?;
        let columns = Schema::try_from_arrow(self.fit.schema().as_ref())?;
        let physical = context.physical_data_schema();
        let evaluator = self.table.engine().evaluation_handler().new_expression_evaluator(
            Arc::new(columns),
            context.logical_to_physical(),
            physical.as_ref().clone().into(),
        )?;
        let statistics = FileStatsAccumulator::new(context.stats_columns(), physical);
        Ok(File { context, evaluator, statistics, writer: None })
    }

    fn complete_largest(&mut self) -> Result<()> {
        let largest = (0..self.open.len()).max_by_key(|at| self.open[*at].size());
        match largest.and_then(|at| self.open.swap_remove_index(at)) {
            Some((_, file)) => self.complete(file),
            None => Ok(()),
        }
    }

    fn complete(&mut self, file: File) -> Result<()> {
        self.size -= file.size();
        let File { context, statistics, writer, .. } = file;
        let bytes =
            writer.map(ArrowWriter::into_inner).transpose().map_err(|error| self.failed(error.into()))?;
        let statistics = statistics.finish().map_err(|error| self.failed(error))?;
        let (Some(bytes), Some(statistics)) = (bytes, statistics) else { return Ok(()) };
        let name = format!("{}.parquet", Uuid::new_v4());
        let location = context.write_dir().join(&name).map_err(|error| self.failed(error.into()))?;
        let written = self.table.put(location, bytes)?;
        let added = build_add_file_metadata(DataFileMetadata::new(written, statistics), &context);
        let added = added.and_then(ArrowEngineData::try_from_engine_data);
        self.complete.push((*added.map_err(|error| self.failed(error))?).into());
        Ok(())
    }

    /// Completes all files. Returns what the log has to say about them.
    pub(crate) fn finish(mut self) -> Result<Vec<RecordBatch>> {
        for (_, file) in std::mem::take(&mut self.open) {
            self.complete(file)?;
        }
        debug_assert_eq!(self.size, 0, "the size of all files is the sum of their sizes");
        Ok(self.complete)
    }
}

impl File {
    fn write(
        &mut self,
        records: &RecordBatch,
        options: &ArrowWriterOptions,
    ) -> std::result::Result<(), KernelError> {
        let physical = self.evaluator.evaluate(&ArrowEngineData::new(records.clone()))?;
        let physical: RecordBatch = (*ArrowEngineData::try_from_engine_data(physical)?).into();
        self.statistics.merge(&physical)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(ArrowWriter::try_new_with_options(
                Vec::new(),
                physical.schema(),
                options.clone(),
            )?),
        };
        writer.write(&physical).map_err(KernelError::from)
    }

    /// The bytes that it takes in memory.
    fn size(&self) -> usize {
        FILE + self.writer.as_ref().map_or(0, |writer| writer.memory_size() + writer.inner().len())
    }
}

/// The rows of each partition, in their order; partitions in the order of their first rows.
fn by_partition(columns: &[ArrayRef]) -> std::result::Result<IndexMap<Vec<u8>, Vec<u32>>, ArrowError> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(columns)?;
    let mut parts: IndexMap<Vec<u8>, Vec<u32>> = IndexMap::new();
    for (at, row) in (0..).zip(&rows) {
        match parts.get_mut(row.as_ref()) {
            Some(part) => part.push(at),
            None => drop(parts.insert(row.as_ref().to_vec(), vec![at])),
        }
    }
    Ok(parts)
}

fn unexpected(error: ArrowError) -> Error {
    Error::internal(format!("rows cannot be divided by partitions: {error}"))
}
