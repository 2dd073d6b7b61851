//! Text in any encoding decodes like UTF-8, except for positions; and no cut changes the result.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, GB18030, ISO_8859_2, KOI8_R, SHIFT_JIS};
use proptest::prelude::*;

use super::*;
use crate::error::Rejection;
use crate::format::columns::ColumnOptions;
use crate::format::csv::{Csv, Dialect};
use crate::format::encoding::{Encoded, EncodingOptions, sniff, to_utf8};
use crate::format::jsonl::{JsonLines, JsonOptions};
use crate::offset::Offset;
use crate::sensor::Sensors;

/// The complete content of a file: records with texts and positions, rejections.
#[derive(Debug, Default, PartialEq)]
struct Read {
    records: Vec<(Vec<Option<String>>, u64, u64)>,
    rejections: Vec<(u64, u64, String)>,
    lines: u64,
}

fn read(format: &dyn Format, bytes: &[u8], cuts: &[usize]) -> Result<Read> {
    let head = Head { name: "t", stem: "stem", bytes, is_whole: true };
    let schema = Arc::new(format.schema(head)?);
    let bound = format.bind(head, &schema)?;
    let (mut all, mut sensors) = (Read { lines: bound.skip_lines, ..Read::default() }, Sensors::default());
    let mut start = bound.skip_bytes;
    let first = start;
    for &end in cuts.iter().filter(|&&cut| cut > first && cut < bytes.len()).chain([&bytes.len()]) {
        let length = bound.decoder.complete(&bytes[start..end], end == bytes.len());
        let chunk = Chunk {
            sequence: 0,
            file: "t".into(),
            offset: Offset { file: 0, at: start as u64, line: 1 + all.lines },
            bytes: crate::batch::Bytes::new(bytes[start..start + length].to_vec()),
            decoder: Arc::clone(&bound.decoder),
            witness: None,
            received: None,
        };
        let fast = chunk.decode(&mut sensors)?;
        let plain = chunk.decode_by_reference(&mut sensors)?;
        assert_eq!(fast.rejections, plain.rejections);
        all.add(fast);
        start += length;
    }
    assert_eq!(start, bytes.len());
    Ok(all)
}

impl Read {
    fn add(&mut self, Decoded { batch, rejections, lines }: Decoded) {
        let origins = batch.origins.as_ref().expect("asked for");
        for row in 0..batch.len() {
            let cells = batch.columns().iter().map(|column| match column {
                crate::batch::Column::Text(spans) => {
                    batch.text.get(spans[row]).map(|text| String::from_utf8(text.to_vec()).expect("text"))
                }
                crate::batch::Column::F64(numbers) => numbers.get(row).map(|number| number.to_string()),
                _ => None,
            });
            let origin = origins.get(row);
            self.records.push((cells.collect(), origin.line, origin.offset));
        }
        self.rejections.extend(
            rejections
                .into_iter()
                .map(|Rejection { position, reason, .. }| (position.line, position.offset, reason)),
        );
        self.lines += lines;
    }

    /// The same with every record and rejection at position 0.
    fn without_places(&self) -> Self {
        let records = self.records.iter().map(|(cells, line, _)| (cells.clone(), *line, 0));
        let rejections = self.rejections.iter().map(|(line, _, reason)| (*line, 0, reason.clone()));
        Self { records: records.collect(), rejections: rejections.collect(), lines: self.lines }
    }
}

fn csv(encoding: Option<&str>) -> Encoded<Csv> {
    let columns = ColumnOptions { measurements: Some(vec!["v".into()]), ..ColumnOptions::default() };
    let dialect = Dialect { delimiter: "|".into(), ..Dialect::default() };
    let format = Csv::new(&dialect, &columns).expect("good options").with_origins(true);
    Encoded::new(format, &options(encoding)).expect("an encoding")
}

fn options(encoding: Option<&str>) -> EncodingOptions {
    EncodingOptions { encoding: encoding.map(str::to_owned) }
}

/// A text as UTF-16 with a byte order mark, or in another encoding.
fn encoded(text: &str, label: &str) -> Vec<u8> {
    let units = text.encode_utf16();
    match label {
        "utf-16le" => units.fold(vec![0xff, 0xfe], |out, unit| [out, unit.to_le_bytes().to_vec()].concat()),
        "utf-16be" => units.fold(vec![0xfe, 0xff], |out, unit| [out, unit.to_be_bytes().to_vec()].concat()),
        label => {
            let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).expect("an encoding");
            let (bytes, _, is_lossy) = encoding.encode(text);
            assert!(!is_lossy, "{text} in {label}");
            bytes.into_owned()
        }
    }
}

/// Texts of characters that `label` can encode.
fn text_in(label: &'static str) -> impl Strategy<Value = String> {
    let own: &[&str] = match label {
        "utf-16le" | "utf-16be" => &["é", "€", "語", "🌡", "\u{a0a}", "\u{d0d}", "ਊ"],
        "windows-1252" => &["é", "°", "€", "ß", "ÿ"],
        "koi8-r" => &["я", "Ж", "°"],
        "iso-8859-2" => &["ł", "ő", "°"],
        _ => &["語", "一", "丙", "°"],
    };
    let common = ["|", "\n", "\r", "\r\n", "\"", "a", "1.5", "x|1\n", "\"q\n\"", " "];
    let tokens: Vec<String> = own.iter().chain(&common).map(|token| (*token).to_owned()).collect();
    proptest::collection::vec(proptest::sample::select(tokens), 0..40)
        .prop_map(|tokens| format!("note|v\nb|2\n{}", tokens.concat()))
}

const LABELS: [&str; 8] =
    ["utf-16le", "utf-16be", "windows-1252", "koi8-r", "iso-8859-2", "shift_jis", "gb18030", "big5"];

fn any_encoded() -> impl Strategy<Value = (&'static str, String)> {
    proptest::sample::select(&LABELS[..])
        .prop_flat_map(|label| text_in(label).prop_map(move |text| (label, text)))
}

/// Checks that cutting `bytes` anywhere does not change the result.
fn check_cuts(format: &dyn Format, bytes: &[u8]) -> Result<(), TestCaseError> {
    let whole = read(format, bytes, &[]).expect("readable");
    for cut in 0..=bytes.len() {
        prop_assert_eq!(&read(format, bytes, &[cut]).expect("readable"), &whole, "cut at {}", cut);
    }
    for step in 1..=bytes.len().min(24) {
        let cuts: Vec<usize> = (step..bytes.len()).step_by(step).collect();
        prop_assert_eq!(&read(format, bytes, &cuts).expect("readable"), &whole, "pieces of {}", step);
    }
    Ok(())
}

proptest! {
    // Each case cuts its text everywhere.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn clause_5_text_in_any_encoding_is_what_it_is_in_utf_8((label, text) in any_encoded()) {
        let bytes = encoded(&text, label);
        let given = (!label.starts_with("utf-16")).then_some(label);
        let own = read(&csv(given), &bytes, &[]).expect("readable");
        let plain = read(&csv(None), text.as_bytes(), &[]).expect("readable");
        prop_assert_eq!(own.without_places(), plain.without_places());
        // Every position is that of a line in the original file.
        for (line, offset) in own.records.iter().map(|(_, line, at)| (*line, *at)).chain(own.rejections.iter().map(|r| (r.0, r.1))) {
            let before = to_utf8(&bytes[..offset as usize], label);
            prop_assert_eq!(1 + csv::scan::line_ends(&before), line, "at {}", offset);
        }
    }

    #[test]
    fn clause_5_no_cut_of_text_in_any_encoding_changes_anything((label, text) in any_encoded(), odd in any::<bool>()) {
        let mut bytes = encoded(&text, label);
        bytes.extend(odd.then_some(b'\x81'));
        bytes.truncate(256);
        check_cuts(&csv((!label.starts_with("utf-16")).then_some(label)), &bytes)?;
    }

    #[test]
    fn clause_5_any_bytes_in_any_encoding_give_records_and_rejects(
        label in proptest::sample::select(&LABELS[..]), bytes in proptest::collection::vec(proptest::sample::select(&b"\x81\xff\x40|\"\n\r\x00\xd8\xdca1\x30\x7c"[..]), 0..100),
    ) {
        let bytes = [encoded("note|v\nb|2\n", label), bytes].concat();
        check_cuts(&csv((!label.starts_with("utf-16")).then_some(label)), &bytes)?;
    }
}

#[test]
fn clause_5_bytes_that_mean_nothing_are_refused_only_where_text_is_carried() {
    // 0x81 begins a character of two bytes that is never completed.
    let bytes = b"note|v\nb\x81|2\nc|\x81\nd|4\n\x81";
    let read = read(&csv(Some("shift_jis")), bytes, &[]).expect("readable");
    assert_eq!(read.records.len(), 1);
    let lines: Vec<_> = read.rejections.iter().map(|(line, at, _)| (*line, *at)).collect();
    assert_eq!(lines, [(2, 7), (3, 12), (5, 20)]);
}

#[test]
fn clause_5_a_byte_order_mark_has_the_last_word() {
    let text = "note|v\né|2\n";
    let with_mark = format!("\u{feff}{text}");
    for encoding in [None, Some("windows-1252"), Some("utf-16be")] {
        for bytes in [with_mark.clone().into_bytes(), encoded(text, "utf-16le"), encoded(text, "utf-16be")] {
            let read = read(&csv(encoding), &bytes, &[]).expect("readable");
            assert_eq!(read.records[0].0[1].as_deref(), Some("é"), "{encoding:?}");
        }
    }
}

#[test]
fn clause_5_a_mark_that_comes_in_pieces_is_waited_for() {
    let format = csv(None);
    let text = encoded("note|v\nb|2\n", "utf-16le");
    let can_bind = |bytes| format.can_bind(Head { name: "t", stem: "t", bytes, is_whole: false });
    let header = 2 + 2 * "note|v\n".len();
    assert!((0..header).all(|length| !can_bind(&text[..length])));
    assert!(can_bind(&text[..header]));
    let lone = Csv::new(
        &Dialect { header: false, names: Some(vec!["v".into()]), ..Dialect::default() },
        &ColumnOptions { measurements: Some(vec!["v".into()]), ..ColumnOptions::default() },
    );
    let lone = Encoded::new(lone.expect("good options"), &options(None)).expect("an encoding");
    let can_bind = |bytes: &[u8]| lone.can_bind(Head { name: "t", stem: "t", bytes, is_whole: false });
    let waits: [&[u8]; 6] = [b"\xef", b"\xef\xbb", b"\xff", b"\xfe", b"s", b"sep=;\r"];
    assert!(waits.into_iter().all(|bytes| !can_bind(bytes)));
    assert!(can_bind(b"1") && can_bind(b"\xef1") && can_bind(b"sep=;\n"));
}

#[test]
fn clause_5_json_lines_may_be_utf_16() {
    let columns = ColumnOptions { measurements: Some(vec!["v".into()]), ..ColumnOptions::default() };
    let format = JsonLines::new(&JsonOptions::default(), &columns).expect("good options").with_origins(true);
    let format = Encoded::new(format, &options(None)).expect("an encoding");
    let bytes = encoded("{\"note\":\"語\",\"v\":1}\nx\n{\"note\":\"🌡\",\"v\":2}\n", "utf-16be");
    let whole = read(&format, &bytes, &[]).expect("readable");
    assert_eq!(whole.records.iter().map(|(_, line, at)| (*line, *at)).collect::<Vec<_>>(), [(1, 2), (3, 44)]);
    assert_eq!((whole.rejections[0].0, whole.rejections[0].1), (2, 40));
    check_cuts(&format, &bytes).expect("no cut matters");
}

#[test]
fn encodings_that_cannot_be_are_refused_with_the_nearest() {
    let new = |label| {
        let columns = ColumnOptions::default();
        let format = Csv::new(&Dialect::default(), &columns).expect("good options");
        Encoded::new(format, &options(Some(label))).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(new("windos-1252").contains("did you mean \"windows-1252\"?"));
    assert!(new("iso-2022-jp").contains("cannot be read from the middle of a file"));
    assert!(new("hz-gb-2312").contains("cannot be read"));
    for label in ["latin1", "UTF-8", "ISO-8859-1", "cp1252", "utf-16"] {
        assert_eq!(new(label), "");
    }
    let error = read(&csv(None), b"\xff\xfe\0\0a\0\0\0", &[]).expect_err("UTF-32").to_string();
    assert!(error.contains("UTF-32"), "{error}");
}

#[test]
fn encodings_are_sniffed() {
    let text = "Zeit;Raum\n1;Büro\n";
    for (label, found) in
        [("utf-16le", "UTF-16LE"), ("utf-16be", "UTF-16BE"), ("windows-1252", "windows-1252")]
    {
        let bytes = encoded(text, label);
        assert_eq!(sniff(&bytes), found);
        assert_eq!(to_utf8(&bytes, found), text.as_bytes());
    }
    assert_eq!(sniff(&encoded(text, "utf-16le")[2..]), "UTF-16LE");
    assert_eq!(sniff(&text.as_bytes()[..text.len() - 4]), "UTF-8");
    assert_eq!(sniff(b""), "UTF-8");
    for (encoding, text) in [
        (BIG5, "語"),
        (EUC_JP, "語"),
        (EUC_KR, "한"),
        (GB18030, "語"),
        (ISO_8859_2, "ł"),
        (KOI8_R, "я"),
        (SHIFT_JIS, "語"),
    ] {
        let bytes = encoding.encode(text).0;
        assert_eq!(to_utf8(&bytes, encoding.name()), text.as_bytes(), "{}", encoding.name());
    }
}

#[test]
fn json_over_several_lines_is_bound_again_by_what_it_shows() {
    let json = JsonLines::new(&JsonOptions::default(), &ColumnOptions::default()).expect("good options");
    let format = Encoded::new(json.with_origins(true), &EncodingOptions::default()).expect("good options");
    let whole = "\u{feff}{\n\"v\": 1\n}\n{\n\"v\": 2\n}\n";
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for written in [big, little] as [fn(&str) -> Vec<u8>; 2] {
        let bytes = written(whole);
        assert_eq!(read(&format, &bytes, &[]).expect("readable").records.len(), 2);
        let head = Head { name: "t", stem: "stem", bytes: &bytes, is_whole: true };
        let schema = Arc::new(format.schema(head).expect("columns"));
        let bound = format.bind(head, &schema).expect("bound");
        let again =
            format.bind(Head { bytes: bound.decoder.beginning(), ..head }, &schema).expect("bound again");
        // Behind a line feed, in the middle of the second record.
        let begun = written("{\n\"v\": 1\n}\n{\n");
        let first = written("{\n\"v\": 1\n}").len();
        assert_eq!(
            (bound.decoder.complete(&begun, false), again.decoder.complete(&begun, false)),
            (first, first)
        );
    }
}
