//! The decoder against the `csv` crate and `str::parse`, and against itself at every split point.

use proptest::prelude::*;

use super::BOM;
use super::*;
use crate::batch::Bytes;
use crate::error::Rejection;
use crate::format::{Chunk, Decoded, columns::Decimal};
use crate::offset::Offset;
use crate::sensor::Sensors;

/// One record as text, the value of each column; or its rejection.
#[derive(Debug, PartialEq, Clone)]
enum RecordOutcome {
    Record(Vec<String>),
    Refused { line: u64, offset: u64, record: u64, reason: String, raw: Vec<u8> },
}

/// The records and rejections of a text.
#[derive(Debug, Default, PartialEq)]
struct Decode {
    /// The valid records, encoded.
    records: Vec<u8>,
    /// The rejected ones; `record` counts both from the start of the text.
    rejections: Vec<Rejection>,
    count: u64,
    lines: u64,
}

/// Separates columns in the output that a test compares.
const SEPARATOR: u8 = 0x1f;

/// Decodes a text in pieces that end at `cuts`, ascending, and at its end; `None` if its header is invalid.
fn decode_cut(format: &Csv, text: &[u8], cuts: impl IntoIterator<Item = usize>) -> Option<Decode> {
    let head = Head { name: "t.csv", stem: "t", bytes: text, is_whole: true };
    let schema = Arc::new(format.schema(head).ok()?);
    let bound = format.bind(head, &schema).expect("bound");
    let (mut all, mut sensors) = (Decode::default(), Sensors::default());
    let mut start = bound.skip_bytes;
    all.lines = bound.skip_lines;
    let cuts = cuts.into_iter().filter(|&cut| (bound.skip_bytes..text.len()).contains(&cut));
    for end in cuts.chain([text.len()]) {
        let length = bound.decoder.complete(&text[start..end], end == text.len());
        let chunk = Chunk {
            sequence: 0,
            file: "t.csv".into(),
            offset: Offset { file: 0, at: start as u64, line: 1 + all.lines },
            bytes: Bytes::new(text[start..start + length].to_vec()),
            decoder: Arc::clone(&bound.decoder),
            witness: None,
            received: None,
        };
        all.add(chunk.decode(&mut sensors).expect("decoded"), &sensors);
        start += length;
    }
    assert_eq!(start, text.len());
    Some(all)
}

impl Decode {
    fn add(&mut self, decoded: Decoded, sensors: &Sensors) {
        use crate::format::Encode;
        let encoder = CsvEncoder { delimiter: SEPARATOR, decimals: None, safe: false };
        encoder.encode(&decoded.batch, sensors, &mut self.records);
        let before = self.count;
        self.count += (decoded.batch.len() + decoded.rejections.len()) as u64;
        let rejections = decoded.rejections.into_iter();
        self.rejections.extend(rejections.map(|r| Rejection { record: before + r.record, ..r }));
        self.lines += decoded.lines;
    }

    /// Records and rejections in the order of the input.
    fn in_order(self) -> Vec<RecordOutcome> {
        let mut rejections = self.rejections.into_iter().peekable();
        let mut records = oracle(&self.records, &Dialect { delimiter: "\x1f".into(), ..Dialect::default() })
            .into_iter()
            .map(|record| record.into_iter().map(|field| String::from_utf8(field).expect("text")).collect());
        let outcome = |record| match rejections.next_if(|r| r.record == record) {
            Some(Rejection { position, reason, raw, .. }) => {
                RecordOutcome::Refused { line: position.line, offset: position.offset, record, reason, raw }
            }
            None => RecordOutcome::Record(records.next().expect("a record")),
        };
        (1..=self.count).map(outcome).collect()
    }
}

/// Decodes a text `step` bytes at a time.
fn decode(format: &Csv, text: &[u8], step: usize) -> Vec<RecordOutcome> {
    decode_cut(format, text, (step..).step_by(step).take_while(|&cut| cut < text.len()))
        .expect("a header")
        .in_order()
}

/// Checks that the result does not depend on cuts: every one; in short texts every two; and every piece size up to that of a long line.
fn check_cuts(format: &Csv, text: &[u8]) -> Result<(), TestCaseError> {
    /// Texts up to this length are also cut at every two positions.
    const SHORT: usize = 32;
    let whole = decode_cut(format, text, []);
    for first in 0..=text.len() {
        prop_assert_eq!(&decode_cut(format, text, [first]), &whole, "cut at {} of {:?}", first, text);
        for second in (first + 1..text.len()).take_while(|_| text.len() <= SHORT) {
            let pieces = decode_cut(format, text, [first, second]);
            prop_assert_eq!(&pieces, &whole, "cut at {} and {} of {:?}", first, second, text);
        }
    }
    for step in 1..=text.len().min(SHORT) {
        let pieces = decode_cut(format, text, (step..text.len()).step_by(step));
        prop_assert_eq!(&pieces, &whole, "pieces of {} of {:?}", step, text);
    }
    Ok(())
}

/// Columns `a`, text, and `b`, a number or text, without a header.
fn two_columns_of(dialect: Dialect, measurement: bool) -> Csv {
    let dialect = Dialect { header: false, names: Some(vec!["a".into(), "b".into()]), ..dialect };
    let measurements = Some(if measurement { vec!["b".into()] } else { vec![] });
    Csv::new(&dialect, &ColumnOptions { measurements, ..ColumnOptions::default() }).expect("options")
}

fn two_columns(measurement: bool) -> Csv {
    two_columns_of(Dialect { comment: Some("#".into()), ..Dialect::default() }, measurement)
}

/// The fields of every record, as the scanner finds them; `None` for a line whose quote is not closed.
fn scanned(format: &Csv, text: &[u8]) -> Vec<Option<Vec<Vec<u8>>>> {
    let (mut at, mut fields, mut records) =
        (if text.starts_with(BOM) { 3 } else { 0 }, Vec::new(), Vec::new());
    loop {
        at = match format.splitter.scan(text, at, true, &mut fields) {
            Scan::Record { next, .. } => {
                records.push(Some(
                    format.splitter.fields(text, &fields).into_iter().map(Cow::into_owned).collect(),
                ));
                next
            }
            Scan::Skipped { next } => next,
            Scan::Unclosed { next, .. } => {
                records.push(None);
                next
            }
            Scan::Incomplete => return records,
        }
    }
}

/// The ends of the records, as the scanner finds them if the text may continue.
fn ends(format: &Csv, text: &[u8]) -> Vec<usize> {
    let (mut ends, mut fields) = (vec![0], Vec::new());
    loop {
        match format.splitter.scan(text, *ends.last().expect("one"), false, &mut fields) {
            Scan::Record { next, .. } | Scan::Skipped { next } | Scan::Unclosed { next, .. } => {
                ends.push(next)
            }
            Scan::Incomplete => return ends,
        }
    }
}

/// The same with the `csv` crate.
fn oracle(text: &[u8], dialect: &Dialect) -> Vec<Vec<Vec<u8>>> {
    let byte = |text: &str| text.as_bytes()[0];
    let mut reader = ::csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(byte(&dialect.delimiter));
    reader.comment(dialect.comment.as_deref().map(byte)).quoting(!dialect.quote.is_empty());
    if !dialect.quote.is_empty() {
        reader.quote(byte(&dialect.quote));
    }
    reader
        .from_reader(text)
        .byte_records()
        .map(|record| record.expect("in memory").iter().map(<[u8]>::to_vec).collect())
        .collect()
}

/// The expected text and number of a record of two columns by the standard library; `None` if it should be rejected.
fn by_the_language(record: &[Vec<u8>], measurement: bool) -> Option<(String, Option<f64>)> {
    let [a, b] = record else { return None };
    let text = |field| std::str::from_utf8(field).ok().map(|text: &str| text.trim_matches([' ', '\t']));
    let (a, b) = (text(a)?, text(b)?);
    match b {
        "" => Some((a.to_owned(), None)),
        _ if !measurement => Some((format!("{a}|{b}"), None)),
        number => Some((a.to_owned(), Some(number.parse().ok()?))),
    }
}

/// Every combination of special bytes, with or without a header.
fn any_dialect() -> impl Strategy<Value = Dialect> {
    let choose = |marks: &'static [&'static str]| proptest::sample::select(marks);
    (choose(&[",", ";", "\t", "|", " "]), choose(&["\"", "'", ""]), choose(&["", "#", "%"]), any::<bool>())
        .prop_map(|(delimiter, quote, comment, header)| Dialect {
            delimiter: delimiter.into(),
            quote: quote.into(),
            comment: (!comment.is_empty()).then(|| comment.into()),
            header,
            ..Dialect::default()
        })
}

/// Every way to split lines, and to handle records with other numbers of fields.
fn any_layout() -> impl Strategy<Value = Dialect> {
    let ragged = vec![Ragged::Reject, Ragged::Trim, Ragged::Fill, Ragged::Cut, Ragged::Fit];
    (any_dialect(), 0..4u8, proptest::sample::select(ragged)).prop_map(|(dialect, kind, ragged)| match kind {
        0 => Dialect { delimiter: "blanks".into(), ragged, ..dialect },
        1 => {
            let widths = Some(vec![2, 3]);
            Dialect { delimiter: ",".into(), quote: String::new(), widths, ragged, ..dialect }
        }
        _ => Dialect { ragged, ..dialect },
    })
}

/// A text of at most 256 bytes, made of what matters in this dialect; every second one begins with a valid header.
fn nasty_in(dialect: &Dialect) -> impl Strategy<Value = Vec<u8>> + use<> {
    let Dialect { delimiter, quote, comment, .. } = dialect.clone();
    let delimiter =
        if delimiter == "blanks" || dialect.widths.is_some() { " ".to_owned() } else { delimiter };
    let comment = comment.unwrap_or_default();
    let quoted = format!("{quote}q{quote}{quote}{delimiter}\r\n{quote}");
    let (good, bad) = (format!("x{delimiter}1.5"), format!("x{delimiter}1.5C"));
    let noted = format!("\n{comment}{quote} \r");
    let marks =
        [delimiter.clone(), quote.clone(), quote, comment, quoted, good, bad, noted].map(String::into_bytes);
    let again = format!("\na{delimiter}b\n");
    let fixed =
        ["\n", "\r", "\r\n", "a", "1", "-2.5e3", " ", "\t", "é", "\0", "nan", "\u{feff}", "\n\0\0", &again]
            .map(|t| t.as_bytes().to_vec());
    let tokens: Vec<Vec<u8>> = marks.into_iter().chain(fixed).chain([b"\xff".to_vec()]).collect();
    let headers = ["", "a b\n", "a b \n", "sep=b\n", "sep=;\na;b\n"]
        .map(|text| text.replace(' ', &delimiter).into_bytes());
    (
        any::<bool>(),
        proptest::sample::select(headers.to_vec()),
        proptest::collection::vec(proptest::sample::select(tokens), 0..100),
    )
        .prop_map(move |(has_bom, header, tokens)| {
            let bom = if has_bom { BOM } else { b"" };
            let mut text = [bom, &header, &tokens.concat()].concat();
            text.truncate(256);
            text
        })
}

/// A dialect with a text for it.
fn any_text() -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    any_dialect().prop_flat_map(|dialect| nasty_in(&dialect).prop_map(move |text| (dialect.clone(), text)))
}

/// A layout with a text for it.
fn any_laid_out() -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    any_layout().prop_flat_map(|dialect| nasty_in(&dialect).prop_map(move |text| (dialect.clone(), text)))
}

/// Changes the text where the crate differs: for the crate, a lone CR ends no comment, a comment at the end of the text is a record, NULs
/// before a record are part of it, and `sep=` is a record.
fn agreed(dialect: &Dialect, text: Vec<u8>) -> Vec<u8> {
    let start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let (mut text, mut is_start) = (text, true);
    if text[start..].starts_with(b"sep=") {
        text[start] = b'z';
    }
    for byte in &mut text[start..] {
        if is_start && *byte == 0 {
            *byte = b'n';
        } else {
            is_start = matches!(byte, b'\n' | b'\r');
        }
    }
    let Some(comment) = &dialect.comment else { return text };
    let mut lines = text.split(|byte| b"\r\n".contains(byte));
    if !lines.any(|line| line.strip_prefix(BOM).unwrap_or(line).starts_with(comment.as_bytes())) {
        return text;
    }
    text.into_iter().map(|byte| if byte == b'\r' { b'\n' } else { byte }).chain([b'\n']).collect()
}

#[test]
fn clause_5_quoting_as_rfc_4180() {
    let text = b"\"a,b\",1\r\n\"say \"\"hi\"\"\",2\r\"two\nlines\",3\n\"x\"y,4";
    let records = decode(&two_columns(true), text, 7);
    let expected = [["t", "a,b", "1"], ["t", "say \"hi\"", "2"], ["t", "two\nlines", "3"], ["t", "xy", "4"]];
    let expected: Vec<_> =
        expected.iter().map(|r| RecordOutcome::Record(r.iter().map(|&f| f.to_owned()).collect())).collect();
    assert_eq!(records, expected);
}

#[test]
fn clause_5_a_quote_never_closed_costs_its_line_only() {
    let text = b"a,1\n\"b,2\nc,3\n";
    let records = decode(&two_columns(true), text, 1000);
    assert_eq!(records.len(), 3);
    assert!(
        matches!(&records[1], RecordOutcome::Refused { line: 2, offset: 4, raw, .. } if raw == b"\"b,2"),
        "{records:?}"
    );
    assert!(matches!(&records[2], RecordOutcome::Record(fields) if fields[2] == "3"));
}

#[test]
fn clause_5_wrong_number_of_fields_is_a_reject_with_its_place() {
    let records = decode(&two_columns(true), b"# note\n\na,1,2\r\n\r\na\n", 3);
    let shown: Vec<_> = records
        .iter()
        .map(|r| match r {
            RecordOutcome::Refused { line, offset, reason, .. } => format!("{line} {offset} {reason}"),
            RecordOutcome::Record(_) => "record".into(),
        })
        .collect();
    assert_eq!(shown, ["3 8 3 fields where 2 are expected", "5 17 1 field where 2 are expected"]);
}

proptest! {
    #[test]
    fn clause_5_fields_are_those_of_the_csv_crate((dialect, text) in any_text()) {
        let text = agreed(&dialect, text);
        let format = two_columns_of(dialect.clone(), false);
        let (records, oracle) = (scanned(&format, &text), oracle(&text, &dialect));
        // The crate treats an unclosed quote as closed by the end of the input.
        let agreed = records.iter().position(Option::is_none).unwrap_or(records.len().max(oracle.len()));
        let records: Vec<_> = records.into_iter().flatten().take(agreed).collect();
        prop_assert_eq!(&records[..], &oracle[..agreed]);
    }

    #[test]
    fn clause_5_records_are_those_of_the_csv_crate_and_the_language((dialect, text) in any_text(), measurement in any::<bool>()) {
        let text = agreed(&dialect, text);
        let outcomes = decode_cut(&two_columns_of(dialect.clone(), measurement), &text, []).expect("no header").in_order();
        let line_ends = |text: &[u8]| {
            let lf = text.iter().filter(|&&byte| byte == b'\n').count();
            let cr = (0..text.len()).filter(|&at| text[at] == b'\r' && text.get(at + 1) != Some(&b'\n')).count();
            (lf + cr) as u64
        };
        let mut oracle = oracle(&text, &dialect).into_iter();
        let mut is_agreed = true;
        for outcome in outcomes {
            let expected = oracle.next().and_then(|record| by_the_language(&record, measurement));
            match outcome {
                RecordOutcome::Record(fields) if is_agreed => {
                    let (text, number) = match fields.as_slice() {
                        [_, a, b] if !measurement && !b.is_empty() => (format!("{a}|{b}"), None),
                        [_, a, b] if measurement && !b.is_empty() => (a.clone(), b.parse::<f64>().ok()),
                        fields => (fields[1].clone(), None),
                    };
                    let same = |n: Option<f64>| n.map(|n| if n.is_nan() { f64::NAN.to_bits() } else { n.to_bits() });
                    let (text_by, number_by) = expected.expect("a record");
                    prop_assert_eq!((text, same(number)), (text_by, same(number_by)));
                }
                RecordOutcome::Record(_) => {}
                RecordOutcome::Refused { line, offset, reason, raw, .. } => {
                    is_agreed &= !reason.contains("unclosed");
                    prop_assert!(!is_agreed || expected.is_none(), "{} for {:?}", reason, raw);
                    prop_assert!(text[offset as usize..].starts_with(&raw));
                    prop_assert_eq!(line, 1 + line_ends(&text[..offset as usize]));
                }
            }
        }
        prop_assert!(!is_agreed || oracle.next().is_none());
    }

    #[test]
    fn clause_5_no_split_point_changes_anything((dialect, text) in any_laid_out(), measurement in any::<bool>()) {
        check_cuts(&two_columns_of(dialect.clone(), measurement), &text)?;
        if dialect.header {
            let columns = ColumnOptions { decimal: Decimal::Comma, ..ColumnOptions::default() };
            check_cuts(&Csv::new(&dialect, &columns).expect("options"), &text)?;
        }
    }

    #[test]
    fn clause_5_no_two_split_points_change_anything((dialect, text) in any_laid_out(), measurement in any::<bool>()) {
        check_cuts(&two_columns_of(dialect, measurement), &text[..text.len().min(24)])?;
    }

    #[test]
    fn clause_3_numbers_are_those_of_the_language(texts in proptest::collection::vec("[ ]?[-+]?[0-9]{0,4}[.]?[0-9]{0,20}(e[0-9]{1,2})?[ ]?|[naif]{1,3}", 1..20)) {
        let text: String = texts.iter().map(|text| format!("x,{text}\n")).collect();
        for (outcome, text) in decode(&two_columns(true), text.as_bytes(), 11).iter().zip(&texts) {
            let trimmed = text.trim_matches(' ');
            match (outcome, trimmed.parse::<f64>()) {
                (RecordOutcome::Record(fields), Ok(value)) => {
                    let back: f64 = fields[2].parse().expect("a number");
                    prop_assert!(back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan());
                }
                (RecordOutcome::Record(fields), Err(_)) => prop_assert!(trimmed.is_empty() && fields[2].is_empty()),
                (RecordOutcome::Refused { .. }, parsed) => prop_assert!(parsed.is_err() && !trimmed.is_empty(), "{}", text),
            }
        }
    }
}

#[test]
fn clause_5_every_split_point_of_a_larger_input() {
    let line = "\"q\"\"uo\nted\",1.5\r\nplain,2\r\"lone\rcr\",3\n,,\n\n# x \"\n";
    let text: String = line.repeat(6).chars().take(256).collect();
    let format = two_columns(true);
    assert!(decode(&format, text.as_bytes(), text.len()).len() > 15);
    check_cuts(&format, text.as_bytes()).expect("no difference");
    for step in 1..text.len() {
        assert_eq!(decode(&format, text.as_bytes(), step), decode(&format, text.as_bytes(), 256), "{step}");
    }
}

#[test]
fn clause_5_a_comment_ends_at_a_carriage_return_between_quotes() {
    check_cuts(&two_columns(true), b"#,\"x\r\",y\n\"z\",1\n").expect("no cut matters");
}

proptest! {
    // Rare combinations matter, and a case takes microseconds.
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn clause_5_a_chunk_ends_at_a_record_end(text in "([a\",#\n]|,\"|\",|\"\n|\n\"|\r|\r\n){0,40}", commented in any::<bool>()) {
        let comment = commented.then(|| "#".into());
        let format = two_columns_of(Dialect { comment, ..Dialect::default() }, true);
        let ends = ends(&format, text.as_bytes());
        let end = format.splitter.complete(text.as_bytes(), false);
        prop_assert!(ends.contains(&end), "{} of {:?}: {:?}", end, ends, text);
        prop_assert!(end > 0 || ends.len() == 1, "none of {:?}: {:?}", ends, text);
        prop_assert!(text.contains('\r') || Some(&end) == ends.last(), "{} of {:?}: {:?}", end, ends, text);
    }
}
