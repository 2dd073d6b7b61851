//! All damage to a recording is detected.

use std::path::Path;
use std::sync::Arc;

use super::frames::Frames;
use super::{Content, Recorder, RecordingFrame};
use crate::batch::{Batch, Field, Schema};
use crate::error::{Rejection, RejectionKind};
use crate::format::Decoded;
use crate::offset::Position;
use crate::source::Input;

const PIECES: usize = 5;

fn schema() -> Schema {
    Schema::new(vec![Field::sensor("s"), Field::measurement("v")]).expect("columns")
}

/// What came in as the `at`th.
fn piece(at: usize) -> Input {
    let position = Position { file: "f".into(), line: at as u64, offset: 0 };
    let kind = RejectionKind::Malformed;
    let (reason, raw) = (format!("bad {at}"), vec![b'x'; at]);
    let rejection = Rejection { kind, position, record: 1, decided: None, column: None, reason, raw };
    let batch = Batch::empty(Arc::new(schema()));
    Input::Records(Decoded { batch, rejections: vec![rejection], lines: 0 })
}

/// A recording of [`PIECES`], as bytes.
fn recording(path: &Path) -> Vec<u8> {
    let recorder = Recorder::create(path).expect("a recording");
    recorder.begin(&schema()).expect("begun");
    (0..PIECES).for_each(|at| recorder.add(&piece(at), None, "", &[]).expect("added"));
    recorder.finish().expect("finished");
    std::fs::read(path).expect("bytes")
}

/// The pieces that can be read from these bytes, and the message about the others; `None` if it is not a recording any more.
fn read(path: &Path, bytes: &[u8]) -> Option<(Vec<usize>, Option<String>)> {
    std::fs::write(path, bytes).expect("written");
    let mut frames = super::is_recording(path).then(|| Frames::open(path).ok()).flatten()?;
    let mut pieces = Vec::new();
    while let Some(frame) = frames.next().expect("readable") {
        if let RecordingFrame::Piece(super::RecordedPiece {
            content: Content::Rejections(rejections), ..
        }) = frame
        {
            assert!(rejections[0].reason.starts_with("bad "), "{rejections:?}");
            pieces.push(rejections[0].position.line as usize);
        }
    }
    Some((pieces, frames.missing()))
}

#[test]
fn a_whole_recording_says_nothing_and_a_cut_one_says_so_wherever_it_was_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.rec");
    let bytes = recording(&path);
    assert_eq!(read(&path, &bytes), Some(((0..PIECES).collect(), None)));
    for length in 0..bytes.len() {
        let Some((pieces, missing)) = read(&path, &bytes[..length]) else { continue };
        assert_eq!(pieces, (0..pieces.len()).collect::<Vec<_>>(), "cut at {length}");
        let missing = missing.unwrap_or_else(|| panic!("cut at {length}: nothing is said"));
        assert!(missing.contains("is truncated"), "{missing}");
    }
}

#[test]
fn every_flipped_bit_is_said_and_what_follows_is_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.rec");
    let bytes = recording(&path);
    for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        // One that begins otherwise is not taken for a recording of this version.
        let Some((pieces, missing)) = read(&path, &damaged) else { continue };
        assert!(missing.is_some(), "byte {at}, bit {bit}: nothing is said");
        assert!(pieces.len() >= PIECES - 1, "byte {at}, bit {bit}: {pieces:?}");
        assert!(pieces.is_sorted(), "byte {at}, bit {bit}: {pieces:?}");
    }
}

#[test]
fn pieces_that_are_missing_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.rec");
    let bytes = recording(&path);
    let marks: Vec<_> = memchr::memmem::find_iter(&bytes, &super::MARK).collect();
    // The columns, the kind of input, the pieces, the end.
    assert_eq!(marks.len(), PIECES + 3);
    let without = [&bytes[..marks[3]], &bytes[marks[5]..]].concat();
    let (pieces, missing) = read(&path, &without).expect("a recording");
    assert_eq!(pieces, [0, 3, 4]);
    assert!(missing.is_some_and(|missing| missing.contains("in 2 pieces")));
}

#[test]
fn a_recording_is_not_made_twice_unless_it_holds_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.rec");
    Recorder::create(&path).expect("a recording").begin(&schema()).expect("begun");
    recording(&path);
    let error = Recorder::create(&path).expect_err("it is there");
    assert!(error.message().contains("exists already"), "{error}");
    let error = Recorder::resumable(&path).begin(&schema()).expect_err("nothing knows it");
    assert!(error.message().contains("exists already"), "{error}");
}

#[test]
fn what_a_checkpoint_does_not_know_of_is_cut_off_and_the_rest_is_gone_on_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.rec");
    let before = Recorder::create(&path).expect("a recording");
    before.begin(&schema()).expect("begun");
    before.add(&piece(0), None, "", &[]).expect("added");
    let reached = before.reached().expect("a place");
    before.add(&piece(1), None, "", &[]).expect("added");
    let after = Recorder::resumable(&path);
    after.resume(&reached).expect("gone on with");
    after.begin(&schema()).expect("begun long ago");
    after.add(&piece(2), None, "", &[]).expect("added");
    after.finish().expect("finished");
    let bytes = std::fs::read(&path).expect("bytes");
    assert_eq!(read(&path, &bytes), Some((vec![0, 2], None)));
    std::fs::remove_file(&path).expect("removed");
    let error = Recorder::resumable(&path).resume(&reached).expect_err("it is gone");
    assert!(error.message().contains("is not the recording"), "{error}");
}

#[test]
fn a_piece_that_was_dropped_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.rec");
    let recorder = Recorder::create(&path).expect("a recording");
    recorder.begin(&schema()).expect("begun");
    recorder.hold();
    for at in 0..3 {
        recorder.add(&piece(at), None, "", &[]).expect("added");
        match at {
            1 => recorder.drop_held(),
            _ => recorder.accept(0).expect("added"),
        }
    }
    recorder.finish().expect("finished");
    let bytes = std::fs::read(&path).expect("bytes");
    assert_eq!(read(&path, &bytes), Some((vec![0, 2], None)));
}
