//! Recordings: whatever is missing is said, and a run that is killed goes on with its own.

use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::path::Path;

use super::command::{folder, run, text};
use super::ongoing::{COLUMNS, Run, at, connect, dead, patiently, port, write};

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("a file")
}

#[test]
fn a_kill_loses_nothing_of_a_recording_that_has_come_out() {
    let (folder, port) = (folder(), port());
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{COLUMNS}"));
    let mut live = Run::start(folder.path(), &["--record", "day.rec"]);
    let mut client = connect(port);
    let mut lines = vec![live.line()];
    for second in 0..3 {
        client.write_all(at(second, "a", "1").as_bytes()).expect("taken");
        lines.push(live.line());
    }
    live.child.kill().expect("killed");
    live.child.wait().expect("an end");
    let again = run(folder.path(), &["replay", "p.toml", "--from", "day.rec"]);
    assert_eq!(text(&again.stdout).lines().collect::<Vec<_>>(), lines);
    let said = text(&again.stderr);
    assert_eq!(again.status.code(), Some(65), "{said}");
    assert!(said.contains("is truncated: the mark of completeness is missing"), "{said}");
}

#[test]
fn a_damaged_piece_is_left_out_and_said_and_the_rest_is_played() {
    let (folder, port) = (folder(), port());
    write(folder.path(), &format!("path = 'tcp-listen://127.0.0.1:{port}'\n{COLUMNS}"));
    let mut live = Run::start(folder.path(), &["--record", "day.rec"]);
    let mut client = connect(port);
    live.line();
    for second in 0..3 {
        client.write_all(at(second, ["a", "b", "c"][second as usize], "1").as_bytes()).expect("taken");
        live.line();
    }
    live.stop();
    let mut bytes = std::fs::read(folder.path().join("day.rec")).expect("a recording");
    let place = bytes.windows(3).position(|text| text == b",b,").expect("recorded");
    bytes[place + 1] ^= 1;
    std::fs::write(folder.path().join("day.rec"), bytes).expect("written");
    let replay = ["replay", "p.toml", "--from", "day.rec", "--set", "sink.0.path=out.csv"];
    let again = run(folder.path(), &replay);
    let said = text(&again.stderr);
    assert_eq!(again.status.code(), Some(65), "{said}");
    assert!(said.contains("is damaged") && said.contains("in 1 piece,"), "{said}");
    let sensors: Vec<_> =
        read(folder.path(), "out.csv").lines().skip(1).map(|line| line[21..22].to_owned()).collect();
    assert_eq!(sensors, ["a", "c"]);
    let verified = run(folder.path(), &["verify", "p.toml", "--set", "source.path=day.rec", "--rounds", "1"]);
    assert_eq!(verified.status.code(), Some(65), "{}", text(&verified.stderr));
}

#[test]
fn a_run_that_is_killed_goes_on_with_its_recording() {
    let folder = folder();
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\nfollow = true\n{COLUMNS}\n[[stage]]\ntype = 'moving_average'\nwindow = 3\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'csv'\npath = '-'\n"
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let append = |from: u32, to: u32| {
        let mut file = OpenOptions::new().create(true).append(true).open(folder.path().join("in.csv"));
        let lines: String = (from..to).map(|second| at(second, "a", &second.to_string())).collect();
        file.as_mut().expect("opened").write_all(lines.as_bytes()).expect("written");
    };
    let arguments = ["--state", "state", "--checkpoint-every", "1ms", "--record", "day.rec"];
    for kill in 0..4 {
        append(kill * 10, kill * 10 + 10);
        let mut live = Run::start(folder.path(), &arguments);
        let last = at(kill * 10 + 9, "a", "").trim_end_matches(",\n").to_owned();
        patiently("reading", || {
            let mut line = String::new();
            assert!(live.output.read_line(&mut line).expect("readable") > 0, "the run has ended");
            line.starts_with(last.trim_end()).then_some(())
        });
        live.child.kill().expect("killed");
        live.child.wait().expect("an end");
    }
    append(40, 50);
    let mut live = Run::start(folder.path(), &arguments);
    patiently("reading", || live.line().starts_with("2026-01-01T00:00:49Z").then_some(()));
    live.stop();
    let finish = [&["run", "p.toml", "--finish"][..], &arguments].concat();
    let ended = run(folder.path(), &finish);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let replay = ["replay", "p.toml", "--from", "day.rec", "--set", "sink.0.path=again.csv"];
    let again = run(folder.path(), &replay);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(read(folder.path(), "out.csv").lines().count(), 51);
    assert_eq!(read(folder.path(), "again.csv"), read(folder.path(), "out.csv"));
    // Without its checkpoints, nothing tells whose it is.
    std::fs::remove_dir_all(folder.path().join("state")).expect("removed");
    let refused = run(folder.path(), &finish[..2].iter().chain(&arguments).copied().collect::<Vec<_>>());
    assert!(text(&refused.stderr).contains("day.rec exists already"), "{}", text(&refused.stderr));
}

#[test]
fn a_run_that_is_killed_at_its_very_end_completes_its_recording() {
    let folder = folder();
    let rows: String = (0..100).map(|n| at(n, "a", &(n % 7).to_string())).collect();
    std::fs::write(folder.path().join("in.csv"), rows).expect("written");
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\n{COLUMNS}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let once = || run(folder.path(), &["run", "p.toml", "--state", "state", "--record", "day.rec"]);
    assert!(once().status.success());
    // It had not written its last piece, or not all of it.
    let bytes = std::fs::read(folder.path().join("day.rec")).expect("a recording");
    std::fs::write(folder.path().join("day.rec"), &bytes[..bytes.len() - 1]).expect("written");
    let replay =
        || run(folder.path(), &["replay", "p.toml", "--from", "day.rec", "--set", "sink.0.path=again.csv"]);
    assert_eq!(replay().status.code(), Some(65));
    let again = once();
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(std::fs::read(folder.path().join("day.rec")).expect("a recording"), bytes);
    let played = replay();
    assert!(played.status.success(), "{}", text(&played.stderr));
    assert_eq!(read(folder.path(), "again.csv"), read(folder.path(), "out.csv"));
}

#[test]
fn a_recording_of_a_pipeline_that_learns_can_be_played() {
    let folder = folder();
    let rows: String = (0..100).map(|n| at(n, "a", &(n % 7).to_string())).collect();
    std::fs::write(folder.path().join("in.csv"), rows).expect("written");
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\n{COLUMNS}\n[[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nfit = true\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let recorded = run(folder.path(), &["run", "p.toml", "--record", "day.rec"]);
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let out = read(folder.path(), "out.csv");
    std::fs::remove_file(folder.path().join("in.csv")).expect("removed");
    for speed in ["max", "1000"] {
        let again = run(folder.path(), &["replay", "p.toml", "--from", "day.rec", "--speed", speed]);
        assert!(again.status.success(), "{}", text(&again.stderr));
        assert!(text(&again.stderr).contains("in 2 passes"), "{}", text(&again.stderr));
        assert_eq!(read(folder.path(), "out.csv"), out, "{speed}");
        std::fs::remove_file(folder.path().join("out.csv")).expect("removed");
    }
    std::fs::write(folder.path().join("out.csv"), &out).expect("written");
    // Constants of a part of it would be wrong and look right.
    let bytes = std::fs::read(folder.path().join("day.rec")).expect("a recording");
    std::fs::write(folder.path().join("day.rec"), &bytes[..bytes.len() - 1]).expect("written");
    let again = run(folder.path(), &["replay", "p.toml", "--from", "day.rec"]);
    assert_eq!(again.status.code(), Some(65), "{}", text(&again.stderr));
    assert_eq!(read(folder.path(), "out.csv"), out);
}

#[test]
fn what_is_no_text_cannot_be_recorded() {
    let folder = folder();
    std::fs::write(
        folder.path().join("p.toml"),
        "[source]\ntype = 'synthetic'\nrecords = 9\n[[sink]]\ntype = 'null'",
    )
    .expect("written");
    let output = run(folder.path(), &["run", "p.toml", "--record", "day.rec"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("the source (synthetic) cannot be recorded"),
        "{}",
        text(&output.stderr)
    );
    assert!(!folder.path().join("day.rec").exists());
}

#[test]
fn lines_behind_what_was_dropped_keep_their_numbers() {
    let folder = folder();
    write(folder.path(), &format!("path = '-'\n{COLUMNS}\nmax_rejects = 1\nwhen_full = 'drop'"));
    let mut live = Run::start(folder.path(), &["--record", "day.rec", "--report", "report.json"]);
    let mut input = live.child.stdin.take().expect("piped");
    // Nobody reads the output.
    let mut written = 500_000;
    input.write_all(at(0, "a", "1").repeat(written).as_bytes()).expect("taken, whatever becomes of it");
    let mut output = live.output;
    let (seen, reading) = (std::sync::mpsc::channel(), std::thread::Builder::new());
    let sender = seen.0;
    let reading = reading.spawn(move || {
        let (mut all, mut line) = (String::new(), String::new());
        while output.read_line(&mut line).expect("readable") > 0 {
            if line.contains(",last,") {
                let _once = sender.send(());
            }
            all += &line;
            line.clear();
        }
        all
    });
    // Once this one has come out, there is room.
    patiently("waiting for room", || {
        input.write_all(at(1, "last", "1").as_bytes()).expect("taken");
        written += 1;
        seen.1.recv_timeout(std::time::Duration::from_millis(5)).ok()
    });
    input.write_all(b"rubbish\n").expect("taken");
    drop(input);
    assert!(live.child.wait().expect("an end").success());
    let all = reading.expect("a thread").join().expect("no panic");
    let report: serde_json::Value = serde_json::from_str(&read(folder.path(), "report.json")).expect("JSON");
    assert!(report["report"]["source"]["dropped"].as_u64() > Some(0), "{report}");
    let letters = dead(folder.path());
    assert_eq!((letters.len(), &letters[0]["line"]), (1, &(written + 1).into()));
    // What was dropped on the day is not there when it is played.
    let again = run(folder.path(), &["replay", "p.toml", "--from", "day.rec", "--quiet"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(text(&again.stdout) == all);
}

#[test]
fn what_was_held_to_a_limit_is_held_to_it_when_it_is_played() {
    let folder = folder();
    let rows = at(0, "a", "1") + &"bad\n".repeat(7);
    std::fs::write(folder.path().join("in.csv"), rows).expect("written");
    let pipeline = |follow: &str| {
        format!(
            "[source]\ntype = 'csv'\npath = 'in.csv'\n{follow}\n{COLUMNS}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n\
             [[sink]]\ntype = 'csv'\npath = '-'\n"
        )
    };
    std::fs::write(folder.path().join("p.toml"), pipeline("")).expect("written");
    let said = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        (output.status.code(), text(&output.stderr))
    };
    let (code, why) = said(&["run", "p.toml"]);
    assert!(code == Some(65) && why.contains("7 of 8 records were rejected"), "{why}");
    let (code, why) = said(&["run", "p.toml", "--set", "source.max_rejects=7", "--record", "day.rec"]);
    assert_eq!(code, Some(0), "{why}");
    let (code, why) = said(&["replay", "p.toml", "--from", "day.rec"]);
    assert!(code == Some(65) && why.contains("7 of 8 records were rejected"), "{why}");
    // Where anybody may send, nothing was held to one.
    std::fs::write(folder.path().join("p.toml"), pipeline("follow = true")).expect("written");
    let mut live = Run::start(folder.path(), &["--record", "grown.rec"]);
    live.lines(2);
    let is_aside = || {
        let recorded = std::fs::read(folder.path().join("grown.rec")).ok()?;
        recorded.windows(4).filter(|text| text == b"bad\n").count().ge(&7).then_some(())
    };
    patiently("reading", is_aside);
    live.stop();
    let (code, why) = said(&["replay", "p.toml", "--from", "grown.rec"]);
    assert_eq!(code, Some(0), "{why}");
}
