//! The source in use: file after file, only the columns that are wanted.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::convert::{carried, joined, measurement, texts, times};
use super::file::{ParquetFile, library};
use crate::batch::{FieldKind, Schema};
use crate::chunk::Decoded;
use crate::error::Result;
use crate::format::columns::{Columns, Roles};
use crate::offset::Offset;
use crate::sensor::SensorLookup;
use crate::source::file::InputFile;
use crate::source::typed::{Typed, batch_rows};
use crate::source::{Input, OpenOptions, Progress, Source};

/// Reads Parquet files.
pub(super) struct Reader {
    files: Vec<InputFile>,
    schema: Arc<Schema>,
    columns: Columns,
    origins: bool,
    batch: usize,
    offset: Offset,
    open: Option<Open>,
    done: u64,
    total: u64,
}

/// The file that is being read.
struct Open {
    batches: ParquetRecordBatchReader,
    /// By column of the schema: where among those read its values are. None for a column that the file does not have, several
    /// for one that is put together.
    sources: Vec<Vec<usize>>,
}

impl Reader {
    /// Reads `files`, which have `total` records, from their beginning.
    pub(super) fn new(
        files: Vec<InputFile>,
        columns: Columns,
        schema: Arc<Schema>,
        total: u64,
        options: &OpenOptions,
    ) -> Self {
        let (origins, batch) = (options.origins, batch_rows(options));
        Self { files, schema, columns, origins, batch, offset: Offset::default(), open: None, done: 0, total }
    }

    fn file(&self) -> Option<&InputFile> {
        self.files.get(self.offset.file as usize)
    }

    fn open(&self, file: &InputFile) -> Result<Open> {
        let file_name = Arc::clone(&file.name);
        let file = ParquetFile::open(file)?;
        let roles = self.columns.roles(&file_name, &file.names(&self.columns), &self.schema)?;
        let sources = |at| roles.sources(at);
        let mut sources: Vec<Vec<usize>> = (0..self.schema.fields().len()).map(sources).collect();
        let wanted = wanted(&roles);
        // What is not wanted is not read: the columns move up.
        for at in sources.iter_mut().flatten() {
            *at = wanted.partition_point(|wanted| wanted < at);
        }
        Ok(Open { batches: file.records_from(self.offset.at, &wanted, self.batch)?, sources })
    }

    /// The next records of the file that is open, or of the one after.
    fn records(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(file) = self.files.get(self.offset.file as usize) {
            let name = Arc::clone(&file.name);
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open(file)?,
            };
            if let Some(records) = library(&name, || open.batches.next().transpose())? {
                self.open = Some(open);
                return Ok(Some(records));
            }
            self.offset = Offset { file: self.offset.file + 1, at: 0, line: 0 };
        }
        Ok(None)
    }

    fn decode(
        &self,
        records: &RecordBatch,
        file: &InputFile,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Decoded> {
        let mut typed = Typed::new(&self.columns, &self.schema, records.num_rows());
        for at in Typed::order(&self.schema) {
            let field = &self.schema.fields()[at];
            if let (FieldKind::Sensor, Some(name)) = (field.kind, self.columns.file_sensor(&file.stem)) {
                typed.one_sensor(name, sensors)?;
                continue;
            }
            let sources = self.open.as_ref().map_or(&[][..], |open| &open.sources[at]);
            let arrays: Vec<&ArrayRef> = sources.iter().map(|&at| records.column(at)).collect();
            let Some(&array) = arrays.first() else {
                typed.missing(at);
                continue;
            };
            match field.kind {
                FieldKind::Time if let Some(made) = self.columns.made_time() => {
                    let texts = joined(&mut typed, at, made, &arrays, &file.name)?;
                    typed.time_texts(at, texts.iter().map(Option::as_deref));
                }
                FieldKind::Sensor if let Some(made) = self.columns.made_sensor() => {
                    let texts = joined(&mut typed, at, made, &arrays, &file.name)?;
                    typed.sensors(texts.iter().map(Option::as_deref), sensors)?;
                }
                FieldKind::Time => times(&mut typed, at, array, &file.name)?,
                FieldKind::Sensor => {
                    let names = texts(&mut typed, at, array, &file.name)?;
                    typed.sensors(names.iter(), sensors)?;
                }
                FieldKind::Measurement => {
                    if measurement(&mut typed, at, array, &file.name)? {
                        self.columns.remark(format!(
                            "column `{}` has whole numbers beyond 2^53 that no f64 is equal to: they are the nearest one",
                            field.name
                        ));
                    }
                }
                _ => carried(&mut typed, at, array, &file.name)?,
            }
        }
        Ok(typed.finish(&file.name, self.offset.at, self.origins))
    }
}

/// The fields of a file that become columns, in order.
fn wanted(roles: &Roles) -> Vec<usize> {
    let fields = roles.fields.iter().enumerate();
    fields.filter(|(_, role)| role.column().is_some()).map(|(field, _)| field).collect()
}

impl Source for Reader {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let Some(records) = self.records()? else { return Ok(None) };
        let Some(file) = self.file() else { return Ok(None) };
        let decoded = self.decode(&records, file, sensors)?;
        self.offset.at += records.num_rows() as u64;
        self.done += records.num_rows() as u64;
        Ok(Some(Input::Records(decoded)))
    }

    fn offset(&self) -> Offset {
        self.offset
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.open = None;
        self.offset = offset;
        let before = self.files.iter().take(offset.file as usize);
        let before: u64 =
            before.map(|file| ParquetFile::open(file).map(|file| file.records())).sum::<Result<u64>>()?;
        self.done = before + offset.at;
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        self.columns.remarks()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, total: Some(self.total) }
    }

    /// Which part of a file its records took up so far is not known: files count when they are begun.
    fn bytes(&self) -> u64 {
        let begun = self.offset.file as usize + usize::from(self.offset.at > 0);
        self.files.iter().take(begun).filter_map(InputFile::len).sum()
    }
}
