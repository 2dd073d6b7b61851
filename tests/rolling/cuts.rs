//! Wherever the cuts are, the files together have the same records; a file that is due requests a cut.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidemill::runtime::{Observer, StateOptions};
use tidemill::source::Progress;
use tidemill::{Pipeline, RunOptions};
use tidemill_engine::{executor, streaming};

use super::full::FullDisk;
use super::place::{HEADER, KEPT, PLAIN, Place, RECORDS, WHOLE, Way, check, rolled};
use super::seed::seed;

#[test]
fn clause_19_whatever_the_cuts_are_the_records_are_the_same() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut files = 0;
    for round in 0..24 {
        let place = Place::new();
        place.run(WHOLE, &PLAIN).expect("a run");
        let rolls = [
            "{ size = '1B' }",
            "{ size = '5kB' }",
            "{ every = '3s' }",
            "{ every = '1h', size = '2kB' }",
            "{ every = '1d' }",
        ];
        let (roll, mut stops) = (rolls[round % rolls.len()], 0);
        let mut told = format!("round {round}, {roll}");
        loop {
            let way = Way {
                threads: random.random_range(1..4),
                is_live: random.random_bool(0.5),
                until: if stops < 6 { random.random_range(1..RECORDS * 3 / 2) } else { u64::MAX },
                tick: 500_000_000,
                ..KEPT
            };
            told += &format!(", until {} live: {}", way.until, way.is_live);
            let report = place.run(&rolled(roll), &way).unwrap_or_else(|error| panic!("{told}: {error}"));
            if !report.is_paused {
                break;
            }
            stops += 1;
            let so_far = place.joined("out", "2024-05-01/", ".csv", HEADER);
            let whole = std::fs::read_to_string(place.at("whole/all.csv")).expect("read");
            assert!(whole.starts_with(&so_far), "{told}: what is visible is a beginning");
        }
        let count = check(&place, &told);
        // How often the clock is read, and so how many files go by time, depends on the threads.
        let least = if roll.contains("size") { 5 } else { 2 };
        assert!(roll.contains("1d") || count >= least, "{told}: {count} files");
        files += count;
    }
    assert!(files > 24 * 4, "{files} files");
}

#[test]
fn clause_20_a_disk_that_is_full_now_and_then_is_waited_for_and_nothing_is_lost_or_repeated() {
    let mut random = StdRng::seed_from_u64(seed());
    for is_live in [false, true] {
        let place = Place::new();
        place.run(WHOLE, &PLAIN).expect("a run");
        // A live run waits anyway.
        let wait = if is_live { "" } else { "on_failure = 'wait'\n" };
        let sinks = rolled("{ size = '3kB' }").replace("roll =", &format!("{wait}roll ="));
        let (mut stops, mut failed) = (0, 0);
        let mut told = format!("live: {is_live}");
        loop {
            let disk = FullDisk::new(random.random());
            let until = if stops < 3 { random.random_range(1..RECORDS) } else { u64::MAX };
            let way = Way { threads: random.random_range(1..4), is_live, until, tick: 500_000_000, ..KEPT };
            told += &format!(", until {until} on {} threads", way.threads);
            let report = place.run_on(Arc::new(disk.clone()), &sinks, &way);
            failed += disk.failed();
            // A run that is to stop does not wait any longer: it ends with the error, and the next one resumes.
            match report {
                Ok(report) if !report.is_paused => break,
                Ok(_) => {}
                Err(error) => {
                    assert!(
                        until < u64::MAX && error.message().contains("no storage space"),
                        "{told}: {error}"
                    );
                }
            }
            stops += 1;
        }
        check(&place, &told);
        assert!(failed > 5, "{told}: only {failed} writes failed");
    }
}

#[test]
fn clause_19_without_checkpoints_a_file_has_its_name_when_the_next_one_begins() {
    for is_live in [false, true] {
        let place = Place::new();
        place.run(WHOLE, &PLAIN).expect("a run");
        let way = Way { is_live, ..PLAIN };
        let report = place.run(&rolled("{ size = '3kB' }"), &way).expect("a run");
        assert!(check(&place, "plain") > 8);
        let names: Vec<_> = place.files("out").into_keys().collect();
        assert!(names.contains(&"2024-05-01/11-0000000000.csv".into()), "{names:?}");
        assert!(names.contains(&"0000000000.jsonl".into()), "{names:?}");
        let remarks = report.remarks.join("\n");
        assert!(
            remarks.contains("{hour}-{epoch}.csv: ") && remarks.contains(" files delivered, the last one "),
            "{remarks}"
        );
        // Nothing of an earlier run is written over.
        let before = place.files("out");
        let report = place.run(&rolled("{ size = '3kB' }"), &way).expect("a run");
        let after = place.files("out");
        before.iter().for_each(|(name, bytes)| assert_eq!(after.get(name), Some(bytes), "{name}"));
        assert_eq!(after.len(), before.len() * 2);
        assert!(report.remarks.join("\n").contains("files from earlier runs"), "{:?}", report.remarks);
    }
}

/// Takes its time over every piece.
struct Slow(Duration);

impl Observer for Slow {
    fn progress(&mut self, _pass: &str, _progress: Progress, _records: u64) {
        std::thread::sleep(self.0);
    }
}

#[test]
fn clause_19_a_file_that_is_due_asks_for_a_cut_and_does_not_wait_for_the_next_one() {
    let place = Place::new();
    place.run(WHOLE, &PLAIN).expect("a run");
    for roll in ["{ size = '3kB' }", "{ every = '100ms' }"] {
        let pipeline = place.pipeline(&rolled(roll)).expect("a pipeline");
        let folder = tempfile::tempdir().expect("a folder");
        let hour = StateOptions { every: Duration::from_secs(3600), ..StateOptions::new(folder.path()) };
        let mut options = RunOptions { threads: Some(2), state: Some(hour), ..RunOptions::default() };
        options.open.chunk_size = 700;
        executor::run(&pipeline, &options, &mut Slow(Duration::from_millis(20))).expect("a run");
        check(&place, roll);
        let files = place.files("out");
        let sizes: Vec<_> =
            files.iter().filter(|(name, _)| name.ends_with(".csv")).map(|(_, bytes)| bytes.len()).collect();
        // What comes between the request and the cut is in the file too.
        assert!(sizes.len() > 2 && sizes.iter().all(|&size| size < 15_000), "{roll}: {sizes:?}");
        ["out", "columns", "rejects"].iter().for_each(|name| {
            std::fs::remove_dir_all(place.at(name)).expect("removed");
        });
    }
}

#[test]
fn clause_19_a_file_that_is_due_by_time_is_there_though_nothing_more_comes() {
    let place = Place::new();
    let toml = "[source]\ntype = 'csv'\npath = '@/fed.csv'\nsensor = 's'\nmeasurements = ['v']\nfollow = true\n\
        [[sink]]\ntype = 'csv'\npath = '@/out/{epoch}.csv'\nroll = { every = '200ms' }\n\
        [[sink]]\ntype = 'parquet'\npath = '@/columns/{epoch}.parquet'\nroll = { every = '200ms' }\n";
    let toml = toml.replace('@', place.0.path().to_str().expect("UTF-8"));
    std::fs::write(place.at("fed.csv"), "s,v\na,1\nb,2\n").expect("written");
    let pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
    for every in [Duration::from_secs(3600), Duration::from_millis(1)] {
        let stop = Arc::new(AtomicBool::new(false));
        let state = place.at(&format!("state-{}", every.as_millis()));
        let state = StateOptions { every, ..StateOptions::new(state) };
        let options = RunOptions { stop: Arc::clone(&stop), state: Some(state), ..RunOptions::default() };
        let is_there = |folder: &str| place.files(folder).keys().any(|name| !name.starts_with('.'));
        let begun = std::time::Instant::now();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| streaming::run(&pipeline, &options, &mut ()));
            while !(is_there("out") && is_there("columns")) && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let found = (is_there("out"), is_there("columns"));
            stop.store(true, Ordering::Relaxed);
            run.join().expect("no panic").expect("stopped");
            assert_eq!(found, (true, true), "every {every:?}");
        });
        let texts: Vec<_> = place.files("out").into_values().collect();
        assert_eq!(texts, [b"s,v\na,1\nb,2\n"], "every {every:?}");
        ["out", "columns"].iter().for_each(|name| std::fs::remove_dir_all(place.at(name)).expect("removed"));
    }
}

#[test]
fn verify_compares_the_records_of_files_that_roll_and_leaves_those_alone() {
    use tidemill::verify::{VerifyOptions, verify};

    let (place, scratch) = (Place::new(), tempfile::tempdir().expect("a folder"));
    place.run(&rolled("{ size = '3kB' }"), &PLAIN).expect("a run");
    let before = (place.files("out"), place.files("columns"), place.files("rejects"));
    let make = |_: &Path| place.pipeline(&rolled("{ size = '1B' }"));
    let verdict = verify(&make, scratch.path(), &VerifyOptions { seed: 3, rounds: 3 }).expect("verified");
    assert_eq!((verdict.difference, verdict.failure, verdict.records), (None, None, RECORDS));
    for name in
        ["records of sink 0.csv", "records of sink 1.csv", "rejects of sink 2.jsonl", "records of sink 3.csv"]
    {
        assert!(verdict.files.contains(&name.to_owned()), "{:?}", verdict.files);
    }
    assert_eq!((place.files("out"), place.files("columns"), place.files("rejects")), before);
}
