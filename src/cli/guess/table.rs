//! Records and fields of a sample.

use super::delimiter::{DELIMITERS, FieldKind, RARE, RecordShape, look, most_frequent, shape};
use super::layout::{self, LineLayout};
use super::lines::{self, SampleRecord, SpecialBytes, records};
use super::refusal::Refusal;
use super::sample::is_number;
use super::widths;

/// What kind of file it is, as the name of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum FileKind {
    Delimited,
    Json,
    Influx,
    Parquet,
}

/// How delimited text is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Dialect {
    /// A blank means any number of blanks.
    pub(in crate::cli) delimiter: u8,
    /// The widths of fixed-width fields; there is no delimiter then.
    pub(in crate::cli) widths: Option<Vec<usize>>,
    /// Whether the first line of the file gives the delimiter, so that no option is needed.
    pub(in crate::cli) is_said: bool,
    pub(in crate::cli) quote: u8,
    pub(in crate::cli) comment: Option<u8>,
    pub(in crate::cli) has_header: bool,
    pub(in crate::cli) layout: LineLayout,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            widths: None,
            is_said: false,
            quote: b'"',
            comment: None,
            has_header: true,
            layout: LineLayout::default(),
        }
    }
}

/// A sample, split into records and fields.
pub(super) struct SampleTable {
    pub(super) kind: FileKind,
    pub(super) dialect: Dialect,
    pub(super) names: Vec<String>,
    /// Fields by record, as text; empty where missing.
    pub(super) rows: Vec<Vec<String>>,
    /// The station that a logger names.
    pub(super) station: Option<String>,
    /// Columns whose values are marked as text.
    pub(super) texts: Vec<usize>,
    /// The lines before the records.
    pub(super) before: Vec<String>,
    /// Open questions.
    pub(super) doubts: Vec<String>,
    /// Why no options can read it, if none can.
    pub(super) refusal: Option<Refusal>,
}

impl Default for SampleTable {
    fn default() -> Self {
        Self {
            kind: FileKind::Delimited,
            dialect: Dialect::default(),
            names: Vec::new(),
            rows: Vec::new(),
            station: None,
            texts: Vec::new(),
            before: Vec::new(),
            doubts: Vec::new(),
            refusal: None,
        }
    }
}

impl SampleTable {
    pub(super) fn read(bytes: &[u8], is_whole: bool) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        delimited(bytes, is_whole)
    }

    /// Whether numbers have a decimal comma: more fields are numbers then than with a point.
    pub(super) fn decimal_comma(&self) -> bool {
        if self.kind != FileKind::Delimited {
            return false;
        }
        let fields =
            || self.rows.iter().flatten().map(|field| field.trim()).filter(|field| !field.is_empty());
        let readable = |comma| fields().filter(|field| is_number(field, comma)).count();
        // If the comma is also the delimiter, numbers are quoted: three digits after a comma are more likely a group.
        let has_decimals = |field: &str| field.rsplit_once(',').is_some_and(|(_, digits)| digits.len() != 3);
        let is_sure = || fields().any(|field| is_number(field, true) && has_decimals(field));
        readable(true) > readable(false) && (self.dialect.delimiter != b',' || is_sure())
    }
}

fn delimited(bytes: &[u8], is_whole: bool) -> SampleTable {
    let (quote, comment) = (quote(bytes), comment(bytes));
    let own = layout::separator(bytes);
    let skipped = usize::from(own.is_some());
    let marks = |delimiter: u8| SpecialBytes { delimiter, quote, comment };
    let parse = |delimiter: u8| records(bytes, marks(delimiter), skipped, is_whole);
    let mut best: Option<(u8, Vec<SampleRecord>, RecordShape)> = None;
    for delimiter in own.map_or([&DELIMITERS[..], &RARE].concat(), |own| vec![own]) {
        if RARE.contains(&delimiter) && best.as_ref().is_some_and(|(known, ..)| *known != b' ') {
            break;
        }
        let records = parse(delimiter);
        if let Some(shape) = shape(&records)
            && is_meant(delimiter, &records, &shape)
            && best.as_ref().is_none_or(|(_, _, best)| shape.score > best.score)
        {
            best = Some((delimiter, records, shape));
        }
    }
    let fixed =
        fixed(bytes, comment, is_whole, best.as_ref().map(|(delimiter, _, shape)| (*delimiter, shape)));
    let solid = best.is_none() && fixed.is_none();
    let solid = solid.then(|| widths::solid(bytes, comment, is_whole)).flatten();
    let fixed_widths = fixed.as_ref().map(|(widths, ..)| widths.clone());
    let best = fixed.map(|(_, records, shape)| (b' ', records, shape)).or(best);
    let (delimiter, records, shape) = best.unwrap_or_else(|| {
        let widest = |delimiter: &u8| parse(*delimiter).iter().map(|record| record.fields.len()).max();
        let delimiter = own.or_else(|| DELIMITERS[..4].iter().copied().max_by_key(widest)).unwrap_or(b',');
        let records = parse(delimiter);
        let shape = shape_of_texts(&records);
        (delimiter, records, shape)
    });
    let first_line = records.get(shape.first).map_or(0, |record| record.line);
    let comments = comment.map(|mark| lines::comments(bytes, mark, first_line)).unwrap_or_default();
    let comments =
        lines::records(comments.as_bytes(), SpecialBytes { comment: None, ..marks(delimiter) }, 0, true);
    let mut found = layout::find(records, &shape, comments);
    if fixed_widths.is_some() {
        found.doubts.push(FIXED.to_owned());
        found.layout.ragged = found.layout.ragged.or(Some("fill"));
    }
    found.doubts.extend(solid.map(|length| {
        format!(
            "all lines have {length} characters, and no delimiter: fixed-width fields cannot be separated without blanks; give their widths \
             in `widths`"
        )
    }));
    let before =
        String::from_utf8_lossy(bytes).lines().take(first_line.max(1) - 1).map(str::to_owned).collect();
    let dialect = Dialect {
        delimiter,
        widths: fixed_widths,
        is_said: own.is_some(),
        quote,
        comment,
        has_header: found.has_header,
        layout: found.layout,
    };
    SampleTable {
        dialect,
        names: found.names,
        rows: found.rows,
        station: found.station,
        before,
        doubts: found.doubts,
        refusal: found.refusal,
        ..SampleTable::default()
    }
}

/// Whether an unreliable delimiter (a blank or a rare one) splits enough lines evenly.
fn is_meant(delimiter: u8, records: &[SampleRecord], shape: &RecordShape) -> bool {
    let count = |records: &[SampleRecord]| {
        let parted = records.iter().filter(|record| record.fields.len() == shape.width).count();
        (parted, records.len())
    };
    match delimiter {
        b' ' => {
            let (parted, all) = count(&records[shape.first..]);
            parted * 2 > all
        }
        rare if RARE.contains(&rare) => {
            let (parted, all) = count(records);
            all > 2 && parted * 10 >= all * 9
        }
        _ => true,
    }
}

/// The warning about guessed widths.
const FIXED: &str = "fields have fixed widths, found by the blanks between them: compare `widths` with the file's documentation, because later \
    values may be longer";

/// The widths of fixed-width fields, with the records that they give, if no delimiter splits the text as evenly.
fn fixed(
    bytes: &[u8],
    comment: Option<u8>,
    is_whole: bool,
    best: Option<(u8, &RecordShape)>,
) -> Option<(Vec<usize>, Vec<SampleRecord>, RecordShape)> {
    // A delimiter between fields is more reliable than blanks, and a possible one makes widths uncertain.
    let may_be_delimited = match best {
        Some((delimiter, _)) => delimiter != b' ',
        None => DELIMITERS[..4].iter().any(|delimiter| bytes.contains(delimiter)),
    };
    if may_be_delimited {
        return None;
    }
    let widths = widths::find(bytes, comment, is_whole)?;
    let mut records = lines::fixed_records(bytes, &widths, comment, is_whole);
    // A line ends with its last value; later fields are missing.
    records
        .iter_mut()
        .filter(|record| record.fields.len() > 1 && record.fields.len() <= widths.len())
        .for_each(|record| record.fields.resize(widths.len() + 1, String::new()));
    let shape = shape(&records)?;
    let is_better = best.is_none_or(|(_, known)| shape.score > known.score);
    is_better.then_some((widths, records, shape))
}

/// The shape of records of which no two fields in a line are times or numbers: one column, or texts.
fn shape_of_texts(records: &[SampleRecord]) -> RecordShape {
    let width = most_frequent(records.iter().map(|record| record.fields.len())).unwrap_or(0);
    let has_value = |record: &SampleRecord| {
        record.fields.iter().any(|field| matches!(look(field), FieldKind::Number | FieldKind::Time))
    };
    let first = records.iter().position(has_value).unwrap_or(records.len().min(1));
    RecordShape { width, first, score: 0.0 }
}

/// The number sign, if lines begin with one that is not a field.
fn comment(bytes: &[u8]) -> Option<u8> {
    let mut lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"#")).peekable();
    lines.peek()?;
    let is_field = |rest: &[u8]| rest.first().is_some_and(|next| DELIMITERS[..4].contains(next));
    (!lines.any(is_field)).then_some(b'#')
}

/// The single quote if fields are quoted by it, otherwise the double quote.
fn quote(bytes: &[u8]) -> u8 {
    let double = bytes.contains(&b'"');
    let fields = bytes.split(|byte| DELIMITERS[..4].contains(byte) || matches!(byte, b'\n' | b'\r'));
    let quoted =
        fields.filter(|field| field.len() > 1 && field.starts_with(b"'") && field.ends_with(b"'")).count();
    if !double && quoted > 1 { b'\'' } else { b'"' }
}
