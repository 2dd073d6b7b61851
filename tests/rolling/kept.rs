//! Which files are kept, and which are removed.

use std::time::Duration;

use tidemill::time::{Clock, Timestamp};

use super::place::{HEADER, KEPT, PLAIN, Place, WHOLE, rolled};

#[test]
fn clause_20_a_run_that_fails_keeps_what_has_its_name_and_leaves_nothing_else() {
    let place = Place::new();
    place.run(WHOLE, &PLAIN).expect("a run");
    let text = std::fs::read_to_string(place.at("in.csv")).expect("read");
    // Beyond what is borne.
    std::fs::write(place.at("in.csv"), text + &"x,y,z,\n".repeat(3000)).expect("written");
    place.run(&rolled("{ size = '3kB' }"), &PLAIN).expect_err("too many are bad");
    let files = place.files("out");
    assert!(
        files.len() > 4 && files.keys().all(|name| !name.contains("/.") && !name.starts_with('.')),
        "{:?}",
        files.keys()
    );
    let (found, whole) = (place.joined("out", "2024-05-01/", ".csv", HEADER), place.files("whole"));
    assert!(whole["all.csv"].starts_with(found.as_bytes()));
}

#[test]
fn what_is_older_than_it_is_to_be_kept_goes_and_nothing_else() {
    for way in [PLAIN, KEPT] {
        let place = Place::new();
        let old = Timestamp::from_nanos(Clock::default().read().as_nanos() - 3 * 86_400 * 1_000_000_000);
        let others = [
            "out/note.csv",
            "out/2024-05-01/11.csv",
            "out/raw/11-0000000000.csv",
            "out/2024-05-01/11-000000000.csv",
        ];
        let own = ["out/2024-05-01/11-0000000000.csv", "out/2023-05-01/11-0000000000.csv"];
        for name in others.iter().chain(&own) {
            std::fs::create_dir_all(place.at(name).parent().expect("a folder")).expect("made");
            std::fs::write(place.at(name), "x").expect("written");
            let file = std::fs::File::options().write(true).open(place.at(name)).expect("opened");
            let nanos = u64::try_from(old.as_nanos()).expect("after 1970");
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_nanos(nanos)).expect("set");
        }
        let sink = "[[sink]]\ntype = 'csv'\npath = '@/out/{date}/{hour}-{epoch}.csv'\nroll = { size = '3kB', keep = '2d' }\n";
        let report = place.run(sink, &way).expect("a run");
        let files = place.files(".");
        others.iter().for_each(|name| assert!(files.contains_key(*name), "{name}"));
        own.iter().for_each(|name| assert!(!files.contains_key(*name), "{name}"));
        assert!(report.remarks.join("\n").contains("2 files older than 2d removed"), "{:?}", report.remarks);
        assert!(place.files("out/2024-05-01").len() > 5);
    }
}

#[test]
fn what_runs_have_left_in_the_making_goes_with_the_next_one() {
    let place = Place::new();
    let day = place.at("out/2024-04-30");
    std::fs::create_dir_all(&day).expect("made");
    let (left, others) = (
        ".11-0000000009.csv.part-p4000000-0123456789abcdef",
        [".11-0000000009.csv.part-0123-1", ".x.csv.part-p4000000-1"],
    );
    std::fs::write(day.join(left), "x").expect("written");
    others.iter().for_each(|name| std::fs::write(day.join(name), "x").expect("written"));
    place.run(&rolled("{ size = '3kB' }"), &PLAIN).expect("a run");
    assert!(!day.join(left).exists());
    others.iter().for_each(|name| assert!(day.join(name).exists(), "{name}"));
}
