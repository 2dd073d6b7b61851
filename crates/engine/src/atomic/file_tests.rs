use super::*;
use crate::error::ErrorKind;
use crate::files::Disk;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("folder");
    entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn clause_19_a_file_appears_only_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("deep/out.csv");
    let mut file = AtomicFile::create(path.to_str().expect("UTF-8")).expect("begun");
    file.write_all(b"new").expect("written");
    file.finish().expect("flushed");
    assert!(!path.exists());
    file.commit().expect("committed");
    assert_eq!(std::fs::read(&path).expect("there"), b"new");
    assert_eq!(names(path.parent().expect("folder")), ["out.csv"]);
}

#[test]
fn clause_19_an_interrupted_file_leaves_the_older_one_and_nothing_else() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.csv");
    std::fs::write(&path, b"old").expect("written");
    let mut file = AtomicFile::create(path.to_str().expect("UTF-8")).expect("begun");
    file.write_all(b"new").expect("written");
    drop(file);
    assert_eq!(std::fs::read(&path).expect("there"), b"old");
    assert_eq!(names(folder.path()), ["out.csv"]);
}

#[test]
fn what_killed_runs_have_left_of_a_file_goes_and_what_others_work_on_stays() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.csv");
    let at_work = AtomicFile::create(&path).expect("begun");
    let left = [".out.csv.part-p4000000-0123456789abcdef", ".out.csv.part-p1-fedcba9876543210"];
    // Of other files, of runs that go on after a restart, of somebody else.
    let others = [
        ".out.csvx.part-p1-0123456789abcdef",
        ".out.csv.part-01234567-0123456789abcdef",
        ".out.csv.part-old",
        "out.csv",
    ];
    left.iter()
        .chain(&others)
        .for_each(|name| std::fs::write(folder.path().join(name), "x").expect("written"));
    let next = AtomicFile::create(&path).expect("begun");
    let found = names(folder.path());
    left.iter().for_each(|name| assert!(!found.contains(&(*name).to_owned()), "{name}"));
    others.iter().for_each(|name| assert!(found.contains(&(*name).to_owned()), "{name}"));
    assert_eq!(found.len(), others.len() + 2, "{found:?}");
    drop((at_work, next));
    assert_eq!(names(folder.path()).len(), others.len());
}

#[test]
fn a_folder_that_is_removed_is_noticed_with_the_next_bytes() {
    let folder = tempfile::tempdir().expect("folder");
    let deep = folder.path().join("deep");
    let mut file = AtomicFile::create(deep.join("out.csv")).expect("begun");
    drop(file.append(b"first".to_vec()).expect("written"));
    std::fs::remove_dir_all(&deep).expect("removed");
    let error = file.append(b"second".to_vec()).err().expect("nowhere to write");
    assert!(error.to_string().contains("it, or its folder, was removed"), "{error}");
    file.write_all(b"third").expect("gathered");
    assert!(file.finish().is_err());
}

#[test]
fn a_folder_in_place_of_the_file_is_said_so() {
    let folder = tempfile::tempdir().expect("folder");
    let error = AtomicFile::create(folder.path().to_str().expect("UTF-8")).err().expect("a folder");
    assert_eq!(error.kind(), ErrorKind::Config);
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, b"").expect("written");
    let error =
        AtomicFile::create(blocked.join("out.csv").to_str().expect("UTF-8")).err().expect("not a folder");
    assert!(error.to_string().contains("out.csv"), "{error}");
}

#[test]
fn a_file_is_gone_on_with_without_reading_all_of_it_and_a_change_of_its_end_is_noticed() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out.csv");
    let context = SinkContext { run: Some("run".into()), ..SinkContext::default() };
    let mut file = AtomicFile::begin(&path, &context).expect("begun").0;
    (0..100_000).for_each(|at| writeln!(file, "{at}").expect("written"));
    let saved = file.save().expect("saved").expect("a file");
    (saved.settle)().expect("durable");
    let output = saved.part.clone();
    drop(file);
    let context = SinkContext { resume: Some(saved.state), ..context };
    let change = |at: u64| {
        let part = std::fs::File::options().write(true).open(&output.part).expect("open");
        std::os::unix::fs::FileExt::write_at(&part, b"x", at).expect("written");
    };
    // Its beginning is not looked at; whoever wants to know asks for all of it.
    assert!(output.check(&Disk).is_ok());
    change(0);
    AtomicFile::begin(&path, &context).expect("gone on with");
    let error = output.check(&Disk).expect_err("another beginning");
    assert!(error.message().contains("has changed since the checkpoint"), "{error}");
    change(output.length - 1);
    let error = AtomicFile::begin(&path, &context).err().expect("another end");
    assert!(error.message().contains("the last of them with CRC-32C"), "{error}");
}
