//! States of chains and of first passes that earlier builds have saved: they are gone on with, or refused by name where their form is an older one.
//!
//! A folder of `tests/states` is named after a kind and the version of its form; each file is what one stage had kept.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Chain, Emitted};
use crate::batch::{Batch, Column, Field, Schema, Text, TimeColumn};
use crate::sensor::Sensors;
use crate::stage::{
    Aggregate, Dedupe, Fit, IntoStage, Method, MovingAverage, MovingMax, MovingMedian, MovingMin, MovingStd,
    Normalize, Rate, Silence, Stage,
};
use crate::time::Timestamp;

/// The versions that are written now: see `CONTRIBUTING.md`.
const CURRENT: [(&str, u16); 2] = [("chain", 2), ("fit", 1)];

const RECORDS: usize = 40;

fn folder(kind: &str, version: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/states").join(format!("{kind}-{version}"))
}

fn schema() -> Arc<Schema> {
    let fields =
        vec![Field::time("time"), Field::sensor("sensor"), Field::measurement("v"), Field::measurement("w")];
    Arc::new(Schema::new(fields).expect("distinct names"))
}

/// Records of five sensors, a nanosecond apart.
fn records(range: Range<usize>, sensors: &mut Sensors) -> Batch {
    let ids = range.clone().map(|at| sensors.id(&format!("s{}", at * at % 7)).expect("room")).collect();
    let value = |at: usize, by: usize| (!at.is_multiple_of(by)).then(|| (at * by % 23) as f64 / 3.0);
    let times = range.clone().map(|at| Timestamp::from_nanos(at as i64)).collect();
    let columns = vec![
        Column::Time(TimeColumn { values: times, text: Vec::new() }),
        Column::Sensor(ids),
        Column::F64(range.clone().map(|at| value(at, 5)).collect()),
        Column::F64(range.map(|at| value(at, 8)).collect()),
    ];
    Batch::new(schema(), columns, Text::default())
}

fn stages() -> Vec<(&'static str, Arc<dyn Stage>)> {
    vec![
        ("moving_average", MovingAverage::rows(3).into_stage()),
        ("moving_average-time", MovingAverage::duration("6ns").count(true).into_stage()),
        ("moving_min", MovingMin::rows(4).into_stage()),
        ("moving_max", MovingMax::duration("5ns").into_stage()),
        ("moving_std", MovingStd::rows(3).into_stage()),
        ("moving_median", MovingMedian::rows(5).into_stage()),
        ("normalize", Normalize::running(Method::ZScore).into_stage()),
        ("rate", Rate::per("3ns").counter(true).into_stage()),
        ("dedupe", Dedupe::heartbeat("9ns").into_stage()),
        ("silence", Silence::after("8ns").into_stage()),
        ("aggregate", Arc::new(Aggregate { quantiles: vec![0.9], ..Aggregate::every("7ns") })),
    ]
}

fn chain(stage: &Arc<dyn Stage>) -> Chain {
    Chain::partitioned(&[Arc::clone(stage)], &schema()).expect("a chain")
}

/// The states of both groups of sensors in the middle of the input.
fn saved(stage: &Arc<dyn Stage>) -> Vec<Vec<u8>> {
    let (mut chain, mut sensors) = (chain(stage), Sensors::default());
    let first = records(0..RECORDS / 2, &mut sensors);
    chain.push(first, &sensors).expect("pushed");
    chain.save_groups(&sensors, 2).expect("saved")
}

/// What comes out of the second half of the input, each record with its sensor.
fn rest(mut chain: Chain, mut sensors: Sensors) -> Vec<String> {
    let batch = records(RECORDS / 2..RECORDS, &mut sensors);
    let mut all = vec![chain.push(batch, &sensors).expect("pushed")];
    all.extend(chain.finish(9, &sensors).expect("finished"));
    let mut told: Vec<String> =
        all.iter().filter_map(Emitted::output).flat_map(|batch| told(&batch, &sensors)).collect();
    told.sort();
    told
}

fn told(batch: &Batch, sensors: &Sensors) -> Vec<String> {
    let row = |row: usize| {
        let values: Vec<_> = (0..batch.columns().len())
            .filter(|&at| at != batch.schema().sensor())
            .map(|at| match &batch.columns()[at] {
                Column::Time(time) => format!("{}", time.values[row].as_nanos()),
                column => format!("{:?}", column.number(row)),
            })
            .collect();
        format!("{} {}", sensors.name(batch.sensors()[row]), values.join(" "))
    };
    (0..batch.len()).map(row).collect()
}

fn first_pass() -> Box<dyn Fit> {
    Normalize::fitted(Method::ZScore).fit(&schema()).expect("a fit").expect("a first pass")
}

fn seen(range: Range<usize>) -> Vec<u8> {
    let (mut fit, mut sensors) = (first_pass(), Sensors::default());
    let batch = records(range, &mut sensors);
    fit.observe(&batch, &sensors).expect("observed");
    fit.save(&sensors).expect("saved")
}

fn learnt(parts: &[Vec<u8>]) -> Option<String> {
    let (mut fit, mut sensors) = (first_pass(), Sensors::default());
    parts.iter().for_each(|part| fit.merge_saved(part, &mut sensors).expect("merged"));
    fit.finish(&sensors).expect("finished").expect("one pass").stage.fitted()
}

/// The files of a folder: the names without their ends, and what is in them.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("read"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn states_of_this_version_are_written_as_they_were_and_gone_on_with() {
    for (name, stage) in stages() {
        let [first, second] =
            [0, 1].map(|group| folder("chain", CURRENT[0].1).join(format!("{name}-{group}.bin")));
        let kept: Vec<_> = [first, second].iter().map(|path| fs::read(path).unwrap_or_default()).collect();
        assert_eq!(kept, saved(&stage), "{name}: see CONTRIBUTING.md");
        let (mut next, mut sensors) = (chain(&stage), Sensors::default());
        next.restore(&kept, &mut sensors).expect("restored");
        let (mut whole, mut known) = (chain(&stage), Sensors::default());
        let first = records(0..RECORDS / 2, &mut known);
        whole.push(first, &known).expect("pushed");
        assert_eq!(rest(next, sensors), rest(whole, known), "{name}");
    }
}

#[test]
fn first_passes_of_this_version_are_written_as_they_were_and_gone_on_with() {
    let kept = fs::read(folder("fit", CURRENT[1].1).join("normalize.bin")).unwrap_or_default();
    assert_eq!(kept, seen(0..RECORDS / 2), "see CONTRIBUTING.md");
    assert_eq!(learnt(&[seen(RECORDS / 2..RECORDS), kept]), learnt(&[seen(0..RECORDS)]));
}

/// Says of a state of another version why it is refused.
fn refusal(kind: &str, file: &str, bytes: Vec<u8>) -> String {
    let mut sensors = Sensors::default();
    let refused = match kind {
        "chain" => {
            let of = stages().into_iter().find(|(name, _)| file.starts_with(name));
            let (_, stage) = of.unwrap_or_else(|| panic!("{file} is of no stage"));
            chain(&stage).restore(&[bytes], &mut sensors)
        }
        _ => first_pass().merge_saved(&bytes, &mut sensors),
    };
    refused.expect_err("another version").to_string()
}

#[test]
fn those_of_other_versions_are_refused_by_name() {
    for entry in fs::read_dir(folder("chain", 2).join("..")).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let (kind, version) = name.split_once('-').expect("a kind and a version");
        let version: u16 = version.parse().expect("a version");
        if CURRENT.contains(&(kind, version)) {
            continue;
        }
        for (file, bytes) in files(&folder(kind, version)) {
            let error = refusal(kind, &file, bytes);
            assert!(error.contains(&format!("is of version {version}")), "{name}, {file}: {error}");
        }
    }
}

#[test]
fn versions_that_are_too_old_or_too_new_and_damaged_bytes_are_refused() {
    /// Where the version stands.
    const VERSION: Range<usize> = 4..6;
    for (kind, version) in CURRENT {
        for (file, bytes) in files(&folder(kind, version)) {
            for other in [version - 1, version + 1] {
                let mut forged = bytes.clone();
                forged[VERSION].copy_from_slice(&other.to_le_bytes());
                let error = refusal(kind, &file, forged);
                assert!(error.contains(&format!("is of version {other}")), "{file}: {error}");
            }
            let mut damaged = bytes.clone();
            damaged[bytes.len() / 2] ^= 1;
            let error = refusal(kind, &file, damaged);
            assert!(error.contains("they are damaged"), "{file}: {error}");
        }
    }
}

/// Adds the folders of the versions that are written now, where they are not there.
#[test]
#[ignore = "writes into the source tree: see CONTRIBUTING.md"]
fn add_the_current_versions() {
    let [chains, fits] = CURRENT.map(|(kind, version)| folder(kind, version));
    if !chains.exists() {
        fs::create_dir_all(&chains).expect("made");
        for (name, stage) in stages() {
            for (group, bytes) in saved(&stage).into_iter().enumerate() {
                fs::write(chains.join(format!("{name}-{group}.bin")), bytes).expect("written");
            }
        }
    }
    if !fits.exists() {
        fs::create_dir_all(&fits).expect("made");
        fs::write(fits.join("normalize.bin"), seen(0..RECORDS / 2)).expect("written");
    }
}
