//! What earlier builds have kept: today's code resumes from it, or refuses it by name where its format is of another version.
//!
//! A folder of `tests/golden` is named after a case (`golden/cases.rs`) and the versions of its formats. It has an input, two pipelines over it (`p.toml`,
//! which a run has begun, and `judge.toml`, whose output is that of the whole), the state folder of that run and its output so far. Large files are packed.

#[path = "golden/cases.rs"]
mod cases;
#[path = "golden/delivered.rs"]
mod delivered;
#[path = "golden/format.rs"]
mod format;
#[path = "common/packers.rs"]
#[expect(dead_code, reason = "other tests take what this one leaves")]
mod packers;
#[path = "golden/rig.rs"]
mod rig;
#[path = "golden/writer.rs"]
mod writer;

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tidemill::runtime::RunOptions;
use tidemill_core::stage::Pieces;
use tidemill_engine::checkpoint::{self, StageState};
use tidemill_engine::files::Disk;

use cases::{CASES, Case};
use format::Format;
use rig::{files, names, on_state, outputs, own_name, run};

/// What a run of the golden `folder` that goes on to the end has left is what one over the whole input leaves.
#[track_caller]
fn check(folder: &Path, told: &str) {
    let found = outputs(folder);
    fs::remove_dir_all(folder.join("out")).expect("removed");
    run(folder, "judge.toml", &RunOptions::default()).expect("the whole");
    let whole = outputs(folder);
    assert!(!whole.is_empty() && whole.values().all(|text| text.lines().count() > 1), "{told}: {whole:?}");
    assert_eq!(found, whole, "{told}");
}

/// A copy of the golden `name` of `case` that a run may use. Earlier builds have begun runs of recordings too: their checkpoints, of older versions, would be
/// refused first.
fn copy(case: &Case, name: &str) -> TempDir {
    let folder = rig::copy(name);
    if !case.has_begun() {
        for left in ["state", "out"] {
            let _not_there = fs::remove_dir_all(folder.path().join(left));
        }
    }
    folder
}

#[test]
fn each_golden_resumes_to_the_same_output() {
    for case in &CASES {
        let name = case.folder();
        let folder = copy(case, &name);
        let report = run(folder.path(), "p.toml", &on_state(folder.path()))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let has_resumed = report.remarks.iter().any(|remark| remark.contains("resumed from"));
        assert_eq!(has_resumed, case.has_begun(), "{name}: {report:?}");
        check(folder.path(), &name);
    }
}

#[test]
fn each_has_what_it_is_kept_for() {
    for case in &CASES {
        writer::check(case, &files(rig::copy(&case.folder()).path()));
    }
}

#[test]
fn a_golden_of_an_older_version_is_refused_by_name() {
    let current: Vec<_> = CASES.iter().map(Case::folder).collect();
    for name in names().into_iter().filter(|name| !current.contains(name)) {
        let (of, versions) = name.split_once('-').expect("a case and versions");
        let case = CASES.iter().find(|case| of == case.name).expect("a case");
        let folder = copy(case, &name);
        let versions = case.formats.iter().zip(versions.split('-'));
        let older = versions.filter(|(format, version)| format.version().to_string() != **version);
        let refusals: Vec<_> = older.map(|(_, version)| format!("of version {version}")).collect();
        let end = run(folder.path(), "p.toml", &on_state(folder.path()));
        let error = end.expect_err("another version").to_string();
        assert!(refusals.iter().any(|refusal| error.contains(refusal)), "{name}: {error}");
    }
}

#[test]
fn a_version_that_is_too_old_or_too_new_is_refused_by_name() {
    for format in Format::ALL {
        let mut met = 0;
        for version in [format.version() - 1, format.version() + 1] {
            for case in &CASES {
                let (name, folder) = (case.folder(), copy(case, &case.folder()));
                let all = files(folder.path());
                let of_format: Vec<_> =
                    all.into_iter().filter(|(path, _)| Format::of(&own_name(path)) == Some(format)).collect();
                if of_format.is_empty() {
                    continue;
                }
                for (path, bytes) in of_format {
                    let forged = format.with_version(bytes, version);
                    fs::write(folder.path().join(path), forged).expect("written");
                }
                let options = match format {
                    // A run that resumes refuses any other file.
                    Format::Fit => RunOptions::default(),
                    _ => on_state(folder.path()),
                };
                let error = run(folder.path(), "p.toml", &options).expect_err("another version").to_string();
                assert!(error.contains(&format!("of version {version}")), "{name}, {format:?}: {error}");
                met += 1;
            }
        }
        assert!(met > 1, "{format:?}");
    }
}

#[test]
fn one_damaged_byte_is_noticed() {
    for case in &CASES {
        let name = case.folder();
        for (path, mut bytes) in files(copy(case, &name).path()) {
            let own = own_name(&path);
            let format = Format::of(&own);
            // Of a file that is not finished, the end is looked at when a run resumes.
            let at = match format {
                Some(_) => bytes.len() * 3 / 4,
                None if own.contains(".part-") && !bytes.is_empty() => bytes.len() - 1,
                None => continue,
            };
            let (folder, told) = (copy(case, &name), format!("{name}, byte {at} of {}", path.display()));
            bytes[at] ^= 1;
            fs::write(folder.path().join(&path), bytes).expect("written");
            match run(folder.path(), "p.toml", &on_state(folder.path())) {
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains(&own), "{told}: {error}");
                }
                // An older checkpoint is intact, or the rest of the recording.
                Ok(report) => {
                    let mut said = report.remarks.iter().chain(&report.missing);
                    assert!(said.any(|text| text.contains(&own)), "{told}: {report:?}");
                    if format != Some(Format::Recording) {
                        check(folder.path(), &told);
                    }
                }
            }
        }
    }
}

#[test]
fn checkpoints_are_written_as_they_were() {
    for case in &CASES {
        let folder = copy(case, &case.folder());
        for (path, bytes) in files(folder.path()) {
            if Format::of(&own_name(&path)) != Some(Format::Checkpoint) {
                continue;
            }
            let manifest = checkpoint::read(&Disk, &folder.path().join(&path)).expect("a checkpoint");
            // Only one that stands alone is written without another.
            if manifest.base.is_some() {
                continue;
            }
            let pieces = |state: &StageState| Box::new(state.cuts().into_iter().flatten()) as Pieces;
            let stages = manifest.stages.iter().map(pieces).collect();
            let mut again = Vec::new();
            manifest.write(&mut again, stages).expect("bytes");
            assert_eq!(again, bytes, "{}, {}", case.name, path.display());
        }
    }
}

/// Adds the folders of the versions that are written now, where they are not there.
#[test]
#[ignore = "writes into the source tree: see CONTRIBUTING.md"]
fn add_the_current_versions() {
    for case in CASES.iter().filter(|case| !rig::goldens().join(case.folder()).exists()) {
        writer::write(case);
    }
}
