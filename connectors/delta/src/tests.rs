//! Deliveries to tables in temporary folders, read back by a scan of the library.

use std::path::Path;

use delta_kernel::Engine;
use delta_kernel::arrow::array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use delta_kernel::arrow::array::{Array, AsArray, RecordBatch};
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::object_store::local::LocalFileSystem;
use delta_kernel::snapshot::Snapshot;
use delta_kernel_default_engine::DefaultEngineBuilder;
use proptest::prelude::*;
use tidemill_engine::batch::{Batch, Column, Field, FieldType, Span, Text, TimeColumn};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::time::Timestamp;
use url::Url;

use tidemill_engine::sink::Prepare;

use super::*;

type Record = (i64, String, Option<f64>, Option<i64>, Option<u64>, Option<bool>, Option<String>);

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
    let note = |record: &Record| record.6.as_ref().map_or(Span::NULL, |note| text.push(note.as_bytes()));
    let notes = records.iter().map(note).collect();
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

fn record(number: i64) -> Record {
    (number * 1000, "s".into(), Some(1.5), Some(number), None, Some(true), Some("n".into()))
}

fn options(folder: &Path, partition_by: &[&str]) -> DeltaTable {
    let value = serde_json::json!({ "path": folder.join("t"), "create": true, "partition_by": partition_by });
    serde_json::from_value(value).expect("options")
}

fn open(options: &DeltaTable, writer: &str) -> Box<dyn Sink> {
    let context = SinkContext { writer: Some(writer.into()), ..SinkContext::default() };
    options.open(&schema(), &context).expect("a table")
}

fn deliver(sink: &mut dyn Sink, epoch: u64, batches: &[&[Record]]) -> Result<()> {
    let preparer = sink.preparer().expect("a preparer");
    let blocks = batches.iter().map(|records| {
        let (batch, sensors) = batch(records);
        *preparer.prepare(&batch, &sensors).expect("prepared").downcast::<Vec<u8>>().expect("bytes")
    });
    let blocks: Vec<Vec<u8>> = blocks.collect();
    sink.deliver(epoch, &mut blocks.into_iter().filter(|block| !block.is_empty()).map(Ok))
}

fn snapshot(folder: &Path) -> (Arc<dyn Engine>, Arc<Snapshot>) {
    let engine = Arc::new(DefaultEngineBuilder::new(Arc::new(LocalFileSystem::new())).build());
    let url = Url::from_directory_path(folder.join("t")).expect("a URL");
    let snapshot = Snapshot::builder_for(url.as_str()).build(engine.as_ref()).expect("a table");
    (engine, snapshot)
}

/// The records of the table, sorted, and the day of each.
fn read(folder: &Path) -> Vec<(Record, Option<i32>)> {
    let (engine, snapshot) = snapshot(folder);
    let scan = snapshot.scan_builder().build().expect("a scan");
    let mut all = Vec::new();
    for data in scan.execute(engine).expect("a scan") {
        let data = ArrowEngineData::try_from_engine_data(data.expect("data")).expect("Arrow");
        all.extend(records(&(*data).into()));
    }
    all.sort_by_key(|(record, _): &(Record, _)| (record.0, record.3));
    all
}

fn records(data: &RecordBatch) -> Vec<(Record, Option<i32>)> {
    let column = |name: &str| data.column_by_name(name).expect("a column");
    let times = column("time").as_primitive::<TimestampMicrosecondType>();
    let (sensors, notes) = (column("sensor").as_string::<i32>(), column("note").as_string::<i32>());
    let values = column("value").as_primitive::<Float64Type>();
    let (i, u) = (column("i").as_primitive::<Int64Type>(), column("u").as_primitive::<Decimal128Type>());
    let b = column("b").as_boolean();
    let days = data.column_by_name("day").map(|days| days.as_primitive::<Date32Type>());
    let row = |at: usize| {
        let record = (
            times.value(at),
            sensors.value(at).to_owned(),
            values.is_valid(at).then(|| values.value(at)),
            i.is_valid(at).then(|| i.value(at)),
            u.is_valid(at).then(|| u64::try_from(u.value(at)).expect("in range")),
            b.is_valid(at).then(|| b.value(at)),
            notes.is_valid(at).then(|| notes.value(at).to_owned()),
        );
        (record, days.map(|days| days.value(at)))
    };
    (0..data.num_rows()).map(row).collect()
}

fn numbers(folder: &Path) -> Vec<i64> {
    read(folder).iter().filter_map(|(record, _)| record.3).collect()
}

#[test]
fn an_epoch_that_is_there_is_not_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(folder.path(), &[]);
    let (first, second, third) = ([record(1)], [record(2), record(3)], [record(4)]);
    let mut sink = open(&options, "w");
    deliver(&mut *sink, 3, &[&first]).expect("delivered");
    deliver(&mut *sink, 5, &[&second]).expect("delivered");
    // After a kill, the run delivers again, also by another process.
    let mut again = open(&options, "w");
    deliver(&mut *again, 3, &[&first]).expect("delivered");
    deliver(&mut *again, 5, &[&second]).expect("delivered");
    deliver(&mut *again, 6, &[&third]).expect("delivered");
    assert_eq!(numbers(folder.path()), [1, 2, 3, 4]);
    assert_eq!(snapshot(folder.path()).1.version(), 3);
    // Another run has epochs of its own.
    deliver(&mut *open(&options, "x"), 1, &[&[record(5)]]).expect("delivered");
    assert_eq!(numbers(folder.path()), [1, 2, 3, 4, 5]);
}

#[test]
fn an_epoch_without_rows_is_no_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sink = open(&options(folder.path(), &["day"]), "w");
    deliver(&mut *sink, 1, &[&[]]).expect("delivered");
    assert_eq!(snapshot(folder.path()).1.version(), 0);
}

#[test]
fn writers_that_write_at_once_do_not_lose_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(folder.path(), &[]);
    open(&options, "first");
    let write = |writer: i64| {
        let mut sink = open(&options, &format!("w{writer}"));
        for epoch in 0..12 {
            let records = [record(100 * writer + epoch)];
            // After others have committed first too often, the run tries again.
            while let Err(error) = deliver(&mut *sink, epoch as u64 + 1, &[&records]) {
                assert!(error.is_transient(), "{error}");
            }
        }
    };
    std::thread::scope(|scope| (0..3).for_each(|writer| drop(scope.spawn(move || write(writer)))));
    let expected: Vec<i64> =
        (0..3).flat_map(|writer| (0..12).map(move |epoch| 100 * writer + epoch)).collect();
    assert_eq!(numbers(folder.path()), expected);
    assert!(folder.path().join("t/_delta_log/_last_checkpoint").exists());
}

#[test]
fn what_was_kept_for_other_columns_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(folder.path(), &[]);
    let (kept, sensors) = batch(&[record(1)]);
    let preparer = open(&options, "w").preparer().expect("a preparer");
    let kept = *preparer.prepare(&kept, &sensors).expect("bytes").downcast::<Vec<u8>>().expect("bytes");
    let other = DeltaTable { omit: vec!["note".into()], ..options };
    let error = open(&other, "w").deliver(1, &mut std::iter::once(Ok(kept))).expect_err("refused");
    assert!(error.to_string().contains("columns time, sensor, value, i, u, b, note"), "{error}");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = options(folder.path(), &[]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (options, expected) in [
        (DeltaTable { level: 23, ..good.clone() }, "`level` 23"),
        (DeltaTable { row_group: 0, ..good.clone() }, "`row_group`"),
        (DeltaTable { app_id: String::new(), ..good.clone() }, "`app_id`"),
        (DeltaTable { omit: names(&["x"]), ..good.clone() }, "`omit` names `x`"),
        (DeltaTable { partition_by: names(&["time"]), ..good.clone() }, "not partitioned by times"),
        (DeltaTable { partition_by: names(&["u"]), ..good.clone() }, "not partitioned by integers (u64)"),
        (
            DeltaTable {
                partition_by: names(&["note"]),
                omit: names(&["time", "sensor", "value", "i", "u", "b"]),
                ..good.clone()
            },
            "leave no column",
        ),
        (
            DeltaTable {
                columns: [("i".to_owned(), "VALUE".to_owned())].into_iter().collect(),
                ..good.clone()
            },
            "two columns",
        ),
    ] {
        let error = options.check(&schema()).expect_err("refused");
        assert!(error.to_string().contains(expected), "{error}");
    }
    good.check(&schema()).expect("fine");
}

fn text() -> impl Strategy<Value = String> {
    // No empty text: as a value of a partition it is null.
    prop_oneof!["[a-c]", "[ -~]{1,5}", "\\PC{1,5}"]
}

fn any_record() -> impl Strategy<Value = Record> {
    (
        any::<i64>(),
        text(),
        any::<Option<f64>>(),
        any::<Option<i64>>(),
        any::<Option<u64>>(),
        any::<Option<bool>>(),
        proptest::option::of(text()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_records_are_read_back(
        batches in proptest::collection::vec(proptest::collection::vec(any_record(), 0..12), 1..4),
        by in proptest::sample::subsequence(vec!["sensor", "day", "b", "note"], 0..4),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sink = open(&options(folder.path(), &by), "w");
        let given: Vec<&[Record]> = batches.iter().map(Vec::as_slice).collect();
        deliver(&mut *sink, 1, &given).expect("delivered");
        let expected = |record: &Record| {
            let mut expected = record.clone();
            expected.0 = record.0.div_euclid(1000);
            (expected, by.contains(&"day").then(|| record.0.div_euclid(86_400_000_000_000) as i32))
        };
        let mut expected: Vec<_> = batches.iter().flatten().map(expected).collect();
        expected.sort_by_key(|(record, _)| (record.0, record.3));
        prop_assert_eq!(format!("{:?}", read(folder.path())), format!("{:?}", expected));
    }

    #[test]
    fn any_bytes_are_refused_but_those_that_were_kept(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<proptest::sample::Index>()) {
        let columns = Target::new(&options(Path::new("."), &[]), &schema()).expect("a target").columns;
        prop_assert!(rows::read(bytes, &columns).is_err());
        let (batch, sensors) = batch(&[record(1)]);
        let encoder = rows::Encoder::new(&schema(), columns.clone(), Arc::default());
        let kept = encoder.prepare(&batch, &sensors).expect("bytes").downcast::<Vec<u8>>();
        let mut kept = *kept.expect("bytes");
        prop_assert_eq!(rows::read(kept.clone(), &columns).expect("rows").len(), 1);
        let at = cut.index(kept.len());
        prop_assert!(rows::read(kept[..at].to_vec(), &columns).is_err());
        kept[at] ^= 0x55;
        prop_assert!(rows::read(kept, &columns).is_err());
    }
}
