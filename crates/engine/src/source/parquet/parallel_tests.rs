//! Batches that several workers decode are those that one thread decodes, also where a file is damaged.

use std::fs::File;
use std::path::Path;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Compression;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::format::Decoded;
use crate::offset::Offset;
use crate::sensor::Sensors;
use crate::source::Input;
use crate::{Pipeline, RunOptions, executor};

const COLUMNS: [&str; 6] = ["t", "s", "v", "n", "ok", "note"];

/// The seed of a test, which says it.
fn seeded() -> StdRng {
    let seed = rand::random();
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

fn records(random: &mut StdRng, kind: &DataType, rows: usize) -> RecordBatch {
    let nulls = [0.0, 0.1][random.random_range(0..2)];
    let mut maybe = || !random.random_bool(nulls);
    let rows = 0..rows as i64;
    let times = rows.clone().map(|at| maybe().then_some(1_772_323_200_000 + at * 1000));
    let times = TimestampMillisecondArray::from(times.collect::<Vec<_>>()).with_timezone("UTC");
    let names: Vec<_> = rows
        .clone()
        .map(|at| maybe().then(|| format!("{}s{}", &"  "[..(at % 3) as usize], at * at % 13)))
        .collect();
    let names: StringArray = names.iter().map(Option::as_deref).collect();
    let names = arrow_cast::cast(&names, kind).expect("names");
    let values: Float64Array = rows.clone().map(|at| maybe().then_some(at as f64 / 8.0)).collect();
    let counts: Int64Array = rows.clone().map(|at| maybe().then_some(at * 1_000_003)).collect();
    let flags: BooleanArray = rows.clone().map(|at| maybe().then_some(at % 3 == 0)).collect();
    let notes: StringArray = rows.map(|at| maybe().then(|| format!("note {at}"))).collect();
    let arrays: [ArrayRef; 6] =
        [Arc::new(times), names, Arc::new(values), Arc::new(counts), Arc::new(flags), Arc::new(notes)];
    RecordBatch::try_from_iter_with_nullable(
        COLUMNS.into_iter().zip(arrays).map(|(name, array)| (name, array, true)),
    )
    .expect("records")
}

/// How names are held in memory when they are written; readers get them so, unless they ask for a dictionary.
fn kinds() -> [DataType; 4] {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary]
}

/// A file with row groups of these sizes, in small pages.
fn write(random: &mut StdRng, path: &Path, groups: &[usize]) {
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(random.random())
        .set_data_page_row_count_limit(random.random_range(5..200))
        .set_write_batch_size(5)
        .set_compression(
            [Compression::UNCOMPRESSED, Compression::ZSTD(Default::default())][random.random_range(0..2)],
        )
        .build();
    let kind = &kinds()[random.random_range(0..4)];
    write_records(path, &records(random, kind, groups.iter().sum()), groups, properties);
}

fn write_records(path: &Path, records: &RecordBatch, groups: &[usize], properties: WriterProperties) {
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, records.schema(), Some(properties)).expect("a writer");
    let mut from = 0;
    for &rows in groups {
        writer.write(&records.slice(from, rows)).expect("written");
        writer.flush().expect("a row group");
        from += rows;
    }
    writer.close().expect("closed");
}

fn pipeline(folder: &Path, stages: &str) -> Pipeline {
    let at = folder.display();
    let toml = format!(
        "[source]\ntype = \"parquet\"\npath = \"{at}/*.parquet\"\ntime = \"t\"\nsensor = \"s\"\n\
         measurements = [\"v\", \"n\"]\nmax_rejects = 0.9\n{stages}\
         [[sink]]\ntype = \"csv\"\npath = \"{at}/out\"\n[[sink]]\ntype = \"dead_letter\"\npath = \"{at}/dead\"\n"
    );
    Pipeline::from_toml(&toml).expect("a pipeline")
}

/// What a run leaves behind: its files, ledgers and remarks, or its error. No `threads`: the one-thread loop.
fn outcome(folder: &Path, stages: &str, threads: Option<usize>, chunk_size: usize) -> String {
    let open = OpenOptions { chunk_size, ..OpenOptions::default() };
    let options = RunOptions { open, threads, sequential: threads.is_none(), ..RunOptions::default() };
    let report = match executor::run(&pipeline(folder, stages), &options, &mut ()) {
        Ok(report) => report,
        Err(error) => return format!("{:?}: {error}", error.kind()),
    };
    let entries = report.sources.iter().chain(&report.stages).chain(&report.sinks);
    let ledgers: Vec<_> = entries.map(|entry| (&entry.name, entry.ledger)).collect();
    let mut told = format!("{ledgers:?} {:?} {} {:?}\n", report.rejects, report.sensors, report.remarks);
    for name in ["out", "dead"] {
        told += &std::fs::read_to_string(folder.join(name)).expect("an output");
    }
    told
}

/// The same from any number of threads, with batches of any size; the first error is that of the first batch, so it may depend on the size.
fn check(random: &mut StdRng, folder: &Path, stages: &str) -> String {
    let whole = outcome(folder, stages, None, 1 << 20);
    for threads in 1..=8 {
        let chunk_size = 16 * random.random_range(1..300);
        let expected = outcome(folder, stages, None, chunk_size);
        assert!(
            expected == whole || !whole.starts_with('['),
            "{chunk_size}:\n{expected}\ninstead of\n{whole}"
        );
        let found = outcome(folder, stages, Some(threads), chunk_size);
        assert!(found == expected, "{threads} threads, {chunk_size}:\n{found}\ninstead of\n{expected}");
    }
    whole
}

fn folder() -> tempfile::TempDir {
    // Small outputs are made durable, so in memory if possible.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

#[test]
fn any_number_of_workers_gives_the_bits_of_one_thread() {
    let mut random = seeded();
    let folder = folder();
    for _ in 0..8 {
        for name in ["a.parquet", "b.parquet"] {
            let groups: Vec<_> =
                (0..random.random_range(1..6)).map(|_| random.random_range(0..400)).collect();
            write(&mut random, &folder.path().join(name), &groups);
        }
        let stages = [
            "",
            "[[stage]]\ntype = \"moving_average\"\nwindow = 3\n",
            "[[stage]]\ntype = \"threshold\"\nmin = 10\nmax = 90\ncolumns = [\"v\"]\n",
            "[[stage]]\ntype = \"normalize\"\nmethod = \"z_score\"\nfit = true\n",
        ];
        let stages = stages[random.random_range(0..stages.len())];
        let told = check(&mut random, folder.path(), stages);
        assert!(told.starts_with('['), "{told}");
    }
}

#[test]
fn names_are_the_same_however_they_are_stored() {
    let mut random = seeded();
    let folder = folder();
    let (path, groups) = (folder.path().join("a.parquet"), [200, 130, 300]);
    let plain = records(&mut random, &DataType::Utf8, 630);
    let mut expected = None;
    for kind in kinds() {
        let names = arrow_cast::cast(plain.column(1), &kind).expect("names");
        let columns = COLUMNS.into_iter().zip(plain.columns()).enumerate().map(|(at, (name, column))| {
            (name, if at == 1 { Arc::clone(&names) } else { Arc::clone(column) }, true)
        });
        let records = RecordBatch::try_from_iter_with_nullable(columns).expect("records");
        // The smallest dictionaries are full after a page: what follows is plain.
        for limit in [0, 20, 1 << 20] {
            let properties = WriterProperties::builder()
                .set_dictionary_enabled(limit > 0)
                .set_dictionary_page_size_limit(limit.max(1))
                .set_data_page_row_count_limit(20)
                .set_write_batch_size(10)
                .build();
            write_records(&path, &records, &groups, properties);
            let told = check(&mut random, folder.path(), "");
            assert_eq!(&told, expected.get_or_insert_with(|| told.clone()), "{kind} {limit}");
        }
    }
}

/// The records that `source` has from here on, as text.
fn rest(source: &mut dyn Source) -> Vec<String> {
    let (mut sensors, mut all) = (Sensors::default(), Vec::new());
    while let Some(input) = source.next(&mut sensors).expect("claimed") {
        let Input::Deferred(deferred) = input else { panic!("{input:?}") };
        let (count, Decoded { batch, rejections, .. }) =
            (deferred.records(), deferred.decode(&mut sensors).expect("decoded"));
        assert_eq!(count, (batch.len() + rejections.len()) as u64);
        all.extend((0..batch.len()).map(|row| {
            let name = sensors.name(batch.sensors()[row]);
            let columns: Vec<_> = batch.columns().iter().map(|column| column.number(row)).collect();
            format!("{} {name} {columns:?}", batch.times().expect("times")[row])
        }));
        all.extend(rejections.iter().map(ToString::to_string));
    }
    all.sort();
    all
}

#[test]
fn reading_goes_on_from_every_record() {
    let mut random = seeded();
    let folder = folder();
    let groups = [31, 1, 0, 40, 7];
    write(&mut random, &folder.path().join("a.parquet"), &groups);
    let spec = Parquet::new(
        folder.path().join("a.parquet").to_str().expect("UTF-8"),
        ColumnOptions { time: Some("t".into()), sensor: Some("s".to_owned()), ..ColumnOptions::default() },
    );
    let open = |chunk_size| {
        spec.open(&OpenOptions { keeps_place: true, chunk_size, ..OpenOptions::default() }).expect("opened")
    };
    let all = rest(&mut *open(1 << 20));
    assert_eq!(all.len(), groups.iter().sum::<usize>());
    for at in 0..=all.len() {
        let mut source = open(16 * random.random_range(1..50));
        source.seek(Offset { file: 0, at: at as u64, line: 0 }).expect("sought");
        let place = source.save().expect("a place").expect("a place");
        let behind = rest(&mut *source);
        let mut again = open(16 * random.random_range(1..50));
        again.restore(&place).expect("restored");
        assert_eq!(rest(&mut *again), behind, "from {at}");
        assert_eq!(behind.len(), all.len() - at);
        assert!(behind.iter().all(|record| all.contains(record)), "from {at}");
    }
}

#[test]
fn batches_are_decoded_in_any_order_and_a_dropped_one_fails_those_behind_it() {
    let mut random = seeded();
    let folder = folder();
    write(&mut random, &folder.path().join("a.parquet"), &[50, 50]);
    let spec = Parquet::new(
        folder.path().join("a.parquet").to_str().expect("UTF-8"),
        ColumnOptions { time: Some("t".into()), sensor: Some("s".to_owned()), ..ColumnOptions::default() },
    );
    let claim_all = || {
        let mut source =
            spec.open(&OpenOptions { chunk_size: 16 * 9, ..OpenOptions::default() }).expect("opened");
        let mut all = Vec::new();
        while let Some(input) = source.next(&mut Sensors::default()).expect("claimed") {
            let Input::Deferred(deferred) = input else { panic!("{input:?}") };
            all.push(deferred);
        }
        all
    };
    // The last ones first: each waits for those before it.
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let decode = |deferred: crate::source::Deferred| deferred.decode(&mut Sensors::default());
        let threads: Vec<_> =
            claim_all().into_iter().rev().map(|it| scope.spawn(move || decode(it))).collect();
        let decoded = threads.into_iter().map(|thread| thread.join().expect("no panic").expect("decoded"));
        decoded.map(|decoded| (decoded.batch.len() + decoded.rejections.len()) as u64).collect()
    });
    assert_eq!(counts, [1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    let mut all = claim_all();
    drop(all.remove(1));
    let failed: Vec<_> =
        all.into_iter().map(|deferred| deferred.decode(&mut Sensors::default()).is_err()).collect();
    assert!(!failed[0] && failed[1..].iter().all(|failed| *failed), "{failed:?}");
}

#[test]
fn a_damaged_page_is_the_same_error_from_any_number_of_workers() {
    let mut random = seeded();
    let folder = folder();
    let path = folder.path().join("a.parquet");
    for _ in 0..6 {
        write(&mut random, &path, &[300, 300, 300]);
        let mut bytes = std::fs::read(&path).expect("bytes");
        let metadata = ArrowReaderMetadata::load(&File::open(&path).expect("a file"), Default::default());
        let metadata = metadata.expect("a footer");
        // Two of them, in other columns and row groups: the first batch that meets one decides.
        for group in [1, 2] {
            let column = random.random_range(0..COLUMNS.len());
            let (start, length) = metadata.metadata().row_group(group).column(column).byte_range();
            let at = start as usize + random.random_range(0..2) * (length as usize / 2);
            bytes[at..at + 4].fill(0xff);
        }
        std::fs::write(&path, &bytes).expect("written");
        let told = check(&mut random, folder.path(), "");
        assert!(told.starts_with('[') || told.contains("a.parquet` cannot be read as Parquet"), "{told}");
    }
}

/// The footer of `file` with `more` records in row group `group`.
fn with_records(file: &ParquetMetaData, group: usize, more: i64) -> ParquetMetaData {
    let groups = file.row_groups().iter().enumerate().map(|(at, it)| {
        let more = if at == group { more } else { 0 };
        it.clone().into_builder().set_num_rows(it.num_rows() + more).build().expect("a row group")
    });
    let old = file.file_metadata();
    let about = FileMetaData::new(
        old.version(),
        old.num_rows() + more,
        old.created_by().map(str::to_owned),
        old.key_value_metadata().cloned(),
        old.schema_descr_ptr(),
        None,
    );
    ParquetMetaData::new(about, groups.collect())
}

#[test]
fn a_wrong_count_of_records_is_an_error_of_the_file() {
    let mut random = seeded();
    let folder = folder();
    let path = folder.path().join("a.parquet");
    for (group, more) in [(0, 1), (1, 5), (1, -5), (1, 1000), (0, -29)] {
        write(&mut random, &path, &[30, 30]);
        let metadata = ArrowReaderMetadata::load(&File::open(&path).expect("a file"), Default::default());
        let metadata = with_records(metadata.expect("a footer").metadata(), group, more);
        let mut bytes = std::fs::read(&path).expect("bytes");
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().expect("another footer");
        std::fs::write(&path, &bytes).expect("written");
        let told = check(&mut random, folder.path(), "");
        assert!(told.contains("a.parquet` cannot be read as Parquet"), "{group} {more}: {told}");
    }
}
