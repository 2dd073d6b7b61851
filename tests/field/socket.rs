//! A kind of input over a socket, cut at random places.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use toml::{Table, Value};

use super::command::{run, text};
use super::kind::{Bench, Kind};

/// Whoever waits longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(60);

/// A line that is no record in any format, which is sent last where no record says that all have come.
const LAST: &str = "?";

pub(crate) fn check(kind: &Kind, bench: &Bench, stream: &[u8], threads: &str, random: &mut u64) {
    let mut source = named(bench);
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    source.insert("path".into(), format!("tcp-listen://127.0.0.1:{port}").into());
    // Summaries, and records that wait for others, come at the end alone: then what is set aside says that all has come.
    let holds = !bench.stages.is_empty() || bench.source.contains_key("max_jump");
    if holds && bench.source["type"].as_str() == Some("jsonl") {
        // What stands between objects may be anything there: no line is set aside for sure. Such kinds are sent without stages.
        return;
    }
    let mut stream = stream.to_vec();
    if holds {
        bench.write_to(&source, "out.jsonl", "-");
        stream.extend(format!("{LAST}\n").as_bytes());
    } else {
        bench.write_to(&source, "-", "dead.jsonl");
    }
    let mut child = bench.start(threads);
    send(&stream, &mut connect(port, &mut child), random);
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut shown = String::new();
    let mut line = || {
        let start = shown.len();
        let read = output.read_line(&mut shown).expect("text");
        assert!(read > 0, "{}: the output ends: {shown}", kind.name);
        is_last(&shown[start..])
    };
    match holds {
        true => while !line() {},
        false => (0..kind.expected.records.len()).for_each(|_| assert!(!line())),
    }
    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(stopped.expect("`kill` runs").success());
    output.read_to_string(&mut shown).expect("text");
    let ended = child.wait_with_output().expect("an end");
    assert!(ended.status.success(), "{}: {}", kind.name, text(&ended.stderr));
    let (records, letters) = match holds {
        true => (bench.file("out.jsonl"), shown),
        false => (shown, bench.file("dead.jsonl")),
    };
    let own = letters.lines().filter(|line| !is_last(line));
    let letters: String = own.map(|line| format!("{line}\n")).collect();
    let way = format!("{} through a socket, {threads} threads", kind.name);
    kind.expected.compare(&records, &letters, false, &way);
}

/// Sends it in pieces of random sizes.
fn send(stream: &[u8], socket: &mut TcpStream, random: &mut u64) {
    socket.set_nodelay(true).expect("set");
    let mut rest = stream;
    while !rest.is_empty() {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (piece, others) = rest.split_at(rest.len().min(1 + (*random >> 33) as usize % 40));
        socket.write_all(piece).expect("taken");
        rest = others;
    }
}

fn is_last(letter: &str) -> bool {
    let letter: serde_json::Value = serde_json::from_str(letter).unwrap_or_default();
    letter["raw"].as_str().is_some_and(|raw| raw.starts_with(LAST))
}

/// What `explain` calls measurements.
const MEASUREMENTS: [&str; 4] = ["measurement", "i64 measurement", "u64 measurement", "bool measurement"];

/// The source with names for all columns: nobody has sent anything when they must be known.
fn named(bench: &Bench) -> Table {
    let mut source = bench.source.clone();
    let columns = columns(bench);
    let of = |wanted: &[&str]| -> Value {
        let names = columns.iter().filter(|(_, kind)| wanted.contains(&kind.as_str()));
        names.map(|(name, _)| Value::from(name.as_str())).collect::<Vec<_>>().into()
    };
    match source["type"].as_str() {
        Some("csv") if !source.contains_key("names") => {
            let is_made = |name: &str| name == "sensor" && !source.contains_key("sensor");
            let parts = match source.get("time") {
                Some(Value::Array(parts)) => parts.clone(),
                _ => Vec::new(),
            };
            let own = |name: &str| match name {
                "time" if !parts.is_empty() => parts.clone(),
                name => vec![name.into()],
            };
            let names = columns.iter().map(|(name, _)| name.as_str()).filter(|name| !is_made(name));
            let names: Vec<Value> = names.flat_map(own).collect();
            source.insert("names".into(), names.into());
        }
        Some("jsonl") => {
            source.insert("columns".into(), of(&["text"]));
        }
        Some("influx") => {
            let Value::Array(mut texts) = of(&["text"]) else { unreachable!("a list") };
            texts.retain(|name| name.as_str() != Some("table"));
            source.insert("texts".into(), texts.into());
        }
        _ => {}
    }
    if !source.contains_key("measurements") {
        source.insert("measurements".into(), of(&MEASUREMENTS));
    }
    let ty =
        |(name, kind): &(String, String)| Some((name.clone(), kind.strip_suffix(" measurement")?.into()));
    let types: Table = columns.iter().filter_map(ty).collect();
    if !types.is_empty() {
        source.insert("types".into(), types.into());
    }
    source
}

/// The columns of the files and what they are, as `explain` says.
fn columns(bench: &Bench) -> Vec<(String, String)> {
    bench.write_to(&bench.source, "-", "dead.jsonl");
    let explained = text(&run(bench.folder.path(), &["explain", "p.toml"]).stdout);
    let line = explained.lines().find_map(|line| line.trim().strip_prefix("columns: ")).expect("columns");
    let mut columns = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let kinds = ["time", "sensor", "text"].into_iter().chain(MEASUREMENTS);
        // Behind the kind there may be a unit.
        let ends = kinds.flat_map(|kind| {
            let at = |end: &str| rest.find(&format!(" ({kind}{end}"));
            [at(")"), at(" in ")].into_iter().flatten().map(move |at| (at, kind))
        });
        let (end, kind) = ends.min().expect("a column");
        columns.push((rest[..end].to_owned(), kind.to_owned()));
        let behind = &rest[end + kind.len() + 2..];
        rest = behind[behind.find(')').expect("an end") + 1..].trim_start_matches(", ");
    }
    columns
}

/// Connects as soon as the run listens.
fn connect(port: u16, run: &mut Child) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => return socket,
            Err(error) => assert!(start.elapsed() < LIMIT, "connecting in vain: {error}"),
        }
        if run.try_wait().expect("a child").is_some() {
            let mut said = String::new();
            run.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
            panic!("the run has ended: {said}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
