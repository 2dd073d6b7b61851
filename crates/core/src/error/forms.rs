//! How a value may be written in text.

use serde_json::Value;

use super::{visible, visible_lines};

/// Shorter values, and numbers, stand in text for other reasons too: they are looked for as words, where a value of the pipeline is quoted.
pub(super) const SHORTEST: usize = 4;

/// A value as it may be written in messages, JSON and TOML.
pub(super) fn forms(value: &str) -> Vec<String> {
    let inside = |text: String| text.trim_matches(['"', '\'']).to_owned();
    let mut forms = vec![
        value.to_owned(),
        visible(value).into_owned(),
        visible_lines(value).into_owned(),
        value.escape_debug().to_string(),
        inside(Value::from(value).to_string()),
        inside(toml::Value::from(value).to_string()),
    ];
    // A number is said as it was read.
    let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    forms.extend(number.into_iter().flat_map(|number| [number.to_string(), format!("{number:?}")]));
    let shortest = SHORTEST.min(value.chars().count());
    // A path is said as it lies there.
    let path = value.split_once("://").map_or(value, |(_, path)| path).trim_start_matches("./");
    forms.push(path.trim_end_matches('/').to_owned());
    forms.retain(|form| form.chars().count() >= shortest || form.parse::<f64>().is_ok());
    forms.sort_unstable();
    forms.dedup();
    forms
}
