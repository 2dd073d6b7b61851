//! Followed files whose first lines arrive in two pieces, cut at every byte: the result is the same as for the complete file at rest.

use std::fs::OpenOptions as FileOpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::FileSource;
use super::options::FileOptions;
use crate::batch::Schema;
use crate::error::{Error, ErrorKind};
use crate::format::Format;
use crate::format::csv::Csv;
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::influx::{Influx, InfluxOptions};
use crate::format::jsonl::JsonLines;
use crate::sensor::Sensors;
use crate::source::stream::odd_text::Came;
use crate::source::{Input, OpenOptions, Resumption, Source};

const ENDS: [&str; 3] = ["csv", "jsonl", "lp"];

/// A complete file.
struct Case {
    what: String,
    format: Arc<dyn Format>,
    bytes: Vec<u8>,
    /// Whether the options determine all columns, so that the run does not wait.
    is_declared: bool,
}

fn columns(more: &Value) -> Value {
    let mut columns = json!({ "time": "t", "sensor": "s" });
    columns.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    columns
}

fn csv_in(encoding: Option<&str>, dialect: &Value, more: &Value, text: &[u8]) -> Case {
    let read = |value: Value| serde_json::from_value(value).expect("columns");
    let format = Csv::new(&serde_json::from_value(dialect.clone()).expect("a dialect"), &read(columns(more)));
    let options = EncodingOptions { encoding: encoding.map(str::to_owned) };
    let format = Encoded::new(format.expect("a format").with_origins(true), &options).expect("an encoding");
    let is_declared = dialect.get("names").is_some() && more.get("measurements").is_some();
    let what = format!("csv {dialect} {more} {encoding:?}");
    Case { what, format: Arc::new(format), bytes: text.to_vec(), is_declared }
}

/// The same with and without `measurements`.
fn csv(dialect: &Value, text: &str, cases: &mut Vec<Case>) {
    for more in [json!({}), json!({ "measurements": ["v"] })] {
        cases.push(csv_in(None, dialect, &more, text.as_bytes()));
    }
}

fn jsonl(options: &Value, text: &str, cases: &mut Vec<Case>) {
    for more in [json!({}), json!({ "measurements": ["v"] })] {
        let columns = serde_json::from_value(columns(&more)).expect("columns");
        let format = JsonLines::new(&serde_json::from_value(options.clone()).expect("options"), &columns);
        let format = Encoded::new(format.expect("a format").with_origins(true), &EncodingOptions::default());
        let is_declared = more.get("measurements").is_some();
        let (what, bytes) = (format!("jsonl {options} {more}"), text.as_bytes().to_vec());
        cases.push(Case { what, format: Arc::new(format.expect("UTF-8")), bytes, is_declared });
    }
}

fn influx(options: &Value, cases: &mut Vec<Case>) {
    let text = "# of a gateway\n\nplant,s=a v=1 1\nplant,s=b v=2 2\n";
    let read: InfluxOptions = serde_json::from_value(options.clone()).expect("options");
    let is_declared = read.measurements.is_some();
    let format = Influx::new(&read).expect("a format").with_origins(true);
    let format = Encoded::new(format, &EncodingOptions::default()).expect("UTF-8");
    let what = format!("influx {options}");
    cases.push(Case { what, format: Arc::new(format), bytes: text.as_bytes().to_vec(), is_declared });
}

/// A header and two records.
fn table(delimiter: &str, end: &str) -> String {
    let lines = ["t,s,v", "2026-01-01T00:00:00Z,ä,1", "2026-01-01T00:00:01Z,b,2.5"];
    lines.iter().map(|line| line.replace(',', delimiter) + end).collect()
}

fn cases() -> Vec<Case> {
    let (mut cases, plain) = (Vec::new(), table(",", "\n"));
    let records = plain.split_once('\n').expect("a header").1;
    csv(&json!({}), &plain, &mut cases);
    csv(&json!({}), &table(",", "\r\n"), &mut cases);
    csv(&json!({}), &format!("\u{feff}{plain}"), &mut cases);
    csv(&json!({}), &format!("sep=;\r\n{}", table(";", "\r\n")), &mut cases);
    csv(&json!({ "delimiter": "\t" }), &table("\t", "\n"), &mut cases);
    csv(&json!({ "delimiter": "blanks" }), &table(" ", "\n"), &mut cases);
    csv(&json!({ "names": ["s", "t", "v"] }), &plain, &mut cases);
    csv(&json!({ "header": false, "names": ["t", "s", "v"] }), records, &mut cases);
    csv(&json!({ "skip_lines": 2 }), &format!("Station 7,\n\"\n{plain}"), &mut cases);
    let skipped = json!({ "header": false, "names": ["t", "s", "v"], "skip_lines": 1 });
    csv(&skipped, &plain, &mut cases);
    let rows = json!({ "header_row": 2, "units_row": 3, "data_row": 5 });
    csv(&rows, &format!("Station 7\nt,s,v\n,,mm\n\n{records}"), &mut cases);
    csv(&json!({}), &format!("\n\"t\",\"s\",\"v\"\n{records}"), &mut cases);
    csv(&json!({ "comment": "#" }), &format!("# half a line\n{plain}"), &mut cases);
    csv(&json!({}), &table(",", ",\n"), &mut cases);
    csv(&json!({}), &format!("TOA5,x\nt,s,v\n,,mm\n,,Avg\n{records}"), &mut cases);
    let wide =
        |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
    let marked = format!("\u{feff}{plain}");
    for more in [json!({}), json!({ "measurements": ["v"] })] {
        for dialect in [json!({}), json!({ "names": ["t", "s", "v"] })] {
            cases.push(csv_in(None, &dialect, &more, &wide(&marked, u16::to_le_bytes)));
            cases.push(csv_in(None, &dialect, &more, &wide(&marked, u16::to_be_bytes)));
            cases.push(csv_in(Some("utf-16be"), &dialect, &more, &wide(&plain, u16::to_be_bytes)));
        }
    }
    let lines = "{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"ä\",\"v\":1}\n{\"t\":\"2026-01-01T00:00:01Z\",\"s\":\"b\",\"v\":2}\n";
    jsonl(&json!({}), lines, &mut cases);
    jsonl(&json!({ "layout": "lines" }), &format!("\n{lines}"), &mut cases);
    jsonl(&json!({}), &lines.replace(",\"", ",\n\""), &mut cases);
    jsonl(&json!({}), &format!("[{}]\n", lines.trim_end().replace('\n', ",")), &mut cases);
    influx(&json!({ "sensor": "s" }), &mut cases);
    influx(&json!({ "sensor": "s", "measurements": ["v"] }), &mut cases);
    influx(&json!({ "sensor": "s", "measurements": ["v"], "texts": [] }), &mut cases);
    cases
}

impl Case {
    fn at_rest(&self, path: &Path) -> (Came, Arc<Schema>) {
        let files = options(path).files(&ENDS, &OpenOptions::default().outputs).expect("there");
        let mut source =
            FileSource::open(Arc::clone(&self.format), files, &OpenOptions::default()).expect("read");
        let mut came = Came::default();
        while let Some(input) = source.next(&mut Sensors::default()).expect("read") {
            came.add(input);
        }
        (came, Arc::clone(source.schema()))
    }

    /// Starts to follow the files that match `path`.
    fn follow(&self, path: &Path, open: &OpenOptions) -> Result<FileSource, Error> {
        let options = FileOptions { follow: true, ..options(path) };
        let there = options.growing(&ENDS, &open.outputs).expect("looked for");
        FileSource::follow(Arc::clone(&self.format), &options, there, &ENDS, open)
    }
}

fn options(path: &Path) -> FileOptions {
    FileOptions::from(path.to_str().expect("UTF-8").to_owned())
}

fn append(path: &Path, bytes: &[u8]) {
    let file = FileOpenOptions::new().append(true).create(true).open(path);
    file.expect("opened").write_all(bytes).expect("written");
}

/// Reads everything available.
fn read(source: &mut FileSource, came: &mut Came) {
    let mut nothing = 0;
    while nothing < 2 {
        match source.next(&mut Sensors::default()).expect("read") {
            None | Some(Input::Nothing) => nothing += 1,
            Some(input) => came.add(input),
        }
    }
}

/// A file with the first `length` bytes of a case.
fn begun(case: &Case, length: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.csv");
    append(&path, &case.bytes[..length]);
    (folder, path)
}

#[test]
fn clause_5_a_followed_file_that_has_just_begun_is_waited_for_at_every_byte() {
    for case in cases() {
        let (_folder, path) = begun(&case, case.bytes.len());
        let (whole, schema) = case.at_rest(&path);
        assert_eq!((whole.records.len(), whole.aside.len()), (2, 0), "{}: {whole:?}", case.what);
        for cut in 0..=case.bytes.len() {
            let at = || format!("{}, cut at {cut}", case.what);
            let (_folder, path) = begun(&case, cut);
            let mut came = Came::default();
            let mut source = match case.follow(&path, &OpenOptions::default()) {
                Ok(source) => source,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}: {error}", at());
                    assert!(!case.is_declared && cut < case.bytes.len(), "{}: {error}", at());
                    append(&path, &case.bytes[cut..]);
                    let mut source = case.follow(&path, &OpenOptions::default()).expect("its columns");
                    read(&mut source, &mut came);
                    assert_eq!((&came, source.schema()), (&whole, &schema), "{}", at());
                    continue;
                }
            };
            read(&mut source, &mut came);
            // A checkpoint, and a restart from it.
            let place: Arc<[u8]> = source.save().expect("saved").expect("a place").into();
            let resume = Some(Resumption { place: Arc::clone(&place), finishes: false });
            let mut again =
                case.follow(&path, &OpenOptions { resume, ..OpenOptions::default() }).expect("again");
            again.restore(&place).expect("found");
            append(&path, &case.bytes[cut..]);
            let mut of_first = came.clone();
            read(&mut source, &mut of_first);
            read(&mut again, &mut came);
            assert_eq!((&of_first, source.schema()), (&whole, &schema), "{}", at());
            assert_eq!((&came, again.schema()), (&whole, &schema), "{}, restarted", at());
        }
    }
}

#[test]
fn clause_5_so_is_one_that_appears_later() {
    for case in cases() {
        let (folder, path) = begun(&case, case.bytes.len());
        let (whole, _) = case.at_rest(&path);
        for cut in 0..=case.bytes.len() {
            let mut source =
                case.follow(&folder.path().join("*.csv"), &OpenOptions::default()).expect("columns");
            read(&mut source, &mut Came::default());
            let later = folder.path().join("y.csv");
            append(&later, &case.bytes[..cut]);
            let mut came = Came::default();
            source.input.look_for_files_now();
            read(&mut source, &mut came);
            append(&later, &case.bytes[cut..]);
            read(&mut source, &mut came);
            assert_eq!(came, whole, "{}, cut at {cut}", case.what);
            std::fs::remove_file(later).expect("removed");
        }
    }
}

#[test]
fn of_several_files_the_first_that_has_its_first_lines_says_the_columns() {
    let case = csv_in(None, &json!({}), &json!({}), table(",", "\n").as_bytes());
    let (folder, path) = begun(&case, 7);
    for name in ["y.csv", "z.csv"] {
        append(&folder.path().join(name), &case.bytes);
    }
    append(&folder.path().join("empty.csv"), b"");
    let mut source = case.follow(&folder.path().join("*.csv"), &OpenOptions::default()).expect("columns");
    let mut came = Came::default();
    read(&mut source, &mut came);
    append(&path, &case.bytes[7..]);
    read(&mut source, &mut came);
    assert_eq!((came.records.len(), came.aside.len()), (6, 0), "{came:?}");
}

#[test]
fn a_run_waits_for_the_first_lines_until_they_come_or_it_is_to_stop() {
    let case = csv_in(None, &json!({}), &json!({}), table(",", "\n").as_bytes());
    for cut in [0, 4, 6, 20] {
        let (_folder, path) = begun(&case, cut);
        let open = OpenOptions { waits: true, ..OpenOptions::default() };
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| case.follow(&path, &open));
            append(&path, &case.bytes[cut..]);
            let mut source = waits.join().expect("no panic").expect("columns");
            let mut came = Came::default();
            read(&mut source, &mut came);
            assert_eq!(came.records.len(), 2, "{came:?}");
        });
        let (_folder, path) = begun(&case, cut);
        open.stop.store(true, Ordering::Relaxed);
        let error = case.follow(&path, &open).err().expect("nothing to read");
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    }
}

#[test]
fn what_is_wrong_with_the_first_lines_is_not_waited_for() {
    let case = |dialect: Value, text: &str| csv_in(None, &dialect, &json!({}), text.as_bytes());
    let open = OpenOptions { waits: true, ..OpenOptions::default() };
    for (case, what) in [
        (case(json!({}), "time,s,v\n1,a,2\n"), "has no column `t`"),
        (case(json!({ "names": ["t", "s", "w"] }), "t,s,v\n"), "has no `w`"),
        (
            case(json!({ "units_row": 2 }), "t,s,v\n2026-01-01T00:00:00Z,a,1\n2026-01-01T00:00:01Z,a,1\n"),
            "has no units",
        ),
    ] {
        let (_folder, path) = begun(&case, case.bytes.len());
        let error = case.follow(&path, &open).err().expect(what);
        assert!(error.to_string().contains(what), "{error}");
    }
}
