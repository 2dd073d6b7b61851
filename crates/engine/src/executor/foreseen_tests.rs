//! Row groups that are filtered according to their statistics are not read, and nothing else changes: outputs, ledgers and remarks equal
//! those of a run that reads everything.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{RunOptions, run};
use crate::source::OpenOptions;
use crate::{Pipeline, Report};

/// 1 March 2026 in milliseconds.
const START: i64 = 1_772_323_200_000;

/// A file of several row groups, each with one kind of values; most of them in order of time.
fn file(random: &mut StdRng, path: &Path, groups: usize) {
    let is_dictionary = random.random();
    let statistics = match random.random_range(0..6) {
        0 => EnabledStatistics::None,
        1 => EnabledStatistics::Chunk,
        _ => EnabledStatistics::Page,
    };
    let properties = WriterProperties::builder()
        .set_statistics_enabled(statistics)
        .set_statistics_truncate_length(Some(3))
        .build();
    let (mut writer, mut at) = (None, START);
    for _ in 0..groups {
        let records = group(random, &mut at, is_dictionary);
        let writer = writer.get_or_insert_with(|| {
            let file = File::create(path).expect("a file");
            ArrowWriter::try_new(file, records.schema(), Some(properties.clone())).expect("a writer")
        });
        writer.write(&records).expect("written");
        writer.flush().expect("a row group");
    }
    writer.expect("groups").close().expect("closed");
}

fn group(random: &mut StdRng, at: &mut i64, is_dictionary: bool) -> RecordBatch {
    let rows = random.random_range(1..60);
    let base = [0.0, 0.0, 50.0, -300.0, 9e15][random.random_range(0..5)];
    let rare = |random: &mut StdRng| random.random_range(0..80) == 0;
    let odd = random.random_range(0..3) == 0;
    let has_nulls = random.random_range(0..3) == 0;
    let number = |random: &mut StdRng| match random.random_range(0..12) {
        0 if odd => Some(f64::NAN),
        1 if has_nulls => None,
        _ => Some(base + random.random_range(-20..20) as f64),
    };
    let step = if random.random_range(0..8) == 0 { -5000 } else { random.random_range(1..4000) };
    if random.random_range(0..40) == 0 {
        *at = random.random_range(0..1_000_000_000);
    }
    let times: Vec<Option<i64>> = (0..rows)
        .map(|_| {
            *at += step;
            (!(odd && rare(random))).then_some(*at)
        })
        .collect();
    let v: Vec<Option<f64>> = (0..rows).map(|_| number(random)).collect();
    let w: Vec<Option<f32>> = (0..rows).map(|_| number(random).map(|number| number as f32)).collect();
    let n: Vec<Option<i64>> = (0..rows)
        .map(|_| {
            number(random)
                .map(|number| if odd { 9_007_199_254_740_990 + number as i64 } else { number as i64 })
        })
        .collect();
    let names = ["plant-1", "plant-2", "p", "a sensor with a long name"];
    let only = (random.random_range(0..2) == 0).then(|| names[random.random_range(0..4)]);
    let sensors: Vec<Option<&str>> = (0..rows)
        .map(|_| {
            let name = only.unwrap_or(names[random.random_range(0..4)]);
            (!(odd && rare(random))).then_some(name)
        })
        .collect();
    let notes: Vec<&[u8]> =
        (0..rows).map(|_| if odd && rare(random) { &b"\xff"[..] } else { b"ok" }).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("t", Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))),
        (
            "s",
            if is_dictionary {
                Arc::new(sensors.into_iter().collect::<DictionaryArray<Int32Type>>())
            } else {
                Arc::new(StringArray::from(sensors))
            },
        ),
        ("v", Arc::new(Float64Array::from(v))),
        ("w", Arc::new(Float32Array::from(w))),
        ("n", Arc::new(Int64Array::from(n))),
        ("note", Arc::new(StringArray::from(vec!["x"; rows]))),
        ("raw", Arc::new(BinaryArray::from_vec(notes))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("records")
}

/// The `[source]` options and the stages of a random pipeline.
fn pipeline(random: &mut StdRng) -> (String, String) {
    let one_of = |random: &mut StdRng, all: &[&str]| all[random.random_range(0..all.len())].to_owned();
    let time = |random: &mut StdRng| format!("2026-03-01T00:{:02}:00Z", random.random_range(0..14));
    let mut source = vec!["time = \"t\"".to_owned()];
    source.push(one_of(
        random,
        &["sensor = \"s\"", "sensor = \"s\"", "sensor = \"{s}-x\"", "sensor_name = \"one\""],
    ));
    source.push(one_of(
        random,
        &[
            "columns = [\"note\"]\nmeasurements = [\"v\", \"w\"]",
            "columns = []\nmeasurements = [\"v\"]",
            "columns = [\"note\"]\nmeasurements = [\"n\", \"v\"]",
            "columns = [\"raw\"]\nmeasurements = [\"v\"]",
            "columns = [\"n\"]\nmeasurements = [\"v\", \"gone\"]\nunknown_columns = \"null\"",
        ],
    ));
    source.extend((random.random_range(0..3) == 0).then(|| format!("from = \"{}\"", time(random))));
    source.extend(
        (random.random_range(0..4) == 0)
            .then(|| format!("until = \"2026-03-01T01:{:02}:00Z\"", random.random_range(0..9))),
    );
    source.push(one_of(
        random,
        &["", "", "", "null_values = [\"50\"]", "order = \"time\"\ndisorder = \"1m\"", "max_jump = \"1h\""],
    ));
    let leading = one_of(
        random,
        &[
            "",
            "[[stage]]\ntype = \"threshold\"\nmin = -40.0\nmax = 40.0\n",
            "[[stage]]\ntype = \"threshold\"\nmin = -40.0\nmax = 40.0\ncolumns = [\"v\"]\n",
            "[[stage]]\ntype = \"threshold\"\nmax = 40.0\nnulls = \"keep\"\ncolumns = [\"v\"]\n",
            "[[stage]]\ntype = \"threshold\"\nmax = 40.0\naction = \"mask\"\n",
            "[[stage]]\ntype = \"threshold\"\nmax = 40.0\n[stage.sensors]\n\"plant-*\" = { max = 60.0 }\nnobody = { max = 1.0 }\n",
            "[[stage]]\ntype = \"normalize\"\nmethod = \"min_max\"\nfit = true\n[[stage]]\ntype = \"threshold\"\nmax = 0.5\n",
            "[[stage]]\ntype = \"threshold\"\nmax = 40.0\n[[stage]]\ntype = \"normalize\"\nmethod = \"z_score\"\nfit = true\n",
        ],
    );
    let last = one_of(
        random,
        &[
            "",
            "[[stage]]\ntype = \"moving_average\"\nwindow = 3\n",
            "[[stage]]\ntype = \"moving_average\"\nwindow = \"10s\"\n",
            "[[stage]]\ntype = \"aggregate\"\nevery = \"1m\"\n",
        ],
    );
    (source.join("\n"), leading + &last)
}

/// The result of a run: outputs, ledgers and remarks; and the number of records not read.
fn outcome(folder: &Path, text: &str, options: &RunOptions) -> (String, usize) {
    let pipeline = Pipeline::from_toml(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let report = match run(&pipeline, options, &mut ()) {
        Ok(report) => report,
        Err(error) => return (format!("error: {error}"), 0),
    };
    let Report { sources, stages, sinks, rejects, sensors, remarks, first_passes, .. } = &report;
    let ledgers = |entries: &[crate::metrics::Entry]| {
        entries.iter().map(|entry| format!("{} {:?}\n", entry.name, entry.ledger)).collect::<String>()
    };
    let (unread, remarks): (Vec<_>, Vec<_>) =
        remarks.iter().partition(|remark| remark.contains("not read: according to their statistics"));
    let unread = unread.first().map_or(0, |remark| {
        let words: Vec<&str> = remark.split(' ').collect();
        let at = words.iter().position(|word| *word == "with").expect("a number of records");
        words[at + 1].parse().expect("a number")
    });
    let mut text = ledgers(sources) + &ledgers(stages) + &ledgers(sinks);
    for pass in first_passes {
        text += &(ledgers(&pass.sources) + &ledgers(&pass.stages));
    }
    text += &format!("{rejects:?} {sensors} {remarks:?}\n");
    for name in ["out", "dead"] {
        text += &std::fs::read_to_string(folder.join(name)).expect("an output");
    }
    (text, unread)
}

#[test]
fn leaving_records_unread_changes_nothing_but_the_time() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    // Hundreds of small outputs are made durable, so in memory if possible.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let place = folder.path();
    let (mut with_unread, mut failed) = (0, 0);
    for case in 0..100 {
        for name in ["a.parquet", "b.parquet"] {
            let groups = random.random_range(1..8);
            file(&mut random, &place.join(name), groups);
        }
        let (source, stages) = pipeline(&mut random);
        let at = place.display();
        let text = format!(
            "[source]\ntype = \"parquet\"\npath = \"{at}/*.parquet\"\nmax_rejects = 0.9\n{source}\n{stages}\
             [[sink]]\ntype = \"csv\"\npath = \"{at}/out\"\n[[sink]]\ntype = \"dead_letter\"\npath = \"{at}/dead\"\n"
        );
        let go = |reads_all, threads: Option<usize>, chunk_size| {
            let open = OpenOptions { reads_all, chunk_size, ..OpenOptions::default() };
            let options =
                RunOptions { open, threads, sequential: threads.is_none(), ..RunOptions::default() };
            outcome(place, &text, &options)
        };
        let (expected, none) = go(true, None, 1 << 20);
        assert_eq!(none, 0);
        let mut unread = 0;
        for (threads, chunk_size) in [(None, 1 << 20), (Some(1), 100), (Some(3), 500)] {
            let (found, left) = go(false, threads, chunk_size);
            assert_eq!(found, expected, "seed {seed}, case {case}, {threads:?} threads\n{text}");
            unread = left;
        }
        with_unread += usize::from(unread > 0);
        failed += usize::from(expected.starts_with("error"));
    }
    println!("{with_unread} cases with records unread, {failed} failed");
    assert!(with_unread >= 10 && failed < 75, "{with_unread} {failed}");
}

#[test]
fn a_period_and_a_threshold_leave_whole_row_groups_unread_and_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10)).build();
    let times: Vec<i64> = (0..60).map(|second| START + second * 1000).collect();
    let values: Vec<f64> =
        (0..60).map(|at| if at < 20 { f64::from(at) } else { 1000.0 + f64::from(at) }).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("t", Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))),
        ("v", Arc::new(Float64Array::from(values))),
    ];
    let records = RecordBatch::try_from_iter(columns).expect("records");
    let file = File::create(&path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, records.schema(), Some(properties)).expect("a writer");
    writer.write(&records).expect("written");
    writer.close().expect("closed");
    let run_with = |options: &str, stages: &str| {
        let text = format!(
            "[source]\ntype = \"parquet\"\npath = \"{}\"\ntime = \"t\"\n{options}\n{stages}[[sink]]\ntype = \"null\"\n",
            path.display()
        );
        let pipeline = Pipeline::from_toml(&text).expect("a pipeline");
        run(&pipeline, &RunOptions::default(), &mut ()).expect("a run")
    };
    let threshold = "[[stage]]\ntype = \"threshold\"\nmax = 500.0\n";
    for (options, stages, groups, records, kept) in [
        ("from = \"2026-03-01T00:00:50Z\"", "", 5, 50, 10),
        ("until = \"2026-03-01T00:00:10Z\"", "", 5, 50, 10),
        ("", threshold, 4, 40, 20),
        // Of the groups from the fifth second on, the first is read because of its times, the second because of its values.
        ("from = \"2026-03-01T00:00:05Z\"", threshold, 4, 40, 15),
        ("until = \"2026-03-01T00:00:30Z\"", threshold, 4, 40, 20),
    ] {
        let report = run_with(options, stages);
        let remark = format!(
            "{groups} row groups with {records} of 60 records were not read: according to their statistics, all of those are filtered"
        );
        assert_eq!(report.remarks, [remark], "{options} {stages}");
        let last = report.stages.last().expect("a stage").ledger;
        assert_eq!(
            (report.sources[0].ledger.input, last.output, report.sensors),
            (60, kept, 1),
            "{options} {stages}"
        );
        let filtered: u64 = report.stages.iter().map(|stage| stage.ledger.filtered).sum();
        assert_eq!(filtered, 60 - kept, "{options} {stages}");
    }
}
