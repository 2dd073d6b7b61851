//! JSON that is told apart by its structure, as it comes: from files that grow, over connections, and played again.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::command::{folder, run, text};
use super::ongoing::{Run, connect, patiently, port};

fn pipeline(folder: &Path, source: &str, sink: &str) {
    let pipeline = format!(
        "[source]\ntype = 'jsonl'\ntime = 'at.t'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 1.0\n{source}\n\
         [[sink]]\ntype = 'csv'\npath = '{sink}'\n"
    );
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

/// A record over several lines.
fn pretty(second: usize) -> String {
    format!(
        "{{\n  \"at\": {{ \"t\": \"2026-01-01T00:00:{second:02}Z\" }},\n  \"s\": \"a\",\n  \"v\": \"{second}\"\n}}\n"
    )
}

fn row(second: usize) -> String {
    format!("2026-01-01T00:00:{second:02}Z,a,{second}")
}

#[test]
fn objects_over_several_lines_are_followed_and_gone_on_with_after_restarts() {
    let folder = folder();
    pipeline(folder.path(), "path = 'log.json'\nfollow = true", "out.csv");
    let part = || {
        let names = std::fs::read_dir(folder.path()).expect("a folder");
        let mut paths = names.map(|name| name.expect("a name").path());
        paths.find(|path| path.to_string_lossy().contains("out.csv.part-"))
    };
    let whole: String = (0..6).map(pretty).collect();
    let due: String =
        std::iter::once("at.t,s,v".to_owned()).chain((0..6).map(row)).map(|line| line + "\n").collect();
    // Three runs, each of which finds a part of a record behind what it has read.
    let cuts = [whole.len() / 3 + 10, whole.len() * 2 / 3 + 10, whole.len()];
    let mut written = 0;
    for cut in cuts {
        let file = OpenOptions::new().create(true).append(true).open(folder.path().join("log.json"));
        file.and_then(|mut file| file.write_all(&whole.as_bytes()[written..cut])).expect("written");
        written = cut;
        let live = Run::start(folder.path(), &["--state", "state"]);
        let records = whole[..cut].matches("\n}\n").count();
        patiently("waiting for the records", || {
            let out = std::fs::read_to_string(part()?).ok()?;
            (out.lines().count() == records + 1).then_some(())
        });
        let (_, said) = live.stop();
        assert_eq!(said.contains("resumed from"), cut > cuts[0], "{said}");
    }
    assert_eq!(std::fs::read_to_string(part().expect("in the making")).expect("text"), due);
}

#[test]
fn connections_send_each_in_its_own_layout_and_a_recording_plays_them_again() {
    let (folder, port) = (folder(), port());
    pipeline(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'"), "-");
    let mut live = Run::start(folder.path(), &["--record", "day.rec"]);
    let line = |second: usize| {
        format!("{{\"at\":{{\"t\":\"2026-01-01T00:00:{second:02}Z\"}},\"s\":\"a\",\"v\":{second}}}")
    };
    let (mut lines, mut one_by_one, mut array) = (connect(port), connect(port), connect(port));
    let mut out = vec![live.line()];
    let send =
        |client: &mut std::net::TcpStream, text: &str| client.write_all(text.as_bytes()).expect("taken");
    send(&mut lines, &(line(0) + "\n"));
    out.push(live.line());
    send(&mut one_by_one, &(line(1) + &line(2) + &line(3)[..20]));
    out.extend(live.lines(2));
    send(&mut array, &format!("[\n{},\n{}", line(4), &pretty(5)[..10]));
    out.push(live.line());
    send(&mut one_by_one, &line(3)[20..]);
    out.push(live.line());
    send(&mut array, &pretty(5)[10..]);
    out.push(live.line());
    let due = [0, 1, 2, 4, 3, 5].map(row);
    assert_eq!(out[1..], due);
    live.stop();
    let again = run(folder.path(), &["replay", "p.toml", "--from", "day.rec"]);
    assert_eq!(text(&again.stdout).lines().collect::<Vec<_>>(), out, "{}", text(&again.stderr));
}

#[test]
fn measurements_become_sensors_from_the_first_record_on() {
    let lines = |kind: &str, second: usize| match kind {
        "jsonl" => format!("{{\"t\":\"2026-01-01T00:00:{second:02}Z\",\"p\":{second},\"q\":0.5}}\n"),
        _ => format!("m p={second},q=0.5 {}000000000\n", 1_767_225_600 + second),
    };
    for (kind, source) in [
        ("jsonl", "type = 'jsonl'\ntime = 't'"),
        ("influx", "type = 'influx'\nsensor_name = 'x'\ntable = ''"),
    ] {
        let (folder, port) = (folder(), port());
        let pipeline = |path: &str, measurements: &str| {
            let text = format!(
                "[source]\n{source}\nmeasurements = {measurements}\nunpivot = {{}}\n{path}\n\
                 [[sink]]\ntype = 'csv'\npath = '-'\n"
            );
            std::fs::write(folder.path().join("p.toml"), text).expect("written");
        };
        let all: String = (0..2).map(|second| lines(kind, second)).collect();
        let due = ["sensor,value", "p,0", "q,0.5", "p,1", "q,0.5"];
        let values = |lines: Vec<String>| -> Vec<String> {
            lines.iter().filter_map(|line| Some(line.split_once(',')?.1.to_owned())).collect()
        };

        std::fs::write(folder.path().join("log"), &all).expect("written");
        pipeline("path = 'log'\nfollow = true", "['p', 'q']");
        let mut followed = Run::start(folder.path(), &[]);
        assert_eq!(values(followed.lines(5)), due, "{kind}");
        followed.stop();

        let address = format!("path = 'tcp-listen://127.0.0.1:{port}'");
        pipeline(&address, "['p', 'q']");
        let mut sent = Run::start(folder.path(), &[]);
        let mut client = connect(port);
        client.write_all(all.as_bytes()).expect("taken");
        assert_eq!(values(sent.lines(5)), due, "{kind}");
        sent.stop();

        for path in ["path = 'log'\nfollow = true", &address] {
            pipeline(path, "['p', 'q*']");
            let refused = run(folder.path(), &["run", "p.toml"]);
            assert_eq!(refused.status.code(), Some(78), "{kind}");
            assert!(text(&refused.stderr).contains("a glob is not enough"), "{}", text(&refused.stderr));
        }
    }
}
