//! One Parquet file: what its footer says, and which of its columns have one plain value a record.

use std::fs::File;
use std::sync::Arc;

use arrow_cast::can_cast_types;
use arrow_schema::{DataType, FieldRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::convert::{can_be_numbers, clock};
use super::library::{damaged, library};
use crate::arrow;
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::columns::{Columns, Role};
use crate::source::file::InputFile;
use crate::time::TimeFormat;

/// A file whose footer has been read.
pub(super) struct ParquetFile {
    name: Arc<str>,
    handle: File,
    metadata: ArrowReaderMetadata,
    /// The columns that can be read.
    flat: Vec<FlatColumn>,
    /// The names of those that cannot, each with its type.
    left_out: Vec<(String, DataType)>,
}

/// A column with one plain value a record.
struct FlatColumn {
    /// Its place among all columns of the file.
    root: usize,
    field: FieldRef,
}

impl ParquetFile {
    /// Reads the footer of `file`.
    ///
    /// # Errors
    /// When the file cannot be read, or is not Parquet.
    pub(super) fn open(file: &InputFile) -> Result<Self> {
        let Some(path) = &file.path else {
            return Err(Error::config("Parquet cannot be read from standard input")
                .with_help("save it to a file first"));
        };
        if file.member.is_some() {
            return Err(Error::config(format!(
                "`{}` is in an archive, where Parquet cannot be read",
                file.name
            ))
            .with_help("unpack the archive first"));
        }
        let handle = File::open(path).map_err(|error| Error::io("read", &file.name, &error))?;
        let metadata = library(&file.name, || {
            let options = ArrowReaderOptions::new();
            let metadata = ArrowReaderMetadata::load(&handle, options.clone())?;
            match without_zero_offsets(metadata.metadata())? {
                None => Ok(metadata),
                Some(mended) => ArrowReaderMetadata::try_new(Arc::new(mended), options),
            }
        })?;
        check_counts(&file.name, metadata.metadata())?;
        let (mut flat, mut left_out) = (Vec::new(), Vec::new());
        for (root, field) in metadata.schema().fields().iter().enumerate() {
            if is_flat(field.data_type()) {
                flat.push(FlatColumn { root, field: Arc::clone(field) });
            } else {
                left_out.push((field.name().clone(), field.data_type().clone()));
            }
        }
        Ok(Self { name: Arc::clone(&file.name), handle, metadata, flat, left_out })
    }

    /// How many records it has.
    pub(super) fn records(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The names of the columns that can be read.
    pub(super) fn names(&self, columns: &Columns) -> Vec<String> {
        let names: Vec<String> = self.flat.iter().map(|column| column.field.name().clone()).collect();
        columns.distinct(&names)
    }

    /// The columns of an input of which this is the first file.
    pub(super) fn schema(&self, columns: &Columns) -> Result<Schema> {
        let asked = columns.named_fields().unwrap_or_default();
        for (name, kind) in &self.left_out {
            if columns.own_columns().contains(&name.as_str()) || asked.contains(name) {
                return Err(Error::config(format!("column `{name}` of `{}` is nested: {kind}", self.name))
                    .with_help("flatten it first"));
            }
            if !columns.leaves_out(name) {
                columns
                    .remark(format!("column `{name}` is left out: it has no plain value a record ({kind})"));
            }
        }
        let (names, kind) = (self.names(columns), |at: usize| self.flat[at].field.data_type());
        let schema = columns.schema_of(&self.name, &names, |at| arrow::field_type(kind(at)))?;
        let roles = columns.roles(&self.name, &names, &schema)?;
        for (at, role) in roles.fields.iter().enumerate() {
            if let (Role::Measurement(_), false) = (role, can_be_numbers(kind(at))) {
                let (name, kind) = (&names[at], kind(at));
                return Err(Error::config(format!(
                    "column `{name}` of `{}` has no numbers: {kind}",
                    self.name
                ))
                .with_help("leave it out of `measurements`: then it is carried along as text"));
            }
        }
        let time = roles.fields.iter().position(|role| matches!(role, Role::Time(_)));
        let clock = time.and_then(|at| clock(kind(at)));
        if clock.is_some() && *columns.times.format() != TimeFormat::Rfc3339 {
            columns.remark(
                "`time_format` has no effect: the column of the time has times, not texts or numbers".into(),
            );
        }
        let is_local = clock.map_or(schema.has_local_times(), |clock| clock.is_local);
        Ok(schema.with_local_times(is_local))
    }

    /// The types of the columns that can be read, in the order of [`ParquetFile::names`].
    pub(super) fn kind(&self, at: usize) -> &DataType {
        self.flat[at].field.data_type()
    }

    pub(super) fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    /// Statistics of the column `at` by its place among [`ParquetFile::names`]; `None` where they could not be believed.
    pub(super) fn statistics(&self, at: usize) -> Option<StatisticsConverter<'_>> {
        let (column, schema) = (&self.flat[at], self.metadata.parquet_schema());
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == column.root)?;
        // Those of twelve bytes have no order that all writers agree on.
        if schema.column(leaf).physical_type() == PhysicalType::INT96 {
            return None;
        }
        let statistics = StatisticsConverter::from_column_index(leaf, &column.field, schema).ok()?;
        Some(statistics.with_missing_null_counts_as_zero(false))
    }

    /// The records of all row groups from number `from` on, as [`ParquetFile::records_of`].
    pub(super) fn records_from(
        &self,
        from: u64,
        wanted: &[usize],
        batch: usize,
    ) -> Result<ParquetRecordBatchReader> {
        self.records_of((0..self.groups().len()).collect(), from, wanted, batch)
    }

    /// The records of some row groups, without their first `skipped`, of the columns `wanted` by their places among
    /// [`ParquetFile::names`], in that order.
    pub(super) fn records_of(
        &self,
        groups: Vec<usize>,
        skipped: u64,
        wanted: &[usize],
        batch: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let handle = self.handle.try_clone().map_err(|error| Error::io("read", &self.name, &error))?;
        library(&self.name, || {
            let roots = wanted.iter().map(|&at| self.flat[at].root);
            let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, self.metadata.clone());
            let builder = builder.with_row_groups(groups).with_projection(mask).with_batch_size(batch);
            builder.with_offset(usize::try_from(skipped).unwrap_or(usize::MAX)).build()
        })
    }
}

/// Records have one value of this type each, or none, and it can be shown as text.
fn is_flat(kind: &DataType) -> bool {
    !kind.is_nested()
        && (matches!(kind, DataType::FixedSizeBinary(_)) || can_cast_types(kind, &DataType::Utf8))
}

/// The footer says the number of records twice.
fn check_counts(name: &str, metadata: &ParquetMetaData) -> Result<()> {
    let (all, groups) = (metadata.file_metadata().num_rows(), metadata.row_groups());
    let counts = groups.iter().map(RowGroupMetaData::num_rows);
    let sum = counts.clone().try_fold(0i64, i64::checked_add);
    if sum == Some(all) && counts.clone().all(|count| count >= 0) {
        return Ok(());
    }
    let sum = sum.map_or_else(|| "more than can be counted".to_owned(), |sum| sum.to_string());
    Err(damaged(name, &format!("it says that it has {all} records, and its row groups have {sum}")))
}

/// Some writers say of columns without a dictionary that it lies at the beginning of the file: where the magic number is.
fn without_zero_offsets(metadata: &ParquetMetaData) -> parquet::errors::Result<Option<ParquetMetaData>> {
    let is_zero = |column: &ColumnChunkMetaData| column.dictionary_page_offset() == Some(0);
    if !metadata.row_groups().iter().any(|group| group.columns().iter().any(is_zero)) {
        return Ok(None);
    }
    let mend = |column: &ColumnChunkMetaData| match is_zero(column) {
        true => column.clone().into_builder().set_dictionary_page_offset(None).build(),
        false => Ok(column.clone()),
    };
    let groups = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().map(mend).collect::<parquet::errors::Result<_>>()?;
        group.clone().into_builder().set_column_metadata(columns).build()
    });
    let groups = groups.collect::<parquet::errors::Result<_>>()?;
    Ok(Some(metadata.clone().into_builder().set_row_groups(groups).build()))
}
