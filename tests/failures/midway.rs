//! What happens to a run midway: its input changes, it is stopped by a signal, nobody reads its output any more.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;

use tidemill::Pipeline;
use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::CsvFile;
use tidemill::source::{Csv, Io};
use tidemill::stage::{Flow, Process, Reach, Stage};
use tidemill_engine::executor::{self, RunOptions};

use super::command::{text, tidemill};
use super::rig::{CSV, bench, check, check_untouched};

/// A pipeline that reads a file of 32 MiB, and a run of it that waits in the middle: it writes to standard output, of which
/// only the first lines have been read.
struct Paused {
    folder: tempfile::TempDir,
    child: Child,
    reader: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
    said: String,
}

impl Paused {
    fn new(io: &str) -> Self {
        let folder = bench(CSV, "[[sink]]\ntype = 'csv'\npath = '-'");
        let row = format!("1,{}\n", "x".repeat(1020));
        std::fs::write(folder.path().join("in.csv"), format!("v,note\n{}", row.repeat(32 << 10)))
            .expect("written");
        let mut child = tidemill(folder.path())
            .args(["run", "p.toml", "--quiet", "--threads", "2", "--io", io])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        assert_eq!(line, "sensor,v,note\n");
        reader.read_line(&mut line).expect("a record");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        Self { folder, child, reader, errors, said: String::new() }
    }

    /// Waits until it has said one more line on standard error.
    fn listen(&mut self) {
        self.errors.read_line(&mut self.said).expect("a line");
    }

    fn input(&self) -> PathBuf {
        self.folder.path().join("in.csv")
    }

    /// Lets the run go on to its end.
    fn go_on(mut self) -> (tempfile::TempDir, Output) {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).expect("the rest");
        assert!(!rest.contains(&0), "zeros of a page that is no more");
        self.end()
    }

    /// Lets the run go on to its end, with nobody to read what it writes.
    fn end(self) -> (tempfile::TempDir, Output) {
        let Self { folder, mut child, reader, mut errors, mut said } = self;
        drop(reader);
        errors.read_to_string(&mut said).expect("the rest");
        let status = child.wait().expect("an end");
        (folder, Output { status, stdout: Vec::new(), stderr: said.into_bytes() })
    }
}

#[test]
fn an_input_that_changes_while_it_is_read() {
    type Change = fn(&Path);
    let shrink: Change = |path| {
        OpenOptions::new().write(true).open(path).expect("open").set_len(16 << 20).expect("cut");
    };
    let empty: Change = |path| {
        OpenOptions::new().write(true).open(path).expect("open").set_len(0).expect("cut");
    };
    let grow: Change = |path| {
        OpenOptions::new().append(true).open(path).expect("open").write_all(b"2,y\n").expect("written");
    };
    let overwrite: Change = |path| {
        OpenOptions::new().write(true).open(path).expect("open").write_all(b"w").expect("written");
    };
    let length = |paused: &Paused| paused.input().metadata().expect("a file").len();
    for io in ["mmap", "read"] {
        for change in [shrink, empty, grow, overwrite] {
            let paused = Paused::new(io);
            let before = length(&paused);
            change(&paused.input());
            let now = length(&paused);
            let (folder, output) = paused.go_on();
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(74), "{said}");
            assert!(said.starts_with("error: input changed while reading: `in.csv`, near byte "), "{said}");
            assert!(said.contains(&format!(", had {before} bytes and now has {now}\n")), "{said}");
            assert!(
                said.ends_with("  help: run again when no process writes to it, or read a copy\n"),
                "{said}"
            );
            check_untouched(folder.path());
        }
    }
}

/// A stage that cuts the input off while its first records are on their way.
struct Cutting(PathBuf);

impl Stage for Cutting {
    fn name(&self) -> &str {
        "cutting"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> tidemill::Result<Schema> {
        Ok(input.clone())
    }

    fn start(&self, _input: &Arc<Schema>) -> tidemill::Result<Box<dyn Process>> {
        let path = self.0.clone();
        Ok(Box::new(move |batch: Batch, _: &Sensors, _: &mut Flow| {
            OpenOptions::new().write(true).open(&path).expect("open").set_len(0).expect("cut");
            Ok(batch)
        }))
    }
}

#[test]
fn nothing_of_an_input_that_was_cut_off_reaches_a_stream() {
    let folder = bench(CSV, "");
    let (input, log) = (folder.path().join("in.csv"), folder.path().join("log"));
    assert!(Command::new("mkfifo").arg(&log).status().expect("`mkfifo` runs").success());
    for (threads, io) in [(1, Io::Mmap), (2, Io::Mmap), (1, Io::Read)] {
        std::fs::write(&input, format!("v,note\n{}", "1,text\n".repeat(1000))).expect("written");
        let stream = std::thread::Builder::new();
        let path = log.clone();
        let reader = stream.spawn(move || std::fs::read_to_string(path).expect("read")).expect("a thread");
        let pipeline = Pipeline::builder()
            .source(Csv::new(input.display().to_string()))
            .stage(Cutting(input.clone()))
            .sink(CsvFile::new(log.display().to_string()))
            .build()
            .expect("a pipeline");
        let mut options = RunOptions { threads: Some(threads), ..RunOptions::default() };
        (options.open.io, options.open.chunk_size) = (io, 500);
        let error = executor::run(&pipeline, &options, &mut ()).expect_err("cut off");
        assert!(error.message().starts_with("input changed while reading"), "{error}");
        assert_eq!(reader.join().expect("the reader"), "");
    }
}

#[test]
fn an_input_that_is_replaced_or_removed_while_it_is_read_is_read_to_its_end() {
    for io in ["mmap", "read"] {
        let paused = Paused::new(io);
        std::fs::remove_file(paused.input()).expect("removed");
        std::fs::write(paused.input(), "v,note\n2,y\n").expect("written");
        let (folder, output) = paused.go_on();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        let written = std::fs::read_to_string(folder.path().join("out.csv")).expect("an output");
        assert_eq!(written.lines().count(), 1 + (32 << 10));
    }
}

#[test]
fn signals_that_end_the_run() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let mut paused = Paused::new("auto");
        let kill = Command::new("kill").args([signal, &paused.child.id().to_string()]).status();
        assert!(kill.expect("`kill` runs").success());
        paused.listen();
        let (folder, output) = paused.go_on();
        let message = "stopping; press Ctrl-C again to stop at once\n\
            error: stopped before the end of the input\n  help: no output file was completed";
        check(folder.path(), &output, 130, message);
    }
}

#[test]
fn an_output_that_nobody_reads_any_more_beside_another() {
    let (folder, output) = Paused::new("auto").end();
    check(folder.path(), &output, 74, "error: sink 0 (csv): standard output is closed");
}
