//! The traps of `datasets/pathological`, clause by clause (docs/semantics.md): whatever the size of the chunks and
//! the way of reading, what must come out comes out. Traps too large to be kept are made here.
//!
//! A trap `NAME` is three things side by side: the input, a file or folder; `NAME.toml`, the options of its source,
//! under a comment that names the clause; and `NAME.expected`: either the records, as the sink `jsonl` writes them, and the
//! rejects, as `dead_letter` does, or the error that ends the run, with its exit code.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tidemill::executor::{self, RunOptions};
use tidemill::source::Io;
use tidemill::{Error, Pipeline, Report};

/// One trap.
struct Trap {
    name: String,
    clause: u32,
    options: String,
    input: PathBuf,
    expected: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/pathological")
}

fn traps() -> Vec<Trap> {
    let entries = std::fs::read_dir(folder()).expect("the folder of traps");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let tables = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    tables.map(|path| trap(path, &paths)).collect()
}

/// The trap whose options are in the file at `path`.
fn trap(path: &Path, paths: &[PathBuf]) -> Trap {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let options = std::fs::read_to_string(path).expect("options");
    let clause = options.strip_prefix("# Clause ").and_then(|rest| rest.split(':').next()?.parse().ok());
    let is_input = |path: &&PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = file.strip_prefix(&name);
        rest.is_some_and(|rest| {
            rest.is_empty()
                || rest.starts_with(".csv")
                || rest.starts_with(".tsv")
                || rest.starts_with(".jsonl")
        })
    };
    Trap {
        clause: clause.unwrap_or_else(|| panic!("{name}.toml names no clause")),
        input: paths.iter().find(is_input).unwrap_or_else(|| panic!("{name} has no input")).clone(),
        expected: std::fs::read_to_string(path.with_extension("expected")).expect("what must come out"),
        name,
        options,
    }
}

/// A way to read.
#[derive(Clone, Copy, Debug)]
struct Way {
    io: Io,
    chunk_size: usize,
}

/// All ways that the input can be read in: what is compressed cannot be mapped.
fn ways(input: &Path) -> Vec<Way> {
    let is_packed = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"\x28\xb5\x2f\xfd")
    };
    let can_be_mapped = input.is_file() && !is_packed(input);
    let ios: &[Io] = if can_be_mapped { &[Io::Read, Io::Mmap] } else { &[Io::Auto] };
    let sizes = [1, 7, 64, RunOptions::default().open.chunk_size];
    ios.iter().flat_map(|&io| sizes.map(|chunk_size| Way { io, chunk_size })).collect()
}

/// Reads `input` with these options of `[source]`; gives records and rejects as their sinks write them.
fn read(input: &Path, options: &str, way: Way) -> Result<(String, String, Report), Error> {
    let out = tempfile::tempdir().expect("a folder");
    let pipeline = format!(
        "[source]\n{options}\npath = '{}'\nmax_rejects = 1000\n\
        [[sink]]\ntype = 'jsonl'\npath = '{out}/records'\n[[sink]]\ntype = 'dead_letter'\npath = '{out}/rejects'",
        input.display(),
        out = out.path().display(),
    );
    let mut run = RunOptions::default();
    (run.open.io, run.open.chunk_size) = (way.io, way.chunk_size);
    let report = executor::run(&Pipeline::from_toml(&pipeline)?, &run, &mut ())?;
    let written = |name| std::fs::read_to_string(out.path().join(name)).expect("an output");
    Ok((written("records"), written("rejects"), report))
}

/// What came out of a trap, in the shape of `NAME.expected`.
fn outcome(trap: &Trap, way: Way) -> String {
    let shown = match read(&trap.input, &trap.options, way) {
        Err(error) => format!("error {}\n{error}\n", error.kind().exit_code()),
        Ok((records, rejects, report)) => {
            let counted = (report.source.ledger.output, report.rejects.malformed + report.rejects.late);
            let lines = |text: &str| text.lines().count() as u64;
            assert_eq!(lines(&rejects), counted.1, "{}", trap.name);
            assert_eq!(lines(&records) + report.rejects.late, counted.0, "{}", trap.name);
            format!("records\n{records}rejects\n{rejects}")
        }
    };
    shown.replace(&format!("{}/", folder().display()), "")
}

/// Runs all traps of a clause in all ways.
fn spring(clause: u32) {
    let mut wrong = String::new();
    for trap in traps().iter().filter(|trap| trap.clause == clause) {
        for way in ways(&trap.input) {
            let outcome = outcome(trap, way);
            if outcome != trap.expected {
                let (name, expected) = (&trap.name, &trap.expected);
                let _ = writeln!(wrong, "== {name}, {way:?}, gave\n{outcome}-- instead of\n{expected}");
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn clause_1_columns() {
    spring(1);
}

#[test]
fn clause_2_nulls_and_non_finite_numbers() {
    spring(2);
}

#[test]
fn clause_3_numbers() {
    spring(3);
}

#[test]
fn clause_4_times() {
    spring(4);
}

#[test]
fn clause_5_text() {
    spring(5);
}

#[test]
fn clause_6_files() {
    spring(6);
}

#[test]
fn clause_7_rejects() {
    spring(7);
}

#[test]
fn clause_9_late_records() {
    spring(9);
}

#[test]
fn every_trap_belongs_to_a_clause_that_is_run_here() {
    let traps = traps();
    let of = |clause| traps.iter().filter(|trap| trap.clause == clause).count();
    assert!((1..=7).all(|clause| of(clause) > 0));
    assert_eq!((1..=7).chain([9]).map(of).sum::<usize>(), traps.len());
}
