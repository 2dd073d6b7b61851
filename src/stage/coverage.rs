//! Every stage is tested like all others: in the lists of restarts, of equivalence and of fuzzing; those that are registered, and those that
//! only options of the source ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Stage;
use crate::Pipeline;
use crate::pipeline::plan;
use crate::registry::{ComponentKind, components};

/// The pipelines that are fuzzed.
const FUZZED: &str = include_str!("../../fuzz/src/run.rs");

/// All stages but those that tests register.
fn registered() -> impl Iterator<Item = &'static str> {
    let stages = components().iter().filter(|component| component.kind() == ComponentKind::Stage);
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

/// The stages of this folder that are not registered: the type, and the option that asks for it, which is its name.
fn implicit() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stage");
    for path in glob::glob(&format!("{}/**/*.rs", folder.display())).expect("a pattern") {
        let text = std::fs::read_to_string(path.expect("a path")).expect("source text");
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

/// What tells a stage from all others: two that one option asks for have its words behind the name.
fn identity(stage: &dyn Stage) -> String {
    let parameters = stage.parameters();
    let word = parameters.get(stage.name()).and_then(|value| value.as_str());
    let is_word = |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    [stage.name()].into_iter().chain(word.filter(is_word)).collect::<Vec<_>>().join(" ")
}

/// All of `stages` that are not registered are as many as there are, by their names.
fn check_implicit<'s>(stages: impl IntoIterator<Item = &'s dyn Stage>, list: &str) {
    let seen: BTreeSet<String> = stages.into_iter().map(identity).collect();
    for (kind, name) in implicit() {
        let own = |identity: &&String| identity.split(' ').next() == Some(&name);
        let wanted = implicit().values().filter(|other| **other == name).count();
        assert_eq!(seen.iter().filter(own).count(), wanted, "{kind}, `{name}`, is not in {list}");
    }
}

/// The stages that options of the source ask for; none where they do not go by themselves.
fn asked_for(options: &str) -> Vec<std::sync::Arc<dyn Stage>> {
    let is_new = |line: &&&str| !options.starts_with(line.split('=').next().unwrap_or_default());
    let base = ["time = 't'", "sensor = 's'", "measurements = ['v']"];
    let base: Vec<&str> = base.iter().filter(is_new).copied().collect();
    let text = format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\n{}\n{options}\n[[sink]]\ntype = 'null'\n",
        base.join("\n")
    );
    let pipeline = Pipeline::from_toml(&text).ok();
    pipeline.and_then(|pipeline| plan::stages(&pipeline).ok()).unwrap_or_default()
}

/// The options of the source that the fuzz target `run` chooses from.
fn fuzzed_options() -> Vec<String> {
    let chosen = FUZZED.split("\n    choose(").skip(1).filter_map(|call| call.split_once(");"));
    let option = |(call, _): (&str, &str)| call.rsplit('"').nth(1).map(|text| text.replace("\\n", "\n"));
    chosen.filter_map(option).collect()
}

#[test]
fn every_stage_that_options_ask_for_is_restarted() {
    let stages = super::restarts::stages();
    check_implicit(stages.iter().map(|stage| &**stage), "the list of `restarts`");
}

#[test]
fn every_stage_that_options_ask_for_is_run_by_any_number_of_workers() {
    let stages: Vec<_> =
        crate::executor::tests::LEADING.iter().flat_map(|options| asked_for(options)).collect();
    check_implicit(stages.iter().map(|stage| &**stage), "the list of the executor's tests");
}

#[test]
fn every_stage_that_options_ask_for_is_fuzzed() {
    let stages: Vec<_> = fuzzed_options().iter().flat_map(|options| asked_for(options)).collect();
    check_implicit(stages.iter().map(|stage| &**stage), "the list of the fuzz target `run`");
}

#[test]
fn what_makes_other_records_without_a_stage_is_in_the_lists_too() {
    for option in ["unpivot", "idle_sensors"] {
        let is_there = |options: &str| options.contains(&format!("{option} = "));
        let is_run = crate::executor::tests::LEADING.iter().any(|options| is_there(options));
        assert!(is_run, "{option} is not in the list of the executor's tests");
        assert!(fuzzed_options().iter().any(|options| is_there(options)), "{option} is not fuzzed");
    }
}

#[test]
fn stages_that_options_ask_for_are_found() {
    let found = implicit();
    assert!(found.contains_key("Reorder") && found.contains_key("SecondShowing"), "{found:?}");
    assert!(found.len() > 5 && !found.contains_key("Threshold"), "{found:?}");
    assert_eq!(asked_for("order = 'time'\ndisorder = '3s'").len(), 1);
}
