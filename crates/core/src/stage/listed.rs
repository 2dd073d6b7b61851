//! The stages that there are, for the tests that hold lists of them to being complete: those that are registered, and those that only options of
//! a source ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::stage::{Component, Stage};

/// All stages but those that tests register.
pub(super) fn registered() -> impl Iterator<Item = &'static str> {
    inventory::iter::<Component>().map(|component| component.0.name).filter(|name| !name.starts_with("test_"))
}

/// The stages of the core that are not registered: the type, and the option that asks for it, which is its name.
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

/// What tells a stage from all others: two that one option asks for have its words behind the name.
fn identity(stage: &dyn Stage) -> String {
    let parameters = stage.parameters();
    let word = parameters.get(stage.name()).and_then(|value| value.as_str());
    let is_word = |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    [stage.name()].into_iter().chain(word.filter(is_word)).collect::<Vec<_>>().join(" ")
}

/// All of `stages` that are not registered are as many as there are, by their names.
pub(super) fn check_implicit<'s>(stages: impl IntoIterator<Item = &'s dyn Stage>, list: &str) {
    let seen: BTreeSet<String> = stages.into_iter().map(identity).collect();
    for (kind, name) in implicit() {
        let own = |identity: &&String| identity.split(' ').next() == Some(&name);
        let wanted = implicit().values().filter(|other| **other == name).count();
        assert_eq!(seen.iter().filter(own).count(), wanted, "{kind}, `{name}`, is not in {list}");
    }
}
