//! A run that resumes: what it delivers, what it leaves alone, and what it refuses.

use std::collections::BTreeMap;

use tidemill::ErrorKind;

use super::place::{HEADER, KEPT, PLAIN, Place, WHOLE, Way, check, rolled};

#[test]
fn a_run_that_begins_anew_does_not_write_among_the_files_of_another() {
    let place = Place::new();
    let sinks = rolled("{ size = '3kB' }");
    place.run(&sinks, &Way { until: 200, ..KEPT }).expect("a run");
    let before = place.files("out");
    let error = place.run(&sinks, &Way { state: Some("other"), ..KEPT }).expect_err("another run's files");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(
        error.to_string().contains("this run starts anew") && error.to_string().contains("another `path`"),
        "{error}"
    );
    assert_eq!(place.files("out"), before);
    place.run(&sinks, &KEPT).expect("goes on");
}

#[test]
fn behind_a_damaged_checkpoint_nothing_is_delivered_twice() {
    let place = Place::new();
    let sinks = rolled("{ size = '1B' }");
    place.run(&sinks, &Way { until: 100, ..KEPT }).expect("a run");
    let checkpoints = || place.files("state").into_iter().filter(|(name, _)| name.starts_with("checkpoint-"));
    let intact: BTreeMap<_, _> = checkpoints().collect();
    place.run(&sinks, &Way { until: 200, ..KEPT }).expect("goes on");
    // The last ones alone may have found nothing new.
    for (newer, mut bytes) in checkpoints().filter(|(name, _)| !intact.contains_key(name)) {
        bytes[40] ^= 1;
        std::fs::write(place.at("state").join(newer), bytes).expect("written");
    }
    for (name, bytes) in intact {
        std::fs::write(place.at("state").join(name), bytes).expect("written");
    }
    let before = place.files("out");
    let error = place.run(&sinks, &KEPT).expect_err("its files are there");
    assert!(
        error.to_string().contains("which is older: the records of that file would be written twice"),
        "{error}"
    );
    assert_eq!(place.files("out"), before);
    // `tidemill state verify` does not promise more.
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["state", "verify"])
        .arg(place.at("state"))
        .output()
        .expect("the command runs");
    let said = String::from_utf8(verified.stderr).expect("UTF-8");
    let sinks = "sink 0 (csv), sink 1 (jsonl), sink 2 (dead_letter), sink 3 (parquet)";
    let expected = format!("if there are files of {sinks} with a higher number, it ends with an error");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn what_was_delivered_may_be_taken_away_or_moved_with_its_folder() {
    let place = Place::new();
    let sinks = rolled("{ size = '1B' }");
    place.run(WHOLE, &PLAIN).expect("a run");
    let mut taken = String::new();
    for until in [50, 150, 300, u64::MAX] {
        let report = place.run(&sinks, &Way { until, threads: 1, ..KEPT }).expect("a run");
        taken += place.joined("out", "2024-05-01/", ".csv", HEADER).strip_prefix(HEADER).expect("a header");
        let names =
            place.files("out").into_keys().filter(|name| name.ends_with(".csv") && !name.contains("/."));
        names.for_each(|name| std::fs::remove_file(place.at("out").join(name)).expect("removed"));
        assert_eq!(report.is_paused, until < u64::MAX);
    }
    assert!(format!("{HEADER}{taken}") == String::from_utf8_lossy(&place.files("whole")["all.csv"]));
    let again = place.run(&sinks, &KEPT).expect("it is over");
    assert!(again.remarks.join("\n").contains("nothing to do"), "{:?}", again.remarks);
}

#[test]
fn what_a_run_was_killed_before_it_delivered_is_delivered_by_the_next_one() {
    let place = Place::new();
    let sinks = rolled("{ size = '1B' }");
    place.run(WHOLE, &PLAIN).expect("a run");
    // Where another file has its name by then, the run ends behind its checkpoint. An epoch may have no records, and then no file.
    let taken = 5..50;
    let way = Way { taken: taken.clone(), ..KEPT };
    let error = place.run(&sinks, &way).expect_err("its name is taken").to_string();
    assert!(error.contains("another file has that name"), "{error}");
    let files = place.files("out");
    let names: Vec<_> = taken.map(|epoch| format!("{epoch:010}.jsonl")).collect();
    let is_undelivered = |name: &&String| files.keys().any(|file| file.starts_with(&format!(".{name}")));
    let undelivered = names.iter().find(is_undelivered).expect("a file that is not delivered");
    assert!(error.contains(undelivered), "{error}");
    for name in &names {
        assert_eq!(files[name], b"another's");
        std::fs::remove_file(place.at("out").join(name)).expect("removed");
    }
    place.run(&sinks, &KEPT).expect("goes on");
    check(&place, "delivered by the next one");
}

#[test]
fn a_run_that_was_stopped_is_finished_and_what_it_had_is_visible() {
    let place = Place::new();
    let sinks = rolled("{ every = '1d' }");
    let report = place.run(&sinks, &Way { until: 100, ..KEPT }).expect("a run");
    assert!(report.remarks.join("\n").contains(".csv is not complete: "), "{:?}", report.remarks);
    assert!(place.joined("out", "", ".jsonl", "").is_empty());
    place.run(&sinks, &Way { finishes: true, ..KEPT }).expect("finished");
    let files = place.files("out");
    assert_eq!(files.len(), 2, "{:?}", files.keys());
    assert!(files.keys().all(|name| !name.contains("/.") && !name.starts_with('.')));
}

#[test]
fn a_change_that_is_accepted_keeps_what_was_written_beside() {
    let place = Place::new();
    place.run(&rolled("{ every = '1d' }"), &Way { until: 100, ..KEPT }).expect("a run");
    place.run(&rolled("{ size = '3kB' }"), &KEPT).expect_err("changed");
    place.run(&rolled("{ size = '3kB' }"), &Way { accepts: true, ..KEPT }).expect("accepted");
    let files = place.files("out");
    let beside: Vec<_> = files.keys().filter(|name| name.contains(".until-")).collect();
    assert_eq!(beside.len(), 2, "{:?}", files.keys());
    assert!(files.keys().all(|name| !name.contains("/.") && !name.starts_with('.')), "{:?}", files.keys());
}
