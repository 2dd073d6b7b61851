//! What checkpoints promise: a run that was cut off, anywhere and by anything, goes on to exactly the output of a run that was not;
//! what is damaged is noticed; what cannot be written is said.
//!
//! `TIDEMILL_SEED` replays what a failure names.

#[path = "durability/model.rs"]
mod model;
#[path = "durability/rig.rs"]
mod rig;
#[path = "durability/rolled.rs"]
mod rolled;
#[path = "common/seed.rs"]
mod seed;

use std::path::Path;
use std::sync::Arc;

use model::{Fault, Model, Plan, random};
use rand::RngExt;
use rig::{Files, OUT, Rig, STATE};
use seed::seed;
use tidemill::files::FileSystem;
use tidemill::{ErrorKind, Result};
use tidemill_engine::checkpoint::{self, Checkpoints, StateFolder};
use tidemill_engine::files::Disk;

/// Records of the input: about ten chunks.
const RECORDS: usize = 48;

/// States that the disk may be in after each loss of power.
const STATES: u64 = 20;

/// Holds that the output folder has just what it should have.
#[track_caller]
fn check(disk: &Model, expected: &Files, when: &dyn Fn() -> String) {
    let found = disk.files(OUT);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "{}", when());
    for (name, bytes) in expected {
        let (found, bytes) = (String::from_utf8_lossy(&found[name]), String::from_utf8_lossy(bytes));
        assert_eq!(found, bytes, "{name}, {}", when());
    }
}

/// Holds that nothing that is there under its final name is anything but right.
#[track_caller]
fn check_finished(disk: &Model, expected: &Files, when: &dyn Fn() -> String) {
    for (name, bytes) in disk.files(OUT).iter().filter(|(name, _)| !name.starts_with('.')) {
        assert_eq!(expected.get(name), Some(bytes), "{name}, {}", when());
    }
}

/// How many calls an uninterrupted run makes.
fn calls(rig: &Rig, variant: usize, expected: &Files) -> usize {
    let disk = Model::new(None);
    rig.run(variant, disk.clone()).expect("a run");
    check(&disk, expected, &|| "uninterrupted".into());
    disk.calls()
}

fn power_loss(rig: &Rig, variant: usize, states: u64) {
    let (expected, seed) = (rig.expected(variant), seed());
    let calls = calls(rig, variant, &expected);
    println!("TIDEMILL_SEED={seed}: {calls} calls × {states} states");
    assert!(calls > 100, "there is something to interrupt: {calls} calls");
    for call in 0..calls {
        let disk = Model::new(Some(Plan { call, fault: Fault::Power, for_good: true }));
        let cut = rig.run(variant, disk.clone());
        // What only an older checkpoint's removal is cut off from was published before.
        let was_over = ["remove", "names"].iter().any(|last| disk.call(call).starts_with(last));
        assert!(cut.is_err() || was_over, "without power nothing is published: {}", disk.call(call));
        for state in 0..states {
            let mut random = random(seed ^ ((call as u64) << 8) ^ state);
            let when =
                || format!("TIDEMILL_SEED={seed}, cut at call {call} ({}), state {state}", disk.call(call));
            // Every other time the power goes once more, while the run recovers.
            let again = (state % 2 == 1).then(|| random.random_range(0..calls));
            let plan = again.map(|call| Plan { call, fault: Fault::Power, for_good: true });
            let mut after = disk.power_on(&mut random, plan);
            let mut end = rig.run(variant, after.clone());
            if end.is_err() && again.is_some() {
                after = after.power_on(&mut random, None);
                end = rig.run(variant, after.clone());
            }
            end.unwrap_or_else(|error| panic!("{}, again at {again:?}: {error}", when()));
            check(&after, &expected, &when);
        }
    }
}

#[test]
fn a_loss_of_power_at_any_call_loses_and_repeats_nothing() {
    power_loss(&Rig::new(RECORDS), 0, STATES);
}

#[test]
fn nor_does_one_with_windows_of_time() {
    power_loss(&Rig::new(RECORDS), 1, STATES);
}

#[test]
fn nor_does_one_where_sensors_come_and_go_and_leave_their_ids_to_others() {
    let rig = Rig::of_many(RECORDS);
    let report = rig.run(2, Model::new(None)).expect("a run");
    assert!(report.sensors_given_up > 5, "{} have been given up", report.sensors_given_up);
    power_loss(&rig, 2, STATES / 4);
}

/// Records where names are long: behind the first hundred come those of sensors that are known.
const MORE_RECORDS: usize = 225;

#[test]
fn nor_does_one_whose_checkpoints_have_only_what_has_changed() {
    let rig = Rig::of_long_names(MORE_RECORDS);
    let bases = bases(&cut_off_behind(&rig, 0, 8));
    assert!(bases.iter().filter(|base| base.is_some()).count() > 3, "{bases:?}");
    power_loss(&rig, 0, 1);
}

/// On which each checkpoint stands, the oldest first.
fn bases(disk: &Model) -> Vec<Option<u64>> {
    let mut read = Checkpoints::new(disk);
    let paths = checkpoints(disk).into_iter().map(|name| Path::new(STATE).join(name));
    paths.map(|path| read.read(&path).expect("intact").base).collect()
}

#[test]
fn a_run_goes_on_from_the_newest_checkpoint_of_which_all_is_intact() {
    let rig = Rig::of_long_names(MORE_RECORDS);
    let (expected, disk) = (rig.expected(0), cut_off_behind(&rig, 0, 8));
    let (names, bases) = (checkpoints(&disk), bases(&disk));
    for (at, name) in names.iter().enumerate() {
        for is_gone in [false, true] {
            let damaged = disk.restart(None);
            let path = format!("{STATE}/{name}");
            match is_gone {
                true => damaged.remove(Path::new(&path)).expect("removed"),
                false => damaged.damage(&path, |bytes| bytes[40] ^= 1),
            }
            let when = || format!("{name} of {names:?}, gone: {is_gone}");
            let alone = |from: usize| (0..=from).rev().find(|&at| bases[at].is_none());
            // It and those behind it up to the next one that stands alone.
            let next = (at + 1..names.len()).find(|&at| bases[at].is_none()).unwrap_or(names.len());
            let taken = match next == names.len() {
                true => at.checked_sub(1),
                false => Some(names.len() - 1),
            };
            let Some(taken) = taken else {
                let error = rig.run(0, damaged.clone()).expect_err("none is intact");
                assert!(error.to_string().contains("no checkpoint"), "{}: {error}", when());
                continue;
            };
            assert!(alone(taken).is_some());
            let report = rig.run(0, damaged.clone()).unwrap_or_else(|error| panic!("{}: {error}", when()));
            let remarks = report.remarks.join("\n");
            assert!(
                remarks.contains(&format!("resumed from {STATE}/{}", names[taken])),
                "{}: {remarks}",
                when()
            );
            check(&damaged, &expected, &when);
        }
    }
}

/// Kills a run at every fifth call or so, then cuts the power while it is resumed.
fn kill_then_power_loss(rig: &Rig, variant: usize) {
    let (expected, seed) = (rig.expected(variant), seed());
    let calls = calls(rig, variant, &expected);
    println!("TIDEMILL_SEED={seed}: {calls} calls");
    let mut random = random(seed);
    for call in (0..calls).filter(|_| random.random_bool(0.2)).collect::<Vec<_>>() {
        let killed = Model::new(Some(Plan { call, fault: Fault::Power, for_good: true }));
        let _killed = rig.run(variant, killed.clone());
        let again = random.random_range(0..calls);
        let cut = killed.restart(Some(Plan { call: again, fault: Fault::Power, for_good: true }));
        let _cut = rig.run(variant, cut.clone());
        let after = cut.power_on(&mut random, None);
        let when = || {
            let (threads, is_live) = (rig.threads, rig.is_live);
            let (first, second) = (killed.call(call), cut.call(again));
            format!(
                "TIDEMILL_SEED={seed}, {threads} threads, live: {is_live}, killed at {call} ({first}), power cut at {again} ({second})"
            )
        };
        rig.run(variant, after.clone()).unwrap_or_else(|error| panic!("{}: {error}", when()));
        check(&after, &expected, &when);
    }
}

#[test]
fn a_kill_followed_by_a_loss_of_power_loses_and_repeats_nothing() {
    for (threads, is_live) in [(1, false), (2, false), (1, true), (2, true)] {
        for variant in [0, 1] {
            kill_then_power_loss(&Rig { threads, is_live, ..Rig::new(RECORDS) }, variant);
        }
    }
}

/// What must be so after call `call` has failed: right or a clear error; and a run without faults then gives the exact output.
fn survives(rig: &Rig, plan: Plan, expected: &Files) {
    let disk = Model::new(Some(plan));
    let end = rig.run(0, disk.clone());
    let when = || format!("{plan:?} ({})", disk.call(plan.call));
    match end {
        Ok(_) => check(&disk, expected, &when),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(OUT) || text.contains(STATE), "{}: says where: {text}", when());
            assert_ne!(error.kind(), ErrorKind::Internal, "{}: {text}", when());
            check_finished(&disk, expected, &when);
        }
    }
    let mut random = random(plan.call as u64);
    for after in [disk.restart(None), disk.power_on(&mut random, None)] {
        rig.run(0, after.clone()).unwrap_or_else(|error| panic!("{}, then without: {error}", when()));
        check(&after, expected, &when);
    }
}

#[test]
fn a_call_that_fails_once_or_for_good_gives_the_right_output_or_a_clear_error() {
    let rig = Rig::new(RECORDS);
    let expected = rig.expected(0);
    for call in 0..calls(&rig, 0, &expected) {
        for fault in [Fault::Io, Fault::Full, Fault::Short] {
            for for_good in [false, true] {
                survives(&rig, Plan { call, fault, for_good }, &expected);
            }
        }
    }
}

#[test]
fn a_failed_sync_is_final() {
    let rig = Rig::new(RECORDS);
    let expected = rig.expected(0);
    let all = Model::new(None);
    rig.run(0, all.clone()).expect("a run");
    let syncs: Vec<_> = (0..all.calls()).filter(|&call| all.call(call).starts_with("sync")).collect();
    for call in syncs {
        let disk = Model::new(Some(Plan { call, fault: Fault::Io, for_good: false }));
        let error = rig.run(0, disk.clone()).expect_err("a sync has failed");
        assert_eq!(error.kind(), ErrorKind::Io, "{}: {error}", all.call(call));
        // Nothing was written after it: neither a checkpoint nor the output's name.
        let after: Vec<_> = (call + 1..disk.calls()).map(|call| disk.call(call)).collect();
        let is_advance = |call: &String| {
            call.starts_with("rename") || call.contains("checkpoint") && !call.starts_with("remove")
        };
        assert!(!after.iter().any(is_advance), "{}, then {after:?}", all.call(call));
        check_finished(&disk, &expected, &|| all.call(call));
    }
}

/// A disk on which a run was cut off with three checkpoints, the last of them running.
fn cut_off(rig: &Rig, variant: usize) -> Model {
    cut_off_behind(rig, variant, 5)
}

/// One on which it was cut off just behind a checkpoint.
fn cut_off_behind(rig: &Rig, variant: usize, ordinal: u64) -> Model {
    let whole = Model::new(None);
    rig.run(variant, whole.clone()).expect("a run");
    let name = format!("checkpoint-{ordinal:010}");
    let renames = (0..whole.calls()).filter(|&call| whole.call(call).contains(&name));
    let call = 6 + renames.min().expect("as many checkpoints");
    let disk = Model::new(Some(Plan { call, fault: Fault::Power, for_good: true }));
    rig.run(variant, disk.clone()).expect_err("cut off");
    disk.restart(None)
}

fn checkpoints(disk: &Model) -> Vec<String> {
    disk.files(STATE).into_keys().filter(|name| name.starts_with("checkpoint-")).collect()
}

#[test]
fn every_changed_byte_of_a_checkpoint_is_noticed_and_the_one_before_is_taken() {
    let rig = Rig::new(RECORDS);
    let disk = cut_off(&rig, 0);
    let names = checkpoints(&disk);
    assert_eq!(names.len(), 3);
    let newest = format!("{STATE}/{}", names[2]);
    let bytes = disk.files(STATE)[&names[2]].clone();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let damaged = disk.restart(None);
            damaged.damage(&newest, |bytes| bytes[at] ^= flip);
            let found = checkpoint::look(&damaged, Path::new(STATE)).expect("the folder");
            assert_eq!(found.damaged.len(), 1, "byte {at} ^ {flip:#x}");
            let taken = found.manifest.expect("the one before").1;
            assert!(taken.ends_with(&names[1]), "byte {at} ^ {flip:#x}");
        }
    }
}

#[test]
fn a_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_refuses_where_all_are() {
    for variant in [0, 1] {
        let rig = Rig::new(RECORDS);
        let expected = rig.expected(variant);
        let disk = cut_off(&rig, variant);
        let names = checkpoints(&disk);
        let length = disk.files(STATE)[&names[2]].len();
        for at in (0..length).step_by(length / 24) {
            for damaged_ones in 1..=3 {
                let damaged = disk.restart(None);
                for name in &names[3 - damaged_ones..] {
                    damaged.damage(&format!("{STATE}/{name}"), |bytes| {
                        let at = at % bytes.len();
                        bytes[at] ^= 1 << (at % 8);
                    });
                }
                let end = rig.run(variant, damaged.clone());
                if damaged_ones == 3 {
                    let error = end.expect_err("no checkpoint is whole");
                    assert_eq!(error.kind(), ErrorKind::Data);
                    assert!(error.to_string().contains("no checkpoint"), "{error}");
                    continue;
                }
                let report = end.unwrap_or_else(|error| panic!("byte {at}, {damaged_ones} damaged: {error}"));
                let remarks = report.remarks.join("\n");
                assert_eq!(remarks.matches("was skipped").count(), damaged_ones, "{remarks}");
                assert!(
                    remarks.contains(&format!("resumed from {STATE}/{}", names[2 - damaged_ones])),
                    "{remarks}"
                );
                check(&damaged, &expected, &|| format!("byte {at}, {damaged_ones} damaged"));
            }
        }
    }
}

#[test]
fn a_run_on_any_number_of_threads_goes_on_from_one_on_any_other() {
    for variant in [0, 1] {
        let mut rig = Rig::new(400);
        let expected = rig.expected(variant);
        for (before, after) in [(1, 3), (3, 1), (4, 2)] {
            rig.threads = before;
            let disk = cut_off(&rig, variant);
            rig.threads = after;
            rig.run(variant, disk.clone()).expect("a run");
            check(&disk, &expected, &|| format!("{before} threads, then {after}"));
        }
    }
}

#[test]
fn a_run_that_is_over_stays_over() {
    let rig = Rig::new(RECORDS);
    let expected = rig.expected(0);
    let disk = Model::new(None);
    rig.run(0, disk.clone()).expect("a run");
    let report = rig.run(0, disk.clone()).expect("a run");
    assert!(report.remarks.iter().any(|remark| remark.contains("nothing to do")), "{:?}", report.remarks);
    check(&disk, &expected, &|| "over".into());
    let mut more = std::fs::read_to_string(rig.input()).expect("the input");
    more.push_str("2024-05-01T00:10:00Z,s1,1\n");
    std::fs::write(rig.input(), more).expect("written");
    let error = rig.run(0, disk.clone()).expect_err("more has come");
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    check(&disk, &expected, &|| "over".into());
}

#[test]
fn a_change_that_is_accepted_loses_nothing_wherever_that_run_is_cut_off() {
    let (rig, seed) = (Rig::new(RECORDS), seed());
    let (before, unchanged) = (cut_off(&rig, 0), rig.expected(0));
    let whole = before.restart(None);
    rig.run_changed(whole.clone()).expect("a run");
    let expected = whole.files(OUT);
    assert!(expected.len() == 5 && expected.keys().any(|name| name.starts_with("a.csv.until-")));
    assert!(expected.keys().all(|name| !name.starts_with('.')), "{:?}", expected.keys());
    let mut undone = 0;
    for call in 0..whole.calls() {
        let disk = before.restart(Some(Plan { call, fault: Fault::Power, for_good: true }));
        let _cut = rig.run_changed(disk.clone());
        for state in 0..2 {
            let mut random = random(seed ^ ((call as u64) << 8) ^ state);
            let when =
                || format!("TIDEMILL_SEED={seed}, cut at call {call} ({}), state {state}", disk.call(call));
            // First killed, then without power.
            let after = if state == 0 { disk.restart(None) } else { disk.power_on(&mut random, None) };
            let found = checkpoint::look(&after, Path::new(STATE)).expect("the folder");
            let (newest, _) = found.manifest.expect("a checkpoint");
            if newest.pipeline.iter().all(|part| !part.options.contains("\"decimals\":1")) {
                // Whoever thinks better of it goes on as if nothing had been.
                let other = after.restart(None);
                rig.run(0, other.clone()).unwrap_or_else(|error| panic!("{}, undone: {error}", when()));
                check(&other, &unchanged, &|| format!("{}, undone", when()));
                undone += 1;
            }
            rig.run_changed(after.clone()).unwrap_or_else(|error| panic!("{}, again: {error}", when()));
            check(&after, &expected, &when);
        }
    }
    assert!(undone > 10, "{undone} were cut off before their first checkpoint");
}

#[test]
fn a_state_folder_that_is_another_by_now_gets_no_checkpoint() {
    let found = checkpoint::look(&cut_off(&Rig::new(RECORDS), 0), Path::new(STATE)).expect("the folder");
    let (manifest, _) = found.manifest.expect("a checkpoint");
    let temporary = tempfile::tempdir().expect("a folder");
    let (path, moved) = (temporary.path().join("state"), temporary.path().join("moved"));
    let open = |path: &Path| -> Result<StateFolder> { StateFolder::open(Arc::new(Disk), path) };
    let names = || {
        let entries = std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    };
    let mut first = open(&path).expect("made");
    first.keep(1, manifest.clone(), Vec::new(), |_| Ok(())).expect("kept");
    let id = first.id();
    drop(first);
    std::fs::rename(&path, &moved).expect("moved");
    assert_eq!(open(&moved).expect("moved").id(), id, "it is still that one");
    let mut mine = open(&path).expect("made");
    assert_ne!(mine.id(), id);
    // Somebody begins anew while the run goes on.
    std::fs::remove_dir_all(&path).expect("removed");
    let mut other = open(&path).expect("made");
    assert_ne!(other.id(), mine.id());
    let error = mine.keep(2, manifest.clone(), Vec::new(), |_| Ok(())).expect_err("it is another's");
    assert!(error.message().contains("was removed, moved or replaced"), "{error}");
    assert_eq!(names(), ["id", "lock", "run"]);
    other.keep(1, manifest.clone(), Vec::new(), |_| Ok(())).expect("kept");
    assert_eq!(names(), ["checkpoint-0000000001", "id", "lock", "run"]);
    std::fs::remove_file(path.join("lock")).expect("removed");
    other.keep(2, manifest, Vec::new(), |_| Ok(())).expect_err("nothing keeps others out");
    drop(other);
    // Half of an id is none.
    std::fs::write(path.join("id"), "12").expect("written");
    let id = open(&path).expect("used").id();
    assert_eq!(id.len(), 16);
    assert_eq!(open(&path).expect("used").id(), id);
}
