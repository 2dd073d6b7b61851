//! CSV and its relatives (clause 5): RFC 4180 with any delimiter.

mod decode;
mod encode;
pub mod scan;
#[cfg(test)]
mod tests;
mod tiles;

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::decode::CsvDecoder;
use self::scan::{FieldSpan, Marks, Scan, unquote};
use super::columns::{ColumnOptions, Columns, SAMPLE};
use super::rows::Layout;
use super::{Bound, Format, Head, MAX_FIELDS};
use crate::batch::Schema;
use crate::error::{Error, Result};

pub use encode::CsvEncoder;

/// How the text is laid out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Dialect {
    /// The byte between fields, such as ",", ";", "|" or "\t".
    pub delimiter: String,
    /// The byte around fields that contain delimiters, quotes or line ends; "" if there is none.
    pub quote: String,
    /// The byte that begins a comment line; no comments if not given.
    pub comment: Option<String>,
    /// Whether the first record has the names of the columns.
    pub header: bool,
    /// The names of the columns, in order: needed without a header, instead of it otherwise.
    pub names: Option<Vec<String>>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: ",".into(), quote: "\"".into(), comment: None, header: true, names: None }
    }
}

impl Dialect {
    /// The bytes that mean something.
    ///
    /// # Errors
    /// A configuration error where one is not a single byte, or two are the same.
    pub fn marks(&self) -> Result<Marks> {
        let delimiter = if self.delimiter == "tab" { "\t" } else { &self.delimiter };
        let marks = Marks {
            delimiter: delimiter_of(delimiter)?,
            quote: if self.quote.is_empty() { None } else { Some(byte("quote", &self.quote)?) },
            comment: self.comment.as_deref().map(|comment| byte("comment", comment)).transpose()?,
        };
        let all = [Some(marks.delimiter), marks.quote, marks.comment, Some(b'\n'), Some(b'\r')];
        let set: Vec<u8> = all.into_iter().flatten().collect();
        match (1..set.len()).find(|&at| set[..at].contains(&set[at])) {
            None => Ok(marks),
            Some(_) => Err(Error::config(
                "`delimiter`, `quote` and `comment` must differ, and none can be a line end",
            )),
        }
    }
}

/// The byte between fields. Numbers, flags and times stand there without quotes: what is in those cannot be between them.
///
/// # Errors
/// A configuration error where it is not one byte, or one of those.
pub fn delimiter_of(text: &str) -> Result<u8> {
    match byte("delimiter", text)? {
        delimiter if delimiter.is_ascii_alphanumeric() || b"+-.\"\r\n".contains(&delimiter) => {
            Err(Error::config(format!("`delimiter` cannot be {text:?}: that stands in values"))
                .with_help("a letter, a digit, `+`, `-`, `.`, a quote or a line end is none; such as \",\", \";\", \"|\" or \"\\t\""))
        }
        delimiter => Ok(delimiter),
    }
}

fn byte(option: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::config(format!("`{option}` must be one ASCII character, not {text:?}"))),
    }
}

/// The format.
#[derive(Clone, Debug)]
pub struct Csv {
    marks: Marks,
    header: bool,
    names: Option<Vec<String>>,
    columns: Columns,
    origins: bool,
}

/// A UTF-8 byte order mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What stands at the beginning of a file.
struct Beginning {
    names: Vec<String>,
    skip_bytes: usize,
    skip_lines: u64,
}

impl Csv {
    /// Checks the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(dialect: &Dialect, columns: &ColumnOptions) -> Result<Self> {
        if !dialect.header && dialect.names.is_none() {
            return Err(Error::config("without a `header` the columns need `names`")
                .with_help("such as names = [\"time\", \"value\"]"));
        }
        Ok(Self {
            marks: dialect.marks()?,
            header: dialect.header,
            names: dialect.names.clone(),
            columns: Columns::new(columns)?,
            origins: false,
        })
    }

    /// Whether batches say where their records came from.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }

    fn beginning(&self, head: Head<'_>) -> Result<Beginning> {
        let mut skip_bytes = if head.bytes.starts_with(BOM) { BOM.len() } else { 0 };
        let mut skip_lines = 0;
        let mut names = self.names.clone();
        // A stream that nobody has written to yet: the options say it all.
        if self.header && !(head.bytes.is_empty() && names.is_some()) {
            let (found, next, lines) = self.header(head, skip_bytes)?;
            if let Some(names) = names.as_ref().filter(|names| names.len() != found.len()) {
                let message =
                    format!("`{}` has {} columns, `names` has {}", head.name, found.len(), names.len());
                return Err(Error::config(message).with_help("give each column one name"));
            }
            names.get_or_insert_with(|| self.columns.distinct(&found));
            (skip_bytes, skip_lines) = (next, lines);
        }
        Ok(Beginning { names: names.unwrap_or_default(), skip_bytes, skip_lines })
    }

    fn decoder(&self, head: Head<'_>, beginning: &Beginning, schema: &Arc<Schema>) -> Result<CsvDecoder> {
        let roles = self.columns.roles(head.name, &beginning.names, schema)?;
        let layout = Layout::new(&self.columns, schema, roles, head.stem, self.origins);
        Ok(CsvDecoder { marks: self.marks, layout })
    }

    /// The names in the first record, and where the second begins.
    fn header(&self, head: Head<'_>, from: usize) -> Result<(Vec<String>, usize, u64)> {
        let mut fields = Vec::new();
        let (mut at, mut before) = (from, 0);
        loop {
            match self.marks.scan(head.bytes, at, head.is_whole, &mut fields) {
                Scan::Skipped { next } => (at, before) = (next, before + 1),
                Scan::Record { .. } if fields.len() > MAX_FIELDS => {
                    return Err(Error::data(format!("`{}` has more than {MAX_FIELDS} columns", head.name))
                        .with_help("check the `delimiter`"));
                }
                Scan::Record { next, lines, .. } => {
                    let names: Vec<_> =
                        self.fields(head.bytes, &fields).iter().map(|field| name(field)).collect();
                    check_text(head.name, &names)?;
                    return Ok((names, next, before + lines));
                }
                Scan::Unclosed { .. } => {
                    return Err(Error::data(format!(
                        "the header of `{}` has a quote that is never closed",
                        head.name
                    )));
                }
                Scan::Incomplete => {
                    let why = if head.is_whole { "it is empty" } else { "its first line does not end" };
                    return Err(Error::data(format!("`{}` has no header: {why}", head.name))
                        .with_help("check the file, or give the columns with `header = false` and `names`"));
                }
            }
        }
    }

    fn fields<'t>(&self, text: &'t [u8], spans: &[FieldSpan]) -> Vec<Cow<'t, [u8]>> {
        spans.iter().map(|&span| self.field(text, span)).collect()
    }

    fn field<'t>(&self, text: &'t [u8], span: FieldSpan) -> Cow<'t, [u8]> {
        let raw = &text[span.start..span.end];
        match self.marks.quote.filter(|_| span.is_quoted) {
            None => Cow::Borrowed(raw),
            Some(quote) => {
                let mut out = Vec::new();
                unquote(raw, quote, &mut out);
                Cow::Owned(out)
            }
        }
    }

    /// The first records of a file, whatever their number of fields.
    fn sample<'t>(&self, head: Head<'t>, from: usize) -> Vec<Vec<Cow<'t, [u8]>>> {
        let (mut at, mut fields, mut sample) = (from, Vec::new(), Vec::new());
        while sample.len() < SAMPLE {
            at = match self.marks.scan(head.bytes, at, head.is_whole, &mut fields) {
                Scan::Record { next, .. } => {
                    sample.push(self.fields(head.bytes, &fields));
                    next
                }
                Scan::Skipped { next } | Scan::Unclosed { next, .. } => next,
                Scan::Incomplete => break,
            };
        }
        sample
    }
}

/// Names that no text has are those of an archive or another binary file, all of which could pass for one header.
fn check_text(file: &str, names: &[String]) -> Result<()> {
    let is_binary = |c: &char| c.is_control() && !c.is_whitespace();
    match names.iter().find_map(|name| name.chars().find(is_binary)) {
        None => Ok(()),
        Some(found) => Err(Error::data(format!(
            "the header of `{file}` is no text: it has the control character {:#04x}",
            u32::from(found)
        ))
        .with_help(
            "check the file and the source's `type`; unpack an archive, or export a spreadsheet as CSV",
        )),
    }
}

fn name(field: &[u8]) -> String {
    String::from_utf8_lossy(Columns::trim(field)).into_owned()
}

impl Format for Csv {
    fn knows_columns(&self, head: Head<'_>) -> bool {
        let Ok(beginning) = self.beginning(head) else { return false };
        self.columns.are_named() || self.sample(head, beginning.skip_bytes).len() >= SAMPLE
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        self.beginning(head).is_ok()
    }

    fn names_sensors_after_files(&self) -> bool {
        self.columns.are_sensors_files()
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        let beginning = self.beginning(head)?;
        let mut sample = self.sample(head, beginning.skip_bytes);
        sample.retain(|record| record.len() == beginning.names.len());
        self.columns.schema(head.name, &beginning.names, &sample)
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<Bound> {
        let beginning = self.beginning(head)?;
        Ok(Bound {
            decoder: Arc::new(self.decoder(head, &beginning, schema)?),
            skip_bytes: beginning.skip_bytes,
            skip_lines: beginning.skip_lines,
        })
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }
}
