//! Scheduling of followed files; nothing here depends on a clock.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::follow::{Follower, MEANWHILE, ScanStep, TURNS};
use super::input::TextInput;
use super::options::FileOptions;
use super::tail::ASKED;
use crate::source::Input;
use crate::source::stream::framing::MAX_WAITING;
use crate::source::stream::odd_text::{Came, in_all_encodings};
use crate::source::stream::testing::plain;

const LINE: &[u8] = b"2026-01-01T00:00:00Z,a,1\n";

/// A folder of `files` empty files, all followed.
fn following(files: usize) -> (tempfile::TempDir, Vec<PathBuf>, Follower) {
    let folder = tempfile::tempdir().expect("a folder");
    let paths: Vec<_> = (0..files).map(|at| folder.path().join(format!("{at:02}.csv"))).collect();
    paths.iter().for_each(|path| append(path, b""));
    let mut follower = follow(&folder);
    assert!(matches!(follower.poll(0).expect("read"), Input::Nothing));
    (folder, paths, follower)
}

/// Follows the files of a folder.
fn follow(folder: &tempfile::TempDir) -> Follower {
    let pattern = folder.path().join("*.csv").to_str().expect("UTF-8").to_owned();
    Follower::open(&FileOptions::from(pattern), &["csv"], Arc::default(), plain()).expect("followed")
}

fn append(path: &PathBuf, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open");
    file.write_all(bytes).expect("written");
}

/// The next item: its file and number of bytes; `None` if there was none.
fn next(follower: &mut Follower) -> Option<(String, usize)> {
    match follower.poll(0).expect("read") {
        Input::Chunk(chunk) => {
            let name = chunk.file.rsplit('/').next().unwrap_or_default().to_owned();
            Some((name, chunk.bytes.len()))
        }
        Input::Records(decoded) => unreachable!("{:?}", decoded.rejections),
        Input::Nothing | Input::Foreseen(_) | Input::Deferred(_) => None,
    }
}

#[test]
fn of_twenty_files_that_always_have_more_the_least_served_gets_half_of_the_mean() {
    let (_folder, paths, mut follower) = following(20);
    let most = LINE.repeat((2 << 20) / LINE.len());
    paths.iter().for_each(|path| append(path, &most));
    // One has far more data than the others.
    (0..10).for_each(|_| append(&paths[0], &most));
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    while served.values().sum::<usize>() < 20 << 20 {
        if let Some((name, bytes)) = next(&mut follower) {
            *served.entry(name).or_default() += bytes;
        }
    }
    let (mean, least) = ((20 << 20) / 20, served.values().min().copied().unwrap_or(0));
    assert!(served.len() == 20 && 2 * least >= mean, "{served:?}");
}

#[test]
fn a_file_that_is_found_later_begins_behind_what_was_there_and_not_behind_what_comes() {
    let (folder, paths, mut follower) = following(1);
    let piece = LINE.repeat((1 << 20) / LINE.len());
    (0..3).for_each(|_| append(&paths[0], &piece));
    assert!(next(&mut follower).is_some());
    append(&folder.path().join("late.csv"), LINE);
    append(&folder.path().join("later.csv"), LINE);
    // The new file must be found; meanwhile, the first one grows faster than it is read.
    follower.look_for_files_now();
    let (mut order, mut of_first) = (Vec::new(), 0);
    while order.len() < 2 {
        append(&paths[0], &piece);
        match next(&mut follower) {
            Some((name, bytes)) if name == "00.csv" => of_first += bytes,
            Some((name, _)) => order.push((name, of_first)),
            None => {}
        }
        assert!(of_first < 30 << 20, "{order:?}");
    }
    assert_eq!(order[0].0, "late.csv");
    assert_eq!(order[1].0, "later.csv");
    assert!(order[0].1 >= 2 << 20, "{order:?}");
}

#[test]
fn a_file_that_has_the_inode_of_an_empty_one_of_before_is_another_one() {
    let (folder, paths, follower) = following(1);
    let mut place = serde_json::to_value(follower.position()).expect("JSON");
    drop(follower);
    std::fs::remove_file(&paths[0]).expect("removed");
    // Written in this order, which differs from that of the inodes.
    for name in ["older.csv", "newer.csv"] {
        append(&folder.path().join(name), LINE);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let newer = folder.path().join("newer.csv").metadata().expect("a file");
    place["open"][0]["identity"] = serde_json::json!([newer.dev(), newer.ino()]);
    let mut follower = follow(&folder);
    follower.resume(serde_json::from_value(place).expect("a place")).expect("restored");
    let order = [next(&mut follower), next(&mut follower)];
    let names: Vec<_> = order.iter().flatten().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["older.csv", "newer.csv"]);
}

#[test]
fn unfinished_records_of_many_files_are_bounded_and_come_whole() {
    let (_folder, paths, mut follower) = following(40);
    let text = [b"2026-01-01T00:00:00Z,a,".to_vec(), vec![b'1'; 700 << 10]].concat();
    for (at, path) in paths.iter().enumerate() {
        append(path, &text);
        while follower.bytes() < ((at + 1) * text.len()) as u64 {
            assert!(next(&mut follower).is_none());
        }
        assert!(follower.waiting() <= MAX_WAITING, "{}", follower.waiting());
    }
    let read = follower.bytes();
    assert!(next(&mut follower).is_none());
    assert_eq!(follower.bytes(), read, "what was forgotten is not read again for nothing");
    paths.iter().for_each(|path| append(path, b"\n"));
    let mut came = BTreeMap::new();
    while came.len() < paths.len() {
        came.extend(next(&mut follower));
        assert!(follower.waiting() <= MAX_WAITING, "{}", follower.waiting());
    }
    assert!(came.values().all(|&bytes| bytes == text.len() + 1), "{came:?}");
}

/// Everything until nothing is left.
fn came_of(follower: &mut Follower, came: &mut Came) {
    loop {
        match follower.poll(0).expect("read") {
            Input::Nothing | Input::Foreseen(_) | Input::Deferred(_) => return,
            input => came.add(input),
        }
    }
}

#[test]
fn clause_5_a_followed_file_goes_on_at_every_byte() {
    for written in in_all_encodings() {
        let whole = written.at_rest();
        for cut in 0..=written.bytes.len() {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("x.csv");
            append(&path, &written.bytes[..cut]);
            let open = || {
                let options = FileOptions::from(path.to_str().expect("UTF-8").to_owned());
                Follower::open(&options, &["csv"], Arc::default(), written.layout.clone()).expect("followed")
            };
            let (mut came, mut follower) = (Came::default(), open());
            came_of(&mut follower, &mut came);
            // A checkpoint, and a restart from it.
            let place = postcard::to_stdvec(&follower.position()).expect("saved");
            let mut follower = open();
            follower.resume(postcard::from_bytes(&place).expect("whole")).expect("found");
            append(&path, &written.bytes[cut..]);
            came_of(&mut follower, &mut came);
            assert_eq!(came, whole, "stopped at {cut}");
        }
    }
}

#[test]
fn files_that_begin_one_after_the_other_are_not_all_asked_for_each_of_them() {
    const FILES: usize = 400;
    let folder = tempfile::tempdir().expect("a folder");
    for file in 0..FILES {
        append(&folder.path().join(format!("{file:03}.csv")), LINE);
    }
    let options = FileOptions::from(folder.path().join("*.csv").to_str().expect("UTF-8").to_owned());
    let mut follower = Follower::open(&options, &["csv"], Arc::default(), plain()).expect("followed");
    ASKED.set(0);
    TURNS.set(0);
    let (mut came, mut steps) = (0, 0);
    while came < FILES {
        came += usize::from(next(&mut follower).is_some());
        steps += 1;
    }
    // Twice in each step, once in each turn (how many those are is for the clock to say), and once for each that is done.
    let most = 3 * (steps + FILES) + TURNS.get();
    assert!(ASKED.get() <= most, "{} of {most}", ASKED.get());
    assert!(steps < 4 * FILES, "{steps} steps");
}

#[test]
fn a_file_is_read_up_to_a_header_in_another_order() {
    let (_folder, paths, mut follower) = following(2);
    append(&paths[0], &[LINE, b"v,t,s\n2,2026-01-01T00:00:00Z,a\n"].concat());
    append(&paths[1], LINE);
    let (mut bytes, mut reasons) = (0, Vec::new());
    for _ in 0..20 {
        match follower.poll(0).expect("read") {
            Input::Chunk(chunk) => bytes += chunk.bytes.len(),
            Input::Records(decoded) => {
                reasons.extend(decoded.rejections.into_iter().map(|rejection| rejection.reason));
            }
            Input::Nothing | Input::Foreseen(_) | Input::Deferred(_) => {}
        }
    }
    assert_eq!((bytes, reasons.len()), (2 * LINE.len(), 1), "{reasons:?}");
    assert!(
        reasons[0].starts_with("line 2: a header in another order where a record is expected"),
        "{reasons:?}"
    );
    assert!(follower.summary().iter().any(|remark| remark.contains("is not read: line 2")));
    append(&paths[0], LINE);
    assert!((0..20).all(|_| next(&mut follower).is_none()), "nothing behind it is read");
}

#[test]
fn records_that_come_at_once_in_many_files_are_not_forgotten_for_ever() {
    let (_folder, paths, mut follower) = following(40);
    let text = [b"2026-01-01T00:00:00Z,a,".to_vec(), vec![b'1'; 900 << 10], b"\n".to_vec()].concat();
    paths.iter().for_each(|path| append(path, &text));
    let (mut came, all) = (BTreeMap::new(), paths.len() * text.len());
    while came.len() < paths.len() {
        came.extend(next(&mut follower));
        assert!(follower.waiting() <= MAX_WAITING, "{}", follower.waiting());
        assert!(follower.bytes() <= 4 * all as u64, "{} files after {} bytes", came.len(), follower.bytes());
    }
    assert!(came.values().all(|&bytes| bytes == text.len()), "{came:?}");
}

/// A folder of one log, which is rotated before the first `times` steps of this kind; returns the records in the expected order.
fn rotated(folder: &tempfile::TempDir, step: ScanStep, times: usize) -> Vec<String> {
    let at = |name: &str| folder.path().join(name);
    let record = |number: usize| format!("2026-01-01T00:00:{number:02}Z,a,{number}\n");
    append(&at("log.csv"), record(0).as_bytes());
    let (log, aside, mut left) = (at("log.csv"), at(""), 0);
    MEANWHILE.set(Some(Box::new(move |now| {
        if now == step && left < times {
            left += 1;
            std::fs::rename(&log, aside.join(format!("old{left}.csv"))).expect("renamed");
            // More than the resolution of the file system's clock apart, as rotations are.
            std::thread::sleep(std::time::Duration::from_millis(20));
            append(&log, record(left).as_bytes());
        }
    })));
    (0..=times).map(record).collect()
}

/// All records read.
fn records(follower: &mut Follower) -> Vec<String> {
    let mut records = Vec::new();
    for _ in 0..20 {
        follower.look_for_files_now();
        if let Input::Chunk(chunk) = follower.poll(0).expect("read") {
            records.extend(
                String::from_utf8_lossy(chunk.bytes.as_slice()).split_inclusive('\n').map(str::to_owned),
            );
        }
    }
    records
}

#[test]
fn a_log_that_is_rotated_while_files_are_looked_for_comes_in_the_order_of_its_records() {
    for step in [ScanStep::Look, ScanStep::Open] {
        // If rotations outnumber scans, the order is undefined; but nothing is lost, and the run does not wait forever.
        for times in [1, 2, 5, 40] {
            let folder = tempfile::tempdir().expect("a folder");
            let due = rotated(&folder, step, times);
            let mut came = records(&mut follow(&folder));
            if times == 40 {
                came.sort();
            }
            MEANWHILE.set(None);
            assert_eq!(came, due[..came.len()], "{step:?}, {times} times");
            assert!(
                came.len() == due.len() || times == 40 && came.len() > 10,
                "{step:?}, {times} times: {came:?}"
            );
        }
    }
}

#[test]
fn a_log_that_is_rotated_while_it_is_found_again_goes_on_at_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let record = |number: usize| format!("2026-01-01T00:00:{number:02}Z,a,{number}\n");
    append(&at("log.csv"), record(0).as_bytes());
    let mut follower = follow(&folder);
    assert_eq!(records(&mut follower), [record(0)]);
    let place = postcard::to_stdvec(&follower.position()).expect("saved");
    drop(follower);
    // It matches no more, and is found by its inode.
    append(&at("log.csv"), record(1).as_bytes());
    std::fs::rename(at("log.csv"), at("log.1")).expect("renamed");
    append(&at("log.csv"), record(2).as_bytes());
    let mut follower = follow(&folder);
    let (first, second) = (at("log.1"), at("log.2"));
    MEANWHILE.set(Some(Box::new(move |step| {
        if step == ScanStep::Reopen && first.exists() {
            std::fs::rename(&first, &second).expect("renamed");
        }
    })));
    follower.resume(postcard::from_bytes(&place).expect("whole")).expect("found");
    MEANWHILE.set(None);
    assert!(at("log.2").exists());
    assert_eq!(records(&mut follower), [record(1), record(2)], "{:?}", follower.summary());
}
