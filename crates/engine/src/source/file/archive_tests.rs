//! Clause 6: the files of an archive are files.

use std::io::Write;

use rawzip::{CompressionMethod, DataDescriptorOutput, ZipArchiveWriter};

use super::packing::Packing;
use super::testing::packed;
use super::tests::{folder, read, write};
use super::*;
use crate::atomic::Outputs;
use crate::sensor::Sensors;
use crate::source::{Csv, Io, SourceSpec};

const METHODS: [CompressionMethod; 5] = [
    CompressionMethod::STORE,
    CompressionMethod::DEFLATE,
    CompressionMethod::BZIP2,
    CompressionMethod::ZSTD,
    CompressionMethod::XZ,
];

fn packed_by(method: CompressionMethod, text: &[u8]) -> Vec<u8> {
    match method {
        CompressionMethod::DEFLATE => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text).expect("packed");
            encoder.finish().expect("packed")
        }
        CompressionMethod::BZIP2 => packed(Packing::Bzip2, text),
        CompressionMethod::ZSTD => packed(Packing::Zstd, text),
        CompressionMethod::XZ => packed(Packing::Xz, text),
        _ => text.to_vec(),
    }
}

/// An archive with these files: name, method, content.
fn zip(files: &[(&str, CompressionMethod, &[u8])]) -> Vec<u8> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, method, text) in files {
        let path = rawzip::path::EntryPath::verbatim(name.as_bytes());
        let (mut entry, _) = archive.new_file(path).compression_method(*method).start().expect("begun");
        entry.write_all(&packed_by(*method, text)).expect("written");
        let descriptor = DataDescriptorOutput::new(rawzip::crc32(text), text.len() as u64);
        entry.finish(descriptor).expect("ended");
    }
    archive.finish().expect("written")
}

const STORE: CompressionMethod = CompressionMethod::STORE;
const DEFLATE: CompressionMethod = CompressionMethod::DEFLATE;

/// The records of `path`, or the error.
fn outcome(path: &str) -> Vec<String> {
    read(&Csv::new(path), 1 << 20, Io::Auto).unwrap_or_else(|error| vec![error.to_string()])
}

#[test]
fn files_of_every_method_are_read_in_the_order_of_their_names() {
    let folder = folder();
    let text: String = (0..5000).map(|n| format!("{n}\n")).collect();
    let whole = format!("value\n{text}");
    for method in METHODS {
        let files: [(&str, _, &[u8]); 3] =
            [("x/b.csv", method, whole.as_bytes()), ("a.csv", method, b"value\n1"), ("x/", STORE, b"")];
        let path = write(&folder, "x.zip", &zip(&files));
        let mut expected = vec!["a 1.0".to_owned()];
        expected.extend((0..5000).map(|n| format!("x/b {n:?}.0")));
        expected.push("line 5002".to_owned());
        for chunk_size in [64, 1 << 20] {
            let found = read(&Csv::new(&path), chunk_size, Io::Auto).expect("read");
            assert_eq!(found, expected, "{method:?}, chunks of {chunk_size}");
        }
    }
}

#[test]
fn an_archive_that_is_cut_or_damaged_anywhere_never_gives_something_else_in_silence() {
    let folder = folder();
    let text: String = (0..15).map(|n| format!("{n},{}\n", n * 7919 % 1009)).collect();
    let whole = format!("value,other\n{text}");
    let files: [(&str, _, &[u8]); 2] =
        [("a.csv", STORE, b"value,other\n1,2\n"), ("b.csv", DEFLATE, whole.as_bytes())];
    let bytes = zip(&files);
    // A damaged name is another name, and may sort elsewhere.
    let values = |lines: &[String]| {
        let value = |line: &String| line.rsplit(' ').next().unwrap_or_default().to_owned();
        let mut values: Vec<String> = lines[..lines.len() - 1].iter().map(value).collect();
        values.sort();
        values
    };
    let of = |bytes: &[u8]| read(&Csv::new(write(&folder, "x.zip", bytes)), 1 << 20, Io::Auto);
    let expected = values(&of(&bytes).expect("read"));
    for length in 1..bytes.len() {
        let error = of(&bytes[..length]).expect_err("cut");
        assert!(error.to_string().contains("x.zip"), "{length}: {error}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        // Any value of a byte that does not affect the content, such as the time, is accepted.
        if let Ok(found) = of(&damaged) {
            assert_eq!(values(&found), expected, "byte {at}");
        }
    }
}

#[test]
fn some_files_of_an_archive_are_named_behind_it() {
    let folder = folder();
    let dir = folder.path().to_str().expect("UTF-8").to_owned();
    let file = |name| (name, DEFLATE, &b"value\n1\n"[..]);
    let readme: (&str, _, &[u8]) = ("README", STORE, b"no data here\n");
    write(&folder, "a.zip", &zip(&[file("x-1.csv"), file("plant/x-2.csv"), readme]));
    write(&folder, "b.zip", &zip(&[file("x-1.csv"), readme]));
    let sensors = |pattern: &str| {
        let mut lines = outcome(&format!("{dir}/{pattern}"));
        lines.pop_if(|line| line.starts_with("line "));
        lines
    };
    assert_eq!(sensors("a.zip/x-1.csv"), ["x-1 1.0"]);
    assert_eq!(sensors("a.zip/*.csv"), ["x-1 1.0"]);
    assert_eq!(sensors("a.zip/plant/*"), ["x-2 1.0"]);
    assert_eq!(sensors("a.zip/**/*.csv"), ["plant/x-2 1.0", "x-1 1.0"]);
    assert_eq!(sensors("*.zip/*.csv"), ["a.zip/x-1 1.0", "b.zip/x-1 1.0"]);
    let none = sensors("a.zip/y*");
    assert!(none[0].contains("no file matches") && none[0].contains("a.zip/y*"), "{none:?}");
    assert!(sensors("c.zip/*")[0].contains("c.zip"));
}

#[test]
fn a_packed_file_in_an_archive_is_unpacked_too() {
    let folder = folder();
    let inner = packed(Packing::Gzip, b"value\n1\n2\n");
    let path = write(&folder, "a.zip", &zip(&[("x.csv.gz", STORE, &inner), ("y.csv", STORE, b"value\n3\n")]));
    assert_eq!(outcome(&path), ["x 1.0", "x 2.0", "y 3.0", "line 3"]);
    let path = write(&folder, "a.zip", &zip(&[("x.csv.gz", STORE, &inner[..inner.len() - 1])]));
    assert!(outcome(&path)[0].contains("a.zip/x.csv.gz` is cut short"), "{:?}", outcome(&path));
}

#[test]
fn what_cannot_be_read_of_an_archive_is_refused_by_name() {
    let folder = folder();
    let good: (&str, _, &[u8]) = ("a.csv", STORE, b"value\n1\n");
    let with = |name: &'static str, method, text: &'static [u8]| zip(&[good, (name, method, text)]);
    for (name, bytes, message) in [
        (
            "x.zip",
            with("b.csv", CompressionMethod::LZMA, b"junk"),
            "x.zip/b.csv` cannot be read: it uses the compression method",
        ),
        ("x.zip", with("./a.csv", STORE, b"value\n2\n"), "x.zip` has two files named `a.csv`"),
        (
            "x.zip",
            with("b.zip", STORE, b"PK\x03\x04junk"),
            "x.zip/b.zip` cannot be unpacked: it is a zip archive",
        ),
        ("x.xlsx", with("[Content_Types].xml", STORE, b"<x/>"), "x.xlsx` is an office document"),
        ("x.zip", zip(&[]), "x.zip` has no files"),
        ("x.zip", with("b.csv", STORE, b""), "x.zip/b.csv` has no header: it is empty"),
        ("x.tar.gz", packed(Packing::Gzip, b"value\n1\n"), "x.tar.gz` is a tar archive"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c".to_vec(), "x.7z` is a 7z archive"),
    ] {
        let found = outcome(&write(&folder, name, &bytes));
        assert!(found[0].contains(message), "{message}: {found:?}");
    }
    let mut archive = ZipArchiveWriter::new(Vec::new());
    let (entry, _) = archive.new_file("b.csv").encrypted(true).start().expect("begun");
    entry.finish(DataDescriptorOutput::new(0, 0)).expect("ended");
    let found = outcome(&write(&folder, "x.zip", &archive.finish().expect("written")));
    assert!(found[0].contains("x.zip/b.csv` cannot be read: it is encrypted"), "{found:?}");
}

#[test]
fn a_name_that_leads_out_of_the_archive_writes_nothing() {
    let folder = folder();
    let path = write(
        &folder,
        "x.zip",
        &zip(&[("../../out.csv", STORE, b"value\n1\n"), ("/abs.csv", STORE, b"value\n2\n")]),
    );
    assert_eq!(outcome(&path), ["abs 2.0", "out 1.0", "line 3"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_place_in_a_file_of_an_archive_is_found_again() {
    let folder = folder();
    let text: String = (0..300).map(|n| format!("{n}\n")).collect();
    let whole = format!("value\n{text}");
    let files: [(&str, _, &[u8]); 2] =
        [("a.csv", DEFLATE, whole.as_bytes()), ("b.csv", DEFLATE, whole.as_bytes())];
    let path = write(&folder, "x.zip", &zip(&files));
    let options = OpenOptions { chunk_size: 100, ..OpenOptions::default() };
    let mut sensors = Sensors::default();
    let bytes = |input: Option<Input>| match input {
        Some(Input::Chunk(chunk)) => (chunk.file, chunk.offset.at, chunk.bytes.as_slice().to_vec()),
        _ => ("".into(), 0, Vec::new()),
    };
    let mut source = Csv::new(&path).open(&options).expect("open");
    for _ in 0..15 {
        source.next(&mut sensors).expect("a chunk");
    }
    let state = source.save().expect("saved").expect("a place");
    let expected = bytes(source.next(&mut sensors).expect("a chunk"));
    assert!(expected.0.ends_with("x.zip/b.csv"), "{}", expected.0);
    let mut other = Csv::new(&path).open(&options).expect("open");
    other.restore(&state).expect("restored");
    assert_eq!(bytes(other.next(&mut sensors).expect("a chunk")), expected);
    // Another archive under the same name is another input.
    write(&folder, "x.zip", &zip(&[files[0], ("b.csv", STORE, whole.as_bytes())]));
    let mut other = Csv::new(&path).open(&options).expect("open");
    let error = other.restore(&state).expect_err("another file");
    assert!(error.to_string().contains("x.zip/a.csv` is a different file than at the checkpoint"), "{error}");
}

#[test]
fn an_archive_ahead_is_known_by_its_directory() {
    use super::ahead::Ahead;
    use super::changes::FileChange;
    let folder = folder();
    let write = |first: &[u8], name: &str| {
        // Longer than the compared beginning and end, with the same length whatever the content.
        let rest = vec![b'1'; 3000];
        write(
            &folder,
            "x.zip",
            &zip(&[("a.csv", STORE, &rest), (name, STORE, first), ("z.csv", STORE, &rest)]),
        )
    };
    let look = |path: &str, from: usize| {
        let files = FileOptions::from(path.to_owned()).files(&["csv"], &Outputs::default()).expect("there");
        Ahead::look(&files, Ahead::start(&files, from, true)).expect("there")
    };
    let path = write(b"value\n1\n", "b.csv");
    let before = look(&path, 0);
    // All of it, wherever in it the run stopped.
    for at in 0..3 {
        assert_eq!(before.behind(at).changes(&look(&path, at)), [], "{at}");
    }
    assert_eq!(before.behind(3).changes(&look(&path, 3)), []);
    let is_other = |path: &str| before.changes(&look(path, 1)) == [FileChange::Other(path.into())];
    assert!(is_other(&write(b"value\n2\n", "b.csv")), "another checksum");
    assert!(is_other(&write(b"value\n1\n", "c.csv")), "another name");
    assert!(!is_other(&write(b"value\n1\n", "b.csv")));
}
