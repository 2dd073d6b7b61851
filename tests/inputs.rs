//! What a run takes for input, what it must not write over, and how files name sensors.

#[path = "common/command.rs"]
mod command;
#[path = "common/packers.rs"]
#[expect(dead_code, reason = "other tests pack in other ways too")]
mod packers;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use command::{folder, run, text, tidemill};

const INPUT: &str = "t,v\n2026-01-01T00:00:00Z,1\n2026-01-01T00:00:01Z,2\n";

/// A pipeline with these options of `[source]`, and this sink.
fn write(folder: &Path, source: &str, rest: &str) {
    let toml = format!("[source]\ntype = 'csv'\ntime = 't'\n{source}\n{rest}");
    std::fs::write(folder.join("p.toml"), toml).expect("written");
}

fn put(folder: &Path, name: impl AsRef<Path>, content: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, content).expect("written");
}

/// What is said by a run that succeeds.
fn ran(folder: &Path) -> String {
    let output = run(folder, &["run", "p.toml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

/// What is said by a command that is refused before it begins.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(78), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_glob_takes_no_hidden_file_and_no_output_of_the_run() {
    for source in ["path = '*.csv*'", "path = '.'", "path = '**/*'\nsensor_from = 'stem'"] {
        let folder = folder();
        let place = folder.path();
        put(place, "in.csv", INPUT);
        // What killed runs, earlier runs and changed ones have left, and what is somebody else's.
        for left in [".out.csv.part-7-0", "out.csv", "out.csv.until-2", ".other.csv", ".git/x.csv"] {
            put(place, left, INPUT);
        }
        std::os::unix::fs::symlink("out.csv", place.join("link.csv")).expect("linked");
        write(place, source, "[[sink]]\ntype = 'csv'\npath = './out.csv'\n");
        if source.contains("**") {
            // Everything there is may fit.
            std::fs::rename(place.join("p.toml"), place.join(".p.toml")).expect("renamed");
            let output = run(place, &["run", ".p.toml"]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            std::fs::rename(place.join(".p.toml"), place.join("p.toml")).expect("renamed");
        }
        let said = if source.contains("**") { String::new() } else { ran(place) };
        let out = std::fs::read_to_string(place.join("out.csv")).expect("an output");
        assert_eq!(out, "t,sensor,v\n2026-01-01T00:00:00Z,in,1\n2026-01-01T00:00:01Z,in,2\n", "{source}");
        assert!(said.is_empty() || said.contains("because this run writes it: "), "{said}");
    }
}

#[test]
fn standard_output_in_a_file_that_fits_is_no_input() {
    let folder = folder();
    put(folder.path(), "in.csv", INPUT);
    write(folder.path(), "path = '*.csv'", "[[sink]]\ntype = 'csv'\npath = '-'\n");
    for _ in 0..2 {
        let all = File::create(folder.path().join("all.csv")).expect("made");
        let status = tidemill(folder.path()).args(["run", "p.toml", "--quiet"]).stdout(all).status();
        assert!(status.expect("the command runs").success());
        let all = std::fs::read_to_string(folder.path().join("all.csv")).expect("an output");
        assert_eq!(all, "t,sensor,v\n2026-01-01T00:00:00Z,in,1\n2026-01-01T00:00:01Z,in,2\n");
    }
}

/// All files, with what is in them.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).expect("read"))).collect()
}

#[test]
fn nothing_is_written_over_what_is_read_or_written() {
    let folder = folder();
    let place = folder.path();
    put(place, "in.csv", INPUT);
    std::fs::hard_link(place.join("in.csv"), place.join("twin.csv")).expect("linked");
    std::os::unix::fs::symlink("in.csv", place.join("link.csv")).expect("linked");
    let fitted = |save: &str| {
        format!(
            "[[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nfit = true\nsave = '{save}'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'"
        )
    };
    let plain = "[[sink]]\ntype = 'csv'\npath = 'out.csv'";
    let sink = |path: &str| format!("{plain}\n[[sink]]\ntype = 'jsonl'\npath = '{path}'");
    let cases: &[(String, &[&str])] = &[
        (fitted("in.csv"), &["run"]),
        (fitted("./out.csv"), &["run"]),
        (fitted("p.toml"), &["run"]),
        (sink("in.csv"), &["run"]),
        (sink("twin.csv"), &["run"]),
        (sink("link.csv"), &["run"]),
        (sink("p.toml"), &["run"]),
        (sink("./out.csv"), &["run"]),
        (sink("state/lock"), &["run", "--state", "state"]),
        (plain.into(), &["run", "--report", "in.csv"]),
        (plain.into(), &["run", "--report", "p.toml"]),
        (plain.into(), &["run", "--report", "out.csv"]),
        (plain.into(), &["run", "--report", "r.json", "--record", "r.json"]),
        (plain.into(), &["run", "--profile", "link.csv"]),
        (plain.into(), &["run", "--record", "out.csv"]),
        (fitted("c.json"), &["fit", "-o", "in.csv"]),
        (fitted("c.json"), &["fit", "-o", "p.toml"]),
        (fitted("c.json"), &["fit", "-o", "out.csv"]),
        (plain.into(), &["record", "-o", "out.csv"]),
    ];
    for (rest, arguments) in cases {
        write(place, "path = 'in.csv'", rest);
        let before = contents(place);
        let arguments: Vec<_> = [&arguments[..1], &["p.toml"], &arguments[1..]].concat();
        let said = refused(place, &arguments);
        assert!(said.contains(" is both "), "{arguments:?} {rest}: {said}");
        assert!(contents(place) == before, "{arguments:?} {rest}");
    }
    write(place, "path = 'in.csv'", &fitted("c.json"));
    assert!(run(place, &["fit", "p.toml", "-o", "constants.json"]).status.success());
    let loaded = "[[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nload = 'constants.json'\n[[sink]]\ntype = 'csv'\npath = 'constants.json'";
    write(place, "path = 'in.csv'", loaded);
    assert!(refused(place, &["validate", "p.toml"]).contains("the constants to load of stage 0 (normalize)"));
    let before = contents(place);
    assert!(refused(place, &["init", "in.csv", "--force", "-o", "in.csv"]).contains("the data"));
    assert!(contents(place) == before);
}

/// The sensors that come out, in the order of their first records.
fn sensors(folder: &Path) -> Vec<String> {
    let said = ran(folder);
    let mut names: Vec<String> = Vec::new();
    for line in said.lines().filter(|line| line.starts_with("2026")) {
        let name = line.split(',').nth(1).expect("a sensor").to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[test]
fn files_of_one_name_in_several_folders_are_several_sensors() {
    let (folder, sink) = (folder(), "[[sink]]\ntype = 'csv'\npath = '-'\n");
    let place = folder.path();
    for name in ["data/valve1/0.csv", "data/valve2/0.csv", "data/plant=p4/part-0.csv", "data/x.csv"] {
        put(place, name, INPUT);
    }
    let named = |source: &str| {
        write(place, source, sink);
        sensors(place)
    };
    assert_eq!(named("path = 'data/valve*/*.csv'"), ["valve1/0", "valve2/0"]);
    assert_eq!(named("path = 'data/*.csv'"), ["x"]);
    assert_eq!(named("path = 'data/**/*.csv'"), ["plant=p4/part-0", "valve1/0", "valve2/0", "x"]);
    assert_eq!(named("path = 'data/valve1/0.csv'"), ["0"]);
    let both = "path = ['data/valve1/0.csv', 'data/valve2/0.csv']";
    write(place, both, sink);
    let error = refused(place, &["run", "p.toml"]);
    assert!(error.contains("both have the sensor `0`") && error.contains("sensor_from"), "{error}");
    assert_eq!(named(&format!("{both}\nsensor_from = 'stem'")), ["0"]);
    assert_eq!(named(&format!("{both}\nsensor_from = 'path'")), ["data/valve1/0", "data/valve2/0"]);
    assert_eq!(named(&format!("{both}\nsensor_from = '{{sensor}}/*'")), ["valve1", "valve2"]);
    assert_eq!(named("path = 'data/p*/*.csv'\nsensor_from = 'plant={sensor}'"), ["p4"]);
    let error = |source: &str| {
        write(place, source, sink);
        refused(place, &["run", "p.toml"])
    };
    assert!(error("path = 'data/*/*.csv'\nsensor_from = 'plant={sensor}'").contains("does not match"));
    assert!(error("path = 'data/x.csv'\nsensor_from = 'nothing'").contains("does not say where"));
    let error = error("path = 'data/x.csv'\nsensor_from = 'stem'\nsensor_name = 'a'");
    assert!(error.contains("has no effect"), "{error}");
}

#[test]
fn a_name_that_is_not_utf_8_is_no_reason_to_leave_a_file_out() {
    let folder = folder();
    put(folder.path(), OsStr::from_bytes(b"b\xfcro.csv"), INPUT);
    put(folder.path(), "a.csv", INPUT);
    write(folder.path(), "path = '*.csv'", "[[sink]]\ntype = 'csv'\npath = '-'\n");
    assert_eq!(sensors(folder.path()), ["a", "b\\xfcro"]);
}

/// An archive with two files of data, as `zip` packs them, and with one that hides.
fn archive(more: &str) -> Vec<u8> {
    let a = format!("v,t\n3,2026-01-01T00:00:02Z\n{more}");
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    let hidden = ".hidden.csv";
    for (name, text) in [("west/b.csv", INPUT), ("a.csv", &*a), (hidden, "junk")] {
        let method = rawzip::CompressionMethod::DEFLATE;
        let (mut entry, _) = archive.new_file(name).compression_method(method).start().expect("begun");
        let mut encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish().map(|_| ())).expect("packed");
        let descriptor = rawzip::DataDescriptorOutput::new(rawzip::crc32(text.as_bytes()), text.len() as u64);
        entry.finish(descriptor).expect("ended");
    }
    archive.finish().expect("written")
}

#[test]
fn init_and_run_read_the_files_of_an_archive() {
    let folder = folder();
    let place = folder.path();
    std::fs::write(place.join("in.zip"), archive("")).expect("written");
    let output = run(place, &["init", "in.zip", "-o", "init.toml"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("does not fit"), "{said}");
    let written = std::fs::read_to_string(place.join("init.toml")).expect("a pipeline");
    assert!(written.contains("path = \"in.zip\"") && written.contains("time = \"t\""), "{written}");
    std::fs::write(place.join("in.zip"), archive("x,y\n")).expect("written");
    let sinks = "max_rejects = 1\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'";
    write(place, "path = 'in.zip'", sinks);
    for threads in ["1", "3"] {
        let output = run(place, &["run", "p.toml", "--threads", threads]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let out = std::fs::read_to_string(place.join("out.csv")).expect("an output");
        assert_eq!(
            out,
            "v,t,sensor\n3,2026-01-01T00:00:02Z,a\n1,2026-01-01T00:00:00Z,west/b\n2,2026-01-01T00:00:01Z,west/b\n"
        );
        let dead = std::fs::read_to_string(place.join("dead.jsonl")).expect("a dead letter");
        assert!(dead.contains("\"file\":\"in.zip/a.csv\",\"line\":3"), "{dead}");
    }
    let said = text(&run(place, &["explain", "p.toml"]).stdout);
    assert!(said.contains("reads: in.zip\n"), "{said}");
    write(place, "path = 'in.zip/*.csv'", "[[sink]]\ntype = 'csv'\npath = 'in.zip'");
    assert!(refused(place, &["run", "p.toml"]).contains(" is both "));
}

#[test]
fn an_archive_that_comes_through_a_pipe_or_is_to_grow_is_refused_by_name() {
    let folder = folder();
    let place = folder.path();
    std::fs::write(place.join("in.zip"), archive("")).expect("written");
    write(place, "path = '-'", "[[sink]]\ntype = 'csv'\npath = 'out.csv'");
    let piped = |bytes: &[u8], arguments: &[&str]| {
        let mut command = tidemill(place);
        command.args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the command runs");
        // Who refuses the input need not read it all.
        let _its_choice = child.stdin.take().expect("piped").write_all(bytes);
        child.wait_with_output().expect("an end")
    };
    for arguments in [&["run", "p.toml"][..], &["init", "-"]] {
        let output = piped(&archive(""), arguments);
        assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("it is a zip archive"), "{}", text(&output.stderr));
    }
    // A few bytes of something packed are no text.
    let output = piped(b"BZh9", &["run", "p.toml"]);
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("is cut short"), "{}", text(&output.stderr));
    write(place, "path = 'in.zip'\nfollow = true", "[[sink]]\ntype = 'csv'\npath = 'out.csv'");
    assert!(refused(place, &["run", "p.toml"]).contains("`in.zip` is compressed"));
}

#[test]
fn init_looks_into_what_is_packed() {
    let folder = folder();
    let place = folder.path();
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(INPUT.as_bytes()).expect("packed");
    let packed = encoder.finish().expect("packed");
    std::fs::write(place.join("in.csv.bz2"), &packed).expect("written");
    for input in ["in.csv.bz2", "."] {
        let output = run(place, &["init", input]);
        assert!(text(&output.stdout).contains("time = \"t\""), "{}", text(&output.stderr));
    }
    let mut command = tidemill(place);
    command.args(["init", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the command runs");
    child.stdin.take().expect("piped").write_all(&packed).expect("taken");
    assert!(text(&child.wait_with_output().expect("an end").stdout).contains("time = \"t\""));
}

#[test]
fn a_replay_writes_nothing_over_what_was_recorded() {
    let folder = folder();
    put(folder.path(), "in.csv", INPUT);
    write(folder.path(), "path = 'in.csv'", "[[sink]]\ntype = 'csv'\npath = 'out.csv'");
    let recorded = run(folder.path(), &["record", "p.toml", "-o", "day.rec"]);
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let before = contents(folder.path());
    let replay = ["replay", "p.toml", "--from", "day.rec", "--set", "sink.0.path=in.csv"];
    let said = refused(folder.path(), &replay);
    assert!(said.contains("`in.csv` is both the pipeline's own input"), "{said}");
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn a_pipe_is_written_by_one_and_not_read_as_well() {
    let folder = folder();
    let place = folder.path();
    put(place, "in.csv", INPUT);
    assert!(std::process::Command::new("mkfifo").arg(place.join("pp")).status().expect("it runs").success());
    let plain = "[[sink]]\ntype = 'csv'\npath = 'out.csv'";
    let to = |path: &str| format!("[[sink]]\ntype = 'csv'\npath = '{path}'");
    let twice = format!("{}\n[[sink]]\ntype = 'jsonl'\npath = './pp'", to("pp"));
    let options = "header = false\nnames = ['t', 'v']\nmeasurements = ['v']";
    for (source, sinks, arguments) in [
        ("path = 'in.csv'".to_owned(), twice, &[][..]),
        (format!("path = 'pp'\n{options}"), to("pp"), &[]),
        ("path = 'in.csv'".to_owned(), to("-"), &["--report", "/dev/stdout"]),
    ] {
        write(place, &source, &sinks);
        let said = refused(place, &[&["run", "p.toml"], arguments].concat());
        assert!(said.contains(" is both "), "{arguments:?} {sinks}: {said}");
    }
    // What keeps nothing apart may be given as often as one likes.
    write(place, "path = 'in.csv'", &format!("{}\n{}", to("/dev/null"), to("/dev/null")));
    ran(place);
    write(place, "path = 'in.csv'", plain);
    for arguments in [&["run", "p.toml", "--record", "-"], &["record", "p.toml", "-o", "-"]] {
        let output = run(place, arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output.stderr));
        assert!(!place.join("-").exists());
    }
}

#[test]
fn a_header_that_looks_like_a_record_is_said() {
    let folder = folder();
    let place = folder.path();
    let sink = "[[sink]]\ntype = 'csv'\npath = 'out.csv'";
    let pipeline = |source: &str| format!("[source]\ntype = 'csv'\n{source}\n{sink}\n");
    put(place, "bare.csv", "2024-01-01T00:00:00Z,a,1\n2024-01-01T00:00:01Z,a,2\n");
    put(place, "p.toml", &pipeline("path = 'bare.csv'"));
    let said = ran(place);
    assert!(said.contains("the first line of bare.csv looks like a record"), "{said}");
    // A later file, whose columns may be others.
    put(place, "a.csv", "s,v\na,1\n");
    put(place, "b.csv", "b,2\nb,3\n");
    for others in ["null", "ignore"] {
        put(place, "p.toml", &pipeline(&format!("path = ['a.csv', 'b.csv']\nunknown_columns = '{others}'")));
        let said = ran(place);
        assert!(said.contains("the first line of b.csv looks like a record"), "{said}");
        assert!(!said.contains("of a.csv looks"), "{said}");
    }
    // Names may be numbers.
    put(place, "bands.csv", "t,63,125\n2024-01-01T00:00:00Z,1,2\n");
    put(place, "p.toml", &pipeline("path = 'bands.csv'"));
    assert!(!ran(place).contains("looks like a record"));
}

#[test]
fn a_run_that_refuses_late_records_says_which_option_allows_them() {
    let folder = folder();
    let place = folder.path();
    let rows: String =
        (0..100).rev().map(|at| format!("2026-01-01T00:{:02}:{:02}Z,1\n", at / 60, at % 60)).collect();
    put(place, "in.csv", &format!("t,v\n{rows}"));
    write(
        place,
        "path = 'in.csv'\norder = 'time'\ndisorder = '1s'",
        "[[sink]]\ntype = 'csv'\npath = 'out.csv'",
    );
    let said = text(&run(place, &["run", "p.toml"]).stderr);
    assert!(said.contains("allow more `disorder`, or raise `max_rejects`"), "{said}");
}

#[test]
fn a_link_that_leads_to_nothing_yet_is_written_through() {
    let folder = folder();
    let place = folder.path();
    put(place, "in.csv", INPUT);
    std::fs::create_dir(place.join("deep")).expect("made");
    std::os::unix::fs::symlink("deep/new.csv", place.join("out.csv")).expect("linked");
    let sink = |path: &str| format!("[[sink]]\ntype = 'csv'\npath = '{path}'\n");
    write(place, "path = 'in.csv'", &(sink("out.csv") + &sink("deep/new.csv")));
    let said = refused(place, &["run", "p.toml"]);
    assert!(said.contains("sink 0") && said.contains("sink 1"), "{said}");
    write(place, "path = 'in.csv'", &sink("out.csv"));
    ran(place);
    assert!(place.join("out.csv").is_symlink());
    let written = std::fs::read_to_string(place.join("deep/new.csv")).expect("an output");
    assert_eq!(written.lines().count(), 3);
}

#[test]
fn an_empty_file_says_nothing_of_columns_wherever_it_comes() {
    let folder = folder();
    let place = folder.path();
    for name in ["a", "b", "e"] {
        put(place, format!("{name}.jsonl"), if name == "e" { "" } else { "{\"v\":1}\n" });
    }
    let read = |names: &[&str]| {
        let paths: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        let source = format!("[source]\ntype = 'jsonl'\npath = [{}]", paths.join(", "));
        put(place, "p.toml", &format!("{source}\n[[sink]]\ntype = 'csv'\npath = '-'\n"));
        let output = run(place, &["run", "p.toml", "--quiet"]);
        text(&output.stdout) + &text(&output.stderr)
    };
    for names in [["a", "b", "e"], ["a", "e", "b"], ["e", "a", "b"]] {
        assert_eq!(
            read(&names.map(|name| format!("{name}.jsonl")).each_ref().map(|name| &**name)),
            "sensor,v\na,1\nb,1\n"
        );
    }
    put(place, "in.jsonl", "no object\n");
    let said = read(&["in.jsonl"]);
    assert!(said.contains("no JSON objects") && said.contains("(see `layout`)"), "{said}");
}

#[test]
fn of_a_record_that_is_too_long_as_much_is_kept_at_rest_as_of_one_that_comes() {
    let folder = folder();
    let place = folder.path();
    let long = "x".repeat(3 << 20);
    put(place, "in.csv", &format!("t,v\n2026-01-01T00:00:00Z,1\n{long}\n2026-01-01T00:00:01Z,2\n"));
    let sinks = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'dead_letter'\npath = 'dead'\n";
    for path in ["in.csv", "-"] {
        write(place, &format!("path = '{path}'\nmax_rejects = 1"), sinks);
        let mut command = tidemill(place);
        command.args(["run", "p.toml"]).stdin(File::open(place.join("in.csv")).expect("there"));
        assert!(command.output().expect("the command runs").status.success());
        let dead = std::fs::read_to_string(place.join("dead")).expect("a dead letter");
        let letter: serde_json::Value = serde_json::from_str(&dead).expect("JSON");
        assert_eq!(letter["reason"], "a record is longer than 1 MiB");
        assert_eq!(letter["raw"].as_str().map(str::len), Some(1 << 10));
    }
}

#[test]
fn what_comes_before_a_damaged_file_of_an_archive_reaches_a_stream_and_no_file() {
    let folder = folder();
    let place = folder.path();
    let damaged: Vec<u8> =
        (0..20_000).flat_map(|at: u32| format!("2026-01-01T00:00:00Z,{at}\n").into_bytes()).collect();
    let mut archive =
        packers::zip(&[("a.csv", INPUT.as_bytes()), ("b.csv", &[b"t,v\n", &damaged[..]].concat())]);
    let middle = archive.len() / 2;
    archive[middle] ^= 0x10;
    std::fs::write(place.join("in.zip"), archive).expect("written");
    write(
        place,
        "path = 'in.zip'",
        "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'csv'\npath = '-'\n",
    );
    let output = run(place, &["run", "p.toml", "--threads", "1"]);
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("in.zip/b.csv"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("2026-01-01T00:00:01Z,a,2"), "{}", text(&output.stdout));
    assert!(!place.join("out.csv").exists(), "no file gets its name");
}
