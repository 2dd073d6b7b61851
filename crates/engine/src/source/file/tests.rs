//! Clause 6, and files that change while they are read.

use std::io::Write;

use super::*;
use crate::error::ErrorKind;
use crate::sensor::Sensors;
use crate::source::{Csv, Io, SourceSpec};

/// All bytes of a source, by file name, with the first line number.
pub(super) fn read(spec: &Csv, chunk_size: usize, io: Io) -> Result<Vec<String>> {
    let options = OpenOptions { io, chunk_size, ..OpenOptions::default() };
    let (mut source, mut sensors) = (spec.open(&options)?, Sensors::default());
    let mut lines = Vec::new();
    let mut line = 0;
    while let Some(input) = source.next(&mut sensors)? {
        let Input::Chunk(chunk) = input else { unreachable!("files give chunks") };
        if chunk.offset.line > 0 {
            line = chunk.offset.line;
        }
        let decoded = chunk.decode(&mut sensors)?;
        for (row, &sensor) in decoded.batch.sensors().iter().enumerate() {
            let value = decoded.batch.measurement(decoded.batch.schema().measurements()[0]).get(row);
            lines.push(format!("{} {:?}", sensors.name(sensor), value.unwrap_or(f64::NAN)));
        }
        line += decoded.lines;
    }
    lines.push(format!("line {line}"));
    Ok(lines)
}

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(super) fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

#[test]
fn clause_6_lists_globs_and_folders_are_one_input() {
    let folder = folder();
    let b = write(&folder, "b.csv", b"value\n2\n");
    let a = write(&folder, "a.csv", b"value\n1");
    write(&folder, "c.csv.gz", &gzip(b"value\n3\n"));
    write(&folder, "notes.md", b"not data");
    let list = Csv {
        files: FileOptions { path: OneOrMany::Many(vec![b, a]), ..FileOptions::from("") },
        ..Csv::new("")
    };
    assert_eq!(read(&list, 100, Io::Auto).expect("read"), ["b 2.0", "a 1.0", "line 3"]);
    let all = ["a 1.0", "b 2.0", "c 3.0", "line 3"];
    let dir = folder.path().to_str().expect("UTF-8");
    assert_eq!(read(&Csv::new(dir), 100, Io::Auto).expect("read"), all);
    assert_eq!(read(&Csv::new(format!("{dir}/*.csv*")), 100, Io::Auto).expect("read"), all);
}

#[test]
fn clause_6_compressed_files_of_several_parts_are_read_whole() {
    let (folder, others) = (folder(), folder());
    let text: String = (0..5000).map(|n| format!("{n}\n")).collect();
    let whole = format!("value\n{text}");
    let (first, second) = whole.as_bytes().split_at(1000);
    let expected =
        read(&Csv::new(write(&folder, "x.csv", whole.as_bytes())), 1 << 20, Io::Read).expect("read");
    let packed = [
        write(&folder, "x.gz", &[gzip(first), gzip(second)].concat()),
        write(
            &folder,
            "x.zst",
            &[zstd::encode_all(first, 1).expect("packed"), zstd::encode_all(second, 1).expect("packed")]
                .concat(),
        ),
        write(&others, "x.gz", &[gzip(first), gzip(second), vec![0; 700]].concat()),
        write(
            &others,
            "x.zst",
            &[b"\x50\x2a\x4d\x18\x02\0\0\0ab", &*zstd::encode_all(whole.as_bytes(), 1).expect("packed")]
                .concat(),
        ),
    ];
    for path in packed {
        for chunk_size in [64, 1 << 20] {
            assert_eq!(read(&Csv::new(&path), chunk_size, Io::Auto).expect("read"), expected, "{path}");
        }
    }
}

#[test]
fn any_chunk_size_and_either_way_of_reading_give_the_same() {
    let folder = folder();
    let text: String = (0..300).map(|n| format!("\"{n}\"\r\n")).collect();
    let path = write(&folder, "x.csv", format!("\u{feff}value\r\n{text}").as_bytes());
    let expected = read(&Csv::new(&path), 1 << 20, Io::Read).expect("read");
    assert_eq!(expected.len(), 301);
    for chunk_size in [1, 7, 64, 1000] {
        for io in [Io::Read, Io::Mmap] {
            assert_eq!(read(&Csv::new(&path), chunk_size, io).expect("read"), expected);
        }
    }
}

#[test]
fn seeking_to_an_offset_goes_on_from_there() {
    let folder = folder();
    let text: String = (0..300).map(|n| format!("{n}\n")).collect();
    let text = format!("value\n{text}");
    let packed = write(&folder, "p.gz", &gzip(text.as_bytes()));
    for (path, io) in [
        (write(&folder, "x.csv", text.as_bytes()), Io::Read),
        (folder.path().join("x.csv").display().to_string(), Io::Mmap),
        (packed, Io::Auto),
    ] {
        let options = OpenOptions { io, chunk_size: 100, ..OpenOptions::default() };
        let mut sensors = Sensors::default();
        let bytes = |input: Option<Input>| match input {
            Some(Input::Chunk(chunk)) => (chunk.offset.at, chunk.bytes.as_slice().to_vec()),
            _ => (0, Vec::new()),
        };
        let mut source = Csv::new(&path).open(&options).expect("open");
        (0..3).for_each(|_| drop(source.next(&mut sensors).expect("chunk")));
        let offset = source.offset();
        let expected = bytes(source.next(&mut sensors).expect("chunk"));
        let mut other = Csv::new(&path).open(&options).expect("open");
        other.seek(offset).expect("sought");
        assert_eq!(bytes(other.next(&mut sensors).expect("chunk")), expected);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let folder = folder();
    let error = |path: &str| read(&Csv::new(path), 100, Io::Auto).expect_err("nothing to read");
    let missing = error("no/such/file.csv");
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
    assert!(missing.to_string().contains("no/such/file.csv: no such file"), "{missing}");
    assert!(error("no/such/*.csv").to_string().contains("no file matches `no/such/*.csv`"));
    assert_eq!(error(folder.path().to_str().expect("UTF-8")).kind(), ErrorKind::Unavailable);
    assert!(error(&write(&folder, "empty.csv", b"")).to_string().contains("it is empty"));
}

#[test]
fn a_packed_file_cut_short_is_a_data_error() {
    let folder = folder();
    let text: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    let whole = gzip(format!("value\n{text}").as_bytes());
    let path = write(&folder, "x.csv.gz", &whole[..whole.len() / 2]);
    let error = read(&Csv::new(path), 1000, Io::Auto).expect_err("cut short");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("cut short"), "{error}");
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error_and_not_a_crash() {
    let folder = folder();
    let text: String = (0..500_000).map(|n| format!("{n}\n")).collect();
    for io in [Io::Mmap, Io::Read] {
        let path = write(&folder, "x.csv", format!("value\n{text}").as_bytes());
        let options = OpenOptions { io, chunk_size: 100_000, ..OpenOptions::default() };
        let (mut source, mut sensors) = (Csv::new(&path).open(&options).expect("open"), Sensors::default());
        source.next(&mut sensors).expect("first chunk");
        std::fs::OpenOptions::new().write(true).open(&path).expect("open").set_len(1 << 20).expect("cut");
        let mut rest = || loop {
            match source.next(&mut sensors) {
                Ok(Some(Input::Chunk(chunk))) => drop(chunk.decode(&mut Sensors::default())),
                Ok(_) => return None,
                Err(error) => return Some(error),
            }
        };
        let error = rest().expect("noticed");
        assert!(error.to_string().contains("changed while reading"), "{error}");
    }
}

#[test]
fn a_chunk_knows_that_its_file_has_changed() {
    let folder = folder();
    for io in [Io::Mmap, Io::Read] {
        let path = write(&folder, "x.csv", b"value\n1\n2\n");
        let options = OpenOptions { io, ..OpenOptions::default() };
        let (mut source, mut sensors) = (Csv::new(&path).open(&options).expect("open"), Sensors::default());
        let Some(Input::Chunk(chunk)) = source.next(&mut sensors).expect("a chunk") else {
            unreachable!("files give chunks")
        };
        chunk.check_unchanged().expect("as it was");
        std::fs::OpenOptions::new().write(true).open(&path).expect("open").set_len(0).expect("cut");
        chunk.decode(&mut sensors).expect("zeros, or what was read");
        let error = chunk.check_unchanged().expect_err("cut off");
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.message().ends_with("near byte 6, had 10 bytes and now has 0"), "{error}");
    }
}

#[test]
fn zeros_stand_for_what_was_cut_off_a_map() {
    let folder = folder();
    let path = write(&folder, "x.bin", &vec![b'x'; 4 << 20]);
    let file = std::fs::File::open(&path).expect("open");
    let mut map = map::MappedFile::open(&file, 4 << 20).expect("mapped");
    map.peek(100).expect("window");
    let bytes = map.take(4 << 20);
    std::fs::OpenOptions::new().write(true).open(&path).expect("open").set_len(1 << 20).expect("cut");
    assert_eq!(bytes.as_slice()[..1 << 20].iter().filter(|&&b| b == b'x').count(), 1 << 20);
    assert!(bytes.as_slice()[1 << 20..].iter().all(|&byte| byte == 0));
}

#[test]
fn clause_6_packed_input_that_comes_in_pieces_is_told_by_its_first_bytes_too() {
    use super::packing::Packing;
    let folder = folder();
    let text: String = (0..300).map(|n| format!("{n}\n")).collect();
    for packing in [Packing::Gzip, Packing::Zstd, Packing::Xz, Packing::Bzip2, Packing::Lz4] {
        let whole = testing::packed(packing, format!("value\n{text}").as_bytes());
        for (length, is_whole) in [(whole.len(), true), (whole.len() - 1, false), (3, false)] {
            let path = write(&folder, "x", &whole[..length]);
            for seed in 0..20 {
                let options = OpenOptions { shred: Some(seed), ..OpenOptions::default() };
                let mut sensors = Sensors::default();
                let read = Csv::new(&path).open(&options).and_then(|mut source| {
                    let mut records = 0;
                    while let Some(input) = source.next(&mut sensors)? {
                        if let Input::Chunk(chunk) = input {
                            records += chunk.decode(&mut Sensors::default())?.batch.len();
                        }
                    }
                    Ok(records)
                });
                match is_whole {
                    true => assert_eq!(read.expect("read"), 300, "{packing:?}, seed {seed}"),
                    // Truncated, also within the magic number.
                    false => assert!(read.is_err(), "{packing:?}, {length} bytes, seed {seed}"),
                }
            }
        }
    }
}
