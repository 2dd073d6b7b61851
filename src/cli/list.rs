//! `tidemill list`: the components by kind, each with a line of help.

use std::fmt::Write;

use super::failure::Outcome;
use super::output;
use tidemill_engine::registry::{ComponentKind, components};

pub(super) fn list() -> Outcome {
    let all = components();
    let width = all.iter().map(|component| component.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for kind in [ComponentKind::Source, ComponentKind::Stage, ComponentKind::Sink] {
        let _ = writeln!(text, "{}s", kind.as_str());
        for component in all.iter().filter(|component| component.kind() == kind) {
            let _ = writeln!(text, "  {:<width$}  {}", component.name, component.help);
        }
    }
    text += "\n`tidemill schema COMPONENT --markdown` lists the options of a component.\n";
    output::data(&text)
}
