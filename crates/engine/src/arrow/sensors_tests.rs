//! Sensors from arrays of any kind, judged record by record.

use std::sync::Arc;

use arrow_array::types::{
    ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    ArrayRef, DictionaryArray, LargeStringArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
};
use arrow_buffer::ArrowNativeType;
use proptest::prelude::*;

use super::Decoder;
use crate::format::Decoded;
use crate::format::columns::ColumnOptions;
use crate::sensor::{MAX_NAME, Sensors, long_name};

/// What stands for a missing name, if the options say so.
const NULL: &str = "n/a";

/// Texts of which an array can be made.
#[derive(Clone, Copy, Debug)]
enum Texts {
    Small,
    Large,
    View,
}

impl Texts {
    fn array(self, texts: &[Option<String>]) -> ArrayRef {
        let texts = texts.iter().map(Option::as_deref);
        match self {
            Self::Small => Arc::new(texts.collect::<StringArray>()),
            Self::Large => Arc::new(texts.collect::<LargeStringArray>()),
            Self::View => Arc::new(texts.collect::<StringViewArray>()),
        }
    }
}

/// Arrays of names.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    /// With keys of this width, signed or not.
    Dictionary(usize, bool),
}

impl Kind {
    fn array(self, texts: Texts, keys: &[Option<usize>], names: &[Option<String>]) -> ArrayRef {
        match self {
            Self::Plain => texts.array(&keys.iter().map(|key| names[(*key)?].clone()).collect::<Vec<_>>()),
            Self::Dictionary(1, true) => dictionary::<Int8Type>(keys, texts.array(names)),
            Self::Dictionary(2, true) => dictionary::<Int16Type>(keys, texts.array(names)),
            Self::Dictionary(4, true) => dictionary::<Int32Type>(keys, texts.array(names)),
            Self::Dictionary(_, true) => dictionary::<Int64Type>(keys, texts.array(names)),
            Self::Dictionary(1, false) => dictionary::<UInt8Type>(keys, texts.array(names)),
            Self::Dictionary(2, false) => dictionary::<UInt16Type>(keys, texts.array(names)),
            Self::Dictionary(4, false) => dictionary::<UInt32Type>(keys, texts.array(names)),
            Self::Dictionary(_, false) => dictionary::<UInt64Type>(keys, texts.array(names)),
        }
    }
}

fn dictionary<K: ArrowDictionaryKeyType>(keys: &[Option<usize>], names: ArrayRef) -> ArrayRef {
    let keys: PrimitiveArray<K> = keys.iter().map(|key| key.map(K::Native::usize_as)).collect();
    Arc::new(DictionaryArray::new(keys, names))
}

/// The record batch of these sensors; a value that is no number rejects its record.
fn batch(sensors: ArrayRef, good: &[bool]) -> RecordBatch {
    let values: StringArray = good.iter().map(|good| Some(if *good { "1.5" } else { "bad" })).collect();
    RecordBatch::try_from_iter([("sensor", sensors), ("value", Arc::new(values) as ArrayRef)])
        .expect("a batch")
}

fn decoder(records: &RecordBatch, nulls: bool) -> Decoder {
    let options = ColumnOptions {
        sensor: Some("sensor".into()),
        measurements: Some(vec!["value".into()]),
        null_values: if nulls { vec![NULL.into()] } else { Vec::new() },
        ..ColumnOptions::default()
    };
    Decoder::new("batch", &options, &records.schema()).expect("fits")
}

/// The sensor of each record that is kept, and the line and the reason of each that is not.
type Told = (Vec<String>, Vec<(u64, String)>);

fn told(decoded: &Decoded, sensors: &Sensors) -> Told {
    let names = decoded.batch.sensors().iter().map(|&id| sensors.name(id).to_owned()).collect();
    let of = |one: &crate::error::Rejection| (one.position.line, one.reason.clone());
    (names, decoded.rejections.iter().map(of).collect())
}

/// The same, one record after the other.
fn expected(names: &[Option<&str>], good: &[bool], nulls: bool) -> Told {
    let mut told = Told::default();
    for (row, (name, good)) in names.iter().zip(good).enumerate() {
        let trimmed = name.map(|name| name.trim_matches([' ', '\t']));
        let name = trimmed.filter(|name| !(name.is_empty() || nulls && *name == NULL));
        let reason = match name {
            None => Some("no sensor".to_owned()),
            Some(name) if name.len() > MAX_NAME => Some(long_name(name.len())),
            Some(_) if !good => Some("\"bad\" is not a number".to_owned()),
            Some(_) => None,
        };
        match reason {
            Some(reason) => told.1.push((row as u64 + 1, reason)),
            None => told.0.extend(name.map(str::to_owned)),
        }
    }
    told
}

/// The names in the order in which they come first.
fn distinct(names: &[String]) -> Vec<&str> {
    let mut distinct = Vec::new();
    names.iter().for_each(|name| {
        if !distinct.contains(&name.as_str()) {
            distinct.push(name);
        }
    });
    distinct
}

fn name() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        10 => (0..40u8).prop_map(|number| Some(format!("s{number}"))),
        2 => (0..40u8).prop_map(|number| Some(format!(" s{number}\t"))),
        1 => Just(None),
        1 => Just(Some(String::new())),
        1 => Just(Some(" \t ".to_owned())),
        1 => Just(Some(NULL.to_owned())),
        1 => Just(Some(format!("{NULL} "))),
        1 => Just(Some("x".repeat(MAX_NAME + 1))),
        1 => Just(Some("ä".repeat(MAX_NAME / 2))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arrays_of_any_kind_give_the_sensors_of_their_records(
        kind in prop_oneof![
            1 => Just(Kind::Plain),
            3 => (prop_oneof![Just(1), Just(2), Just(4), Just(8)], any::<bool>()).prop_map(|(width, signed)| Kind::Dictionary(width, signed)),
        ],
        texts in prop_oneof![Just(Texts::Small), Just(Texts::Large), Just(Texts::View)],
        // A dictionary with far more names than records is unfolded.
        names in prop_oneof![proptest::collection::vec(name(), 1..20), proptest::collection::vec(name(), 90..120)],
        rows in prop_oneof![
            proptest::collection::vec((any::<proptest::sample::Index>(), 0..8u8, 0..8u8), 1..16),
            proptest::collection::vec((any::<proptest::sample::Index>(), 0..8u8, 0..8u8), 1000..2600),
        ],
        has_nulls in any::<bool>(),
        nulls in any::<bool>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let key = |(at, null, _): &(proptest::sample::Index, u8, u8)| (!has_nulls || *null > 0).then(|| at.index(names.len()));
        let keys: Vec<_> = rows.iter().map(key).collect();
        let good: Vec<_> = rows.iter().map(|(_, _, good)| *good > 0).collect();
        let given: Vec<_> = keys.iter().map(|key| names[(*key)?].as_deref()).collect();
        let records = batch(kind.array(texts, &keys, &names), &good);
        let decoder = decoder(&records, nulls);
        let mut sensors = Sensors::default();
        // The second part meets sensors that are known, in the middle of its buffers.
        let cut = cut.index(rows.len());
        for part in [0..cut, cut..rows.len()] {
            let records = records.slice(part.start, part.len());
            let decoded = decoder.decode(&records, 0, false, &mut sensors).expect("decoded");
            prop_assert_eq!(told(&decoded, &sensors), expected(&given[part.clone()], &good[part], nulls));
        }
        let kept = expected(&given, &good, nulls).0;
        prop_assert_eq!(sensors.names().collect::<Vec<_>>(), distinct(&kept), "a record that is rejected adds none");
    }
}

#[test]
fn what_is_null_or_trimmed_for_one_source_may_be_a_sensor_of_another() {
    let given = [Some(NULL), Some("a"), Some(" a ")];
    let (keys, names) = ([Some(0), Some(1), Some(2)], given.map(|name| name.map(str::to_owned)));
    let good = [true; 3];
    for kind in [Kind::Plain, Kind::Dictionary(4, true), Kind::Dictionary(1, false)] {
        let records = batch(kind.array(Texts::Small, &keys, &names), &good);
        let (plain, nulls) = (decoder(&records, false), decoder(&records, true));
        let mut sensors = Sensors::default();
        sensors.id(" a ").expect("room");
        let mut decode = |decoder: &Decoder| {
            let decoded = decoder.decode(&records, 0, false, &mut sensors).expect("decoded");
            told(&decoded, &sensors)
        };
        for _ in 0..2 {
            assert_eq!(decode(&plain), expected(&given, &good, false));
            assert_eq!(decode(&nulls), expected(&given, &good, true), "{kind:?}");
        }
    }
}
