//! Input that does not end, as a user has it: pipes, sockets, files that grow.

#[path = "live/alerts.rs"]
mod alerts;
#[path = "live/arrival.rs"]
mod arrival;
#[path = "live/clock.rs"]
mod clock;
#[path = "common/command.rs"]
mod command;
#[path = "live/crowds.rs"]
mod crowds;
#[path = "live/first_lines.rs"]
mod first_lines;
#[path = "live/follow.rs"]
mod follow;
#[path = "live/halves.rs"]
mod halves;
#[path = "live/identity.rs"]
mod identity;
#[path = "live/json.rs"]
mod json;
#[path = "live/ongoing.rs"]
mod ongoing;
#[path = "live/over.rs"]
mod over;
#[path = "live/recordings.rs"]
mod recordings;
#[path = "live/removed.rs"]
mod removed;
#[path = "live/several.rs"]
mod several;
#[path = "live/text.rs"]
mod text_layouts;
#[path = "live/unread.rs"]
mod unread;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use command::{folder, run, text};
use ongoing::{COLUMNS, Run, at, connect, dead, patiently, port, refused, write};

#[test]
fn records_of_a_pipe_come_out_while_it_is_open_and_a_stop_drains_it() {
    let folder = folder();
    write(folder.path(), &format!("path = '-'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    let mut input = run.child.stdin.take().expect("piped");
    input.write_all((at(0, "a", "1") + "2026-01-01T00:00:01Z,a,").as_bytes()).expect("taken");
    assert_eq!(run.lines(2), ["t,sensor,v,v_avg", "2026-01-01T00:00:00Z,a,1,1"]);
    // What is written at once into a pipe is read at once.
    input.write_all(b"3\n2026-01-01T00:00:02Z,a,1").expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    // The pipe stays open, in the middle of a record.
    let (rest, said) = run.stop();
    assert_eq!(rest, "");
    assert!(said.contains("stopped on request") && said.contains("3 records of 1 sensor"), "{said}");
    let letters = dead(folder.path());
    assert_eq!(letters[0]["reason"], "the run was stopped before the record was complete");
    assert_eq!((letters.len(), &letters[0]["line"]), (1, &3.into()));
    drop(input);
}

#[test]
fn packed_records_of_a_pipe_come_out_while_it_is_open() {
    let folder = folder();
    write(folder.path(), &format!("path = '-'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    let input = run.child.stdin.take().expect("piped");
    let mut packed = flate2::write::GzEncoder::new(input, flate2::Compression::fast());
    packed.write_all(at(0, "a", "1").as_bytes()).expect("taken");
    packed.flush().expect("taken");
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    packed.write_all(at(1, "a", "3").as_bytes()).expect("taken");
    packed.flush().expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,3,2");
    // The pipe is silent, and stays open.
    let (rest, said) = run.stop();
    assert!(rest.is_empty() && said.contains("2 records of 1 sensor"), "{said}");
    drop(packed);
}

#[test]
fn a_named_pipe_is_read_before_anybody_writes_and_ends_with_its_writer() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` runs").success());
    write(folder.path(), &format!("path = 'pipe'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(run.line(), "t,sensor,v,v_avg");
    let mut writer = OpenOptions::new().write(true).open(&pipe).expect("opened");
    writer.write_all(at(0, "a", "5").as_bytes()).expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:00Z,a,5,5");
    drop(writer);
    assert_eq!(run.line(), "");
    assert!(run.child.wait().expect("an end").success());
}

#[test]
fn what_one_connection_sends_does_not_touch_the_others() {
    let (folder, port) = (folder(), port());
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    let (mut good, mut bad, _silent) = (connect(port), connect(port), connect(port));
    assert_eq!(run.line(), "t,sensor,v,v_avg");
    good.write_all((at(0, "a", "1") + "2026-01-01T00:00").as_bytes()).expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:00Z,a,1,1");
    bad.write_all(b"\xff\xffgarbage\n").expect("taken");
    bad.write_all(&vec![b'x'; 3 << 20]).expect("taken");
    bad.write_all(("\n".to_owned() + &at(5, "b", "7")).as_bytes()).expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:05Z,b,7,7");
    good.write_all((":01Z,a,2\n".to_owned() + "2026-01-01T00:00:02Z,a,12.3").as_bytes()).expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:01Z,a,2,1.5");
    // Whether another digit was to come is not known.
    drop(good);
    let (rest, said) = run.stop();
    assert_eq!(rest, "");
    assert!(said.contains("3 connections"), "{said}");
    let reasons: Vec<_> = dead(folder.path()).iter().map(|letter| letter["reason"].clone()).collect();
    assert_eq!(reasons[..2], ["1 field where 3 are expected", "a record is longer than 1 MiB"]);
}

#[test]
fn datagrams_and_local_sockets_bring_records() {
    let (folder, port) = (folder(), port());
    write(folder.path(), &format!("path = 'udp://127.0.0.1:{port}'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(run.line(), "t,sensor,v,v_avg");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    // A datagram needs no line end; one with an open quote harms itself alone.
    for datagram in [at(0, "a", "1") + at(1, "a", "2").trim_end(), "2026,\"a".into(), at(2, "a", "4")] {
        socket.send_to(datagram.as_bytes(), ("127.0.0.1", port)).expect("sent");
    }
    let averages: Vec<_> =
        run.lines(3).iter().map(|line| line.rsplit(',').next().map(str::to_owned)).collect();
    assert_eq!(averages, ["1", "1.5", "3"].map(|value| Some(value.to_owned())));
    run.stop();
    assert_eq!(dead(folder.path()).len(), 1);

    write(folder.path(), &format!("path = 'unix-listen://live.sock'\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    let path = folder.path().join("live.sock");
    let mut client = patiently("connecting", || UnixStream::connect(&path).ok());
    client.write_all(at(0, "u", "3").as_bytes()).expect("taken");
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,u,3,3");
    run.stop();
    assert!(!path.exists(), "the socket is gone with its run");
}

#[test]
fn history_comes_first_and_windows_go_on_into_the_feed() {
    let (folder, port) = (folder(), port());
    std::fs::write(folder.path().join("old.csv"), at(0, "a", "1") + &at(1, "a", "3")).expect("written");
    write(folder.path(), &format!("path = ['old.csv', 'tcp-listen://127.0.0.1:{port}']\n{COLUMNS}"));
    let mut run = Run::start(folder.path(), &[]);
    assert_eq!(run.lines(3)[1..], ["2026-01-01T00:00:00Z,a,1,1", "2026-01-01T00:00:01Z,a,3,2"]);
    connect(port).write_all(at(2, "a", "5").as_bytes()).expect("taken");
    assert_eq!(run.line(), "2026-01-01T00:00:02Z,a,5,4");
    let (_, said) = run.stop();
    assert!(said.contains("3 records of 1 sensor"), "{said}");
}

#[test]
fn a_clock_a_year_ahead_is_not_believed() {
    let folder = folder();
    write(folder.path(), &format!("path = '-'\n{COLUMNS}\nmax_rejects = 10"));
    let mut run = Run::start(folder.path(), &[]);
    let mut input = run.child.stdin.take().expect("piped");
    input.write_all(("2200-01-01T00:00:00Z,a,9\n".to_owned() + &at(0, "a", "1")).as_bytes()).expect("taken");
    assert_eq!(run.lines(2)[1], "2026-01-01T00:00:00Z,a,1,1");
    drop(input);
    assert!(run.child.wait().expect("an end").success());
    let letters = dead(folder.path());
    assert_eq!((letters.len(), &letters[0]["kind"]), (1, &"ahead".into()));
    assert_eq!(letters[0]["raw"], "2200-01-01T00:00:00Z,a,9");
}

#[test]
fn what_nobody_has_room_for_is_dropped_only_where_the_pipeline_says_so_and_is_counted() {
    let folder = folder();
    write(folder.path(), &format!("path = '-'\n{COLUMNS}\nwhen_full = 'drop'"));
    let mut run = Run::start(folder.path(), &["--report", "report.json"]);
    let mut input = run.child.stdin.take().expect("piped");
    // Nobody reads the output: a pipe and what waits for it hold some of this, not all.
    let many = at(0, "a", "1").repeat(1_000_000);
    let (at_once, piecemeal) = many.as_bytes().split_at(many.len() / 2);
    input.write_all(at_once).expect("taken, whatever becomes of it");
    for piece in piecemeal.chunks(500) {
        input.write_all(piece).expect("taken, however small the pieces are");
    }
    drop(input);
    let mut rest = String::new();
    run.output.read_to_string(&mut rest).expect("text");
    assert!(run.child.wait().expect("an end").success());
    let report = std::fs::read(folder.path().join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let source = &report["report"]["source"];
    let (dropped, output) =
        (source["dropped"].as_u64().expect("a count"), source["output"].as_u64().expect("a count"));
    assert!(dropped > 0, "{source}");
    assert_eq!((dropped + output, output + 1), (1_000_000, rest.lines().count() as u64), "{source}");
}

#[test]
fn a_second_interrupt_aborts_and_leaves_no_file() {
    let folder = folder();
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = '-'\n{COLUMNS}\n[[sink]]\ntype = 'csv'\npath = '-'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let mut run = Run::start(folder.path(), &["--quiet"]);
    let mut input = run.child.stdin.take().expect("piped");
    let fed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&fed);
    let feeding = std::thread::Builder::new().spawn(move || {
        let many = at(0, "a", "1").repeat(1000);
        while input.write_all(many.as_bytes()).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let feeding = feeding.expect("a thread");
    let mut first = String::new();
    run.output.read_line(&mut first).expect("readable");
    // Standard output is full when nothing more is taken in: then the run cannot drain.
    patiently("waiting for the output to be full", || {
        let before = fed.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500));
        (before > 0 && fed.load(Ordering::Relaxed) == before).then_some(())
    });
    run.signal("-INT");
    let mut said = BufReader::new(run.child.stderr.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("readable");
    assert!(line.contains("stopping"), "{line}");
    run.signal("-INT");
    assert_eq!(run.child.wait().expect("an end").code(), Some(130), "{}", text(first.as_bytes()));
    feeding.join().expect("no panic");
    assert!(!folder.path().join("out.csv").exists());
}

#[test]
fn an_address_that_is_none_and_columns_that_nobody_names_are_said_before_the_start() {
    let folder = folder();
    let said = |source: &str| refused(folder.path(), source);
    let error = said(&format!("path = 'ftp://127.0.0.1:21'\n{COLUMNS}"));
    assert!(error.contains("there is no `ftp://`") && error.contains("tcp-listen://"), "{error}");
    let error = said("path = 'tcp-listen://127.0.0.1:1'");
    assert!(error.contains("must be given") && error.contains("`measurements`"), "{error}");
}

#[test]
fn a_recording_played_again_gives_the_bits_of_the_day() {
    let (folder, port) = (folder(), port());
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{COLUMNS}"));
    let mut live = Run::start(folder.path(), &["--record", "day.rec"]);
    let (mut one, mut two) = (connect(port), connect(port));
    let header = live.line();
    one.write_all(at(0, "a", "1").as_bytes()).expect("taken");
    let mut lines = vec![header, live.line()];
    // Not believed on the day, and not when it is played on another.
    two.write_all(("2200-01-01T00:00:00Z,b,2\nrubbish\n".to_owned() + &at(1, "a", "4")).as_bytes())
        .expect("taken");
    lines.push(live.line());
    one.write_all(&vec![b'y'; 2 << 20]).expect("taken");
    one.write_all(("\n".to_owned() + &at(2, "a", "0.1")).as_bytes()).expect("taken");
    lines.push(live.line());
    live.stop();
    let aside = std::fs::read(folder.path().join("dead.jsonl")).expect("a dead letter");
    assert_eq!(dead(folder.path()).len(), 3);
    for speed in ["max", "100"] {
        std::fs::remove_file(folder.path().join("dead.jsonl")).expect("removed");
        let again =
            run(folder.path(), &["replay", "p.toml", "--from", "day.rec", "--speed", speed, "--quiet"]);
        assert!(again.status.success(), "{}", text(&again.stderr));
        assert_eq!(text(&again.stdout).lines().collect::<Vec<_>>(), lines);
        assert_eq!(std::fs::read(folder.path().join("dead.jsonl")).expect("a dead letter"), aside);
    }
    let verified = run(folder.path(), &["verify", "p.toml", "--set", "source.path=day.rec"]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
}
