//! CSV and its dialects (clause 5): RFC 4180 with any delimiter.

mod again;
mod beginning;
mod blanks;
mod decode;
mod decoder;
mod dialect;
mod encode;
mod ragged;
mod reference;
pub mod scan;
mod sketch;
pub mod split;
#[cfg(test)]
mod tests;
mod tiles;
pub mod widths;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use self::beginning::{CsvBeginning, no_header};
use self::decoder::CsvDecoder;
use self::dialect::LeadingRows;
use self::ragged::Fitting;
use self::scan::Scan;
use self::split::Splitter;
use super::columns::{ColumnOptions, Columns, SAMPLE};
use super::file_columns::FileColumns;
use super::{BoundFormat, Format, Head, LineFormat};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};

pub use beginning::{logger_rows, separator_of};
pub use dialect::{Dialect, delimiter_of};
pub use encode::CsvEncoder;
pub use ragged::Ragged;
pub use sketch::sketch;

/// A UTF-8 byte order mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The CSV format.
#[derive(Clone, Debug)]
pub struct Csv {
    splitter: Splitter,
    header: bool,
    names: Option<Vec<String>>,
    /// The lines before the records, if the options define them.
    rows: Option<LeadingRows>,
    ragged: Ragged,
    columns: Columns,
    origins: bool,
}

impl Csv {
    /// Validates the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(dialect: &Dialect, columns: &ColumnOptions) -> Result<Self> {
        if !dialect.header && dialect.names.is_none() {
            return Err(Error::config("without a `header` the columns need `names`")
                .with_help("such as names = [\"time\", \"value\"]"));
        }
        Ok(Self {
            splitter: dialect.splitter()?,
            header: dialect.header,
            names: dialect.names.clone(),
            rows: dialect.rows()?,
            ragged: dialect.ragged,
            columns: Columns::new(columns)?,
            origins: false,
        })
    }

    /// Whether batches carry the origin of their records.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }

    /// The units that the file with this `head` declares, as pairs of column and unit.
    ///
    /// # Errors
    /// As for [`Format::schema`].
    pub fn units(&self, head: Head<'_>) -> Result<Vec<(String, String)>> {
        let CsvBeginning { names, units, .. } = self.begun(head)?;
        let by_column = names.into_iter().zip(units.unwrap_or_default());
        Ok(by_column.filter(|(_, unit)| !unit.is_empty()).collect())
    }

    /// `schema` with the units of the file's units line.
    fn in_units(&self, schema: Schema, file: &str, beginning: &CsvBeginning) -> Result<Schema> {
        let Some(units) = &beginning.units else { return Ok(schema) };
        let names = self.columns.own_names(file, &beginning.names)?;
        let units = names.iter().zip(units).filter(|(_, unit)| !unit.trim().is_empty());
        let units: HashMap<&str, &str> = units.map(|(name, unit)| (name.as_str(), unit.trim())).collect();
        let said = |field: &Field| Some(field.clone().with_unit(*units.get(&*field.name)?));
        Ok(self.columns.described(schema, said))
    }

    /// Parses the lines before the first record of a file with this `head`.
    fn begun(&self, head: Head<'_>) -> Result<CsvBeginning> {
        self.beginning(head)?.ok_or_else(|| no_header(head.name, "its first line does not end"))
    }

    fn decoder(&self, head: Head<'_>, beginning: &CsvBeginning, schema: &Arc<Schema>) -> Result<CsvDecoder> {
        let roles = self.columns.roles(head.name, &beginning.names, schema)?;
        let layout = FileColumns::new(&self.columns, schema, roles, head.stem, self.origins);
        Ok(CsvDecoder::new(head.bytes, beginning.clone(), self.fitting(beginning), layout))
    }

    fn fitting(&self, beginning: &CsvBeginning) -> Fitting {
        let CsvBeginning { names, has_trailing, .. } = beginning;
        Fitting { fields: names.len(), has_trailing: *has_trailing, ragged: self.ragged }
    }

    /// The number of first records, and those of them that have the expected number of fields; headers are left out.
    fn sample<'t>(&self, head: Head<'t>, beginning: &CsvBeginning) -> (usize, Vec<Vec<Cow<'t, [u8]>>>) {
        let CsvBeginning { splitter, header, written, .. } = beginning;
        let fitting = self.fitting(beginning);
        let (mut at, mut fields, mut sample, mut records) = (beginning.skip_bytes, Vec::new(), Vec::new(), 0);
        while records < SAMPLE {
            at = match splitter.scan(head.bytes, at, head.is_whole, &mut fields) {
                Scan::Record { end, next, .. } => {
                    records += 1;
                    let record = &head.bytes[at..end];
                    let is_header = header.has(record)
                        || written.may_be_in(record)
                            && written.look(&splitter.fields(head.bytes, &fields), &self.columns).is_some();
                    fitting.fit(head.bytes, end, &mut fields);
                    if fields.len() == fitting.fields && !is_header {
                        sample.push(splitter.fields(head.bytes, &fields));
                    }
                    next
                }
                Scan::Skipped { next } | Scan::Unclosed { next, .. } => next,
                Scan::Incomplete => break,
            };
        }
        (records, sample)
    }
}

impl Format for Csv {
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool {
        match self.beginning(head) {
            _ if self.columns.are_named() && self.names.is_some() => true,
            Ok(None) => false,
            Ok(Some(beginning)) => self.columns.are_named() || self.sample(head, &beginning).0 >= records,
            // More input cannot correct an invalid file.
            Err(_) => true,
        }
    }

    fn declared(&self, name: &str) -> Result<Option<Schema>> {
        let names = self.names.as_ref().filter(|_| self.columns.are_named());
        names.map(|names| self.columns.schema(name, names, &[])).transpose()
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        !matches!(self.beginning(head), Ok(None))
    }

    fn line_format(&self, _head: Head<'_>) -> LineFormat {
        LineFormat::ANY_END
    }

    fn names_sensors_after_files(&self) -> bool {
        self.columns.are_sensors_files()
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        if let Some(schema) = self.declared(head.name)? {
            return Ok(schema);
        }
        let beginning = self.begun(head)?;
        let (_, mut sample) = self.sample(head, &beginning);
        let Some(names) = &self.names else {
            let schema = self.columns.schema(head.name, &beginning.names, &sample)?;
            return self.in_units(schema, head.name, &beginning);
        };
        // The columns are in the order of the options, whatever their order in the first file.
        let place = |name| beginning.names.iter().position(|own| own == name);
        let places: Vec<Option<usize>> = names.iter().map(place).collect();
        for record in &mut sample {
            let field = |at: &Option<usize>| at.map_or(Cow::Borrowed(&b""[..]), |at| record[at].clone());
            *record = places.iter().map(field).collect();
        }
        let schema = self.columns.schema(head.name, names, &sample)?;
        self.in_units(schema, head.name, &beginning)
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat> {
        let beginning = self.begun(head)?.join(schema);
        if beginning.units.is_some() {
            let own = self.in_units(Schema::clone(schema), head.name, &beginning)?;
            Schema::clone(schema).with_units_of(&own, ("the input", head.name))?;
        }
        let decoder = self.decoder(head, &beginning, schema)?;
        if let Some(row) = self.rows.and_then(|rows| rows.units)
            && decoder.are_units_likely_record
        {
            let message =
                format!("line {row} of `{}`, given by `units_row`, has no units: it is a record", head.name);
            return Err(Error::data(message)
                .with_help("leave `units_row` out; `data_row` says where the records begin if lines before them are to be skipped"));
        }
        Ok(BoundFormat {
            decoder: Arc::new(decoder),
            skip_bytes: beginning.skip_bytes,
            skip_lines: beginning.skip_lines,
        })
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }
}
