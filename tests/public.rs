//! What users of the library can name: everything reachable from `tidemill`, kept as `tests/public/items.txt`, so that nothing becomes public, or
//! changes, unseen.
//!
//! The sources are read as they stand (default features, no tests): re-exports are followed through all three crates, so that the list does not depend on
//! the compiler that happens to be installed. What counts as an item is what has a path of its own: a module, type, trait, function, constant, static, type alias
//! or macro. Methods, fields, variants and implementations stand in the list, indented, and are not counted.

#[path = "public/model.rs"]
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use model::{Crates, Definition, Target};

/// Fewer items than this; whoever raises it says in the commit what users need the new ones for.
const MOST: usize = 270;

/// What public signatures speak of and users cannot name: it is for the crates of this workspace among themselves, such as the command. The list may
/// become shorter.
const INTERNAL: [&str; 28] = [
    "tidemill_core::batch::pattern::Pattern",
    "tidemill_core::chain::ports::Ports",
    "tidemill_core::chain::ports::Route",
    "tidemill_core::error::masks::Masks",
    "tidemill_core::format::columns::Columns",
    "tidemill_core::format::csv::split::Splitter",
    "tidemill_core::options::Named",
    "tidemill_core::stage::shards::Shards",
    "tidemill_core::stage::alerts::incident::Side",
    "tidemill_core::time::days::DayClock",
    "tidemill_core::time::error::TimeError",
    "tidemill_core::time::folds::Folds",
    "tidemill_core::time::parser::TimeFormat",
    "tidemill_engine::atomic::saved_part::SavedPart",
    "tidemill_engine::pipeline::SinkEntry",
    "tidemill_engine::pipeline::SourceEntry",
    "tidemill_engine::pipeline::StageEntry",
    "tidemill_engine::pipeline::delivery::Guarantee",
    "tidemill_engine::pipeline::parameters::Parameters",
    "tidemill_engine::pipeline::plan::Plan",
    "tidemill_engine::pipeline::resolve::Resolved",
    "tidemill_engine::pipeline::secrets::Secrets",
    "tidemill_engine::pipeline::touched::Touched",
    "tidemill_engine::registry::Make",
    "tidemill_engine::source::file::FileSource",
    "tidemill_engine::source::file::input_file::InputFile",
    "tidemill_engine::source::foresee::Foresee",
    "tidemill_engine::source::foresee::Foreseen",
];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public/items.txt")
}

#[test]
fn what_is_public_is_what_the_list_says() {
    let (expected, found) = (fs::read_to_string(golden()).unwrap_or_default(), list(&public()));
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (expected.lines().collect(), found.lines().collect());
    let lines = |sign: char, lines: Vec<&&str>| {
        lines.iter().map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    assert!(
        expected == found,
        "the public items have changed:\n{}{}if that is meant: cargo test --workspace --test public -- --ignored",
        lines('-', old.difference(&new).collect()),
        lines('+', new.difference(&old).collect()),
    );
}

#[test]
fn it_is_little() {
    let public = public();
    let count = definitions(&public).len();
    assert!(count < MOST, "{count} public items");
}

/// A user can write down the type of everything that a public item takes, returns or contains.
#[test]
fn what_public_items_speak_of_is_public_too() {
    let crates = Crates::read();
    let public = walk(&crates);
    let named = definitions(&public);
    let mut missing = BTreeMap::<String, BTreeSet<String>>::new();
    for (path, item) in &public {
        for spoken in crates.spoken_of(&item.definition) {
            if !named.contains(&spoken) {
                missing.entry(spoken.to_string()).or_default().insert(path.clone());
            }
        }
    }
    let unused: Vec<&str> =
        INTERNAL.into_iter().filter(|internal| missing.remove(*internal).is_none()).collect();
    assert!(missing.is_empty(), "not to be named from `tidemill`, by where it is spoken of: {missing:#?}");
    assert!(unused.is_empty(), "named now, or spoken of no more: {unused:#?}");
}

#[test]
#[ignore = "writes into the source tree"]
fn write_the_list() {
    fs::write(golden(), list(&public())).expect("written");
}

/// One item that users can name.
struct Item {
    definition: Definition,
    /// Its kind and signature, then what belongs to it, a line each.
    lines: Vec<String>,
}

/// By path; one that has several is there several times.
type Public = BTreeMap<String, Item>;

fn public() -> Public {
    walk(&Crates::read())
}

/// One that has several paths is there once.
fn definitions(public: &Public) -> BTreeSet<Definition> {
    public.values().map(|item| item.definition.clone()).collect()
}

fn list(public: &Public) -> String {
    let mut text = format!("{} items\n", definitions(public).len());
    for (path, item) in public {
        text += &format!("\n{path}\n");
        item.lines.iter().for_each(|line| text += &format!("    {line}\n"));
    }
    text
}

fn walk(crates: &Crates) -> Public {
    let mut public = Public::new();
    let root = Definition { package: "tidemill".into(), module: Vec::new(), name: String::new() };
    visit(crates, &root, "tidemill", &mut public);
    public
}

/// Adds everything public in `module`, which users know as `path`.
fn visit(crates: &Crates, module: &Definition, path: &str, public: &mut Public) {
    for (name, target) in crates.exports(module) {
        let path = format!("{path}::{name}");
        match target {
            Target::Module(module) => {
                public.insert(path.clone(), Item { definition: module.clone(), lines: vec!["mod".into()] });
                visit(crates, &module, &path, public);
            }
            Target::Item(definition) => {
                let lines = crates.describe(&definition);
                public.insert(path, Item { definition, lines });
            }
            Target::Foreign(foreign) => {
                let definition = Definition { package: foreign.clone(), module: Vec::new(), name };
                public.insert(path, Item { definition, lines: vec![format!("use {foreign}")] });
            }
        }
    }
}
