//! Any bytes in any dialect: the fast decoders give what the reference decoders give, records, rejections, places and sensors; and
//! where a file is cut makes no difference.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tidemill::Result;
use tidemill::batch::{Batch, Bytes, Column};
use tidemill::chunk::{Chunk, Decoded};
use tidemill::format::columns::{ColumnOptions, Decimal};
use tidemill::format::csv::{Csv, Dialect, Ragged};
use tidemill::format::encoding::{Encoded, EncodingOptions};
use tidemill::format::influx::{Influx, InfluxOptions, Precision};
use tidemill::format::jsonl::{JsonLines, JsonOptions, Layout, UnknownFields};
use tidemill::format::{Bound, Format, Head};
use tidemill::offset::Offset;
use tidemill::sensor::{SensorIds, Sensors, SharedSensors};
use tidemill_fuzz::Choices;

fuzz_target!(|input: &[u8]| {
    let (choices, text) = Choices::<5>::split(input);
    let format = format(&choices);
    // The columns are those of a file that begins well.
    let is_json = choices.bit(0, 0) && !choices.bit(0, 4);
    let first: &[u8] = if is_json { b"{\"t\":\"\",\"s\":\"\",\"v\":1,\"w\":[\"\"]}\n" } else { b"" };
    let head = Head { name: "in", stem: "stem", bytes: first, is_whole: true };
    let schema = Arc::new(format.schema(head).expect("columns"));
    // A text may be too short for what should come before its records.
    let Ok(bound) = format.bind(Head { bytes: text, ..head }, &schema) else { return };
    let limit = choices.of(3, &[1000, 1, 3]);

    let whole = [text.len()];
    let expected = read(&bound, text, &whole, limit, Chunk::decode_by_reference);
    assert_eq!(read(&bound, text, &whole, limit, Chunk::decode), expected, "by the fast decoder");
    let cut = [choices.number(4).min(text.len()), text.len()];
    assert_eq!(read(&bound, text, &cut, limit, Chunk::decode), expected, "cut at {}", cut[0]);
});

fn format(choices: &Choices<5>) -> Box<dyn Format> {
    if choices.bit(0, 4) {
        return Box::new(line_protocol(choices));
    }
    let columns = ColumnOptions {
        time: choices.bit(1, 0).then(|| "t".into()),
        time_format: choices.of(2, &["rfc3339", "s", "ms", "ns", "%Y-%m-%d %H:%M:%S"]).into(),
        timezone: (choices.bit(1, 1) && choices.number(2) % 5 == 0).then(|| "Europe/Berlin".into()),
        sensor: choices.bit(1, 2).then(|| "s".into()),
        measurements: Some(vec!["v".into()]),
        null_values: if choices.bit(1, 3) { vec!["-999".into(), "b".into()] } else { Vec::new() },
        decimal: if choices.bit(1, 4) { Decimal::Comma } else { Decimal::Point },
        ..ColumnOptions::default()
    };
    if choices.bit(0, 0) {
        let unknown_fields = if choices.bit(0, 1) { UnknownFields::Ignore } else { UnknownFields::Reject };
        let layout = if choices.bit(0, 2) { Layout::Values } else { Layout::Auto };
        let unfold = choices.bit(0, 3).then(|| "w".into());
        let options = JsonOptions { unknown_fields, layout, unfold };
        let columns = ColumnOptions { decimal: Decimal::Point, ..columns };
        return Box::new(JsonLines::new(&options, &columns).expect("good options").with_origins(true));
    }
    let format = Csv::new(&dialect(choices), &columns).expect("good options").with_origins(true);
    let labels = ["utf-8", "utf-8", "windows-1252", "utf-16le", "shift_jis", "gb18030"];
    let encoding = EncodingOptions { encoding: Some(choices.of(1, &labels).into()) };
    Box::new(Encoded::new(format, &encoding).expect("an encoding"))
}

fn dialect(choices: &Choices<5>) -> Dialect {
    let plain = Dialect {
        delimiter: if choices.bit(0, 1) { "," } else { ";" }.into(),
        quote: if choices.bit(0, 2) { "\"" } else { "" }.into(),
        comment: choices.bit(0, 3).then(|| "#".into()),
        header: false,
        names: Some(["t", "s", "v", "w"].map(str::to_owned).into()),
        ragged: choices.of(3, &[Ragged::Reject, Ragged::Trim, Ragged::Fill, Ragged::Cut, Ragged::Fit]),
        ..Dialect::default()
    };
    match choices.number(0) >> 5 {
        1 => Dialect { delimiter: "blanks".into(), ..plain },
        2 => Dialect { delimiter: ",".into(), quote: String::new(), widths: Some(vec![20, 3, 6, 4]), ..plain },
        3 => Dialect { skip_lines: 1, ..plain },
        _ => plain,
    }
}

fn line_protocol(choices: &Choices<5>) -> Influx {
    let options = InfluxOptions {
        precision: choices.of(2, &[Precision::Nanoseconds, Precision::Milliseconds, Precision::Seconds]),
        sensor: choices.bit(1, 2).then(|| "s".into()),
        measurements: Some(vec!["v".into()]),
        texts: Some(vec!["w".into()]),
        table: if choices.bit(1, 3) { "table".into() } else { String::new() },
        unknown_fields: if choices.bit(0, 1) { UnknownFields::Ignore } else { UnknownFields::Reject },
        ..InfluxOptions::default()
    };
    Influx::new(&options).expect("good options").with_origins(true)
}

type Decoding = fn(&Chunk, &mut dyn tidemill::sensor::SensorLookup) -> Result<Decoded>;

/// What a file decodes to whose bytes come in pieces that end at `cuts`: each record and each rejection, as text, then the number of
/// lines and the sensors.
fn read(bound: &Bound, text: &[u8], cuts: &[usize], limit: usize, decode: Decoding) -> Vec<String> {
    let shared = Arc::new(SharedSensors::with_limit(limit));
    let mut ids = SensorIds::new(Arc::clone(&shared));
    let (mut at, mut line) = (bound.skip_bytes.min(text.len()), 1 + bound.skip_lines);
    let (mut records, mut rejections) = (Vec::new(), Vec::new());
    for &cut in cuts.iter().filter(|&&cut| cut >= bound.skip_bytes) {
        let length = bound.decoder.complete(&text[at..cut], cut == text.len());
        if length == 0 {
            continue;
        }
        match decode(&chunk(bound, &text[at..at + length], at, line), &mut ids) {
            // The records before the one that cannot be taken count for nothing: the run ends.
            Err(error) => return vec![format!("{error:?}")],
            Ok(decoded) => {
                line += decoded.lines;
                records
                    .extend((0..decoded.batch.len()).map(|row| record(&decoded.batch, row, &shared.read())));
                rejections.extend(decoded.rejections.into_iter().map(|mut rejection| {
                    // Counted within the chunk.
                    rejection.record = 0;
                    format!("{rejection:?}")
                }));
            }
        }
        at += length;
    }
    let sensors = format!("{line} {:?}", shared.read().names().collect::<Vec<_>>());
    [records, rejections, vec![sensors]].concat()
}

fn chunk(bound: &Bound, bytes: &[u8], at: usize, line: u64) -> Chunk {
    Chunk {
        sequence: 0,
        file: "in".into(),
        offset: Offset { file: 0, at: at as u64, line },
        bytes: Bytes::new(bytes.to_vec()),
        decoder: Arc::clone(&bound.decoder),
        witness: None,
        received: None,
    }
}

fn record(batch: &Batch, row: usize, sensors: &Sensors) -> String {
    let cell = |column: &Column| match column {
        Column::Time(times) => format!("{:?} {:?}", times.values[row], batch.text.get(times.text[row])),
        Column::Sensor(ids) => sensors.name(ids[row]).to_owned(),
        Column::Measurement(numbers) => format!("{:?}", numbers.get(row).map(f64::to_bits)),
        Column::Text(spans) => format!("{:?}", batch.text.get(spans[row])),
        other => format!("{other:?}"),
    };
    let cells: Vec<_> = batch.columns().iter().map(cell).collect();
    let origins = batch.origins.as_ref().expect("asked for");
    format!("{cells:?} {} {:?}", origins.position(row), batch.text.get(origins.get(row).raw))
}
