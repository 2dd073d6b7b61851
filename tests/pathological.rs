//! The traps of `datasets/pathological`, clause by clause (docs/semantics.md): whatever the size of the chunks and
//! the way of reading, what must come out comes out. Traps too large to be kept are made here.
//!
//! A trap `NAME` is three things side by side: the input, a file or folder; `NAME.toml`, the options of its source,
//! under a comment that names the clause; and `NAME.expected`: either the records, as the sink `jsonl` writes them, and the
//! rejects, as `dead_letter` does, or the error that ends the run, with its exit code.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tidemill::source::Io;
use tidemill::{Error, Pipeline, Report};
use tidemill_engine::executor::{self, RunOptions};

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

/// A way to read. Small chunks are read by several threads, which could overtake one another; large ones, where they are not
/// mapped, by the one-thread loop.
#[derive(Clone, Copy, Debug)]
struct Way {
    io: Io,
    chunk_size: usize,
}

/// All ways that the input can be read in: what is compressed cannot be mapped.
fn ways(input: &Path) -> Vec<Way> {
    let is_packed = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let starts: [&[u8]; 7] = [
            b"\x1f\x8b",
            b"\x28\xb5\x2f\xfd",
            b"\xfd7zXZ",
            b"BZh",
            b"\x04\x22\x4d\x18",
            b"\x53\x2a\x4d\x18",
            b"PK",
        ];
        starts.iter().any(|start| bytes.starts_with(start))
    };
    let can_be_mapped = input.is_file() && !is_packed(input);
    let ios: &[Io] = if can_be_mapped { &[Io::Read, Io::Mmap] } else { &[Io::Auto] };
    let sizes = [1, 7, 64, RunOptions::default().open.chunk_size];
    ios.iter().flat_map(|&io| sizes.map(|chunk_size| Way { io, chunk_size })).collect()
}

/// Reads `input` with these options of `[source]`; gives records and rejects as their sinks write them.
fn read(input: &Path, options: &str, way: Way) -> Result<(String, String, Report), Error> {
    // Thousands of small outputs, each made durable: in memory, where there is such a place.
    let out = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    // What is refused is looked at, and not whether it is too much, unless a trap is about that.
    let limit = if options.contains("max_rejects") { "" } else { "max_rejects = 1000" };
    let pipeline = format!(
        "[source]\n{options}\npath = '{}'\n{limit}\n\
        [[sink]]\ntype = 'jsonl'\npath = '{out}/records'\n[[sink]]\ntype = 'dead_letter'\npath = '{out}/rejects'",
        input.display(),
        out = out.path().display(),
    );
    let mut run = RunOptions::default();
    (run.open.io, run.open.chunk_size) = (way.io, way.chunk_size);
    run.threads = (way.chunk_size < 1 << 20).then_some(3);
    run.sequential = way.chunk_size == 1 << 20 && way.io == Io::Read;
    let report = executor::run(&Pipeline::from_toml(&pipeline)?, &run, &mut ())?;
    let written = |name| std::fs::read_to_string(out.path().join(name)).expect("an output");
    Ok((written("records"), written("rejects"), report))
}

/// What came out of a trap, in the shape of `NAME.expected`.
fn outcome(trap: &Trap, way: Way) -> String {
    let shown = match read(&trap.input, &trap.options, way) {
        Err(error) => format!("error {}\n{error}\n", error.kind().exit_code()),
        Ok((records, rejects, report)) => {
            let aside = report.rejects.malformed + report.rejects.late + report.rejects.ahead;
            let ledgers = report.stages.iter().map(|stage| stage.ledger);
            let kept: u64 = ledgers.map(|ledger| ledger.filtered + ledger.rejected + ledger.late).sum();
            let lines = |text: &str| text.lines().count() as u64;
            assert_eq!(lines(&rejects), aside, "{}", trap.name);
            assert_eq!(lines(&records) + kept, report.sources[0].ledger.output, "{}", trap.name);
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
fn clause_24_a_stretch_of_time() {
    spring(24);
}

#[test]
fn clause_25_clocks_that_jump_ahead() {
    spring(25);
}

#[test]
fn every_trap_belongs_to_a_clause_that_is_run_here() {
    let traps = traps();
    let of = |clause| traps.iter().filter(|trap| trap.clause == clause).count();
    assert!((1..=7).all(|clause| of(clause) > 0));
    assert_eq!((1..=7).chain([9, 24, 25]).map(of).sum::<usize>(), traps.len());
}

/// What a trap too large to be kept gives: the number of records, and the rejects' lines and reasons; or the error. The
/// same in small and in large chunks, mapped and read.
fn made(kind: &str, parts: &[&str]) -> (usize, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("made");
    std::fs::write(&input, parts.concat()).expect("written");
    let options = format!("type = '{kind}'\nmeasurements = ['v']");
    let outcome = |io, chunk_size| match read(&input, &options, Way { io, chunk_size }) {
        Err(error) => (0, vec![error.to_string().replace(&format!("{}/", folder.path().display()), "")]),
        Ok((records, rejects, _)) => {
            let letters = rejects.lines().map(|line| {
                let letter: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
                format!("{}: {}", letter["line"], letter["reason"].as_str().expect("a reason"))
            });
            (records.lines().count(), letters.collect())
        }
    };
    let expected = outcome(Io::Read, 1 << 20);
    for (io, chunk_size) in [(Io::Read, 300_000), (Io::Mmap, 50_000), (Io::Mmap, 64 << 20)] {
        assert_eq!(outcome(io, chunk_size), expected, "{io:?}, chunks of {chunk_size}");
    }
    expected
}

#[test]
fn clause_5_a_field_of_more_than_256_kib_is_a_reject() {
    let (most, more) = ("x".repeat(256 << 10), "x".repeat((256 << 10) + 1));
    let (records, rejects) = made("csv", &["v,note\n1,", &most, "\n2,", &more, "\n3,c\n"]);
    assert_eq!((records, rejects), (2, vec!["3: field of 262145 bytes; 262144 are allowed".into()]));
    let (most, more) = (&most[2..], &more[2..]);
    let (records, rejects) =
        made("jsonl", &["{\"v\":1,\"note\":\"", most, "\"}\n{\"v\":2,\"note\":\"", more, "\"}\n{\"v\":3}\n"]);
    assert_eq!((records, rejects), (2, vec!["2: field of 262145 bytes; 262144 are allowed".into()]));
}

#[test]
fn clause_5_a_record_of_more_than_1_mib_is_a_reject() {
    let quarter = "x".repeat((1 << 18) - 2);
    let text = format!("{quarter},{quarter},{quarter},{quarter}");
    let (records, rejects) = made("csv", &["v,a,b,c,d\n1,", &text, "\n22222,", &text, "\n3,,,,\n"]);
    assert_eq!((records, rejects), (2, vec!["3: a record is longer than 1 MiB".into()]));
    let (records, rejects) = made("jsonl", &["{\"v\":1}\n{\"v\":2", &" ".repeat(1 << 20), "}\n{\"v\":3}\n"]);
    assert_eq!((records, rejects), (2, vec!["2: a record is longer than 1 MiB".into()]));
}

#[test]
fn clause_5_a_record_of_more_than_4096_fields_is_a_reject() {
    let (records, rejects) = made("csv", &["v,note\n1,a\n", &",".repeat(4096), "\n3,c\n"]);
    assert_eq!((records, rejects), (2, vec!["3: more than 4096 fields".into()]));
    let fields: String = (0..4097).map(|n| format!(",\"f{n}\":0")).collect();
    let (records, rejects) = made("jsonl", &["{\"v\":1}\n{\"v\":2", &fields, "}\n{\"v\":3}\n"]);
    assert_eq!((records, rejects), (2, vec!["2: more than 4096 fields".into()]));
}

#[test]
fn clause_5_a_file_has_4096_columns_at_most() {
    let names = |count| (1..count).map(|n| format!(",c{n}")).collect::<String>();
    let commas = ",".repeat(4095);
    assert_eq!(made("csv", &["v", &names(4096), "\n1", &commas, "\n"]), (1, Vec::new()));
    let error = "`made` has more than 4096 columns; check the `delimiter`".into();
    assert_eq!(made("csv", &["v", &names(100_000), "\n1", &commas, "\n"]), (0, vec![error]));
    let object = |from: usize| (from..from + 3000).map(|n| format!(",\"f{n}\":0")).collect::<String>();
    let error = "the records of `made` have more than 4096 different fields; \
        JSON Lines have the same few fields in every record";
    let lines = ["{\"v\":1", &object(0), "}\n{\"v\":1", &object(3000), "}\n"];
    assert_eq!(made("jsonl", &lines), (0, vec![error.to_owned()]));
}

#[test]
fn clause_5_a_quote_closed_more_than_1_mib_later_is_never_closed() {
    let between = "2,b\n".repeat(300_000);
    let (records, rejects) = made("csv", &["v,note\n1,\"a\n", &between, "3,c\"\n4,\"d\"\nx,e\n"]);
    let reasons = ["2: unclosed quote", "300005: \"x\" is not a number"];
    assert_eq!((records, rejects), (300_002, reasons.map(str::to_owned).into()));
    // Where the quote that might close it stands at the beginning of a field, that one is never closed either.
    let (records, rejects) = made("csv", &["v,note\n1,\"a\n", &between, "3,\"\n4,d\n"]);
    assert_eq!((records, rejects.len()), (300_001, 2));
}

#[test]
fn clause_5_a_line_that_does_not_end_is_an_error_and_one_that_ends_late_a_reject() {
    let (late, endless) = ("x".repeat(15 << 20), "x".repeat(17 << 20));
    let rejects = vec!["3: a record is longer than 1 MiB".to_owned()];
    assert_eq!(made("csv", &["v,note\n1,a\n2,", &late, "\n3,b\n"]), (2, rejects.clone()));
    assert_eq!(made("csv", &["v,note\n1,a\n2,", &late]), (1, rejects));
    let error = "`made` has no line end for 16 MiB from byte 11; check that it is the right file and of the right type";
    for end in ["", "\n", "\n3,b\n"] {
        assert_eq!(made("csv", &["v,note\n1,a\n2,", &endless, end]), (0, vec![error.to_owned()]));
    }
    let error = error.replace("byte 11", "byte 8");
    assert_eq!(made("jsonl", &["{\"v\":1}\n{\"v\":\"", &endless, "\"}\n"]), (0, vec![error]));
    let error = "`made` has no header: its first line does not end; \
        check the file, or name the columns with `header = false` and `names`";
    assert_eq!(made("csv", &[&endless, "\n1\n"]), (0, vec![error.to_owned()]));
}

#[test]
fn clause_5_json_nested_without_end_is_a_reject() {
    let (open, close) = ("[".repeat(120_000), "]".repeat(120_000));
    let (records, rejects) =
        made("jsonl", &["{\"v\":1,\"note\":0}\n{\"v\":2,\"note\":", &open, &close, "}\n{\"v\":3}\n"]);
    assert_eq!((records, rejects), (2, vec!["2: arrays and objects nested more than 64 deep".into()]));
    let (records, rejects) = made("jsonl", &["{\"v\":1}\n", &"[".repeat(500_000), "\n{\"v\":3}\n"]);
    assert_eq!((records, rejects.len()), (2, 1));
}
