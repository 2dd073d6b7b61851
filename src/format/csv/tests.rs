//! The decoder against the `csv` crate and `str::parse`, and against itself at every split point.

use proptest::prelude::*;

use super::*;
use crate::batch::Bytes;
use crate::chunk::{Chunk, Decoded};
use crate::offset::Offset;
use crate::sensor::Sensors;

/// One record as text: each column's value, then nothing; or what was refused.
#[derive(Debug, PartialEq, Clone)]
enum Outcome {
    Record(Vec<String>),
    Refused { line: u64, offset: u64, record: u64, reason: String, raw: Vec<u8> },
}

/// Everything that a text gives when it is cut by `complete` with a buffer that grows `step` bytes at a time.
fn decode(format: &Csv, text: &[u8], step: usize) -> Vec<Outcome> {
    let head = Head { name: "t.csv", stem: "t", bytes: text, is_whole: true };
    let Ok(schema) = format.schema(head).map(Arc::new) else { return Vec::new() };
    let bound = format.bind(head, &schema).expect("bound");
    let (mut outcomes, mut sensors) = (Vec::new(), Sensors::default());
    let (mut start, mut end) = (bound.skip_bytes, bound.skip_bytes);
    let (mut line, mut records) = (1 + bound.skip_lines, 0);
    loop {
        end = text.len().min(end + step);
        let at_end = end == text.len();
        let length = bound.decoder.complete(&text[start..end], at_end);
        let chunk = Chunk {
            sequence: 0,
            file: "t.csv".into(),
            offset: Offset { file: 0, at: start as u64, line },
            bytes: Bytes::new(text[start..start + length].to_vec()),
            decoder: Arc::clone(&bound.decoder),
        };
        let decoded = chunk.decode(&mut sensors).expect("decoded");
        line += decoded.lines;
        let before = records;
        records += (decoded.batch.len() + decoded.rejections.len()) as u64;
        outcomes.extend(in_order(decoded, before, &sensors));
        start += length;
        if at_end {
            return outcomes;
        }
    }
}

/// Records and rejections in the order of the input.
fn in_order(decoded: Decoded, before: u64, sensors: &Sensors) -> Vec<Outcome> {
    let mut rejections = decoded.rejections.into_iter().peekable();
    let mut rows = 0..decoded.batch.len();
    let mut outcomes = Vec::new();
    for record in 1.. {
        if let Some(r) = rejections.next_if(|r| r.record == record) {
            let (line, offset) = (r.position.line, r.position.offset);
            outcomes.push(Outcome::Refused {
                line,
                offset,
                record: before + record,
                reason: r.reason,
                raw: r.raw,
            });
        } else if let Some(row) = rows.next() {
            let mut out = Vec::new();
            let one = decoded.batch.take(&[row as u32]);
            use crate::format::Encode;
            CsvEncoder { delimiter: 0x1f, decimals: None, safe: false }.encode(&one, sensors, &mut out);
            let text = String::from_utf8(out).expect("text");
            outcomes.push(Outcome::Record(
                text.trim_end_matches('\n').split('\x1f').map(str::to_owned).collect(),
            ));
        } else {
            return outcomes;
        }
    }
    outcomes
}

fn two_columns(measurement: bool) -> Csv {
    let dialect = Dialect {
        header: false,
        names: Some(vec!["a".into(), "b".into()]),
        comment: Some("#".into()),
        ..Dialect::default()
    };
    let measurements = Some(if measurement { vec!["b".into()] } else { vec![] });
    Csv::new(&dialect, &ColumnOptions { measurements, ..ColumnOptions::default() }).expect("options")
}

/// The fields of every record, as the scanner sees them; `None` for a line whose quote is never closed.
fn scanned(text: &[u8]) -> Vec<Option<Vec<Vec<u8>>>> {
    let format = two_columns(false);
    let (mut at, mut fields, mut records) =
        (if text.starts_with(BOM) { 3 } else { 0 }, Vec::new(), Vec::new());
    loop {
        at = match format.marks.scan(text, at, true, &mut fields) {
            Scan::Record { next, .. } => {
                records.push(Some(format.fields(text, &fields).into_iter().map(Cow::into_owned).collect()));
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

/// The same by the `csv` crate.
fn oracle(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    reader
        .byte_records()
        .map(|record| record.expect("in memory").iter().map(<[u8]>::to_vec).collect())
        .collect()
}

fn nasty() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(&b"a1.,,;\"\"\r\n\n# \x00\xff"[..]), 0..60)
}

#[test]
fn clause_5_quoting_as_rfc_4180() {
    let text = b"\"a,b\",1\r\n\"say \"\"hi\"\"\",2\r\"two\nlines\",3\n\"x\"y,4";
    let records = decode(&two_columns(true), text, 7);
    let expected =
        [["t", "a,b", "1"], ["t", "\"say \"\"hi\"\"\"", "2"], ["t", "\"two\nlines\"", "3"], ["t", "xy", "4"]];
    let expected: Vec<_> =
        expected.iter().map(|r| Outcome::Record(r.iter().map(|&f| f.to_owned()).collect())).collect();
    assert_eq!(records, expected);
}

#[test]
fn clause_5_a_quote_never_closed_costs_its_line_only() {
    let text = b"a,1\n\"b,2\nc,3\n";
    let records = decode(&two_columns(true), text, 1000);
    assert_eq!(records.len(), 3);
    assert!(
        matches!(&records[1], Outcome::Refused { line: 2, offset: 4, raw, .. } if raw == b"\"b,2"),
        "{records:?}"
    );
    assert!(matches!(&records[2], Outcome::Record(fields) if fields[2] == "3"));
}

#[test]
fn clause_5_wrong_number_of_fields_is_a_reject_with_its_place() {
    let records = decode(&two_columns(true), b"# note\n\na,1,2\r\n\r\na\n", 3);
    let shown: Vec<_> = records
        .iter()
        .map(|r| match r {
            Outcome::Refused { line, offset, reason, .. } => format!("{line} {offset} {reason}"),
            Outcome::Record(_) => "record".into(),
        })
        .collect();
    assert_eq!(shown, ["3 8 3 fields where 2 are expected", "5 17 1 field where 2 are expected"]);
}

proptest! {
    #[test]
    fn clause_5_fields_are_those_of_the_csv_crate(text in nasty()) {
        // The crate has no comments here, and takes an unclosed quote for closed by the end of the input.
        let text: Vec<u8> = text.into_iter().filter(|&byte| byte != b'#').collect();
        let records = scanned(&text);
        if records.iter().all(Option::is_some) {
            prop_assert_eq!(records.into_iter().flatten().collect::<Vec<_>>(), oracle(&text));
        } else {
            let first = records.iter().position(Option::is_none).unwrap_or(0);
            let before: Vec<_> = records[..first].iter().flatten().cloned().collect();
            let oracle = oracle(&text);
            prop_assert_eq!(&before[..], &oracle[..first]);
        }
    }

    #[test]
    fn clause_5_no_split_point_changes_anything(text in nasty(), measurement in any::<bool>()) {
        let format = two_columns(measurement);
        let whole = decode(&format, &text, text.len().max(1));
        for step in 1..=text.len().max(1) {
            prop_assert_eq!(&decode(&format, &text, step), &whole, "step {}", step);
        }
    }

    #[test]
    fn clause_3_numbers_are_those_of_the_language(texts in proptest::collection::vec("[ ]?[-+]?[0-9]{0,4}[.]?[0-9]{0,20}(e[0-9]{1,2})?[ ]?|[naif]{1,3}", 1..20)) {
        let text: String = texts.iter().map(|text| format!("x,{text}\n")).collect();
        for (outcome, text) in decode(&two_columns(true), text.as_bytes(), 11).iter().zip(&texts) {
            let trimmed = text.trim_matches(' ');
            match (outcome, trimmed.parse::<f64>()) {
                (Outcome::Record(fields), Ok(value)) => {
                    let back: f64 = fields[2].parse().expect("a number");
                    prop_assert!(back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan());
                }
                (Outcome::Record(fields), Err(_)) => prop_assert!(trimmed.is_empty() && fields[2].is_empty()),
                (Outcome::Refused { .. }, parsed) => prop_assert!(parsed.is_err() && !trimmed.is_empty(), "{}", text),
            }
        }
    }
}

#[test]
fn clause_5_every_split_point_of_a_larger_input() {
    let line = "\"q\"\"uo\nted\",1.5\r\nplain,2\r\"lone\rcr\",3\n,,\n\n# x \"\n";
    let text: String = line.repeat(4).chars().take(256).collect();
    let format = two_columns(true);
    let whole = decode(&format, text.as_bytes(), text.len());
    assert!(whole.len() > 15);
    for step in 1..text.len() {
        assert_eq!(decode(&format, text.as_bytes(), step), whole, "step {step}");
    }
}
