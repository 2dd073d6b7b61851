//! The bits that an earlier release gave. `tests/cases/bits.txt` has a checksum of everything that 200 random pipelines wrote over random
//! inputs: their outputs and ledgers. Every later release must give the same, whatever has become of its insides.
//!
//! Where a meaning was changed on purpose, `TIDEMILL_BITS=write cargo test --test bits` writes the file anew; what it was is kept in
//! the history.

mod cases {
    pub(crate) mod input;
    pub(crate) mod pipeline;
    pub(crate) mod random;
}
#[path = "common/command.rs"]
mod command;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use cases::input::Input;
use cases::pipeline;
use cases::random::Random;
use command::{folder, run, text, tidemill};
use serde_json::Value;

/// How many pipelines.
const CASES: u64 = 200;

/// A reason in dead letters, as it was when the checksums were made and as it is now: the records are the same.
const REWORDED: [&str; 2] =
    ["no number, boolean or string in quotes", "not a number, boolean or quoted string"];

/// How a case is run.
#[derive(Clone, Copy, Debug)]
enum Way {
    OneThread,
    ThreeThreads,
    Live,
}

#[test]
fn random_pipelines_give_the_bits_that_they_gave() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/bits.txt");
    let now: String = (0..CASES).fold(String::new(), |mut lines, case| {
        let _ = writeln!(lines, "{case:03} {}", checksum(&outcome(case, Way::ThreeThreads)));
        lines
    });
    if is_to_be_written() {
        std::fs::write(&golden, &now).expect("written");
    }
    let then = std::fs::read_to_string(&golden).expect("the checksums of an earlier release");
    let differ: Vec<&str> =
        then.lines().zip(now.lines()).filter(|(then, now)| then != now).map(|(then, _)| &then[..3]).collect();
    assert_eq!(then.lines().count(), now.lines().count());
    assert!(differ.is_empty(), "pipelines that give other bits than they gave: {}", differ.join(" "));
}

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn is_to_be_written() -> bool {
    std::env::var("TIDEMILL_BITS").is_ok_and(|asked| asked == "write")
}

#[test]
fn most_random_pipelines_write_records() {
    let wrote =
        (0..CASES).filter(|&case| outcome(case, Way::OneThread).contains("== out.csv\n")).count() as u64;
    assert!(wrote > CASES * 3 / 4, "only {wrote} of {CASES} pipelines run");
}

#[test]
fn one_thread_and_live_input_give_the_same() {
    for case in (0..CASES).step_by(7) {
        let expected = outcome(case, Way::ThreeThreads);
        assert_eq!(outcome(case, Way::OneThread), expected, "case {case} on one thread");
        if pipeline::can_be_live(case) {
            assert_eq!(written(&outcome(case, Way::Live)), written(&expected), "case {case} live");
        }
    }
}

/// The parts of an outcome that do not say what the input is called.
fn written(outcome: &str) -> Vec<&str> {
    let parts = outcome.split("== ");
    parts.filter(|part| !part.starts_with("report") && !part.starts_with("rejects")).collect()
}

/// All that a case leaves behind: its files, its exit status, its ledgers.
fn outcome(case: u64, way: Way) -> String {
    let folder = folder();
    let input = Input::new(case);
    std::fs::write(folder.path().join(input.name()), &input.text).expect("written");
    let source = match way {
        Way::Live => "-",
        _ => input.name(),
    };
    std::fs::write(folder.path().join("p.toml"), pipeline::text(case, input.kind, source)).expect("written");
    let status = match way {
        Way::Live => feed(folder.path(), &input.text),
        Way::OneThread => arguments(folder.path(), "1"),
        Way::ThreeThreads => arguments(folder.path(), "3"),
    };
    let mut all = String::new();
    for name in ["out.csv", "out.jsonl", "rejects.jsonl", "alerts.jsonl"] {
        if let Ok(bytes) = std::fs::read(folder.path().join(name)) {
            let said = bytes.escape_ascii().to_string().replace(REWORDED[1], REWORDED[0]);
            let _ = writeln!(all, "== {name}\n{said}");
        }
    }
    if folder.path().join("out.parquet").exists() {
        let _ = writeln!(all, "== out.parquet\n{}", read_back(folder.path()));
    }
    let _ = writeln!(all, "== report\nexit {status}\n{}", ledgers(folder.path()));
    all
}

fn arguments(folder: &Path, threads: &str) -> i32 {
    let output = run(folder, &["run", "p.toml", "--threads", threads, "--report", "report.json"]);
    output.status.code().unwrap_or_else(|| panic!("{}", text(&output.stderr)))
}

/// Runs it over what comes in on standard input.
fn feed(folder: &Path, input: &[u8]) -> i32 {
    let mut child = tidemill(folder)
        .args(["run", "p.toml", "--report", "report.json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command runs");
    // A run that fails does not read on.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait().expect("it ends").code().expect("no signal")
}

/// The records of the Parquet file as text: its bytes depend on the library's version.
fn read_back(folder: &Path) -> String {
    let pipeline =
        "[source]\ntype = 'parquet'\npath = 'out.parquet'\n[[sink]]\ntype = 'csv'\npath = 'back.csv'\n";
    std::fs::write(folder.join("back.toml"), pipeline).expect("written");
    let output = run(folder, &["run", "back.toml"]);
    match std::fs::read(folder.join("back.csv")) {
        Ok(bytes) => bytes.escape_ascii().to_string(),
        Err(_) => format!("exit {:?}", output.status.code()),
    }
}

/// The ledgers of a report, without times and names of files.
fn ledgers(folder: &Path) -> String {
    let Ok(text) = std::fs::read_to_string(folder.join("report.json")) else { return "none".to_owned() };
    let report: Value = serde_json::from_str(&text).expect("a report");
    let mut found = Vec::new();
    collect(&report, &mut found);
    found.join("\n")
}

/// Every object called `ledger`, in the order of the report.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| match &**name {
            "ledger" => found.push(field.to_string()),
            _ => collect(field, found),
        }),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, found)),
        _ => {}
    }
}

fn checksum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// The numbers of a case, of which its input and its pipeline have their own.
fn numbers(case: u64, what: u64) -> Random {
    Random::new(case * 2 + what)
}
