//! Tiles of any size give the same records, rejections, positions and sensors as the reference decoder.

use std::sync::Arc;

use proptest::prelude::*;

use crate::batch::Bytes;
use crate::format::columns::{ColumnOptions, Decimal, UnknownColumns};
use crate::format::csv::{Csv, CsvEncoder, Dialect, Ragged};
use crate::format::{Chunk, Decoded, csv::decoder::CsvDecoder};
use crate::format::{Decode, Format, Head, testing};
use crate::offset::Offset;
use crate::sensor::{SensorIds, SharedSensors};

/// The complete result of a chunk, as text.
fn outcome(decoded: crate::error::Result<Decoded>, sensors: &SharedSensors) -> String {
    testing::outcome(decoded, sensors, |_| CsvEncoder { delimiter: b'|', decimals: None, safe: false })
}

#[derive(Debug)]
struct Setting {
    dialect: Dialect,
    columns: ColumnOptions,
    max_sensors: usize,
}

fn check(setting: &Setting, text: &[u8], tiles: &[usize]) -> Result<(), TestCaseError> {
    let header: &[u8] = if setting.dialect.header { b"t;s;v;w\n" } else { b"" };
    let text = &[header, text].concat()[..];
    let format = Csv::new(&setting.dialect, &setting.columns).expect("good options").with_origins(true);
    let head = Head { name: "t.csv", stem: "stem", bytes: text, is_whole: true };
    let schema = format.schema(head).and_then(|schema| format.columns().declared(&schema));
    let schema = Arc::new(schema.expect("columns"));
    let beginning = format.begun(head).expect("names");
    let decoder = Arc::new(format.decoder(head, &beginning, &schema).expect("bound"));
    let chunk = Chunk {
        sequence: 3,
        file: "t.csv".into(),
        offset: Offset { file: 0, at: 100, line: 9 },
        bytes: Bytes::new(text[beginning.skip_bytes..].to_vec()),
        decoder: Arc::clone(&decoder) as _,
        witness: None,
        received: None,
    };
    let by = |decode: &dyn Fn(&CsvDecoder, &Chunk, &mut SensorIds) -> crate::error::Result<Decoded>| {
        let shared = Arc::new(SharedSensors::with_limit(setting.max_sensors));
        let decoded = decode(&decoder, &chunk, &mut SensorIds::new(Arc::clone(&shared)));
        outcome(decoded, &shared)
    };
    let expected = by(&|decoder, chunk, sensors| decoder.decode_by_reference(chunk, sensors));
    for &tile in tiles {
        let got = by(&|decoder, chunk, sensors| decoder.decode_by_tiles(chunk, sensors, tile));
        prop_assert_eq!(&got, &expected, "tiles of {} in {}", tile, text.escape_ascii());
    }
    Ok(())
}

fn setting() -> impl Strategy<Value = Setting> {
    let ragged = proptest::sample::select(&[Ragged::Reject, Ragged::Fit, Ragged::Trim][..]);
    let max_sensors = proptest::sample::select(&[1usize, 3, 1000][..]);
    (any::<[bool; 10]>(), max_sensors, ragged).prop_map(|(bits, max_sensors, ragged)| {
        let [quoted, commented, time, sensor, nulls, comma, some, lacking, header, texts] = bits;
        let own = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let measured: &[&str] = if texts { &[] } else { &["v"] };
        let lacks: &[&str] = if lacking { &["not there"] } else { &[] };
        Setting {
            dialect: Dialect {
                delimiter: ";".into(),
                quote: if quoted { "\"" } else { "" }.into(),
                comment: commented.then(|| "#".into()),
                header,
                names: (!header).then(|| ["t", "s", "v", "w"].map(str::to_owned).into()),
                ragged,
                ..Dialect::default()
            },
            columns: ColumnOptions {
                time: time.then(|| "t".into()),
                sensor: sensor.then(|| "s".into()),
                measurements: own(&[measured, lacks].concat()),
                columns: if some { own(&["s"]) } else { None },
                unknown_columns: if lacking { UnknownColumns::Ignore } else { UnknownColumns::Error },
                null_values: if nulls { vec!["-999".into(), "b".into()] } else { vec!["2.25".into()] },
                decimal: if comma { Decimal::Comma } else { Decimal::Point },
                ..ColumnOptions::default()
            },
            max_sensors,
        }
    })
}

fn line() -> impl Strategy<Value = String> {
    let time = proptest::sample::select(
        &[
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.250Z",
            " 2026-02-01 00:00:07+01:00",
            "\"2026-01-01T00:00:00Z\"",
            "",
            "x",
        ][..],
    );
    let sensor = proptest::sample::select(
        &["a", "b", "a", "long-name-of-a-sensor", " a ", "\"a\"", "\"a\"\"b\"", "é", "", "\"x;y\""][..],
    );
    let value = prop_oneof![
        6 => (-99_999..99_999i32).prop_map(|v| (f64::from(v) / 1000.0).to_string()),
        2 => proptest::sample::select(&["", "-999", "1,5", "NaN", "1e400", "--1", " 3.5 ", "\"2.25\"", "\"2.2\"\"5\"", "0.1234567890123456789", "\"4\n\""][..]).prop_map(str::to_owned),
    ];
    let text = proptest::sample::select(&["", "w", " w ", "\"a;b\"", "\"say \"\"x\"\"\"", "a\"b"][..]);
    let end = prop_oneof![20 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\r"), 1 => Just(";\n"), 1 => Just("\n\n"), 1 => Just("\n# c\n"), 1 => Just("\n;\n"), 1 => Just("\nt;s;v;w\n"), 1 => Just("\n\0\0")];
    (time, sensor, value, text, end).prop_map(|(t, s, v, w, end)| format!("{t};{s};{v};{w}{end}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn clause_5_tiles_of_nearly_regular_text(
        setting in setting(), lines in proptest::collection::vec(line(), 0..30), windows in any::<bool>(), cut in 0..5usize,
    ) {
        let text = lines.concat();
        let text = if windows { text.replace('\n', "\r\n") } else { text };
        let text = &text.as_bytes()[..text.len().saturating_sub(cut)];
        check(&setting, text, &[1, 64, 200, 1 << 14])?;
    }

    #[test]
    fn clause_5_tiles_of_regular_text(
        setting in setting(), rows in proptest::collection::vec((0..9u8, -99_999..99_999i32, 0..200u8), 1..60), quoted in any::<bool>(),
    ) {
        // Occasionally a row is odd.
        let row = |&(sensor, value, odd): &(u8, i32, u8)| {
            let value = match odd { 0 => "odd".to_owned(), 1 => String::new(), _ => (f64::from(value) / 100.0).to_string() };
            let fields = ["2026-01-01T00:00:00.000Z".to_owned(), format!("temp-{sensor}"), value, "w".to_owned()];
            fields.map(|field| if quoted { format!("\"{field}\"") } else { field }).join(";") + "\n"
        };
        check(&setting, rows.iter().map(row).collect::<String>().as_bytes(), &[64, 500, 1 << 14])?;
    }

    #[test]
    fn clause_5_tiles_of_garbage(
        setting in setting(), text in proptest::collection::vec(proptest::sample::select(&b"a1.;;;\"\"\r\n\n# \xff"[..]), 0..200),
    ) {
        check(&setting, &text, &[1, 7, 64, 1 << 14])?;
    }
}
