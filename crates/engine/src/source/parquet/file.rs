//! One Parquet file: its footer, and which of its columns are flat (one plain value per record).

use std::fs::File;
use std::sync::Arc;

use arrow_schema::{DataType, Schema as ArrowSchema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use super::library::{damaged, library};
use super::local::LocalParquet;
use super::remote::RemoteParquet;
use crate::arrow::fields::Fields;
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::columns::Columns;
use crate::source::file::{InputFile, read_error};

/// A file whose footer was read.
pub(super) struct ParquetFile {
    name: Arc<str>,
    bytes: Stored,
    metadata: ArrowReaderMetadata,
    fields: Fields,
}

/// Where the bytes of a file are.
pub(super) enum Stored {
    Here(LocalParquet),
    Remote(RemoteParquet),
}

impl Stored {
    fn metadata(&self, options: ArrowReaderOptions) -> parquet::errors::Result<ArrowReaderMetadata> {
        match self {
            Self::Here(file) => ArrowReaderMetadata::load(file, options),
            Self::Remote(file) => ArrowReaderMetadata::load(file, options),
        }
    }
}

/// The records of some row groups, without the first `skipped`, with the columns of `mask`.
struct Selected {
    groups: Vec<usize>,
    skipped: u64,
    mask: ProjectionMask,
    batch: usize,
}

impl Selected {
    fn of(
        self,
        input: impl ChunkReader + 'static,
        metadata: ArrowReaderMetadata,
    ) -> parquet::errors::Result<ParquetRecordBatchReader> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata);
        let builder = builder.with_row_groups(self.groups).with_projection(self.mask);
        let builder = builder.with_batch_size(self.batch);
        match usize::try_from(self.skipped).unwrap_or(usize::MAX) {
            // With an offset, the library does not see that there are more records than the footer says.
            0 => builder.build(),
            skipped => builder.with_offset(skipped).build(),
        }
    }
}

impl ParquetFile {
    /// Reads the footer of `file`.
    ///
    /// # Errors
    /// If the file cannot be read, or is not Parquet.
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
        let name = &file.name;
        let bytes = match &file.remote {
            Some(remote) => Stored::Remote(RemoteParquet::new(remote)),
            None => {
                let file = File::open(path).and_then(LocalParquet::new);
                Stored::Here(file.map_err(|error| Error::io("read", name, &error))?)
            }
        };
        let metadata = call(&file.name, &bytes, || {
            let options = ArrowReaderOptions::new();
            let metadata = bytes.metadata(options.clone())?;
            match without_zero_offsets(metadata.metadata())? {
                None => Ok(metadata),
                Some(mended) => ArrowReaderMetadata::try_new(Arc::new(mended), options),
            }
        })?;
        check_counts(&file.name, metadata.metadata())?;
        if let Stored::Remote(remote) = &bytes {
            remote.know(metadata.metadata());
        }
        let fields = Fields::of(&file.name, metadata.schema());
        Ok(Self { name: Arc::clone(&file.name), bytes, metadata, fields })
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where its bytes are.
    #[cfg(test)]
    pub(super) fn stored(&self) -> &Stored {
        &self.bytes
    }

    /// The number of records.
    pub(super) fn records(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The names of the flat columns.
    pub(super) fn names(&self, columns: &Columns) -> Vec<String> {
        self.fields.names(columns)
    }

    /// The columns of an input whose first file this is.
    pub(super) fn schema(&self, columns: &Columns) -> Result<Schema> {
        self.fields.schema(columns)
    }

    /// `schema`, that of the files before it, with the units that only this one says; `of` has the names of the first of those and of this one.
    pub(super) fn with_units(&self, schema: Schema, of: (&str, &str), columns: &Columns) -> Result<Schema> {
        self.fields.with_units(schema, of, columns)
    }

    /// The type of the flat column `at`, an index into [`ParquetFile::names`].
    pub(super) fn kind(&self, at: usize) -> &DataType {
        self.fields.kind(at)
    }

    pub(super) fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    /// Statistics of the column `at`, an index into [`ParquetFile::names`]; `None` if they are not reliable.
    pub(super) fn statistics(&self, at: usize) -> Option<StatisticsConverter<'_>> {
        let (leaf, schema) = (self.leaf(at)?, self.metadata.parquet_schema());
        // Writers disagree on the order of 12-byte timestamps.
        if schema.column(leaf).physical_type() == PhysicalType::INT96 {
            return None;
        }
        let statistics = StatisticsConverter::from_column_index(leaf, self.fields.field(at), schema).ok()?;
        Some(statistics.with_missing_null_counts_as_zero(false))
    }

    /// The records of all row groups from `from` on; as [`ParquetFile::records_of`].
    pub(super) fn records_from(
        &self,
        from: u64,
        wanted: &[usize],
        batch: usize,
    ) -> Result<ParquetRecordBatchReader> {
        self.records_of((0..self.groups().len()).collect(), from, wanted, batch)
    }

    /// The records of some row groups, without the first `skipped`, with the columns `wanted` (indices into [`ParquetFile::names`]), in
    /// that order.
    pub(super) fn records_of(
        &self,
        groups: Vec<usize>,
        skipped: u64,
        wanted: &[usize],
        batch: usize,
    ) -> Result<ParquetRecordBatchReader> {
        self.reader(&self.metadata, groups, skipped, wanted, batch)
    }

    /// The same, by `metadata`.
    fn reader(
        &self,
        metadata: &ArrowReaderMetadata,
        groups: Vec<usize>,
        skipped: u64,
        wanted: &[usize],
        batch: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let roots = wanted.iter().map(|&at| self.fields.index(at));
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let (selected, metadata) = (Selected { groups, skipped, mask, batch }, metadata.clone());
        match &self.bytes {
            Stored::Here(file) => self.call(|| selected.of(file.clone(), metadata)),
            Stored::Remote(file) => self.call(|| selected.of(file.clone(), metadata)),
        }
    }

    /// The same with a reader for each column. The texts of the column `names` come as a dictionary, if they are stored as one: each is looked up once per batch then.
    pub(super) fn columns_of(
        &self,
        groups: &[usize],
        skipped: u64,
        (wanted, names): (&[usize], Option<usize>),
        batch: usize,
    ) -> Result<Vec<ParquetRecordBatchReader>> {
        let names = names.and_then(|at| Some((at, self.as_dictionary(at)?)));
        let readers = wanted.iter().map(|&at| {
            let metadata = names.as_ref().filter(|names| names.0 == at).map_or(&self.metadata, |(_, it)| it);
            self.reader(metadata, groups.to_vec(), skipped, &[at], batch)
        });
        readers.collect()
    }

    /// The metadata by which the texts of the column `at` are read as a dictionary; `None` if it has other values, or is not stored as one.
    fn as_dictionary(&self, at: usize) -> Option<ArrowReaderMetadata> {
        let (root, leaf) = (self.fields.index(at), self.leaf(at)?);
        let mut fields = self.metadata.schema().fields().to_vec();
        let is_text =
            matches!(fields[root].data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let has_dictionary = |group: &RowGroupMetaData| group.column(leaf).dictionary_page_offset().is_some();
        if !is_text || !self.groups().iter().all(has_dictionary) {
            return None;
        }
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        fields[root] = Arc::new(fields[root].as_ref().clone().with_data_type(dictionary));
        let options = ArrowReaderOptions::new().with_schema(Arc::new(ArrowSchema::new(fields)));
        ArrowReaderMetadata::try_new(Arc::clone(self.metadata.metadata()), options).ok()
    }

    /// The leaf of the flat column `at` in the schema of the file.
    fn leaf(&self, at: usize) -> Option<usize> {
        let (root, schema) = (self.fields.index(at), self.metadata.parquet_schema());
        (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == root)
    }

    /// Calls the Parquet library, which may panic on a damaged file.
    ///
    /// # Errors
    /// A data error if it fails; of a file that is read by requests, the error of the request that has failed.
    pub(super) fn call<T, E: std::fmt::Display>(
        &self,
        act: impl FnOnce() -> std::result::Result<T, E>,
    ) -> Result<T> {
        call(&self.name, &self.bytes, act)
    }
}

fn call<T, E: std::fmt::Display>(
    name: &str,
    bytes: &Stored,
    act: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    library(name, act).map_err(|error| match bytes {
        Stored::Remote(file) => file.failure().map_or(error, |cause| read_error(name, &cause)),
        Stored::Here(_) => error,
    })
}

/// Checks that the two record counts of the footer agree.
fn check_counts(name: &str, metadata: &ParquetMetaData) -> Result<()> {
    let (all, groups) = (metadata.file_metadata().num_rows(), metadata.row_groups());
    let counts = groups.iter().map(RowGroupMetaData::num_rows);
    let sum = counts.clone().try_fold(0i64, i64::checked_add);
    if sum == Some(all) && counts.clone().all(|count| count >= 0) {
        return Ok(());
    }
    let sum = sum.map_or_else(|| "more than can be counted".to_owned(), |sum| sum.to_string());
    Err(damaged(name, &format!("it claims to have {all} records, but its row groups have {sum}")))
}

/// Some writers give offset 0 for the dictionary of columns that have none: that is where the magic number is.
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
