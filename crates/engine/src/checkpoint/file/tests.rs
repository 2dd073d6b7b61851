//! Checkpoints are read as they were written, or refused.

use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::atomic::SavedPart;
use crate::checkpoint::{Ending, Manifest, Orphan, PartSpec, StageState};
use crate::error::{Error, Result};
use crate::stage::{Pieces, in_one_piece};

fn manifest() -> Manifest {
    let part =
        |place: &str, name: &str| PartSpec { place: place.into(), name: name.into(), options: "{}".into() };
    let output = SavedPart { path: "a".into(), part: ".a.part-1".into(), length: 3, crc: 5, end: 6 };
    Manifest {
        made: 1,
        ending: Ending::Running,
        pipeline: vec![part("source", "csv"), part("sink 0 (csv)", "csv")],
        key: [3; 32],
        records: 7,
        sources: vec![Some(vec![1, 2, 3]), None],
        sensors: ["a", "b"].iter().collect(),
        stages: Vec::new(),
        sinks: vec![Some(vec![9]), None],
        outputs: vec![vec![output.clone()], vec![]],
        counts: vec![5],
        orphans: vec![Orphan { output, records: 3, aside: "a.until-3".into() }],
        base: None,
    }
}

fn states() -> Vec<Vec<Vec<u8>>> {
    vec![vec![], vec![vec![0; 40]], vec![vec![1], vec![2, 3], vec![4; 300]], vec![]]
}

fn bytes(manifest: &Manifest) -> Vec<u8> {
    let pieces = |state: Vec<Vec<u8>>| Box::new(state.into_iter().map(Ok)) as Pieces;
    let mut bytes = Vec::new();
    manifest.write(&mut bytes, states().into_iter().map(pieces).collect()).expect("bytes");
    bytes
}

fn read(bytes: &[u8]) -> Result<Manifest> {
    let file = tempfile::tempfile().expect("a file");
    file.write_all_at(bytes, 0).expect("written");
    CheckpointFile::check(Arc::new(file), Path::new("checkpoint"))?.read(None)
}

/// All that it says but for the stages' states, which are where they were read.
fn said(manifest: &Manifest) -> String {
    format!("{:?}", Manifest { stages: Vec::new(), ..manifest.clone() })
}

fn kept(manifest: &Manifest) -> Vec<Vec<Vec<u8>>> {
    let pieces =
        |state: &StageState| state.cuts().into_iter().flatten().collect::<Result<Vec<_>>>().expect("pieces");
    manifest.stages.iter().map(pieces).collect()
}

#[test]
fn a_checkpoint_reads_back() {
    let found = read(&bytes(&manifest())).expect("a checkpoint");
    assert_eq!((said(&found), kept(&found)), (said(&manifest()), states()));
    assert_eq!(found.stages.iter().map(StageState::bytes).collect::<Vec<_>>(), [0, 40, 303, 0]);
}

#[test]
fn one_of_another_version_is_refused_by_name() {
    let mut bytes = bytes(&manifest());
    bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let body = bytes.len() - CHECKSUM;
    let crc = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&crc.to_le_bytes());
    let error = read(&bytes).expect_err("another version");
    assert!(error.message().contains("a checkpoint of version 2"), "{error}");
}

/// Keeps the sizes of what is written, and takes less than it is given now and then.
#[derive(Default)]
struct Halting(Vec<usize>, Vec<u8>);

impl Write for Halting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = if self.0.len() % 3 == 1 { bytes.len().div_ceil(2) } else { bytes.len() };
        self.0.push(taken);
        self.1.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn many_names_are_written_in_small_pieces() {
    let sensors = (0..20_000).map(|at| format!("{at:0100}")).collect();
    let many = Manifest { sensors, ..manifest() };
    let mut written = Halting::default();
    many.write(&mut written, Vec::new()).expect("bytes");
    assert!(written.0.iter().all(|&size| size <= BUFFER), "{:?}", written.0);
    assert_eq!(said(&read(&written.1).expect("a checkpoint")), said(&many));
}

#[test]
fn what_a_stage_cannot_save_is_told_as_it_says_it() {
    let failing = Box::new([Ok(vec![1_u8]), Err(Error::internal("no state"))].into_iter()) as Pieces;
    let stages = vec![in_one_piece(vec![1; 9]), failing];
    let unwritten = manifest().write(Vec::new(), stages).expect_err("not written");
    assert!(matches!(&unwritten, Unwritten::Run(error) if error.message() == "no state"), "{unwritten:?}");
}

#[test]
fn every_flipped_bit_and_every_missing_or_additional_byte_is_noticed() {
    let bytes = bytes(&manifest());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "byte {at}, bit {bit}");
        }
        assert!(read(&bytes[..at]).is_err(), "cut at {at}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(read(&longer).is_err());
}

/// Whoever can forge a checksum gets errors, and no memory that is not there.
#[test]
fn lengths_are_not_believed() {
    let bytes = bytes(&manifest());
    for at in HEAD..bytes.len() - TAIL {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut forged = bytes.clone();
            forged[at] = value;
            let end = forged.len() - CHECKSUM;
            let crc = crc32c::crc32c(&forged[..end]).to_le_bytes();
            forged[end..].copy_from_slice(&crc);
            if let Ok(found) = read(&forged) {
                let mut pieces = found.stages.iter().flat_map(StageState::cuts).flatten();
                assert!(pieces.all(|piece| piece.is_ok()));
            }
        }
    }
}
