//! No option of any component is without effect: each has a value here that changes what a run writes or counts, or that is refused.
//! The components and their options are those of the registry, so that a new one without a case fails the test, by name.

#[path = "options/cases.rs"]
mod cases;
#[path = "common/command.rs"]
mod command;
#[path = "options/effectless.rs"]
mod effectless;
#[path = "options/observe.rs"]
mod observe;
#[path = "options/values.rs"]
mod values;

use std::fs;
use std::path::Path;

use tidemill::pipeline::InputOptions;
use tidemill::registry::{ComponentKind, components};
use tidemill_engine::pipeline::schema::of_component;

use cases::{CASES, Case, ELSEWHERE};
use observe::observe;

/// The exit code of a pipeline that is refused.
const REFUSED: Option<i32> = Some(78);

#[test]
fn no_option_of_any_component_is_without_effect() {
    let mut wrong = Vec::new();
    for case in CASES {
        for component in case.components {
            let (plain, with) = (observe(case, component, case.plain), observe(case, component, case.with));
            let name = format!("{} {component}: `{}`", case.kind.as_str(), case.option);
            if plain.code == REFUSED {
                wrong.push(format!("{name}: what it is compared with is refused"));
            } else if with.code != REFUSED && plain == with {
                wrong.push(format!("{name} has no effect, and is not refused"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_option_of_every_component_has_a_case() {
    let shared = serde_json::to_value(schemars::schema_for!(InputOptions)).expect("a schema");
    let is_shared = |option: &str| shared["properties"].get(option).is_some();
    let mut missing = Vec::new();
    for component in components() {
        let schema = of_component(component);
        let options =
            schema["properties"].as_object().expect("options").keys().filter(|option| *option != "type");
        for option in options {
            let is_of = |case: &&Case| {
                let is_component = case.components.contains(&component.name)
                    || component.kind() == ComponentKind::Source && is_shared(option);
                case.kind == component.kind() && case.option == option && is_component
            };
            let is_elsewhere = ELSEWHERE.iter().any(|(name, _)| name == option);
            if CASES.iter().find(is_of).is_none() && !is_elsewhere {
                missing.push(format!("{} {}: `{option}`", component.kind().as_str(), component.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "options without a case in tests/options/cases.rs, which shows that they have an effect:\n{}",
        missing.join("\n")
    );
}

#[test]
fn what_is_tested_elsewhere_is_tested_there() {
    for (option, file) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(path).expect("a test");
        assert!(source.contains(&format!("{option} = ")), "{file} has no `{option}`");
    }
}
