//! The command line where a transcript cannot tell: closed pipes, signals, files.

#[path = "common/command.rs"]
mod command;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use command::{folder, run, text, tidemill};

const PIPELINE: &str = "[source]\ntype = 'synthetic'\nrecords = ${RECORDS}\n[[stage]]\ntype = 'threshold'\nmin = 0.0\n\
                        [[sink]]\ntype = 'csv'\npath = 'out.csv'\n";

#[test]
fn a_closed_pipe_is_quiet() {
    let folder = folder();
    let mut child = tidemill(folder.path())
        .args(["generate", "--records", "1000000", "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    reader.read_line(&mut line).expect("a header");
    drop(reader);
    let output = child.wait_with_output().expect("an end");
    assert_eq!((line.as_str(), text(&output.stderr).as_str()), ("timestamp,sensor,value\n", ""));
    assert_eq!(output.status.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_no_file() {
    let folder = folder();
    let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
    let mut child = tidemill(folder.path())
        .args(["generate", "--records", "10000000000", "-o", "out.csv", "--quiet"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    // The sink has its temporary file open: the run is on its way.
    while files() == 0 {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended early");
        std::thread::yield_now();
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.expect("`kill` runs").success());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("stopped before the end of the input"), "{}", text(&output.stderr));
    assert_eq!(files(), 0);
}

#[test]
fn the_report_has_the_ledger_and_all_parameters() {
    let folder = folder();
    let pipeline = PIPELINE.replace("${RECORDS}", "100");
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let output = run(folder.path(), &["run", "p.toml", "--report", "run.json", "--quiet"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    let report = std::fs::read(folder.path().join("run.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["report"]["source"]["input"], 100);
    assert_eq!(report["pipeline"]["source"]["type"], "synthetic");
    assert_eq!(report["pipeline"]["source"]["seed"], 1);
    assert_eq!(report["pipeline"]["stage"][0]["min"], 0.0);
    assert_eq!(report["pipeline"]["sink"][0]["path"], "out.csv");
    assert_eq!(report["tidemill"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_profile_is_a_picture_of_the_run() {
    let folder = folder();
    std::fs::write(folder.path().join("p.toml"), PIPELINE.replace("${RECORDS}", "300000")).expect("written");
    let output = run(folder.path(), &["run", "p.toml", "--profile", "out.svg", "--quiet"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let picture = std::fs::read_to_string(folder.path().join("out.svg")).expect("a picture");
    assert!(picture.contains("tidemill run p.toml") && picture.trim_end().ends_with("</svg>"));
    assert!(picture.contains("(executor/"), "functions are named with their files");
    // Nothing else may want standard output.
    let pipeline = "[source]\ntype = 'synthetic'\n[[sink]]\ntype = 'csv'\npath = '-'\n";
    std::fs::write(folder.path().join("out.toml"), pipeline).expect("written");
    let output = run(folder.path(), &["run", "out.toml", "--profile", "-"]);
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
}

#[test]
fn a_roofline_needs_files() {
    let folder = folder();
    std::fs::write(folder.path().join("p.toml"), PIPELINE.replace("${RECORDS}", "10")).expect("written");
    let output = run(folder.path(), &["roofline", "p.toml"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("there is no non-empty file"), "{}", text(&output.stderr));
}

#[test]
fn a_pipeline_comes_from_standard_input_and_its_variables_from_the_environment() {
    let folder = folder();
    std::fs::write(folder.path().join("p.toml"), PIPELINE.replace("${RECORDS}", "'${RECORDS}'"))
        .expect("written");
    let mut command = tidemill(folder.path());
    command.args(["run", "-", "--progress", "always"]).env("RECORDS", "50");
    let file = std::fs::File::open(folder.path().join("p.toml")).expect("a file");
    let output = command.stdin(file).output().expect("the command runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("run: 100 %"), "{}", text(&output.stderr));
    let written = std::fs::read_to_string(folder.path().join("out.csv")).expect("a file");
    assert!(written.lines().count() > 1);
}

#[test]
fn clause_6_data_come_from_standard_input_plain_or_packed() {
    let folder = folder();
    let pipeline = "[source]\ntype = 'csv'\npath = '-'\n[[sink]]\ntype = 'csv'\npath = '-'\n";
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let plain = b"v,note\n1.50,\"two\nlines\"\n2,x".to_vec();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).expect("packed");
    let gzip = encoder.finish().expect("packed");
    let zstd = zstd::encode_all(&plain[..], 1).expect("packed");
    // Some tools begin with a frame that is to be skipped, and tapes end with zeros.
    let skipped = [b"\x5e\x2a\x4d\x18\x03\0\0\0abc", &zstd[..]].concat();
    let padded = [&gzip[..], &[0; 600]].concat();
    let xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0))
        .and_then(|mut writer| writer.write_all(&plain).and_then(|()| writer.finish()))
        .expect("packed");
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(&plain).expect("packed");
    let bzip2 = encoder.finish().expect("packed");
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(&plain).expect("packed");
    let lz4 = encoder.finish().expect("packed");
    let twice = [&xz[..], &[0; 8]].concat();
    for data in [plain, gzip, zstd, skipped, padded, xz, bzip2, lz4, twice] {
        let mut child = tidemill(folder.path())
            .args(["run", "p.toml", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        child.stdin.take().expect("piped").write_all(&data).expect("taken");
        let output = child.wait_with_output().expect("an end");
        assert_eq!(text(&output.stdout), "sensor,v,note\nstdin,1.5,\"two\nlines\"\nstdin,2,x\n");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn the_completions_of_every_shell_are_written() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(folder.path(), &["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("validate"), "{shell}");
    }
}

#[test]
fn the_schema_of_a_pipeline_is_json() {
    let folder = folder();
    let output = run(folder.path(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(schema["required"], serde_json::json!(["source", "sink"]));
    let markdown = text(&run(folder.path(), &["schema", "--markdown"]).stdout);
    assert!(markdown.contains("# Sources") && markdown.contains("## `moving_average`"));
}

#[test]
fn init_reads_numbers_in_groups_and_units_and_its_pipeline_runs_unedited() {
    let folder = folder();
    let text_of_day = "Zeit;Leistung;Feuchte\n01.02.2031 10:00;1.234,5 kW;70 %\n01.02.2031 11:00;987,25 kW;71 %\n01.02.2031 12:00;12.001.234 kW;-\n";
    std::fs::write(folder.path().join("day.csv"), text_of_day).expect("written");
    let output = run(folder.path(), &["init", "day.csv"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let pipeline = text(&output.stdout);
    let sink = "\n[[sink]]\ntype = \"csv\"\npath = \"out.csv\"\n";
    std::fs::write(folder.path().join("p.toml"), pipeline + sink).expect("written");
    let output = run(folder.path(), &["run", "p.toml", "--quiet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = std::fs::read_to_string(folder.path().join("out.csv")).expect("text");
    let values: Vec<Vec<&str>> = out
        .lines()
        .skip(1)
        .map(|line| line.split(',').skip(1).filter(|field| *field != "day").take(2).collect())
        .collect();
    assert_eq!(values, [vec!["1234.5", "70"], vec!["987.25", "71"], vec!["12001234", ""]], "{out}");
}

#[test]
fn the_console_shows_the_decimals_that_it_is_told_and_digits_without_commas() {
    let folder = folder();
    std::fs::write(folder.path().join("in.csv"), "v\n1234567.891\n0.5\n-2\n").expect("written");
    let shown = |options: &str| {
        let pipeline =
            format!("[source]\ntype = 'csv'\npath = 'in.csv'\n[[sink]]\ntype = 'console'\n{options}\n");
        std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
        let output = run(folder.path(), &["run", "p.toml"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        let cells = |line: &str| line.split_whitespace().last().unwrap_or_default().to_owned();
        lines.lines().skip(2).map(cells).collect::<Vec<_>>()
    };
    assert_eq!(shown(""), ["1234568", "0.5", "-2"]);
    assert_eq!(shown("decimals = 2"), ["1234567.89", "0.50", "-2.00"]);
    assert_eq!(shown("decimals = 0\nlimit = 1"), ["1234568", "more"]);
}
