//! `tidemill schema`: the JSON Schema of pipeline files or of one component, or a reference in Markdown.

use super::args::SchemaArgs;
use super::failure::Outcome;
use super::output;
use super::reference::reference;
use tidemill_core::error::nearest;
use tidemill_core::error::{Error, Result};
use tidemill_engine::pipeline::schema::{of_component, of_pipeline};
use tidemill_engine::registry::{Component, components};

pub(super) fn schema(args: &SchemaArgs) -> Outcome {
    let chosen = args.component.as_deref().map(named).transpose()?;
    if args.markdown {
        return output::data(&reference(&chosen.unwrap_or_else(|| components().iter().collect())));
    }
    let schemas: Vec<_> = match &chosen {
        Some(chosen) => chosen.iter().map(|component| of_component(component)).collect(),
        None => vec![of_pipeline()],
    };
    let text = match schemas.as_slice() {
        [only] => format!("{only:#}\n"),
        several => format!("{:#}\n", serde_json::json!({ "oneOf": several })),
    };
    output::data(&text)
}

/// The components of this name: a source and a sink may share one.
fn named(name: &str) -> Result<Vec<&'static Component>> {
    let all = components();
    let help = match nearest(name, all.iter().map(|component| component.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`tidemill list` lists all components".to_owned(),
    };
    let named: Vec<_> = all.iter().filter(|component| component.name == name).collect();
    if named.is_empty() {
        return Err(Error::usage(format!("there is no component `{name}`")).with_help(help));
    }
    Ok(named)
}
