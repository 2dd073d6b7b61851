//! Files with addresses are staged on this machine until they are complete.

use super::*;
use crate::files::memory::Memory;
use crate::files::write_all_at;

#[test]
fn a_part_file_is_staged_and_its_rename_uploads_it() {
    let state = tempfile::tempdir().expect("a folder");
    let files = everywhere(Some(state.path()));
    let (part, path) =
        (Path::new("memory://routed/out/.x.csv.part-1"), Path::new("memory://routed/out/x.csv"));
    super::super::make_lasting_folder(&*files, super::super::folder(path), false).expect("made");
    let handle = files.create(part, Access::Shared).expect("created");
    write_all_at(&*handle, b"all of it", 0).expect("written");
    assert_eq!(files.create(part, Access::Shared).expect_err("there").kind(), io::ErrorKind::AlreadyExists);
    assert!(handle.has_name(part).expect("looked") && files.open_own(part).is_ok());
    assert_eq!(files.kind(path).expect_err("no object yet").kind(), io::ErrorKind::NotFound);
    files.sync_folder(super::super::folder(path)).expect("synced");
    files.rename(part, path).expect("uploaded");
    assert_eq!(files.read(path).expect("an object"), b"all of it");
    assert_eq!(files.kind(part).expect_err("removed").kind(), io::ErrorKind::NotFound);
    assert!(files.names(super::super::folder(path)).expect("names").contains(&"x.csv".into()));
    assert!(files.unfinished(super::super::folder(path)).expect("names").is_empty());
}

#[test]
fn a_new_object_replaces_none() {
    let state = tempfile::tempdir().expect("a folder");
    let files = everywhere(Some(state.path()));
    Memory::put("memory://routed/new/x.csv", b"older");
    let part = Path::new("memory://routed/new/.x.csv.part-1");
    files.make_folder(Path::new("memory://routed/new"), false).expect("made");
    files.create(part, Access::Shared).expect("created");
    let error = files.rename_new(part, Path::new("memory://routed/new/x.csv")).expect_err("there");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(files.kind(part).is_ok(), "the staged file stays");
}

/// A file system with the part file `part`, which has these bytes.
fn staged(folder: &tempfile::TempDir, part: &Path, bytes: &[u8]) -> Arc<dyn FileSystem> {
    let files = everywhere(Some(folder.path()));
    files.make_folder(super::super::folder(part), false).expect("made");
    let handle = files.create(part, Access::Shared).expect("created");
    write_all_at(&*handle, bytes, 0).expect("written");
    files
}

#[test]
fn an_object_with_the_same_bytes_is_an_earlier_attempt() {
    let (part, path) = (Path::new("memory://routed/twice/.x.part-1"), Path::new("memory://routed/twice/x"));
    // More than is compared at once, and than one read has.
    let bytes: Vec<u8> = (0..PIECE + 5_000).map(|at| (at % 251) as u8).collect();
    let mut other = bytes.clone();
    other[PIECE + 17] ^= 1;
    for (there, is_taken) in [(&bytes, true), (&other, false), (&bytes[1..].to_vec(), false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let files = staged(&folder, part, &bytes);
        Memory::put(path, there);
        let renamed = files.rename_new(part, path).map_err(|error| error.kind());
        assert_eq!(renamed, if is_taken { Ok(()) } else { Err(io::ErrorKind::AlreadyExists) });
        assert_eq!(files.kind(part).is_err(), is_taken, "it is removed when it has its name");
        assert_eq!(files.read(path).expect("there"), *there);
    }
}

#[test]
fn of_two_runs_that_publish_an_object_at_once_one_is_refused() {
    for round in 0..50 {
        let (part, path) = (
            PathBuf::from(format!("memory://routed/race/.{round}.part-1")),
            PathBuf::from(format!("memory://routed/race/{round}")),
        );
        let barrier = std::sync::Barrier::new(2);
        let publish = &|bytes: &'static [u8]| {
            let folder = tempfile::tempdir().expect("a folder");
            let files = staged(&folder, &part, bytes);
            barrier.wait();
            crate::atomic::rename_beside(&*files, &part, &path, || ()).map(|()| bytes)
        };
        let both = std::thread::scope(|scope| {
            [&b"one"[..], b"other"]
                .map(|bytes| scope.spawn(move || publish(bytes)))
                .map(|thread| thread.join().expect("no panic"))
        });
        let published: Vec<_> = both.into_iter().flatten().collect();
        assert_eq!(published, [everywhere(None).read(&path).expect("there")], "round {round}");
    }
}

#[test]
fn only_files_are_at_addresses() {
    let files = everywhere(None);
    let at = Path::new("memory://routed/state");
    for error in [
        files.lock(at).map(drop),
        files.check_own_folder(at),
        files.create(at, Access::Shared).map(drop),
        files.create_twin([at, Path::new("x")], b""),
        files.kind(Path::new("s3://bucket/x")).map(drop),
    ] {
        assert_eq!(error.expect_err("refused").kind(), io::ErrorKind::Unsupported);
    }
}
