//! Every stage that is registered is tested like all others: in the lists of restarts, of equivalence and of fuzzing.

use std::collections::BTreeSet;

use crate::registry::{ComponentKind, components};

/// The pipelines that are fuzzed.
const FUZZED: &str = include_str!("../../fuzz/src/run.rs");

/// All stages but those that tests register.
fn registered() -> impl Iterator<Item = &'static str> {
    let stages = components().into_iter().filter(|component| component.kind() == ComponentKind::Stage);
    stages.map(|component| component.name).filter(|name| !name.starts_with("test_"))
}

/// Those of them that `is_there` does not know.
fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    registered().filter(|name| !is_there(name)).collect()
}

#[test]
fn every_stage_is_restarted() {
    let stages = super::restarts::stages();
    let restarted: BTreeSet<&str> = stages.iter().map(|stage| stage.name()).collect();
    assert_eq!(missing(|name| restarted.contains(name)), [""; 0], "not in the list of `restarts`");
}

#[test]
fn every_stage_is_run_by_any_number_of_workers() {
    use crate::executor::tests::{LAST, STAGES};
    let is_there =
        |name: &str| STAGES.iter().chain(&LAST).any(|stage| stage.contains(&format!("type = \"{name}\"")));
    assert_eq!(missing(is_there), [""; 0], "not in the list of the executor's tests");
}

#[test]
fn every_stage_is_fuzzed() {
    let is_there = |name: &str| FUZZED.contains(&format!("\"type = '{name}'"));
    assert_eq!(missing(is_there), [""; 0], "not in the list of the fuzz target `run`");
}

#[test]
fn a_stage_that_is_in_no_list_is_found() {
    assert!(registered().count() > 7);
    assert_eq!(missing(|name| name != "threshold"), ["threshold"]);
}
