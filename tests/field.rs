//! Files as loggers, plants and other tools write them, in `datasets/field`: `init` finds out how each is written, and what it writes gives the
//! right values, unedited: in any number of threads, mapped and read, and live through a pipe and a socket, wherever the text is cut.
//!
//! A kind is a folder with its files; `NAME.expected` beside it has the records as the sink `jsonl` writes them, then the reasons of the rejects.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use command::{folder, run, text, tidemill};

/// One kind of input.
struct Kind {
    name: String,
    files: Vec<PathBuf>,
    expected: String,
}

fn kinds() -> Vec<Kind> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/field");
    let mut folders: Vec<PathBuf> = entries(&place).into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    let kind = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = place.join(format!("{name}.expected"));
        Kind {
            files: entries(&path),
            expected: fs::read_to_string(expected).expect("what must come out"),
            name,
        }
    };
    let kinds: Vec<Kind> = folders.into_iter().map(kind).collect();
    assert!(!kinds.is_empty());
    kinds
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

impl Kind {
    /// Puts the files into `folder`, and the pipeline that `init` writes for them: `init.toml`. Gives its source.
    fn init(&self, folder: &Path) -> toml::Table {
        for file in &self.files {
            fs::copy(file, folder.join(file.file_name().expect("a name"))).expect("copied");
        }
        let first = self.files[0].extension().expect("an extension").to_string_lossy().into_owned();
        let output = run(folder, &["init", &format!("*.{first}"), "-o", "init.toml"]);
        let said = text(&output.stderr);
        assert!(output.status.success() && !said.contains("does not fit"), "{}: {said}", self.name);
        let written = fs::read_to_string(folder.join("init.toml")).expect("a pipeline");
        let pipeline: toml::Table = written.parse().expect("TOML");
        let mut source = pipeline["source"].as_table().expect("a table").clone();
        // A pipe is called otherwise than a file.
        let names_sensors = source.contains_key("sensor") || source["type"].as_str() == Some("influx");
        if !names_sensors && !source.contains_key("sensor_name") {
            source.insert("sensor_name".into(), "x".into());
        }
        source
    }

    /// What a live run can read as it comes.
    fn stream(&self, source: &toml::Table) -> Option<Vec<u8>> {
        let [only] = self.files.as_slice() else { return None };
        let needs_an_end = source.contains_key("order");
        (!needs_an_end).then(|| fs::read(only).expect("the input"))
    }

    fn compare(&self, folder: &Path, records: &str, way: &str) {
        let letters = fs::read_to_string(folder.join("dead.jsonl")).expect("a dead letter");
        let reason = |line: &str| {
            let letter: serde_json::Value = serde_json::from_str(line).expect("JSON");
            format!("{}\n", letter["reason"].as_str().expect("a reason"))
        };
        let reasons: String = letters.lines().map(reason).collect();
        assert_eq!(format!("{records}rejects\n{reasons}"), self.expected, "{} {way}", self.name);
    }

    /// The names of the columns, which a socket must be told before anybody has connected.
    fn names(&self, source: &toml::Table) -> Vec<toml::Value> {
        let first = self.expected.lines().next().expect("a record");
        let record: serde_json::Map<String, serde_json::Value> = serde_json::from_str(first).expect("JSON");
        let is_made = |name: &String| name == "sensor" && !source.contains_key("sensor");
        let own = |name: String| match source.get("time") {
            Some(toml::Value::Array(parts)) if name == "time" => parts.clone(),
            _ => vec![name.into()],
        };
        record.into_iter().map(|(name, _)| name).filter(|name| !is_made(name)).flat_map(own).collect()
    }

    fn expected_records(&self) -> usize {
        self.expected.lines().take_while(|line| *line != "rejects").count()
    }
}

/// The pipeline from `source` to standard output and a dead letter.
fn write(folder: &Path, source: &toml::Table) {
    let mut pipeline = toml::Table::new();
    pipeline.insert("source".into(), source.clone().into());
    let sinks = "[[sink]]\ntype = 'jsonl'\npath = '-'\n[[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n";
    fs::write(folder.join("p.toml"), format!("{pipeline}\n{sinks}")).expect("written");
}

/// Starts it as a live run on `path`.
fn start(folder: &Path, mut source: toml::Table, path: &str, threads: &str) -> Child {
    source.insert("path".into(), path.into());
    write(folder, &source);
    let mut command = tidemill(folder);
    command.args(["run", "p.toml", "--quiet", "--threads", threads]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs")
}

#[test]
fn init_and_run_give_the_right_values_in_any_number_of_threads() {
    for kind in kinds() {
        let folder = folder();
        let source = kind.init(folder.path());
        let unedited = run(folder.path(), &["run", "init.toml", "--quiet"]);
        assert!(unedited.status.success(), "{}: {}", kind.name, text(&unedited.stderr));
        write(folder.path(), &source);
        for (threads, io) in [("1", "read"), ("3", "read"), ("1", "mmap"), ("3", "mmap")] {
            let output = run(folder.path(), &["run", "p.toml", "--quiet", "--threads", threads, "--io", io]);
            assert!(output.status.success(), "{}: {}", kind.name, text(&output.stderr));
            kind.compare(folder.path(), &text(&output.stdout), &format!("{threads} threads, {io}"));
        }
    }
}

#[test]
fn a_pipe_gives_the_same_cut_at_every_byte() {
    for kind in kinds() {
        let folder = folder();
        let source = kind.init(folder.path());
        let Some(stream) = kind.stream(&source) else { continue };
        for threads in ["1", "3"] {
            let mut child = start(folder.path(), source.clone(), "-", threads);
            let mut pipe = child.stdin.take().expect("piped");
            stream.iter().for_each(|byte| pipe.write_all(&[*byte]).expect("taken"));
            drop(pipe);
            let output = child.wait_with_output().expect("an end");
            assert!(output.status.success(), "{}: {}", kind.name, text(&output.stderr));
            kind.compare(folder.path(), &text(&output.stdout), &format!("through a pipe, {threads} threads"));
        }
    }
}

#[test]
fn a_socket_gives_the_same_cut_anywhere() {
    let mut random = u64::from(std::process::id());
    println!("seed {random}");
    for (number, kind) in kinds().iter().enumerate() {
        let folder = folder();
        let mut source = kind.init(folder.path());
        let Some(stream) = kind.stream(&source) else { continue };
        // Before anybody has connected, all columns must have been named: JSON and line protocol name only some of those that are text.
        match source["type"].as_str() {
            Some("csv") => drop(source.insert("names".into(), kind.names(&source).into())),
            Some("jsonl") if kind.name.starts_with("array") => {}
            _ => continue,
        }
        let threads = ["1", "3"][number % 2];
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let mut child = start(folder.path(), source, &format!("tcp-listen://127.0.0.1:{port}"), threads);
        let mut socket = connect(port, &mut child);
        socket.set_nodelay(true).expect("set");
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (piece, others) = rest.split_at(rest.len().min(1 + (random >> 33) as usize % 40));
            socket.write_all(piece).expect("taken");
            rest = others;
        }
        drop(socket);
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut records = String::new();
        for _ in 0..kind.expected_records() {
            output.read_line(&mut records).expect("text");
        }
        let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(stopped.expect("`kill` runs").success());
        output.read_to_string(&mut records).expect("text");
        let ended = child.wait_with_output().expect("an end");
        assert!(ended.status.success(), "{}: {}", kind.name, text(&ended.stderr));
        kind.compare(folder.path(), &records, &format!("through a socket, {threads} threads"));
    }
}

/// Connects as soon as the run listens.
fn connect(port: u16, run: &mut Child) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => return socket,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "connecting in vain: {error}"),
        }
        if run.try_wait().expect("a child").is_some() {
            let mut said = String::new();
            run.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
            panic!("the run has ended: {said}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
