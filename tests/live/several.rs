//! Several sources, some of which do not end (clause 33).

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::command::{folder, run, text};
use super::ongoing::{COLUMNS, Run, at, connect, dead, patiently, port};

/// A file and two sockets into one chain: what came is archived, cleaned, and counted by the minute.
fn pipeline(folder: &Path, ports: [u16; 2], archive: &str) {
    let source = |name: &str, path: &str| {
        format!("[[source]]\nname = '{name}'\ntype = 'csv'\npath = '{path}'\n{COLUMNS}\n")
    };
    let socket = |port: u16| format!("tcp-listen://127.0.0.1:{port}");
    let (east, west) = (source("east", &socket(ports[0])), source("west", &socket(ports[1])));
    let history = source("history", "history.csv");
    let text = format!(
        "{east}{west}{history}\
         [[stage]]\nname = 'clean'\ntype = 'threshold'\nmin = 0\nmax = 100\n\
         [[stage]]\nname = 'smooth'\ntype = 'moving_average'\nwindow = 2\n\
         [[stage]]\nname = 'minutes'\nfrom = 'clean'\ntype = 'aggregate'\nevery = '1m'\n\
         [[sink]]\ntype = 'csv'\npath = '{archive}'\nfrom = ['east', 'west', 'history']\n\
         [[sink]]\ntype = 'csv'\npath = 'smooth.csv'\nfrom = 'smooth'\n\
         [[sink]]\ntype = 'csv'\npath = 'minutes.csv'\nfrom = 'minutes'\n\
         [[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n"
    );
    std::fs::write(folder.join("p.toml"), text).expect("written");
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("a file")
}

#[test]
fn clause_33_what_several_sources_sent_is_played_again_as_it_came() {
    let (folder, ports) = (folder(), [port(), port()]);
    pipeline(folder.path(), ports, "-");
    let history: String = (0..20).map(|second| at(second, "a", "50")).collect();
    std::fs::write(folder.path().join("history.csv"), history).expect("written");
    let mut live = Run::start(folder.path(), &["--record", "day.rec"]);
    let mut clients = ports.map(connect);
    let mut archive = live.lines(21);
    assert_eq!(archive[20], at(19, "a", "50").trim_end(), "the file comes first");
    for second in 20..80 {
        let (side, value) = ((second * 7 / 3 % 2) as usize, second * 13 % 120);
        let sensor = ["a", "b", "c"][(second % 3) as usize];
        let broken = if second % 11 == 0 { "broken\n" } else { "" };
        let line = at(second, sensor, &value.to_string());
        clients[side].write_all(format!("{broken}{line}").as_bytes()).expect("taken");
        // Who comes first is known then.
        archive.push(live.line());
        assert_eq!(archive.last().map(String::as_str), Some(line.trim_end()));
    }
    let (rest, said) = live.stop();
    assert!(rest.is_empty() && said.contains("source 1 (csv)"), "{said}");
    let names = ["smooth.csv", "minutes.csv", "dead.jsonl"];
    let first = names.map(|name| read(folder.path(), name));
    assert_eq!(dead(folder.path()).len(), 6);
    // From the recording, by either runtime.
    for more in [&[][..], &["--speed", "1000000x"], &["--threads", "1"]] {
        names.iter().for_each(|name| std::fs::remove_file(folder.path().join(name)).expect("removed"));
        let again = run(folder.path(), &[&["replay", "p.toml", "--from", "day.rec"], more].concat());
        assert!(again.status.success(), "{}", text(&again.stderr));
        assert_eq!(text(&again.stdout).lines().collect::<Vec<_>>(), archive, "{more:?}");
        assert_eq!(names.map(|name| read(folder.path(), name)), first, "{more:?}");
    }
}

#[test]
fn clause_33_a_run_of_several_sources_that_is_killed_goes_on_with_all_of_them() {
    let folder = folder();
    let source = |name: &str, follow: bool| {
        format!(
            "[[source]]\nname = '{name}'\ntype = 'csv'\npath = '{name}.csv'\nfollow = {follow}\n{COLUMNS}\n"
        )
    };
    let text = format!(
        "{}{}{}[[stage]]\ntype = 'moving_average'\nwindow = 3\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'csv'\npath = '-'\n",
        source("old", false),
        source("one", true),
        source("two", true)
    );
    std::fs::write(folder.path().join("p.toml"), text).expect("written");
    let append = |name: &str, sensor: &str, from: u32, to: u32| {
        let mut file = OpenOptions::new().create(true).append(true).open(folder.path().join(name));
        let lines: String = (from..to).map(|second| at(second, sensor, &second.to_string())).collect();
        file.as_mut().expect("opened").write_all(lines.as_bytes()).expect("written");
    };
    append("old.csv", "old", 0, 50);
    let arguments = ["--state", "state", "--checkpoint-every", "1ms", "--record", "day.rec"];
    let until = |live: &mut Run, mut ends: Vec<String>| {
        patiently("reading", || {
            let line = live.line();
            assert!(!line.is_empty(), "the run has ended");
            ends.retain(|end| !line.starts_with(end));
            ends.is_empty().then_some(())
        });
    };
    for kill in 0..5_u32 {
        append("one.csv", "one", kill * 10, kill * 10 + 10);
        append("two.csv", "two", kill * 10, kill * 10 + 10);
        let mut live = Run::start(folder.path(), &arguments);
        let end = |sensor: &str| at(kill * 10 + 9, sensor, "").trim_end().to_owned();
        until(&mut live, vec![end("one"), end("two")]);
        live.child.kill().expect("killed");
        live.child.wait().expect("an end");
    }
    append("one.csv", "one", 50, 60);
    let mut live = Run::start(folder.path(), &arguments);
    until(&mut live, vec![at(59, "one", "").trim_end().to_owned()]);
    live.stop();
    let finished =
        run(folder.path(), &["run", "p.toml", "--state", "state", "--finish", "--record", "day.rec"]);
    assert!(finished.status.success(), "{}", super::command::text(&finished.stderr));
    let out = read(folder.path(), "out.csv");
    for (sensor, count) in [("old", 50), ("one", 60), ("two", 50)] {
        let of = |line: &&str| line.split(',').nth(1) == Some(sensor);
        let found: Vec<_> =
            out.lines().filter(of).map(|line| line.split(',').nth(2).expect("a value")).collect();
        let expected: Vec<_> = (0..count).map(|value| value.to_string()).collect();
        assert_eq!(found, expected, "{sensor}");
    }
    assert!(out.lines().nth(50).is_some_and(|line| line.contains(",old,")), "what ends comes first");
    let again = run(
        folder.path(),
        &[
            "replay",
            "p.toml",
            "--from",
            "day.rec",
            "--set",
            "sink.0.path=again.csv",
            "--set",
            "sink.1.path=x.csv",
        ],
    );
    assert!(again.status.success(), "{}", super::command::text(&again.stderr));
    assert_eq!(read(folder.path(), "again.csv"), out);
}

#[test]
fn clause_33_a_source_that_stands_still_holds_up_no_other() {
    let (folder, ports) = (folder(), [port(), port()]);
    pipeline(folder.path(), ports, "-");
    std::fs::write(folder.path().join("history.csv"), "").expect("written");
    let mut live = Run::start(folder.path(), &["--state", "state", "--checkpoint-every", "1ms"]);
    let (mut east, _silent) = (connect(ports[0]), connect(ports[1]));
    assert_eq!(live.line(), "t,sensor,v");
    for second in 0..50 {
        east.write_all(at(second, "a", "1").as_bytes()).expect("taken");
        assert_eq!(live.line(), at(second, "a", "1").trim_end());
    }
    live.stop();
}

#[test]
fn clause_33_sources_are_told_apart_by_their_names_and_their_order() {
    let folder = folder();
    let source =
        |name: &str| format!("[[source]]\nname = '{name}'\ntype = 'csv'\npath = '{name}.csv'\n{COLUMNS}\n");
    let sink = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    let write = |names: &[&str]| {
        let sources: String = names.iter().map(|name| source(name)).collect();
        std::fs::write(folder.path().join("p.toml"), sources + sink).expect("written");
    };
    for (name, second) in [("a", 1), ("b", 2), ("c", 3)] {
        std::fs::write(folder.path().join(format!("{name}.csv")), at(second, name, "1")).expect("written");
    }
    let go = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        (output.status.code(), text(&output.stderr))
    };
    write(&["a", "b", "c"]);
    // One that cannot be begun leaves nothing that stands in the way of the next.
    assert_eq!(
        go(&["run", "p.toml", "--record", "day.rec", "--set", "source.1.path=nowhere.csv"]).0,
        Some(69)
    );
    assert_eq!(go(&["run", "p.toml", "--record", "day.rec"]).0, Some(0));
    let out = read(folder.path(), "out.csv");
    // Each is played its own, wherever it stands.
    write(&["c", "a", "b"]);
    assert_eq!(go(&["replay", "p.toml", "--from", "day.rec"]).0, Some(0));
    assert_eq!(read(folder.path(), "out.csv"), out);
    write(&["a", "c"]);
    let (code, said) = go(&["replay", "p.toml", "--from", "day.rec"]);
    assert!(code == Some(78) && said.contains("b.rec") && said.contains("does not have"), "{said}");
    // What has been read until then was read in another order.
    write(&["a", "b", "c"]);
    assert_eq!(go(&["run", "p.toml", "--state", "state"]).0, Some(0));
    write(&["b", "a", "c"]);
    let (code, said) = go(&["run", "p.toml", "--state", "state"]);
    assert!(code == Some(78) && said.contains("source a (csv) has another place in the order"), "{said}");
}
