//! Many senders and many sensors: memory stays bounded, and whoever behaves is served.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::command::{self, folder};
use super::ongoing::{COLUMNS, Run, at, connect, dead, port, write};

/// The bytes of memory that the run has for itself, as the system says; those of files do not count.
fn own_memory(run: &Run) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.child.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Lets this process have as many descriptors as it may; whether that is enough for so many.
fn have_descriptors(wanted: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("as many as may be");
    maximum.is_none_or(|maximum| maximum >= wanted)
}

#[test]
fn ten_thousand_silent_clients_keep_nobody_from_being_served() {
    const MOST: usize = 10_000;
    if !have_descriptors(MOST as u64 + 200) {
        eprintln!("not tried: this system grants too few descriptors (`ulimit -Hn`)");
        return;
    }
    let (folder, port) = (folder(), port());
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    let mut good = connect(port);
    assert_eq!(run.line(), "t,sensor,v,v_avg");
    // The first ones, one of which says half a record, go when there is no more room.
    let mut silent: Vec<TcpStream> = Vec::new();
    for second in 0..12 {
        let more = if second < 10 { MOST / 10 } else { 20 };
        silent.extend((0..more).map(|_| connect(port)));
        if second == 0 {
            silent[0].write_all(b"2026-01-01T00:00:00Z,half").expect("taken");
            silent[1].write_all(at(0, "whole", "1").as_bytes()).expect("taken");
            assert_eq!(run.line(), at(0, "whole", "1").trim_end().to_owned() + ",1");
        }
        good.write_all(at(second, "good", "1").as_bytes()).expect("taken");
        assert_eq!(run.line(), at(second, "good", "1").trim_end().to_owned() + ",1");
    }
    let memory = own_memory(&run);
    assert!(memory < 32 << 20, "{} MiB", memory >> 20);
    let mut end = [0; 1];
    assert_eq!(silent[2].read(&mut end).expect("closed in an orderly way"), 0);
    let (_, said) = run.stop();
    assert!(said.contains("10041 connections") && said.contains("41 idle connections closed"), "{said}");
    let reasons: Vec<_> = dead(folder.path()).iter().map(|letter| letter["reason"].clone()).collect();
    assert_eq!(reasons, ["the run was stopped before the record was complete"]);
}

#[test]
fn unfinished_records_of_many_clients_take_no_more_than_their_bound() {
    let (folder, port) = (folder(), port());
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    let mut good = connect(port);
    assert_eq!(run.line(), "t,sensor,v,v_avg");
    // 64 times 900 KiB, none of which ever ends.
    let greedy: Vec<_> = (0..64)
        .map(|_| {
            let mut client = connect(port);
            client.write_all(&vec![b'x'; 900 << 10]).expect("taken");
            client
        })
        .collect();
    for second in 0..50 {
        good.write_all(at(second, "good", "1").as_bytes()).expect("taken");
        assert_eq!(run.line(), at(second, "good", "1").trim_end().to_owned() + ",1");
    }
    let memory = own_memory(&run);
    assert!(memory < 64 << 20, "{} MiB", memory >> 20);
    drop(greedy);
    run.stop();
    let refused = dead(folder.path());
    assert!(refused.iter().any(|letter| {
        letter["reason"].as_str().is_some_and(|why| why.starts_with("too many records are incomplete"))
    }));
}

#[test]
fn unfinished_records_of_many_files_take_no_more_than_their_bound() {
    const FILES: usize = 64;
    let folder = folder();
    let file = |name: String| folder.path().join(name);
    let append = |name: String, bytes: &[u8]| {
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(file(name));
        opened.expect("opened").write_all(bytes).expect("written");
    };
    // 64 times 900 KiB of a record, all there from the start; and one file that goes on.
    let begun = ["2026-01-01T00:00:00Z,a,".as_bytes(), &vec![b'1'; 900 << 10]].concat();
    (0..FILES).for_each(|at| append(format!("f{at}.csv"), &begun));
    append("good.csv".into(), at(0, "good", "1").as_bytes());
    write(folder.path(), &format!("path = '*.csv'\nfollow = true\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,good,1,1");
    for second in 1..20 {
        append("good.csv".into(), at(second, "good", "1").as_bytes());
        assert_eq!(run.line(), at(second, "good", "1").trim_end().to_owned() + ",1");
    }
    let memory = own_memory(&run);
    assert!(memory < 64 << 20, "{} MiB", memory >> 20);
    // None is lost: each comes whole, before what follows it, and is refused for its length alone.
    let behind = |file: usize| at(30, &format!("f{file}"), "1");
    (0..FILES).for_each(|file| append(format!("f{file}.csv"), ("\n".to_owned() + &behind(file)).as_bytes()));
    let mut lines = run.lines(FILES);
    lines.sort_unstable();
    let mut expected: Vec<_> = (0..FILES).map(|file| behind(file).trim_end().to_owned() + ",1").collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    run.stop();
    let letters = dead(folder.path());
    let is_whole =
        |letter: &serde_json::Value| letter["reason"].as_str().is_some_and(|why| why.contains("field of"));
    assert!(letters.len() == FILES && letters.iter().all(is_whole), "{:?}", letters[0]["reason"]);
}

#[test]
fn a_million_new_sensors_are_served_and_one_more_is_told_of() {
    const MOST: u32 = 1_000_000;
    let folder = folder();
    write(folder.path(), &format!("path = '-'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    let mut input = run.child.stdin.take().expect("piped");
    input.write_all(at(0, "known", "1").as_bytes()).expect("taken");
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,known,1,1");
    for first in (1..MOST).step_by(10_000) {
        let sensors = first..MOST.min(first + 10_000);
        let many = sensors.clone().fold(String::new(), |mut lines, sensor| {
            let _into_text = writeln!(lines, "2026-01-01T00:00:01Z,n{sensor},2");
            lines
        });
        let feeding = std::thread::scope(|scope| {
            let feeding = scope.spawn(|| input.write_all(many.as_bytes()));
            for sensor in sensors {
                assert_eq!(run.line(), format!("2026-01-01T00:00:01Z,n{sensor},2,2"));
            }
            feeding.join().expect("no panic")
        });
        feeding.expect("taken");
    }
    let memory = own_memory(&run);
    assert!(memory < 320 << 20, "{} MiB", memory >> 20);
    input.write_all(at(2, "known", "3").as_bytes()).expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:02Z,known,3,2");
    input.write_all(at(3, "one-more", "3").as_bytes()).expect("taken");
    let mut said = String::new();
    run.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert!(!run.child.wait().expect("an end").success());
    assert!(said.contains("one-more") && said.contains("max_sensors"), "{said}");
}

/// Gives the output of a run that was stopped its names.
fn finish(folder: &std::path::Path) {
    let output = command::run(folder, &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(output.status.success(), "{}", command::text(&output.stderr));
}

#[test]
fn clause_6_sensors_beyond_the_limits_are_set_aside_and_the_others_served() {
    for limit in ["max_sensors = 3", "max_sensor_bytes = 12"] {
        let (folder, port) = (folder(), port());
        write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{limit}\n{COLUMNS}"));
        let arguments = ["--state", "state", "--threads", "3"];
        let mut run = Run::start(folder.path(), &arguments);
        let mut client = connect(port);
        let sent = [at(0, "a", "1"), at(1, "b", "1"), at(2, &"n".repeat(2000), "1"), at(3, "third", "1")];
        client
            .write_all((sent.concat() + &at(4, "fourth", "1") + &at(5, "a", "3")).as_bytes())
            .expect("taken");
        let averages = ["2026-01-01T00:00:03Z,third,1,1", "2026-01-01T00:00:05Z,a,3,2"];
        assert_eq!(run.lines(5)[3..], averages, "{limit}");
        let (rest, said) = run.stop();
        assert!(rest.is_empty() && said.contains("of 3 sensors"), "{said}");
        // Who was refused is refused after a restart, and who was taken is not.
        let mut run = Run::start(folder.path(), &arguments);
        let mut client = connect(port);
        let sent = at(6, "fifth", "1") + &at(6, "fourth", "1") + &at(7, "third", "3");
        client.write_all(sent.as_bytes()).expect("taken");
        assert_eq!(run.lines(2)[1], "2026-01-01T00:00:07Z,third,3,2");
        run.stop();
        finish(folder.path());
        let reasons: Vec<_> = dead(folder.path()).iter().map(|letter| letter["reason"].to_string()).collect();
        assert_eq!(reasons.len(), 4, "{reasons:?}");
        assert!(reasons[0].contains("the sensor's name has 2000 bytes"), "{reasons:?}");
        let option = limit.split(' ').next().expect("a name");
        assert!(reasons[1..].iter().all(|reason| reason.contains(option)), "{reasons:?}");
    }
}

#[test]
fn clause_27_ever_new_sensors_are_served_where_idle_ones_are_given_up() {
    let (folder, port) = (folder(), port());
    let options = "max_sensors = 5\nidle_sensors = '2s'\nagree = 1";
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{options}\n{COLUMNS}"));
    let arguments = ["--state", "state", "--threads", "3"];
    let mut run = Run::start(folder.path(), &arguments);
    let mut client = connect(port);
    let sent = |seconds: std::ops::Range<u32>| -> String {
        seconds.map(|second| at(second, &format!("n{second}"), "1") + &at(second, "known", "1")).collect()
    };
    client.write_all(sent(0..25).as_bytes()).expect("taken");
    assert_eq!(run.lines(51).last().map(|line| &line[17..]), Some("24Z,known,1,1"));
    let (rest, said) = run.stop();
    assert!(rest.is_empty() && said.contains("sensors have been given up"), "{said}");
    // After a restart, those who come again begin anew, and those who stayed go on.
    let mut run = Run::start(folder.path(), &arguments);
    let mut client = connect(port);
    let again = sent(25..50) + &at(50, "n7", "5") + &at(50, "known", "3");
    client.write_all(again.as_bytes()).expect("taken");
    let lines = run.lines(53);
    assert_eq!([&lines[51][17..], &lines[52][17..]], ["50Z,n7,5,5", "50Z,known,3,2"]);
    run.stop();
    finish(folder.path());
    let letters = dead(folder.path());
    assert!(letters.is_empty(), "{letters:?}");
}

#[test]
fn names_of_sensors_that_are_given_up_are_forgotten_behind_a_record_that_could_not_be_read() {
    const MOST: u32 = 300;
    let (folder, port) = (folder(), port());
    let options = "idle_sensors = '2s'\nagree = 1";
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{options}\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &["--state", "state"]);
    let mut client = connect(port);
    let name = |second: u32| format!("{second:03}{}", "n".repeat(900));
    // The first record is too long to be taken apart: it comes without its sensor.
    let sent: String = (0..MOST).map(|second| at(second, &name(second), "1")).collect();
    client.write_all(("x".repeat(2 << 20) + "\n" + &sent).as_bytes()).expect("taken");
    assert_eq!(
        run.lines(1 + MOST as usize).last(),
        Some(&(at(MOST - 1, &name(MOST - 1), "1").trim_end().to_owned() + ",1"))
    );
    let (rest, said) = run.stop();
    assert!(rest.is_empty() && said.contains("sensors have been given up"), "{said}");
    let kept = contents(&folder.path().join("state"));
    let is_kept = |second: &u32| {
        let name = name(*second).into_bytes();
        kept.windows(name.len()).any(|window| window == name)
    };
    let last = (0..MOST).rev().filter(is_kept).collect::<Vec<_>>();
    assert!(last.first() == Some(&(MOST - 1)) && last.len() < 10, "{last:?}");
    finish(folder.path());
    assert_eq!(dead(folder.path()).len(), 1);
}

/// The bytes of all files in `folder`.
fn contents(folder: &std::path::Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries
        .flat_map(|path| if path.is_dir() { contents(&path) } else { std::fs::read(path).expect("read") })
        .collect()
}

#[test]
fn names_of_sensors_take_no_more_room_than_their_bound() {
    let (folder, port) = (folder(), port());
    write(
        folder.path(),
        &format!("path = 'tcp-listen://127.0.0.1:{port}'\nmax_sensor_bytes = 100004\n{COLUMNS}"),
    );
    let mut run = Run::start(folder.path(), &[]);
    let mut client = connect(port);
    client.write_all(at(0, "good", "1").as_bytes()).expect("taken");
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,good,1,1");
    // 30 names of 200 kB, and 500 of 1,000 bytes, of which one in five finds room.
    let long = |sensor| at(1, &format!("{sensor}{}", "x".repeat(200_000)), "1");
    let short = |sensor| at(1, &format!("{sensor:03}{}", "x".repeat(997)), "1");
    let sent = (0..30).map(long).chain((0..500).map(short)).collect::<String>() + &at(2, "good", "3");
    client.write_all(sent.as_bytes()).expect("taken");
    let output = run.lines(101);
    let (last, others) = output.split_last().expect("lines");
    assert!(others.iter().enumerate().all(|(at, line)| line.contains(&format!(",{at:03}xxx"))));
    assert_eq!(last, "2026-01-01T00:00:02Z,good,3,2");
    let (rest, said) = run.stop();
    assert!(rest.is_empty() && said.contains("of 101 sensors"), "{said}");
    assert_eq!(dead(folder.path()).len(), 30 + 400);
}
