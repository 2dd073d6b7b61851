//! Checks that every stage, whether registered or inserted by options of the source, is in the lists of the equivalence tests and the fuzz
//! target. The list for restarts is checked in the core.

#[path = "../../../core/src/stage/listed.rs"]
mod listed;

use self::listed::{check_implicit, registered};
use crate::Pipeline;
use crate::pipeline::plan;
use crate::stage::Stage;

/// The source of the fuzz target.
const FUZZED: &str = include_str!("../../../../fuzz/src/run.rs");

/// The stages that `is_there` does not know.
fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    registered().filter(|name| !is_there(name)).collect()
}

#[test]
fn every_stage_is_run_by_any_number_of_workers() {
    use super::tests::{LAST, STAGES};
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

/// The stages that options of the source insert; none if the options are not valid on their own.
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

/// The source options that the fuzz target `run` chooses from.
fn fuzzed_options() -> Vec<String> {
    let chosen = FUZZED.split("\n    choose(").skip(1).filter_map(|call| call.split_once(");"));
    let option = |(call, _): (&str, &str)| call.rsplit('"').nth(1).map(|text| text.replace("\\n", "\n"));
    chosen.filter_map(option).collect()
}

#[test]
fn every_stage_that_options_ask_for_is_run_by_any_number_of_workers() {
    let stages: Vec<_> = super::tests::LEADING.iter().flat_map(|options| asked_for(options)).collect();
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
        let is_run = super::tests::LEADING.iter().any(|options| is_there(options));
        assert!(is_run, "{option} is not in the list of the executor's tests");
        assert!(fuzzed_options().iter().any(|options| is_there(options)), "{option} is not fuzzed");
    }
}

#[test]
fn a_stage_that_options_ask_for_goes_by_itself() {
    assert_eq!(asked_for("order = 'time'\ndisorder = '3s'").len(), 1);
}
