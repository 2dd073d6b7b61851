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
