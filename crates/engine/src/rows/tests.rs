use proptest::prelude::*;

use super::*;
use crate::files::Disk;

/// A segment for each epoch, as an outbox has them; and segments of some epochs.
const SIZES: [u64; 2] = [0, 500];

fn log(folder: &Path, size: u64, kept: &[Segment]) -> Result<RowLog> {
    let files: Arc<dyn FileSystem> = Arc::new(Disk);
    let log = RowLog::open(&files, folder, Purpose::File, &"1-0".into(), kept.to_vec())?;
    Ok(RowLog { size, ..log })
}

fn rows(log: &RowLog) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut all = Vec::new();
    for segment in log.kept() {
        for frame in log.reader().rows(*segment)? {
            all.push(frame?);
        }
    }
    Ok(all)
}

fn files(folder: &Path) -> usize {
    look(&Disk, folder).expect("a folder").len()
}

proptest! {
    /// Whatever is appended, cut back to, read and forgotten, it has what a list has.
    #[test]
    fn it_keeps_what_a_list_keeps(
        size in proptest::sample::select(&SIZES[..]),
        steps in proptest::collection::vec((0..5_u8, 0..300_usize), 1..60),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut whole = log(folder.path(), size, &[]).expect("made");
        let (mut list, mut epoch, mut kept) = (Vec::new(), 1, (Vec::new(), Vec::new()));
        for (at, (step, size_of_rows)) in steps.into_iter().enumerate() {
            match step {
                0 | 1 => {
                    let rows = vec![at as u8; size_of_rows];
                    whole.append(epoch, &rows).expect("appended");
                    list.push((epoch, rows));
                }
                2 => {
                    whole.close().map_or(Ok(()), |settle| settle()).expect("durable");
                    kept = (whole.kept().to_vec(), list.clone());
                    epoch += 1;
                }
                3 => {
                    drop(whole);
                    whole = log(folder.path(), size, &kept.0).expect("gone on with");
                    list.clone_from(&kept.1);
                    epoch = list.last().map_or(1, |(epoch, _): &(u64, Vec<u8>)| epoch + 1);
                }
                _ => {
                    // Whole segments go, and no row behind the epoch.
                    let until = epoch.saturating_sub(1 + size_of_rows as u64 % 3);
                    whole.close().map_or(Ok(()), |settle| settle()).expect("durable");
                    whole.forget(until).into_iter().for_each(|remove| remove());
                    let first = whole.kept().first().map_or(u64::MAX, |segment| segment.first);
                    prop_assert!(list.iter().all(|(epoch, _)| *epoch <= until || *epoch >= first));
                    list.retain(|(epoch, _)| *epoch >= first);
                    kept = (whole.kept().to_vec(), list.clone());
                    epoch += 1;
                }
            }
            prop_assert_eq!(&rows(&whole).expect("whole"), &list);
            prop_assert_eq!(files(folder.path()), whole.kept().len());
        }
        whole.forget(epoch).into_iter().for_each(|remove| remove());
        prop_assert_eq!(files(folder.path()), 0);
    }
}

#[test]
fn an_outbox_has_a_segment_for_each_epoch_and_others_begin_one_behind_some_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    for (size, expected) in [(0, [3, 4, 5, 6]), (40, [3, 3, 5, 5])] {
        let mut log = log(folder.path(), size, &[]).expect("made");
        assert!(log.close().is_none(), "nothing has come");
        for (epoch, first) in (3..).zip(expected) {
            log.append(epoch, b"some rows").expect("appended");
            assert_eq!(log.kept().last().map(|segment| (segment.first, segment.last)), Some((first, epoch)));
            log.close().expect("something has come")().expect("durable");
        }
        assert_eq!(log.open_bytes(6) > 0, size == 0);
        assert!(log.forget(2).is_none());
        log.forget(4).expect("two epochs")();
        assert_eq!(log.kept().first().map(|segment| segment.first), Some(5));
        let kept = log.kept().to_vec();
        log.append(7, b"of no checkpoint").expect("appended");
        drop(log);
        let again = super::tests::log(folder.path(), size, &kept).expect("gone on with");
        assert_eq!(rows(&again).expect("whole").len(), 2);
        again.reader().clear();
        let error = super::tests::log(folder.path(), size, &kept).expect_err("it is gone");
        assert!(error.message().contains("have not been delivered"), "{error}");
    }
}

#[test]
fn every_flipped_bit_and_every_missing_byte_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    for size in SIZES {
        let mut whole = log(folder.path(), size, &[]).expect("made");
        for entry in ["abc", "", "0123456789"] {
            whole.append(1, entry.as_bytes()).expect("written");
        }
        let kept = whole.kept().to_vec();
        let path = folder.path().join("rows-1-0-0000000001");
        let bytes = std::fs::read(&path).expect("there");
        assert!(rows(&whole).is_ok());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                std::fs::write(&path, &changed).expect("written");
                assert!(rows(&whole).is_err(), "byte {at}, bit {bit}");
            }
            std::fs::write(&path, &bytes[..at]).expect("written");
            assert!(rows(&whole).is_err(), "cut at {at}");
            assert!(log(folder.path(), size, &kept).is_err(), "cut at {at}");
        }
        std::fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn logs_of_one_name_and_of_two_purposes_do_not_meet() {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Arc<dyn FileSystem> = Arc::new(Disk);
    let open = |purpose| RowLog::open(&files, folder.path(), purpose, &"0123-1-0".into(), Vec::new());
    let [mut outbox, mut rows] = [Purpose::Outbox, Purpose::File].map(|purpose| open(purpose).expect("made"));
    outbox.append(1, b"a").and_then(|()| rows.append(1, b"b")).expect("appended");
    assert_eq!(self::files(folder.path()), 2);
    drop(open(Purpose::File).expect("begun anew"));
    assert!(folder.path().join("outbox-0123-1-0-0000000001").exists());
    assert_eq!(self::files(folder.path()), 1);
}
