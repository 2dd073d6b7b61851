//! Blocks of rows: whatever the table turns out to be, its rows are those that are made for it at once.

use proptest::prelude::*;
use tidemill_engine::batch::{Field, FieldType, Schema, Span, Text, TimeColumn};
use tidemill_engine::time::Timestamp;

use super::super::TableOptions;
use super::super::table::Target;
use super::*;

type Record = (i64, String, Option<f64>, Option<i64>, Option<u64>, Option<bool>, Option<Vec<u8>>);

fn schema() -> Arc<Schema> {
    let measured = |name: &str, ty| Field::measurement(name).with_type(ty);
    let fields = vec![
        Field::time("time"),
        Field::sensor("sensor"),
        Field::measurement("value"),
        measured("i", FieldType::I64),
        measured("u", FieldType::U64),
        measured("b", FieldType::Bool),
        Field::text("note"),
    ];
    Arc::new(Schema::new(fields).expect("a schema"))
}

fn batch(records: &[Record]) -> (Batch, Sensors) {
    let (mut sensors, mut text) = (Sensors::default(), Text::default());
    let ids = records.iter().map(|record| sensors.id(&record.1).expect("room")).collect();
    let notes = records.iter().map(|record| record.6.as_ref().map_or(Span::NULL, |note| text.push(note)));
    let notes = notes.collect();
    let times: Vec<_> = records.iter().map(|record| Timestamp::from_nanos(record.0)).collect();
    let columns = vec![
        Column::Time(TimeColumn { values: times.into(), text: Vec::new() }),
        Column::Sensor(ids),
        Column::F64(records.iter().map(|record| record.2).collect()),
        Column::I64(records.iter().map(|record| record.3).collect()),
        Column::U64(records.iter().map(|record| record.4).collect()),
        Column::Bool(records.iter().map(|record| record.5).collect()),
        Column::Text(notes),
    ];
    (Batch::new(schema(), columns, text), sensors)
}

fn written() -> Vec<Written> {
    let options = TableOptions {
        table: "t".into(),
        create: false,
        key: Vec::new(),
        columns: Default::default(),
        omit: Vec::new(),
    };
    Target::new(&options, &schema()).expect("a target").columns
}

fn encoder(kinds: Option<&[Kind]>, has_ordinals: bool) -> Encoder {
    let known = OnceLock::new();
    kinds.into_iter().for_each(|kinds| drop(known.set(kinds.to_vec())));
    Encoder { columns: written(), kinds: Arc::new(known), has_ordinals, losses: Arc::default() }
}

fn block(encoder: &Encoder, records: &[Record]) -> Vec<u8> {
    let (batch, sensors) = batch(records);
    *encoder.prepare(&batch, &sensors).expect("prepared").downcast().expect("bytes")
}

fn tuples(block: Vec<u8>, kinds: &[Kind], has_ordinals: bool) -> Result<Bytes> {
    let rows = Rows::read(block, &written(), has_ordinals)?;
    rows.tuples(kinds, 5, &written(), &mut Losses::default())
}

fn natural() -> Vec<Kind> {
    written().iter().map(|written| written.own.natural()).collect()
}

/// Tables that take any values: for times, text, numbers, integers, counts, booleans, text.
const WIDE: [[Kind; 7]; 2] = [
    [Kind::Timestamp, Kind::Text, Kind::Numeric, Kind::Numeric, Kind::Numeric, Kind::Int2, Kind::Jsonb],
    [Kind::Int8, Kind::Text, Kind::Float8, Kind::Int8, Kind::Numeric, Kind::Bool, Kind::Text],
];

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = (any::<i64>(), "[a-c]{1,3}", any::<Option<f64>>(), any::<Option<i64>>());
    let more = (any::<Option<u64>>(), any::<Option<bool>>(), any::<Option<Vec<u8>>>());
    let all = (record, more)
        .prop_map(|((time, sensor, value, i), (u, b, note))| (time, sensor, value, i, u, b, note));
    proptest::collection::vec(all, 1..20)
}

proptest! {
    #[test]
    fn rows_made_before_the_table_is_known_are_those_made_for_it(records in records(), wide in 0usize..2, ordinals: bool) {
        let kinds = &WIDE[wide];
        let known = tuples(block(&encoder(Some(kinds), ordinals), &records), kinds, ordinals).expect("ready");
        let unknown = tuples(block(&encoder(None, ordinals), &records), kinds, ordinals).expect("converted");
        prop_assert_eq!(known, unknown);
    }

    #[test]
    fn damaged_blocks_are_refused_or_read(records in records(), at: prop::sample::Index, byte: u8, cut: bool) {
        let mut block = block(&encoder(None, true), &records);
        let at = at.index(block.len());
        block[at] = byte;
        if cut {
            block.truncate(at);
        }
        let _either = tuples(block, &natural(), true);
    }
}

fn one() -> Vec<Record> {
    vec![(1_000, "a".into(), Some(1.5), Some(-3), Some(7), Some(true), None)]
}

#[test]
fn a_row_is_that_of_copy() {
    let bytes = tuples(block(&encoder(Some(&natural()), true), &one()), &natural(), true).expect("ready");
    let mut expected = vec![0, 8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 8];
    expected.extend_from_slice(&(1 - value::EPOCH).to_be_bytes());
    expected.extend_from_slice(&[0, 0, 0, 1, b'a', 0, 0, 0, 8]);
    expected.extend_from_slice(&1.5f64.to_be_bytes());
    expected.extend_from_slice(&[0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 253]);
    expected.extend_from_slice(&[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 1, 255, 255, 255, 255]);
    assert_eq!(bytes, expected);
}

#[test]
fn rows_of_a_column_whose_type_has_changed_are_converted_if_that_is_exact() {
    let kept = || block(&encoder(Some(&natural()), false), &one());
    let mut kinds = natural();
    (kinds[2], kinds[3]) = (Kind::Numeric, Kind::Int2);
    let made = tuples(block(&encoder(Some(&kinds), false), &one()), &kinds, false).expect("ready");
    assert_eq!(tuples(kept(), &kinds, false).expect("converted"), made);
}

#[test]
fn values_that_do_not_fit_and_other_columns_are_errors() {
    let mut kinds = natural();
    kinds[3] = Kind::Int2;
    let large: Vec<Record> = vec![(0, "a".into(), None, Some(70_000), None, None, None)];
    let error = tuples(block(&encoder(None, false), &large), &kinds, false).expect_err("too large");
    assert!(error.to_string().contains("column `i`: I64(70000) does not fit type smallint"), "{error}");
    let (batch, sensors) = batch(&large);
    let error = encoder(Some(&kinds), false).prepare(&batch, &sensors).map(drop).expect_err("too large");
    assert!(error.to_string().contains("does not fit type smallint"), "{error}");
    let error = Rows::read(block(&encoder(None, false), &large), &written()[1..], false).expect_err("others");
    assert!(error.to_string().contains("are different now"), "{error}");
    assert!(Rows::read(block(&encoder(None, false), &large), &written(), true).is_err());
}

#[test]
fn losses_are_counted() {
    let encoder = encoder(Some(&natural()), false);
    block(&encoder, &[(1_001, "a".into(), None, None, None, None, Some(b"\xff".to_vec()))]);
    block(&encoder, &one());
    let losses = *encoder.losses.lock().expect("unlocked");
    assert_eq!(losses, Losses { nanoseconds: 1, texts: 1 });
}
