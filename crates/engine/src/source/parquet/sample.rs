//! The first records of a file as text, for detecting its columns.

use std::path::Path;

use arrow_array::Array;
use arrow_schema::DataType;

use super::file::ParquetFile;
use crate::arrow::convert::{is_bytes, texts_of};
use crate::error::Result;
use crate::format::columns::{ColumnOptions, Columns};
use crate::source::file::InputFile;

/// The beginning of a Parquet file.
#[derive(Debug, Default)]
pub struct Sample {
    /// The names of the flat columns.
    pub names: Vec<String>,
    /// Their texts in each record; null is empty.
    pub records: Vec<Vec<String>>,
    /// Columns with bytes that are not UTF-8, whose records would be rejected.
    pub unreadable: Vec<String>,
}

/// Up to `records` of the first records of the Parquet file at `path`.
///
/// # Errors
/// If the file cannot be read, or is not Parquet.
pub fn sample(path: &Path, records: usize) -> Result<Sample> {
    let file = InputFile::new(path);
    let (name, parquet) = (&file.name, ParquetFile::open(&file)?);
    let names = parquet.names(&Columns::new(&ColumnOptions::default())?);
    let (mut rows, mut is_lost) = (Vec::new(), vec![false; names.len()]);
    let all: Vec<usize> = (0..names.len()).collect();
    let mut batches = parquet.records_from(0, &all, records.max(1))?;
    while let Some(batch) = parquet.call(|| batches.next().transpose())?.filter(|_| rows.len() < records) {
        let texts: Vec<_> =
            batch.columns().iter().map(|array| texts_of(array, name)).collect::<Result<_>>()?;
        for (at, (array, texts)) in batch.columns().iter().zip(&texts).enumerate() {
            is_lost[at] |= is_bytes(array.data_type()) && texts.null_count() > array.null_count();
        }
        let is_fixed = |at: usize| matches!(batch.column(at).data_type(), DataType::FixedSizeBinary(_));
        let text = |at: usize, row: usize| match texts[at].is_valid(row) {
            // Hexadecimal digits may look like a number.
            true if is_fixed(at) => format!("0x{}", texts[at].value(row)),
            true => texts[at].value(row).to_owned(),
            false => String::new(),
        };
        let wanted = batch.num_rows().min(records - rows.len());
        rows.extend((0..wanted).map(|row| all.iter().map(|&at| text(at, row)).collect::<Vec<_>>()));
    }
    let (lost, kept): (Vec<usize>, Vec<usize>) = all.into_iter().partition(|&at| is_lost[at]);
    let of = |columns: &[usize], texts: &[String]| columns.iter().map(|&at| texts[at].clone()).collect();
    Ok(Sample {
        unreadable: of(&lost, &names),
        records: rows.iter().map(|row| of(&kept, row)).collect(),
        names: of(&kept, &names),
    })
}
