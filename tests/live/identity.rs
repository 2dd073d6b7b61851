//! Files that are not what their name or inode says: made anew, rewritten, under two names, gone.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;

use super::command::{folder, run, text};
use super::ongoing::{COLUMNS, Run, at, connect, dead, patiently, port, write};

fn append(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).expect("written");
}

/// Other content for the same inode, in one go.
fn rewrite(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).open(path).expect("opened");
    file.write_all(text.as_bytes()).expect("written");
    let length = file.stream_position().expect("a place");
    file.set_len(length).expect("cut off");
}

/// A header longer than what is remembered of a file's beginning, and records of these seconds.
fn wide(seconds: impl Iterator<Item = u32>) -> String {
    let names: Vec<_> = (0..400).map(|at| format!("column_{at}")).collect();
    let mut text = format!("t,sensor,v,{}\n", names.join(","));
    for second in seconds {
        text += &format!("{}{}\n", at(second, "a", &second.to_string()).trim_end(), ",".repeat(400));
    }
    text
}

const WIDE: &str = "follow = true\nmeasurements = ['v']\ntime = 't'\nsensor = 'sensor'";

/// A pipeline that shows time, sensor and value alone.
fn write_narrow(folder: &Path, source: &str) {
    let pipeline = format!(
        "[source]\ntype = 'csv'\n{source}\n[[stage]]\ntype = 'aggregate'\nevery = '1s'\nstatistics = ['mean']\ncolumns = ['v']\n\
         [[sink]]\ntype = 'csv'\npath = '-'\n[[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n"
    );
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

fn seconds(lines: &[String]) -> Vec<u32> {
    lines.iter().map(|line| line[17..19].parse().expect("seconds")).collect()
}

/// Waits until a checkpoint has been kept that is newer than all before `act`, which gives the run something to keep.
fn checkpointed(folder: &Path, act: impl FnOnce()) {
    let newest = || {
        let names = std::fs::read_dir(folder.join("state")).into_iter().flatten().flatten();
        names.map(|name| name.file_name()).filter(|name| name.to_string_lossy().starts_with("check")).max()
    };
    let before = newest();
    act();
    patiently("waiting for a checkpoint", || (newest() > before).then_some(()));
}

#[test]
fn a_file_written_anew_behind_the_same_wide_header_is_read_from_its_beginning() {
    let folder = folder();
    let log = folder.path().join("a.csv");
    std::fs::write(&log, wide(0..4)).expect("written");
    write_narrow(folder.path(), &format!("path = 'a.csv'\n{WIDE}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(seconds(&run.lines(4)[1..]), [0, 1, 2]);
    // Nobody looks while it is truncated and grows beyond its old length.
    run.signal("-STOP");
    rewrite(&log, &wide(10..20));
    run.signal("-CONT");
    assert_eq!(seconds(&run.lines(10)), [3, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
    let (_, said) = run.stop();
    assert!(said.contains("14 records of 1 sensor") && said.contains("read from its beginning"), "{said}");
}

#[test]
fn a_file_made_anew_on_the_same_inode_between_two_runs_is_read_from_its_beginning() {
    let folder = folder();
    let log = folder.path().join("a.csv");
    std::fs::write(&log, wide(0..4)).expect("written");
    write_narrow(folder.path(), &format!("path = 'a.csv'\n{WIDE}"));
    let arguments = ["--state", "state"];
    let mut run = Run::start(folder.path(), &arguments);
    assert_eq!(seconds(&run.lines(4)[1..]), [0, 1, 2]);
    run.stop();
    rewrite(&log, &wide(10..20));
    let mut run = Run::start(folder.path(), &arguments);
    assert_eq!(seconds(&run.lines(11)[1..]), [3, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
    let (_, said) = run.stop();
    assert!(
        said.contains("the file was removed after it was read to byte") && said.contains("14 records"),
        "{said}"
    );
}

#[test]
fn a_file_that_was_refused_is_read_when_it_has_been_written_anew() {
    let folder = folder();
    append(&folder.path().join("a.csv"), b"t,sensor,v\n2026-01-01T00:00:00Z,a,1\n");
    let other = folder.path().join("b.csv");
    append(&other, b"other,columns\n1,2\n");
    let columns = "measurements = ['v']\ntime = 't'\nsensor = 'sensor'";
    write(folder.path(), &format!("path = '?.csv'\nfollow = true\n{columns}"));
    let mut run = Run::start(folder.path(), &["--state", "state", "--checkpoint-every", "5ms"]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    patiently("waiting for the other file to be set aside", || {
        let all = std::fs::read_dir(folder.path()).expect("a folder").flatten();
        let letters = all.filter(|entry| entry.file_name().to_string_lossy().contains("dead.jsonl"));
        letters.filter_map(|entry| entry.metadata().ok()).find(|meta| meta.len() > 0)
    });
    rewrite(&other, "t,sensor,v\n2026-01-01T00:00:00Z,b,5\n");
    assert_eq!(run.line(), "2026-01-01T00:00:00Z,b,5,5");
    // It grows as any other, also behind a restart.
    run.stop();
    append(&other, b"2026-01-01T00:00:01Z,b,7\n");
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:01Z,b,7,6");
    run.stop();
}

#[test]
fn a_file_with_two_names_is_read_once() {
    let folder = folder();
    let log = folder.path().join("a.csv");
    append(&log, at(0, "a", "1").as_bytes());
    std::fs::hard_link(&log, folder.path().join("b.csv")).expect("linked");
    std::os::unix::fs::symlink("a.csv", folder.path().join("c.csv")).expect("linked");
    write(folder.path(), &format!("path = '?.csv'\nfollow = true\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    append(&log, at(1, "a", "3").as_bytes());
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    let (_, said) = run.stop();
    assert!(said.contains("2 records of 1 sensor"), "{said}");
}

#[test]
fn the_second_half_of_a_record_that_is_too_long_is_none_after_a_kill() {
    let folder = folder();
    let log = folder.path().join("a.csv");
    append(&log, at(0, "a", "1").as_bytes());
    write(folder.path(), &format!("path = '?.csv'\nfollow = true\n{COLUMNS}"));
    let arguments = ["--state", "state", "--checkpoint-every", "5ms"];
    let mut run = Run::start(folder.path(), &arguments);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    append(&log, &vec![b'x'; 3 << 19]);
    patiently("waiting for it to be set aside", || {
        let all = std::fs::read_dir(folder.path()).expect("a folder").flatten();
        let letters = all.filter(|entry| entry.file_name().to_string_lossy().contains("dead.jsonl"));
        letters.filter_map(|entry| entry.metadata().ok()).find(|meta| meta.len() > 1000)
    });
    checkpointed(folder.path(), || {
        append(&folder.path().join("b.csv"), at(1, "b", "1").as_bytes());
        assert_eq!(run.line(), "2026-01-01T00:00:01Z,b,1,1");
    });
    run.child.kill().expect("killed");
    run.child.wait().expect("an end");
    append(&log, format!(",{}{}", at(1, "no record", "1"), at(2, "a", "3")).as_bytes());
    let mut run = Run::start(folder.path(), &arguments);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:02Z,a,3,2");
    let (_, said) = run.stop();
    assert!(said.contains("4 records of 2 sensors"), "{said}");
    run_finished(folder.path());
    let reasons: Vec<_> = dead(folder.path()).iter().map(|letter| letter["reason"].clone()).collect();
    assert_eq!(reasons, ["a record is longer than 1 MiB"]);
}

/// Gives the outputs of a run that was stopped their names.
fn run_finished(folder: &Path) {
    let ended = run(folder, &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
}

#[test]
fn a_run_is_finished_without_its_input_and_goes_on_in_the_gap_of_a_rotation() {
    let folder = folder();
    let log = folder.path().join("a.csv");
    let header = "t,sensor,v\n";
    append(&log, (header.to_owned() + &at(0, "a", "1")).as_bytes());
    // Only the file says which columns are numbers.
    let columns = "time = 't'\nsensor = 'sensor'";
    write(folder.path(), &format!("path = '*.csv'\nfollow = true\n{columns}"));
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    run.stop();
    std::fs::remove_file(&log).expect("removed");
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    assert_eq!(run.line(), "t,sensor,v,v_avg");
    File::create(&log)
        .expect("made")
        .write_all((header.to_owned() + &at(1, "a", "3")).as_bytes())
        .expect("written");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    run.stop();
    std::fs::remove_file(&log).expect("removed");
    run_finished(folder.path());
    assert!(folder.path().join("dead.jsonl").exists());
}

#[test]
fn history_in_front_of_a_feed_may_change_when_the_feed_has_begun() {
    let (folder, port) = (folder(), port());
    let history = folder.path().join("history");
    std::fs::create_dir(&history).expect("a folder");
    let file = |name: &str, second: u32| {
        std::fs::write(history.join(name), at(second, "a", &second.to_string())).expect("written");
    };
    file("1.csv", 1);
    file("2.csv", 2);
    write(folder.path(), &format!("path = ['history/*.csv', 'tcp-listen://127.0.0.1:{port}']\n{COLUMNS}"));
    let arguments = ["--state", "state"];
    let round = |lines: usize, second: u32| {
        let mut run = Run::start(folder.path(), &arguments);
        run.lines(lines);
        let mut feed = connect(port);
        feed.write_all(at(second, "a", &second.to_string()).as_bytes()).expect("taken");
        let line = run.line();
        assert!(line.starts_with(at(second, "a", &second.to_string()).trim_end()), "{line}");
        run.stop().1
    };
    round(3, 10);
    file("0.csv", 0);
    file("3.csv", 3);
    for second in [11, 12] {
        let said = round(1, second);
        for name in ["0", "3"] {
            assert!(said.contains(&format!("history/{name}.csv: is not read")), "{said}");
        }
    }
    std::fs::remove_dir_all(&history).expect("removed");
    let said = round(1, 13);
    assert!(said.contains("6 records of 1 sensor"), "{said}");
}

#[test]
fn many_renamed_files_are_found_again() {
    const FILES: usize = 300;
    let folder = folder();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).expect("a folder");
    let name = |at: usize, suffix: &str| logs.join(format!("{at:04}.csv{suffix}"));
    for file in 0..FILES {
        append(&name(file, ""), at(0, &format!("s{file}"), "1").as_bytes());
    }
    write(folder.path(), &format!("path = 'logs/*.csv'\nfollow = true\n{COLUMNS}"));
    let arguments = ["--state", "state"];
    let mut run = Run::start(folder.path(), &arguments);
    run.lines(1 + FILES);
    run.stop();
    for file in 0..FILES {
        append(&name(file, ""), at(1, &format!("s{file}"), "3").as_bytes());
        std::fs::rename(name(file, ""), name(file, ".1")).expect("renamed");
    }
    let mut run = Run::start(folder.path(), &arguments);
    assert!(run.lines(1 + FILES)[1..].iter().all(|line| line.ends_with(",3,2")));
    let (_, said) = run.stop();
    assert!(said.contains("600 records of 300 sensors") && !said.contains("was removed"), "{said}");
}
