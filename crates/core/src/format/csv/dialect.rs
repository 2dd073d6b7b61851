//! The dialect of delimited text, as the options define it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ragged::Ragged;
use super::scan::Marks;
use super::split::{Splitter, is_of_values};
use super::widths::Widths;
use crate::error::{Error, Result};

/// The dialect of the text. A first line `sep=;`, as Excel writes it, sets the delimiter of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Dialect {
    /// The byte between fields, such as ",", ";", "|" or "\t"; "blanks" for any number of spaces and tabs.
    pub delimiter: String,
    /// The widths of the fields, in characters, for fixed-width text; instead of a delimiter. There are no quotes then. Text after the last
    /// field is one more field.
    pub widths: Option<Vec<usize>>,
    /// The byte around fields that contain delimiters, quotes or line ends; "" if there is none.
    pub quote: String,
    /// The byte that begins a comment line; no comments if not given.
    pub comment: Option<String>,
    /// Whether the first record contains the column names.
    pub header: bool,
    /// The column names, in order: required without a header. With a header, it must have the same names, in any order.
    pub names: Option<Vec<String>>,
    /// The number of lines to skip at the beginning of each file.
    pub skip_lines: usize,
    /// The line with the column names, counted from 1 in each file; lines before it are skipped.
    pub header_row: Option<usize>,
    /// The line below the header with the units of the columns; it is not a record.
    pub units_row: Option<usize>,
    /// The line of the first record; lines between the header and it are skipped.
    pub data_row: Option<usize>,
    /// What to do with a record with too few or too many fields: `reject` it; `trim` removes surplus empty fields at its end; `fill` reads
    /// missing fields as null; `cut` removes surplus fields, whatever they contain; `fit` does both `fill` and `cut`.
    pub ragged: Ragged,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: COMMA.into(),
            widths: None,
            quote: QUOTE.into(),
            comment: None,
            header: true,
            names: None,
            skip_lines: 0,
            header_row: None,
            units_row: None,
            data_row: None,
            ragged: Ragged::default(),
        }
    }
}

const COMMA: &str = ",";
const QUOTE: &str = "\"";
/// The delimiter that matches runs of spaces and tabs.
const BLANKS: &str = "blanks";

/// The lines before the records; line numbers count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeadingRows {
    /// The number of lines skipped before the header, or before the records if there is no header.
    pub(super) before: u64,
    /// The origin of that number, for messages: an option, or the file itself.
    pub(super) said_by: &'static str,
    pub(super) units: Option<u64>,
    pub(super) data: Option<u64>,
}

impl Dialect {
    /// The splitter of lines into fields.
    ///
    /// # Errors
    /// A configuration error that names the option: a delimiter, quote or comment that is not a single byte, two that are equal, an invalid
    /// width.
    pub fn splitter(&self) -> Result<Splitter> {
        match &self.widths {
            None if self.delimiter == BLANKS => Ok(Splitter::Blanks(self.marks_but(" ")?)),
            None => Ok(Splitter::Marks(self.marks_but(&self.delimiter)?)),
            Some(_) if self.delimiter != COMMA || !matches!(self.quote.as_str(), QUOTE | "") => {
                Err(Error::config("`widths` cannot be combined with `delimiter` or `quote`")
                    .with_help("give one or the other"))
            }
            Some(widths) => Ok(Splitter::Widths(Widths::new(widths, self.comment()?)?)),
        }
    }

    /// The special bytes, with `delimiter` between fields.
    fn marks_but(&self, delimiter: &str) -> Result<Marks> {
        let delimiter = if delimiter == "tab" { "\t" } else { delimiter };
        let marks = Marks {
            delimiter: delimiter_of(delimiter)?,
            quote: if self.quote.is_empty() { None } else { Some(byte("quote", &self.quote)?) },
            comment: self.comment()?,
        };
        if marks.are_distinct() {
            return Ok(marks);
        }
        Err(Error::config("`delimiter`, `quote` and `comment` must differ, and none can be a line end"))
    }

    fn comment(&self) -> Result<Option<u8>> {
        self.comment.as_deref().map(|comment| byte("comment", comment)).transpose()
    }

    /// The lines before the records; `None` if no option defines them.
    ///
    /// # Errors
    /// A configuration error if two options contradict each other, or one has no effect.
    pub(super) fn rows(&self) -> Result<Option<LeadingRows>> {
        let Self { skip_lines, header_row, units_row, data_row, .. } = *self;
        if !self.header {
            let lines = [("header_row", header_row), ("units_row", units_row), ("data_row", data_row)];
            if let Some((option, _)) = lines.iter().find(|(_, line)| line.is_some()) {
                return Err(Error::config(format!("`{option}` has no effect without a `header`"))
                    .with_help("`skip_lines` says how many lines come before the records"));
            }
        }
        if skip_lines > 0 && header_row.is_some() {
            return Err(Error::config("`skip_lines` and `header_row` are mutually exclusive")
                .with_help("the lines before `header_row` are skipped anyway"));
        }
        let header = header_row.unwrap_or(skip_lines.saturating_add(1));
        let by = match (header_row, skip_lines) {
            (Some(_), _) => "`header_row`",
            (None, 0) => "the header",
            (None, _) => "the header (after `skip_lines`)",
        };
        check_order([(by, Some(header)), ("`units_row`", units_row), ("`data_row`", data_row)])?;
        let is_said = skip_lines > 0 || header_row.is_some() || units_row.is_some() || data_row.is_some();
        let line = |row: usize| row as u64;
        Ok(is_said.then_some(LeadingRows {
            before: line(header) - 1,
            said_by: if header_row.is_some() { "`header_row`" } else { "`skip_lines`" },
            units: units_row.map(line),
            data: data_row.map(line),
        }))
    }
}

/// Checks that the rows that are given ascend from 1.
fn check_order(rows: [(&str, Option<usize>); 3]) -> Result<()> {
    let help = "they are numbers of lines, from 1: the header, then the units, then the first record";
    let given: Vec<_> = rows.into_iter().filter_map(|(name, row)| Some((name, row?))).collect();
    if let Some((name, _)) = given.iter().find(|(_, row)| *row == 0) {
        return Err(Error::config(format!("{name} is 0, but lines are counted from 1")).with_help(help));
    }
    let Some(pair) = given.windows(2).find(|pair| pair[0].1 >= pair[1].1) else { return Ok(()) };
    let [(before, first), (behind, second)] = [pair[0], pair[1]];
    let what = format!("{behind} is line {second}, which is not below {before}, line {first}");
    Err(Error::config(what).with_help(help))
}

/// The byte between fields. Numbers, booleans and times are written without quotes, so their characters cannot separate fields.
///
/// # Errors
/// A configuration error if it is not a single byte, or may occur in a value.
pub fn delimiter_of(text: &str) -> Result<u8> {
    match byte("delimiter", text)? {
        delimiter if is_of_values(delimiter) => {
            Err(Error::config(format!("`delimiter` cannot be {text:?}: it may be part of a number or a time"))
                .with_help("any byte but a letter, a digit, `+`, `-`, `.`, a quote and a line end, such as \",\", \";\", \"|\" or \"\\t\""))
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
