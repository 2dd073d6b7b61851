//! What is read of Parquet files of every kind.

use std::fs::File;
use std::path::Path;

use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMillisecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::batch::{Column, FieldType, Number};
use crate::error::ErrorKind;
use crate::format::{Decoded, columns::Decimal};
use crate::offset::Offset;
use crate::sensor::Sensors;
use crate::source::Input;

fn write(folder: &tempfile::TempDir, columns: Vec<(&str, ArrayRef)>) -> String {
    let records = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("records");
    let path = folder.path().join("x.parquet");
    let mut writer =
        ArrowWriter::try_new(File::create(&path).expect("file"), records.schema(), None).expect("writer");
    writer.write(&records).expect("written");
    writer.close().expect("closed");
    path.to_str().expect("UTF-8").to_owned()
}

fn file(folder: &tempfile::TempDir) -> String {
    let times = TimestampMillisecondArray::from(vec![Some(1), None, Some(3), Some(32_503_680_000_000)]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("at", Arc::new(times)),
        ("site", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a")]))),
        ("v", Arc::new(Float32Array::from(vec![Some(0.5), None, Some(1.0), Some(2.0)]))),
        ("n", Arc::new(Int64Array::from(vec![9_007_199_254_740_993, 2, 3, 4]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
    ];
    write(folder, columns)
}

fn options(time: Option<&str>, sensor: Option<&str>) -> ColumnOptions {
    let own = |name: Option<&str>| name.map(str::to_owned);
    ColumnOptions { time: time.map(Into::into), sensor: own(sensor), ..ColumnOptions::default() }
}

/// The next batch, decoded.
fn next(source: &mut dyn Source, sensors: &mut Sensors) -> Result<Option<Decoded>> {
    match source.next(sensors)? {
        Some(Input::Deferred(deferred)) => deferred.decode(sensors).map(Some),
        None => Ok(None),
        Some(_) => unreachable!("only records"),
    }
}

fn read(spec: &Parquet) -> Decoded {
    let (mut source, mut sensors) = (spec.open(&OpenOptions::default()).expect("open"), Sensors::default());
    next(&mut *source, &mut sensors).expect("read").expect("one batch of records")
}

#[test]
fn records_without_time_or_sensor_are_rejected() {
    let folder = tempfile::tempdir().expect("folder");
    let decoded = read(&Parquet::new(file(&folder), options(Some("at"), Some("site"))));
    let reasons: Vec<_> =
        decoded.rejections.iter().map(|r| format!("{} {}", r.position.line, r.reason)).collect();
    assert_eq!(reasons, ["2 no timestamp", "3 no sensor", "4 outside 1677 to 2262"]);
    let kinds: Vec<_> = decoded.batch.schema().fields().iter().map(|f| f.description().to_owned()).collect();
    assert_eq!(kinds, ["time", "sensor", "measurement", "i64 measurement", "bool"]);
    assert_eq!(decoded.batch.times().expect("times")[0].as_nanos(), 1_000_000);
    assert_eq!(decoded.batch.columns()[3].number(0), Some(Number::I64(9_007_199_254_740_993)));
}

#[test]
fn nulls_are_kept_and_other_columns_are_carried() {
    let folder = tempfile::tempdir().expect("folder");
    let decoded = read(&Parquet::new(file(&folder), options(None, None)));
    let names: Vec<_> = decoded.batch.schema().fields().iter().map(|f| f.name.to_string()).collect();
    assert_eq!(names, ["sensor", "at", "site", "v", "n", "ok"]);
    assert_eq!(
        decoded.batch.measurement(3).iter().collect::<Vec<_>>(),
        [Some(0.5), None, Some(1.0), Some(2.0)]
    );
    let Column::Bool(booleans) = &decoded.batch.columns()[5] else { panic!("booleans") };
    assert_eq!(booleans.iter().collect::<Vec<_>>(), [Some(true), None, Some(false), Some(true)]);
}

#[test]
fn text_among_numbers_and_bytes_that_are_no_text_are_rejected() {
    let folder = tempfile::tempdir().expect("folder");
    let numbers = StringArray::from(vec![Some("1,5"), Some("n/a"), Some("x"), None]);
    let notes = BinaryArray::from(vec![Some(&b"a"[..]), None, Some(b"b"), Some(b"\xff")]);
    let path = write(&folder, vec![("v", Arc::new(numbers)), ("note", Arc::new(notes))]);
    let options = ColumnOptions {
        measurements: Some(vec!["v".into()]),
        null_values: vec!["n/a".into()],
        decimal: Decimal::Comma,
        ..ColumnOptions::default()
    };
    let decoded = read(&Parquet::new(path, options));
    assert_eq!(decoded.batch.measurement(1).iter().collect::<Vec<_>>(), [Some(1.5), None]);
    let rejections: Vec<_> = decoded.rejections.iter().map(ToString::to_string).collect();
    assert!(rejections[0].ends_with("line 3, byte 0: column `v`: \"x\" is not a number"), "{rejections:?}");
    assert!(rejections[1].ends_with("line 4, byte 0: column `note`: not UTF-8"), "{rejections:?}");
}

#[test]
fn times_without_a_zone_are_those_of_the_option() {
    let folder = tempfile::tempdir().expect("folder");
    let midsummer = TimestampMillisecondArray::from(vec![1_719_835_200_000]);
    let utc: ArrayRef = Arc::new(midsummer.clone().with_timezone("UTC"));
    let path = write(&folder, vec![("none", Arc::new(midsummer)), ("utc", utc)]);
    for (column, hours) in [("none", 10), ("utc", 12)] {
        let berlin = ColumnOptions { timezone: Some("Europe/Berlin".into()), ..options(Some(column), None) };
        let batch = read(&Parquet::new(&path, berlin)).batch;
        let time = batch.times().expect("times")[0];
        assert_eq!(time.to_string(), format!("2024-07-01T{hours}:00:00Z"));
        let other = batch.columns().last().filter(|_| column == "none");
        if let Some(Column::Text(spans)) = other {
            assert_eq!(batch.text.get(spans[0]), Some(&b"2024-07-01T12:00:00Z"[..]), "carried");
        }
    }
}

#[test]
fn clause_28_a_name_that_is_text_keeps_its_characters_and_one_that_is_a_number_has_the_shortest_form() {
    let folder = tempfile::tempdir().expect("folder");
    let texts = StringArray::from(vec![Some("1.0"), Some("1"), Some(" 01\t"), Some(" "), Some("1e0")]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(texts)),
        ("double", Arc::new(Float64Array::from(vec![1.0, 0.1, 1e21, -0.0, f64::NAN]))),
        ("single", Arc::new(Float32Array::from(vec![1.0, 0.1, 1e21, 16_777_216.0, f32::NEG_INFINITY]))),
        ("whole", Arc::new(Int64Array::from(vec![1, -2, 9_007_199_254_740_993, 0, 7]))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![100, 150, -5, 0, 7])
                    .with_precision_and_scale(10, 2)
                    .expect("fits"),
            ),
        ),
    ];
    let path = write(&folder, columns);
    let names = |options: ColumnOptions| {
        let spec = Parquet::new(&path, options);
        let (mut source, mut sensors) =
            (spec.open(&OpenOptions::default()).expect("open"), Sensors::default());
        let decoded = next(&mut *source, &mut sensors).expect("read").expect("records");
        let names: Vec<_> = decoded.batch.sensors().iter().map(|&id| sensors.name(id).to_owned()).collect();
        (names, decoded)
    };
    let by = |column: &str| names(options(None, Some(column))).0;
    assert_eq!(by("text"), ["1.0", "1", "01", "1e0"], "a name of blanks alone is none");
    assert_eq!(by("double"), ["1", "0.1", "1e21", "-0", "NaN"]);
    assert_eq!(by("single"), ["1", "0.1", "1e21", "16777216", "-inf"]);
    assert_eq!(by("whole"), ["1", "-2", "9007199254740993", "0", "7"]);
    assert_eq!(by("decimal"), ["1.00", "1.50", "-0.05", "0.00", "0.07"]);
    assert_eq!(by("{text}/{double}"), ["1.0/1", "1/0.1", "01/1e21", "1e0/NaN"]);
    // What is carried as text is written alike.
    let (_, decoded) = names(ColumnOptions { measurements: Some(Vec::new()), ..ColumnOptions::default() });
    let carried = |name: &str| {
        let at = decoded.batch.schema().index_of(name).expect("a column");
        let Column::Text(spans) = &decoded.batch.columns()[at] else { panic!("text") };
        let texts = spans.iter().map(|&span| decoded.batch.text.get(span).unwrap_or_default());
        texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(carried("double"), ["1", "0.1", "1e21", "-0", "NaN"]);
    assert_eq!(carried("text"), ["1.0", "1", " 01\t", " ", "1e0"]);
}

#[test]
fn a_rejected_record_leaves_no_sensor_behind_and_names_its_leftmost_fault() {
    let folder = tempfile::tempdir().expect("folder");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("site", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None]))),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![None, Some(1), None]))),
    ];
    let spec = Parquet::new(write(&folder, columns), options(Some("at"), Some("site")));
    let (mut source, mut sensors) = (spec.open(&OpenOptions::default()).expect("open"), Sensors::default());
    let decoded = next(&mut *source, &mut sensors).expect("read").expect("records");
    assert_eq!(sensors.names().collect::<Vec<_>>(), ["b"]);
    let columns: Vec<_> = decoded.rejections.iter().filter_map(|r| r.column.as_deref()).collect();
    assert_eq!(columns, ["at", "site"]);
}

#[test]
fn seeking_goes_to_a_record() {
    let folder = tempfile::tempdir().expect("folder");
    let spec = Parquet::new(file(&folder), options(None, None));
    let mut source = spec.open(&OpenOptions::default()).expect("open");
    source.seek(Offset { file: 0, at: 3, line: 0 }).expect("sought");
    let decoded = next(&mut *source, &mut Sensors::default()).expect("read").expect("records");
    assert_eq!(decoded.batch.measurement(4).get(0), Some(4.0));
    assert_eq!(decoded.batch.len(), 1);
}

#[test]
fn what_is_no_parquet_is_said_so() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.parquet");
    std::fs::write(&path, "timestamp,value\n").expect("written");
    let spec = Parquet::new(path.to_str().expect("UTF-8"), options(None, None));
    let error = spec.open(&OpenOptions::default()).err().expect("no Parquet");
    assert!(error.to_string().contains("cannot be read as Parquet"), "{error}");
    let error = Parquet::new(file(&folder), options(Some("att"), None))
        .open(&OpenOptions::default())
        .err()
        .expect("no column");
    assert!(error.to_string().contains("did you mean `at`?"), "{error}");
}

/// All records and remarks, or the error.
fn read_all(spec: &Parquet) -> Result<(Vec<Decoded>, Vec<String>)> {
    let (mut source, mut sensors) = (spec.open(&OpenOptions::default())?, Sensors::default());
    let mut all = Vec::new();
    while let Some(decoded) = next(&mut *source, &mut sensors)? {
        all.push(decoded);
    }
    Ok((all, source.remarks()))
}

fn names(decoded: &Decoded) -> Vec<String> {
    decoded.batch.schema().fields().iter().map(|field| field.name.to_string()).collect()
}

fn nested(folder: &tempfile::TempDir) -> String {
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let pair = StructArray::from(vec![(Arc::new(Field::new("v", DataType::Int64, true)), inner)]);
    let list =
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)]), Some(vec![])]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("pair", Arc::new(pair)),
        ("v", Arc::new(Float64Array::from(vec![0.5, 1.5]))),
        ("list", Arc::new(list)),
        ("note", Arc::new(StringArray::from(vec!["a", "b"]))),
    ];
    write(folder, columns)
}

#[test]
fn nested_columns_are_left_out_and_said() {
    let folder = tempfile::tempdir().expect("folder");
    let path = nested(&folder);
    let (all, remarks) = read_all(&Parquet::new(&path, options(None, None))).expect("read");
    assert_eq!(names(&all[0]), ["sensor", "v", "note"]);
    assert_eq!(all[0].batch.measurement(1).iter().collect::<Vec<_>>(), [Some(0.5), Some(1.5)]);
    let said = |name: &str| remarks.iter().filter(|remark| remark.contains(name)).count();
    assert_eq!((said("`pair` is left out"), said("`list` is left out")), (1, 1), "{remarks:?}");
    let error = Parquet::new(path, options(None, Some("pair"))).open(&OpenOptions::default()).err();
    let error = error.expect("a nested sensor");
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("`pair`"), "{error}");
}

#[test]
fn a_time_format_without_effect_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let remarks = |time: &str, time_format: &str| {
        let options = ColumnOptions { time_format: time_format.into(), ..options(Some(time), Some("site")) };
        let source = Parquet::new(file(&folder), options).open(&OpenOptions::default()).expect("open");
        source.remarks().iter().filter(|remark| remark.contains("`time_format` has no effect")).count()
    };
    assert_eq!(remarks("at", "ms"), 1);
    assert_eq!(remarks("at", "rfc3339"), 0, "nothing was asked for");
    assert_eq!(remarks("n", "ns"), 0, "numbers are read by it");
}

#[test]
fn columns_that_are_not_wanted_are_not_read() {
    let folder = tempfile::tempdir().expect("folder");
    let wanted = |columns: &[&str]| ColumnOptions {
        columns: Some(columns.iter().map(|&name| name.to_owned()).collect()),
        ..options(None, None)
    };
    let (all, _) = read_all(&Parquet::new(nested(&folder), wanted(&["note"]))).expect("read");
    assert_eq!(names(&all[0]), ["sensor", "note"]);
    let Column::Text(spans) = &all[0].batch.columns()[1] else { panic!("text") };
    assert_eq!(all[0].batch.text.get(spans[1]), Some(&b"b"[..]));
    // Without any column, the records still count.
    let (all, _) = read_all(&Parquet::new(nested(&folder), wanted(&["no*"]))).expect("read");
    assert_eq!(all[0].batch.len(), 2);
}

#[test]
fn clause_28_numbers_keep_their_type_unless_another_is_declared() {
    let folder = tempfile::tempdir().expect("folder");
    // 0.3 and 1.1 as decimals: digits over a power of ten is not always the nearest number.
    let digits = [9_007_199_254_740_993_i128, 3_000_000_000_000_000, 123_456_789_012_345_678_901];
    let decimals =
        Decimal128Array::from(digits.to_vec()).with_precision_and_scale(38, 16).expect("a precision");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("d", Arc::new(decimals)),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX, 1 << 53, (1 << 53) + 1]))),
        ("i", Arc::new(Int64Array::from(vec![i64::MIN, 1, 2]))),
    ];
    let path = write(&folder, columns);
    let (all, remarks) = read_all(&Parquet::new(&path, options(None, None))).expect("read");
    assert_eq!(remarks, [""; 0]);
    let own = |at: usize, row: usize| all[0].batch.columns()[at].number(row);
    assert_eq!([own(2, 0), own(2, 2)], [u64::MAX, (1 << 53) + 1].map(|value| Some(Number::U64(value))));
    assert_eq!(own(3, 0), Some(Number::I64(i64::MIN)));
    let types = [("*".to_owned(), FieldType::F64)].into();
    let floats = ColumnOptions { types, ..options(None, None) };
    let (all, remarks) = read_all(&Parquet::new(path, floats)).expect("read");
    let numbers = |at: usize| all[0].batch.measurement(at).iter().flatten().collect::<Vec<_>>();
    let texts = ["0.9007199254740993", "0.3", "12345.6789012345678901"];
    assert_eq!(numbers(1), texts.map(|text| text.parse::<f64>().expect("a number")));
    assert_eq!(numbers(2), [18_446_744_073_709_551_616.0, 9_007_199_254_740_992.0, 9_007_199_254_740_992.0]);
    assert_eq!(numbers(3), [-9_223_372_036_854_775_808.0, 1.0, 2.0]);
    let rounded: Vec<_> = remarks.iter().filter(|remark| remark.contains("f64 cannot represent")).collect();
    assert!(rounded.len() == 1 && rounded[0].contains("`u` has 2 integers"), "{remarks:?}");
}

#[test]
fn bytes_of_a_fixed_number_are_hexadecimal() {
    let folder = tempfile::tempdir().expect("folder");
    let values = [Some(&[0u8, 0xab][..]), None, Some(b"ok")];
    let bytes = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 2).expect("bytes");
    let path = write(&folder, vec![("id", Arc::new(bytes))]);
    let (all, _) = read_all(&Parquet::new(&path, options(None, None))).expect("read");
    let Column::Text(spans) = &all[0].batch.columns()[1] else { panic!("text") };
    let texts: Vec<_> = spans.iter().map(|&span| all[0].batch.text.get(span)).collect();
    assert_eq!(texts, [Some(&b"00ab"[..]), None, Some(b"6f6b")]);
    let found = sample(std::path::Path::new(&path), 2).expect("a sample");
    assert_eq!(
        (found.names, found.records),
        (vec!["id".to_owned()], vec![vec!["0x00ab".to_owned()], vec![String::new()]])
    );
}

#[test]
fn bytes_that_are_no_text_are_told_from_none() {
    let folder = tempfile::tempdir().expect("folder");
    let (blob, note) = (vec![Some(&[0xff_u8, 0xfe][..]), None], vec![Some(&b"ok"[..]), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("blob", Arc::new(arrow_array::BinaryArray::from(blob))),
        ("note", Arc::new(arrow_array::BinaryArray::from(note))),
    ];
    let found = sample(std::path::Path::new(&write(&folder, columns)), 10).expect("a sample");
    assert_eq!((found.names, found.unreadable), (vec!["note".to_owned()], vec!["blob".to_owned()]));
    assert_eq!(found.records, [["ok"], [""]]);
}

/// Single bytes changed, cut and repeated, which makes the library panic in some cases.
#[test]
fn damaged_files_are_errors_that_name_them_and_never_panics() {
    let folder = tempfile::tempdir().expect("folder");
    let whole = std::fs::read(nested(&folder)).expect("bytes");
    let path = folder.path().join("damaged.parquet");
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut refused, mut read) = (0, 0);
    for _ in 0..600 {
        let mut bytes = whole.clone();
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, whole[at / 2..at].to_vec())),
            _ => bytes[at] = random.random(),
        }
        std::fs::write(&path, &bytes).expect("written");
        let spec = Parquet::new(path.to_str().expect("UTF-8"), options(None, None));
        match read_all(&spec) {
            Ok(_) => read += 1,
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("damaged.parquet") && error.kind() != ErrorKind::Internal, "{told}");
                refused += 1;
            }
        }
        let _ = sample(&path, 10);
    }
    assert!(refused > 50 && read > 20, "{refused} refused, {read} read");
}

#[test]
fn a_panic_of_the_library_is_an_error_of_the_file() {
    let error = library::library("x.parquet", || -> std::result::Result<(), String> { panic!("odd page") });
    let error = error.expect_err("a panic");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("`x.parquet` cannot be read as Parquet: odd page"), "{error}");
}

#[test]
fn a_time_is_put_together_from_a_date_and_a_time_of_day() {
    let folder = tempfile::tempdir().expect("folder");
    let day = Date32Array::from(vec![19_723, 19_723]);
    let clock = Time64MicrosecondArray::from(vec![1_500_000, 86_399_000_000]);
    let zoned = TimestampMillisecondArray::from(vec![0, 1]).with_timezone("Europe/Berlin");
    let columns: Vec<(&str, ArrayRef)> =
        vec![("day", Arc::new(day)), ("clock", Arc::new(clock)), ("zoned", Arc::new(zoned))];
    let path = write(&folder, columns);
    let time = Some(crate::format::columns::Names::Many(vec!["day".into(), "clock".into()]));
    let (all, _) =
        read_all(&Parquet::new(&path, ColumnOptions { time, ..options(None, None) })).expect("read");
    let times: Vec<_> = all[0].batch.times().expect("times").iter().map(ToString::to_string).collect();
    assert_eq!(times, ["2024-01-01T00:00:01.500Z", "2024-01-01T23:59:59Z"]);
    let rows = sample(std::path::Path::new(&path), 1).expect("a sample").records;
    assert_eq!(rows, [["2024-01-01", "00:00:01.500", "1970-01-01T00:00:00Z"]]);
}

#[test]
fn bytes_are_numbers_where_they_are_text_of_numbers_and_never_where_they_are_of_a_fixed_number() {
    let folder = tempfile::tempdir().expect("folder");
    let fixed = FixedSizeBinaryArray::try_from_iter([b"12", b"34"].into_iter()).expect("bytes");
    let columns: Vec<(&str, ArrayRef)> =
        vec![("any", Arc::new(BinaryArray::from(vec![b"1.5".as_ref(), b"2"]))), ("fixed", Arc::new(fixed))];
    let path = write(&folder, columns);
    let named = |name: &str| {
        let measurements = Some(vec![name.to_owned()]);
        Parquet::new(path.as_str(), ColumnOptions { measurements, ..ColumnOptions::default() })
    };
    let numbers: Vec<_> = {
        let batch = read(&named("any")).batch;
        let at = batch.schema().index_of("any").expect("a column");
        (0..batch.len()).map(|row| batch.measurement(at).get(row)).collect()
    };
    assert_eq!(numbers, [Some(1.5), Some(2.0)]);
    let error = named("fixed").open(&OpenOptions::default()).err().expect("no numbers");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("`fixed`") && error.message().contains("no numbers"), "{error}");
    let records = sample(Path::new(&path), 2).expect("records").records;
    assert_eq!(records[0], ["1.5", "0x3132"], "digits of bytes do not look like a number");
}
