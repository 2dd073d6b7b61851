//! One kind of input, and all ways in which it is run: at rest in any number of threads, mapped and read; live through a pipe and a socket.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use toml::{Table, Value};

use super::command::{folder, run, text, tidemill};
use super::expected::Expected;
use super::socket;

/// Files with what must come out of them.
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) pipeline: Pipeline,
    pub(crate) expected: Expected,
}

/// How the pipeline comes about.
pub(crate) enum Pipeline {
    /// `init` writes it; it is run without its stages, so that its records are the values as they were read, with these options of the
    /// source laid over it, and through these stages.
    Init { source: Table, stages: Vec<Value> },
    /// It is written so.
    Written(String),
}

impl Pipeline {
    /// What `init` writes, unedited.
    pub(crate) fn init() -> Self {
        Self::Init { source: Table::new(), stages: Vec::new() }
    }
}

/// A kind made ready to be run.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) source: Table,
    pub(crate) stages: Vec<Value>,
}

impl Kind {
    /// All ways; nothing is left to be run of what must fail, and does.
    pub(crate) fn check(&self, random: &mut u64) {
        let Some(bench) = self.prepare() else { return };
        self.at_rest(&bench);
        let Some(stream) = self.stream(&bench.source) else { return };
        for threads in ["1", "3"] {
            self.piped(&bench, &stream, threads);
            socket::check(self, &bench, &stream, threads, random);
        }
    }

    /// Puts the files into a folder, and runs what is written for them unedited.
    fn prepare(&self) -> Option<Bench> {
        let folder = folder();
        for file in &self.files {
            fs::copy(file, folder.path().join(file.file_name().expect("a name"))).expect("copied");
        }
        let pipeline = match &self.pipeline {
            Pipeline::Written(text) => text.clone(),
            Pipeline::Init { .. } => {
                let names = self.files.iter().map(|file| file.file_name().expect("a name").to_string_lossy());
                let names: Vec<_> = names.collect();
                let arguments =
                    ["init", "-o", "init.toml"].into_iter().chain(names.iter().map(|name| &**name));
                let output = run(folder.path(), &arguments.collect::<Vec<_>>());
                let said = text(&output.stderr);
                if !output.status.success() {
                    self.expected.check_failed(&said, &self.name);
                    return None;
                }
                let is_edited = matches!(&self.pipeline, Pipeline::Init { source, .. } if !source.is_empty());
                assert!(is_edited || !said.contains("does not fit"), "{}: {said}", self.name);
                fs::read_to_string(folder.path().join("init.toml")).expect("a pipeline")
            }
        };
        let mut table: Table = pipeline.parse().expect("TOML");
        let mut stages = table.get("stage").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Pipeline::Init { source, stages: own } = &self.pipeline {
            let known = table["source"].as_table_mut().expect("a table");
            known.extend(source.clone());
            stages.clone_from(own);
            if !source.is_empty() || !own.is_empty() {
                table.insert("stage".into(), own.clone().into());
            }
        }
        let file = if let Pipeline::Written(_) = self.pipeline { &pipeline } else { &table.to_string() };
        fs::write(folder.path().join("whole.toml"), file).expect("written");
        let whole = run(folder.path(), &["run", "whole.toml"]);
        let said = text(&whole.stderr);
        if !whole.status.success() {
            self.expected.check_failed(&said, &self.name);
            return None;
        }
        assert!(self.expected.fails.is_empty(), "{}: did not fail: {said}", self.name);
        self.expected.check_said(&said, &self.name);
        let mut source = table["source"].as_table().expect("a table").clone();
        // A pipe is called otherwise than a file.
        let names = ["sensor", "sensor_name", "sensor_from", "unpivot"];
        let names_sensors = names.iter().any(|name| source.contains_key(*name));
        if !names_sensors && source["type"].as_str() != Some("influx") {
            source.insert("sensor_name".into(), "x".into());
        }
        Some(Bench { folder, source, stages })
    }

    /// What a live run can read as it comes.
    fn stream(&self, source: &Table) -> Option<Vec<u8>> {
        let [only] = self.files.as_slice() else { return None };
        let is_text = !self.is_packed() && source["type"].as_str() != Some("parquet");
        let needs_an_end = source.get("order").and_then(Value::as_str) == Some("newest_first");
        (is_text && !needs_an_end).then(|| fs::read(only).expect("the input"))
    }

    fn is_packed(&self) -> bool {
        self.files.iter().any(|file| file.extension().is_some_and(|end| end == "zip"))
    }

    fn at_rest(&self, bench: &Bench) {
        bench.write(&bench.source);
        // What is packed cannot be mapped.
        let other = if self.is_packed() { "auto" } else { "mmap" };
        for (threads, io) in [("1", "read"), ("3", "read"), ("1", other), ("3", other)] {
            let arguments = ["run", "p.toml", "--quiet", "--threads", threads, "--io", io];
            let output = run(bench.folder.path(), &arguments);
            assert!(output.status.success(), "{}: {}", self.name, text(&output.stderr));
            let way = format!("{}, {threads} threads, {io}", self.name);
            self.expected.compare(&text(&output.stdout), &bench.letters(), true, &way);
        }
    }

    /// Cut at every byte.
    fn piped(&self, bench: &Bench, stream: &[u8], threads: &str) {
        let mut source = bench.source.clone();
        source.insert("path".into(), "-".into());
        bench.write(&source);
        let mut child = bench.start(threads);
        let mut pipe = child.stdin.take().expect("piped");
        for byte in stream {
            std::io::Write::write_all(&mut pipe, &[*byte]).expect("taken");
        }
        drop(pipe);
        let output = child.wait_with_output().expect("an end");
        assert!(output.status.success(), "{}: {}", self.name, text(&output.stderr));
        let way = format!("{} through a pipe, {threads} threads", self.name);
        self.expected.compare(&text(&output.stdout), &bench.letters(), true, &way);
    }
}

impl Bench {
    /// The pipeline from `source` to standard output and a dead letter.
    fn write(&self, source: &Table) {
        self.write_to(source, "-", "dead.jsonl");
    }

    /// The pipeline from `source` to these files.
    pub(crate) fn write_to(&self, source: &Table, records: &str, letters: &str) {
        let mut pipeline = Table::new();
        pipeline.insert("source".into(), source.clone().into());
        pipeline.insert("stage".into(), self.stages.clone().into());
        let sinks = format!(
            "[[sink]]\ntype = 'jsonl'\npath = '{records}'\n[[sink]]\ntype = 'dead_letter'\npath = '{letters}'\n"
        );
        fs::write(self.folder.path().join("p.toml"), format!("{pipeline}\n{sinks}")).expect("written");
    }

    /// Starts what has been written as a live run.
    pub(crate) fn start(&self, threads: &str) -> Child {
        let mut command = tidemill(self.folder.path());
        command.args(["run", "p.toml", "--quiet", "--threads", threads]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
    }

    /// What was written to a file.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).expect("a file")
    }

    fn letters(&self) -> String {
        self.file("dead.jsonl")
    }
}
