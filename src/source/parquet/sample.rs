//! The first records of a file as text, for whoever wants to guess what its columns are.

use std::path::Path;

use arrow_array::Array;

use super::convert::texts_of;
use super::file::{ParquetFile, library};
use crate::error::Result;
use crate::format::columns::{ColumnOptions, Columns};
use crate::source::file::InputFile;

/// The names of the columns of the Parquet file at `path` that can be read, and up to `records` of its first records, where null is
/// the empty text.
///
/// # Errors
/// When the file cannot be read, or is not Parquet.
pub fn sample(path: &Path, records: usize) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let file = InputFile::new(path);
    let (name, parquet) = (&file.name, ParquetFile::open(&file)?);
    let names = parquet.names(&Columns::new(&ColumnOptions::default())?);
    let mut rows = Vec::new();
    let all: Vec<usize> = (0..names.len()).collect();
    let mut batches = parquet.records_from(0, &all, records.max(1))?;
    while let Some(batch) = library(name, || batches.next().transpose())?.filter(|_| rows.len() < records) {
        let texts: Vec<_> =
            batch.columns().iter().map(|array| texts_of(array, name)).collect::<Result<_>>()?;
        let text = |at: usize, row: usize| match texts[at].is_valid(row) {
            true => texts[at].value(row).to_owned(),
            false => String::new(),
        };
        let wanted = batch.num_rows().min(records - rows.len());
        rows.extend((0..wanted).map(|row| all.iter().map(|&at| text(at, row)).collect()));
    }
    Ok((names, rows))
}
