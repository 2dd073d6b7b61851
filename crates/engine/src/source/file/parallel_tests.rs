//! Several threads give the text and the error of one.

use std::io::Write;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::testing::{bgzf, packed};
use super::*;

const SMALL: GroupSize = GroupSize { usual: 200, most: 600 };

/// The output for `bytes`, and how it ends.
type Outcome = (Vec<u8>, std::result::Result<(), (io::ErrorKind, String)>);

fn outcome(reader: io::Result<impl Read>) -> Outcome {
    let mut text = Vec::new();
    let read = reader.and_then(|mut reader| reader.read_to_end(&mut text)).map_err(error_of);
    (text, read.map(drop).map_err(|error| (error.kind(), error.to_string())))
}

fn in_parallel(packing: Packing, bytes: &[u8], threads: usize, size: GroupSize) -> (Outcome, u64) {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    let consumed = Arc::new(AtomicU64::new(0));
    let packed = PackedFile { file, packing, start: 0, size, consumed: Arc::clone(&consumed) };
    let found = outcome(ParallelUnpacked::new(packed, threads));
    (found, consumed.load(Ordering::Relaxed))
}

fn check(packing: Packing, bytes: &[u8], threads: usize) -> std::result::Result<(), TestCaseError> {
    let (text, end) = outcome(packing.reader(bytes));
    for size in [SMALL, GroupSize::default()] {
        let ((found, found_end), consumed) = in_parallel(packing, bytes, threads, size);
        prop_assert_eq!(&found_end, &end, "{:?} {:?}", packing, size);
        match end {
            Ok(()) => prop_assert_eq!((&found, consumed), (&text, bytes.len() as u64)),
            // How much comes out before the error depends on the pieces in which the input arrives.
            Err(_) => prop_assert!(found.starts_with(&text) || text.starts_with(&found)),
        }
    }
    Ok(())
}

/// Text of one part.
fn part_text() -> impl Strategy<Value = Vec<u8>> {
    (0..30u32, any::<u32>()).prop_map(|(lines, seed)| {
        (0..lines)
            .flat_map(|line| format!("{line},{}\n", line.wrapping_mul(seed) % 10_007).into_bytes())
            .collect()
    })
}

/// A part of a file, or what stands between parts: rarely something that does not belong there.
fn piece(packing: Packing) -> impl Strategy<Value = Vec<u8>> {
    (part_text(), select(&[0u8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5][..])).prop_map(move |(text, kind)| {
        match kind {
            1 => packed(packing, &text),
            2 => packed(packing, &text.repeat(20)),
            3 => vec![0; text.len()],
            4 if packing == Packing::Zstd => b"\x5e\x2a\x4d\x18\x03\0\0\0abc".to_vec(),
            5 if text.len() % 5 == 0 => text,
            _ if packing == Packing::Gzip => bgzf(&text),
            _ => packed(packing, &text),
        }
    })
}

fn file() -> impl Strategy<Value = (Packing, Vec<u8>)> {
    select(&[Packing::Gzip, Packing::Zstd][..]).prop_flat_map(|packing| {
        (Just(packing), proptest::collection::vec(piece(packing), 1..20).prop_map(|all| all.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_number_of_threads_gives_what_one_gives((packing, bytes) in file(), threads in 1..4usize) {
        check(packing, &bytes, threads)?;
    }

    #[test]
    fn damage_is_found_as_by_one_thread(
        (packing, mut bytes) in file(), threads in 1..4usize, cut in any::<prop::sample::Index>(), is_cut: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 0..3),
    ) {
        for (at, change) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= change;
            }
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        check(packing, &bytes, threads)?;
    }
}

#[test]
fn a_file_cut_anywhere_ends_as_for_one_thread() {
    let texts: [&[u8]; 4] = [b"one,1\n", b"", b"two,2\nthree,3\n", b"four,4\n"];
    let zstd = |text: &&[u8]| packed(Packing::Zstd, text);
    for (packing, all) in [
        (Packing::Gzip, texts.iter().map(|text| bgzf(text)).collect::<Vec<_>>().concat()),
        (Packing::Zstd, texts.iter().map(zstd).collect::<Vec<_>>().concat()),
    ] {
        for length in 0..=all.len() {
            check(packing, &all[..length], 2)
                .unwrap_or_else(|error| panic!("{packing:?}, {length}: {error}"));
        }
    }
}

fn started(bytes: &[u8], threads: usize) -> Option<ParallelUnpacked> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    file.rewind().expect("rewound");
    start(&file, threads, &Arc::default()).expect("read")
}

#[test]
fn the_threads_end_with_their_reader() {
    let part = bgzf(&b"1,2\n".repeat(10_000));
    let mut unpacked = started(&part.repeat(10_000), 3).expect("parts of known lengths");
    unpacked.read_exact(&mut [0; 100]).expect("read");
    drop(unpacked);
}

#[test]
fn one_part_or_one_thread_needs_no_other() {
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    let noise: Vec<u8> =
        std::iter::successors(Some(1), next).map(|state| (state >> 56) as u8).take(1_000_000).collect();
    let parts: Vec<u8> = noise.chunks(30_000).flat_map(bgzf).collect();
    assert!(started(&parts, 2).is_some());
    assert!(started(&parts, 1).is_none() && started(&parts[..100_000], 2).is_none());
    assert!(started(&packed(Packing::Gzip, &noise), 2).is_none());
    assert!(started(&noise, 2).is_none() && started(b"", 2).is_none());
}
