//! Files as loggers, plants and other tools write them, in `datasets/field`: `init` finds out how each is written, and what it writes gives the
//! right values, unedited; where that cannot be, a short pipeline does, which `docs/field.md` explains. All of it in any number of threads,
//! mapped and read, and live through a pipe and a socket, wherever the text is cut.
//!
//! A kind is a folder with its files. `NAME.expected` beside it has what the pipeline gives that `init` writes, `NAME.worked` what that of the
//! page gives: the records as the sink `jsonl` writes them, then the reasons of the rejects, what is said, or why it fails.

#[path = "common/command.rs"]
mod command;
#[path = "field/expected.rs"]
mod expected;
#[path = "field/kind.rs"]
mod kind;
#[path = "field/outside.rs"]
mod outside;
#[path = "field/socket.rs"]
mod socket;

use std::fs;
use std::path::{Path, PathBuf};

use expected::Expected;
use kind::{Kind, Pipeline};

/// What the first line of a worked pipeline begins with.
const WORKED: &str = "# datasets/field/";

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/field")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn folders() -> Vec<PathBuf> {
    let folders: Vec<_> = entries(&place()).into_iter().filter(|path| path.is_dir()).collect();
    assert!(!folders.is_empty());
    folders
}

fn kind(folder: &Path, pipeline: Pipeline, expected: &Path) -> Kind {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    Kind { name, files: entries(folder), pipeline, expected: Expected::read(expected) }
}

/// The name of the folder and the text of all worked pipelines: those of the page, and those beside their folders, which fail.
fn worked() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/field.md");
    let page = fs::read_to_string(page).expect("the page");
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().expect("a block"));
    let named = blocks.map(|block| {
        let name = block.lines().next().and_then(|line| line.strip_prefix(WORKED)).expect("the folder first");
        (name.to_owned(), block.to_owned())
    });
    let beside =
        entries(&place()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let beside = beside.map(|path| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("a pipeline"))
    });
    named.chain(beside).collect()
}

fn seed() -> u64 {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    seed
}

#[test]
fn what_init_writes_gives_the_right_values_in_every_way() {
    let mut random = seed();
    for folder in folders() {
        let expected = folder.with_extension("expected");
        if expected.exists() {
            kind(&folder, Pipeline::init(), &expected).check(&mut random);
        }
    }
}

#[test]
fn the_worked_pipelines_give_the_right_values_in_every_way() {
    let mut random = seed();
    let worked = worked();
    for (name, pipeline) in &worked {
        let folder = place().join(name);
        let pipeline = Pipeline::Written(pipeline.clone());
        kind(&folder, pipeline, &folder.with_extension("worked")).check(&mut random);
    }
    // Each folder is run in some way.
    for folder in folders() {
        let is_worked = worked.iter().any(|(name, _)| folder.ends_with(name));
        let expected = folder.with_extension("expected").exists();
        assert!(is_worked || expected, "{}", folder.display());
        assert_eq!(is_worked, folder.with_extension("worked").exists(), "{}", folder.display());
    }
}

#[test]
fn the_field_of_others_gives_the_right_values_in_every_way() {
    outside::check(&mut seed());
}
