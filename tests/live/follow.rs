//! Files that grow, are rotated, cut off, packed, and stand beside what is none of them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::command::{folder, run};
use super::ongoing::{COLUMNS, Run, at, dead, patiently, refused, write};

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
}

#[test]
fn growing_files_are_followed_through_rotation_truncation_and_new_ones() {
    let folder = folder();
    let log = folder.path().join("a.log.csv");
    append(&log, &at(0, "a", "1"));
    write(folder.path(), &format!("path = '*.log.csv'\nfollow = true\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    append(&log, "2026-01-01T00:00:01Z,a,");
    append(&log, "3\n");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    // Renamed: what its writer still appends is read, and the new file of that name too.
    let rotated = folder.path().join("a.log.1");
    std::fs::rename(&log, &rotated).expect("renamed");
    append(&rotated, &at(2, "a", "5"));
    assert_eq!(run.line(), "2026-01-01T00:00:02Z,a,5,4");
    append(&log, &at(3, "a", "7"));
    assert_eq!(run.line(), "2026-01-01T00:00:03Z,a,7,6");
    // Cut off and written anew.
    File::create(&log).expect("cut off").write_all(at(4, "a", "9").trim_end().as_bytes()).expect("written");
    std::thread::sleep(Duration::from_millis(50));
    append(&log, "0\n");
    assert_eq!(run.line(), "2026-01-01T00:00:04Z,a,90,48.5");
    append(&folder.path().join("b.log.csv"), &at(0, "b", "2"));
    assert_eq!(run.line(), "2026-01-01T00:00:00Z,b,2,2");
    run.stop();
}

#[test]
fn a_follower_that_was_killed_goes_on_where_its_last_checkpoint_was_whatever_the_files_are_called_now() {
    let folder = folder();
    let log = folder.path().join("a.log.csv");
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'a.log.csv'\nfollow = true\n{COLUMNS}\n[[stage]]\ntype = 'moving_average'\nwindow = 3\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let due = |records: u32| {
        let mut out = "t,sensor,v,v_avg\n".to_owned();
        for second in 0..records {
            let first = second.saturating_sub(2);
            let mean = f64::from((first..=second).sum::<u32>()) / f64::from(second - first + 1);
            out += &format!("{},{mean}\n", at(second, "a", &second.to_string()).trim_end());
        }
        out
    };
    let state = folder.path().join("state");
    let part = || {
        let names = std::fs::read_dir(folder.path()).expect("a folder");
        let mut parts = names.map(|name| name.expect("a name").path());
        parts.find(|path| path.to_string_lossy().contains(".out.csv.part-"))
    };
    let arguments = ["--state", "state", "--checkpoint-every", "5ms"];
    let checkpoints = || {
        let names = std::fs::read_dir(&state)
            .into_iter()
            .flatten()
            .filter_map(|name| name.ok()?.file_name().into_string().ok());
        names.filter(|name| name.starts_with("checkpoint-")).count()
    };
    let mut written = 0;
    for round in 0..4 {
        let mut run = Run::start(folder.path(), &arguments);
        for _ in 0..50 {
            append(&log, &at(written, "a", &written.to_string()));
            written += 1;
        }
        patiently("waiting for a checkpoint", || (checkpoints() > 0).then_some(()));
        if round % 2 == 0 {
            patiently("waiting for output", || {
                part().and_then(|part| std::fs::read(part).ok()).filter(|out| out.len() > 40)
            });
        }
        run.child.kill().expect("killed");
        run.child.wait().expect("an end");
        if round == 1 {
            // Nobody watches while it is rotated, and written to once more.
            append(&log, &at(written, "a", &written.to_string()));
            written += 1;
            std::fs::rename(&log, folder.path().join("a.log.csv.1")).expect("renamed");
        }
    }
    let run = Run::start(folder.path(), &arguments);
    let whole = due(written);
    patiently("waiting for all of it", || {
        part().and_then(|part| std::fs::read_to_string(part).ok()).filter(|out| out.len() >= whole.len())
    });
    let (_, said) = run.stop();
    assert!(said.contains("resumed from"), "{said}");
    assert_eq!(std::fs::read_to_string(part().expect("in the making")).expect("text"), whole);
}

#[test]
fn logs_rotated_several_times_meanwhile_come_in_the_order_of_their_records() {
    let folder = folder();
    let named = |name: &str| folder.path().join(name);
    let rename = |from: &str, to: &str| std::fs::rename(named(from), named(to)).expect("renamed");
    // A tick of the file system's clock apart, as rotations are.
    let later = || std::thread::sleep(Duration::from_millis(20));
    append(&named("a.csv"), &at(0, "a", "0"));
    later();
    rename("a.csv", "a.csv.1");
    append(&named("a.csv"), &at(1, "a", "1"));
    write(folder.path(), &format!("path = 'a.csv*'\nfollow = true\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    assert_eq!(run.lines(3)[1..], ["2026-01-01T00:00:00Z,a,0,0", "2026-01-01T00:00:01Z,a,1,0.5"]);
    run.stop();
    append(&named("a.csv"), &at(2, "a", "2"));
    for second in [3, 4] {
        rename("a.csv.1", "a.csv.2");
        rename("a.csv", "a.csv.1");
        later();
        append(&named("a.csv"), &at(second, "a", &second.to_string()));
    }
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    let values: Vec<_> =
        run.lines(4)[1..].iter().map(|line| line.split(',').nth(2).map(str::to_owned)).collect();
    assert_eq!(values, ["2", "3", "4"].map(|value| Some(value.to_owned())));
    run.stop();
}

#[test]
fn what_is_none_of_the_files_is_left_aside_and_others_are_read() {
    let folder = folder();
    let named = |name: &str| folder.path().join(name);
    append(&named("a.csv"), "t,sensor,v\n2026-01-01T00:00:00Z,a,1\n");
    // Packed, and no file at all.
    append(&named("a.csv.1.gz"), "\x1f\u{8b}");
    assert!(Command::new("mkfifo").arg(named("pipe.csv")).status().expect("`mkfifo` runs").success());
    let source = "path = '*.csv*'\nfollow = true\nmeasurements = ['v']\ntime = 't'\nsensor = 'sensor'";
    write(folder.path(), source);
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    append(&named("b.csv"), "other,columns\n1,2\n");
    patiently("waiting for the other file to be set aside", || {
        std::fs::read_dir(folder.path()).expect("a folder").flatten().find(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.contains("dead.jsonl.part-") && entry.metadata().is_ok_and(|meta| meta.len() > 0)
        })
    });
    append(&named("a.csv"), "2026-01-01T00:00:01Z,a,3\n");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    let (_, said) = run.stop();
    for part in ["b.csv: is not read", "compressed files do not grow: a.csv.1.gz", "3 records of 1 sensor"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // It is known for what it is after a restart, and told of once.
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    append(&named("a.csv"), "2026-01-01T00:00:02Z,a,5\n");
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:02Z,a,5,4");
    let (_, said) = run.stop();
    assert!(said.contains("4 records of 1 sensor"), "{said}");
}

#[test]
fn a_file_written_anew_to_the_same_length_is_read_again() {
    let folder = folder();
    let path = folder.path().join("a.csv");
    append(&path, &at(0, "a", "1"));
    write(folder.path(), &format!("path = 'a.csv'\nfollow = true\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    // Another tick of the file system's clock.
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(&path, at(1, "a", "3")).expect("written");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    run.stop();
}

#[test]
fn what_cannot_be_followed_says_so_before_the_start() {
    let folder = folder();
    let said = |source: &str| refused(folder.path(), source);
    let error = said(&format!("path = 'a.csv.gz'\nfollow = true\n{COLUMNS}"));
    assert!(error.contains("`a.csv.gz` is compressed"), "{error}");
    // What can never come right.
    let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    assert!(pipe.expect("it runs").success());
    append(&folder.path().join("a.csv"), &at(0, "a", "1"));
    let unnamed = COLUMNS.replace("\nsensor = 'sensor'", "\nsensor_from = 'plant-{sensor}'");
    for (path, columns, what) in [
        ("[abc", COLUMNS, "`[abc` is not a valid glob"),
        ("", COLUMNS, "`path` is empty"),
        ("pipe", COLUMNS, "`pipe` is a pipe or a device"),
        ("/dev/null", COLUMNS, "`/dev/null` is a pipe or a device"),
        ("a.csv", &unnamed, "does not match `a.csv`"),
    ] {
        let error = said(&format!("path = '{path}'\nfollow = true\n{columns}"));
        assert!(error.contains(what), "{error}");
        let validated = run(folder.path(), &["validate", "p.toml"]);
        assert_eq!(validated.status.code(), Some(78), "{path}");
    }
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for_and_that_is_said() {
    let folder = folder();
    let options = COLUMNS.replace("\ntime = 't'", "") + "\nmax_ahead = '1m'";
    write(folder.path(), &format!("path = 'later.csv'\nfollow = true\n{options}"));
    let mut run = Run::start(folder.path(), &[]);
    run.line();
    append(&folder.path().join("later.csv"), "x,a,1\n");
    assert_eq!(run.line(), "x,a,1,1");
    let said = run.stop().1;
    assert_eq!(said.matches("there is no file to follow yet").count(), 1, "{said}");
    assert!(said.contains("`max_ahead` had no effect: the records have no times"), "{said}");
}

#[test]
fn what_the_run_writes_into_the_folder_is_not_followed() {
    let folder = folder();
    let named = |name: &str| folder.path().join(name);
    append(&named("a.csv"), &at(0, "a", "1"));
    append(&named(".out.csv.part-1-1"), &at(9, "of a killed run", "1"));
    write(folder.path(), &format!("path = '*.csv*'\nfollow = true\n{COLUMNS}"));
    let pipeline = std::fs::read_to_string(named("p.toml")).expect("text");
    let more =
        "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'jsonl'\npath = 'more.csv.jsonl'\n";
    std::fs::write(named("p.toml"), pipeline + more).expect("written");
    for second in 0..3 {
        let mut run = Run::start(folder.path(), &[]);
        let lines = run.lines(2 + second);
        assert!(lines[1..].iter().all(|line| line.contains(",a,")), "{lines:?}");
        // It has looked for files since its own were made.
        append(&named(&format!("{second}.csv")), &at(second as u32 + 1, "a", "3"));
        assert_eq!(
            run.line(),
            format!("2026-01-01T00:00:0{}Z,a,3,{}", second + 1, if second == 0 { "2" } else { "3" })
        );
        let (_, said) = run.stop();
        assert!(said.contains(&format!("{} records of 1 sensor", second + 2)), "{said}");
        // The output of this run fits the next time.
        assert_eq!(said.contains("because this run writes it"), second > 0, "{said}");
    }
}

#[test]
fn two_files_of_one_name_in_two_folders_are_not_one_sensor() {
    let folder = folder();
    let named = |name: &str| folder.path().join(name);
    for part in ["a", "b"] {
        std::fs::create_dir(named(part)).expect("made");
    }
    let source = "path = ['a/*', 'b/*']\nfollow = true\nheader = false\nnames = ['t', 'v']\nmeasurements = ['v']\ntime = 't'";
    append(&named("a/0.csv"), "2026-01-01T00:00:00Z,1\n");
    append(&named("b/0.csv"), "2026-01-01T00:00:00Z,9\n");
    let error = refused(folder.path(), source);
    assert!(error.contains("both have the sensor `0`"), "{error}");
    // One that comes later is set aside; one that is rotated beside is the same sensor.
    std::fs::remove_file(named("b/0.csv")).expect("removed");
    write(folder.path(), source);
    let mut run = Run::start(folder.path(), &[]);
    run.lines(2);
    std::fs::rename(named("a/0.csv"), named("a/0.1")).expect("rotated");
    append(&named("a/0.csv"), "2026-01-01T00:00:01Z,3\n");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,0,3,2");
    append(&named("b/0.csv"), "2026-01-01T00:00:02Z,9\n");
    append(&named("b/1.csv"), "2026-01-01T00:00:02Z,5\n");
    assert_eq!(run.line(), "2026-01-01T00:00:02Z,1,5,5");
    let (rest, said) = run.stop();
    assert_eq!(rest, "");
    assert!(said.contains("it has the same sensor `0` as a file in a;"), "{said}");
    let letters = dead(folder.path());
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["raw"], "2026-01-01T00:00:02Z,9\n");
}

#[test]
fn a_copy_that_fits_too_is_read_once_more_and_that_is_said() {
    let folder = folder();
    let named = |name: &str| folder.path().join(name);
    write(folder.path(), &format!("path = 'in.csv*'\nfollow = true\n{COLUMNS}"));
    append(&named("in.csv"), &at(0, "a", "1"));
    let mut run = Run::start(folder.path(), &[]);
    run.lines(2);
    std::fs::copy(named("in.csv"), named("in.csv.1")).expect("copied");
    assert_eq!(run.line(), "2026-01-01T00:00:00Z,a,1,1");
    std::fs::write(named("in.csv"), "").expect("cut off");
    append(&named("in.csv"), &at(1, "a", "3"));
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    let said = run.stop().1;
    let expected =
        "in.csv.1 begins as in.csv did before it was truncated: the records of a copy are read twice";
    assert!(said.contains(expected), "{said}");
}
