//! The existing stages, for tests that check that lists of them are complete: the registered ones, and those enabled only by options of a
//! source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::stage::{Component, Stage};

/// All stages except those registered by tests.
pub(super) fn registered() -> impl Iterator<Item = &'static str> {
    inventory::iter::<Component>().map(|component| component.0.name).filter(|name| !name.starts_with("test_"))
}

/// The unregistered stages of the core: the type, and the option that enables it, which is its name.
pub(super) fn implicit() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for text in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/stage")) {
        for part in text.split("\nimpl Stage for ").skip(1) {
            let name = part.split_once("fn name(&self)").and_then(|(_, body)| body.split('"').nth(1));
            let kind = part.split([' ', '{']).next().expect("a type");
            let name = name.expect("a name").to_owned();
            if !registered().any(|known| known == name) {
                found.insert(kind.to_owned(), name);
            }
        }
    }
    found
}

/// The texts of all files in a folder.
fn sources(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let texts = entries.map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![std::fs::read_to_string(path).expect("source text")],
    });
    texts.flatten().collect()
}

/// The identity of a stage: two stages of the same option are distinguished by the words after the name.
fn identity(stage: &dyn Stage) -> String {
    let parameters = stage.parameters();
    let word = parameters.get(stage.name()).and_then(|value| value.as_str());
    let is_word = |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    [stage.name()].into_iter().chain(word.filter(is_word)).collect::<Vec<_>>().join(" ")
}

/// Checks that `stages` contains all unregistered stages, by their names.
pub(super) fn check_implicit<'s>(stages: impl IntoIterator<Item = &'s dyn Stage>, list: &str) {
    let seen: BTreeSet<String> = stages.into_iter().map(identity).collect();
    for (kind, name) in implicit() {
        let own = |identity: &&String| identity.split(' ').next() == Some(&name);
        let wanted = implicit().values().filter(|other| **other == name).count();
        assert_eq!(seen.iter().filter(own).count(), wanted, "{kind}, `{name}`, is not in {list}");
    }
}
