//! Which options of a component differ from those that a saved state was made with.

use serde_json::Value;

/// An option that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its value before, as JSON.
    pub before: String,
    /// Its value now, as JSON.
    pub now: String,
}

/// The options that differ between two objects in JSON. One that only one of them has, and that is off there (null, false or empty), came with another
/// release and is no difference.
pub fn differences(before: &str, now: &str) -> Vec<Difference> {
    let table = |text: &str| serde_json::from_str::<serde_json::Map<_, _>>(text).unwrap_or_default();
    let (before, now) = (table(before), table(now));
    let differ = |name: &str| match (before.get(name), now.get(name)) {
        (Some(one), None) | (None, Some(one)) => !is_off(one),
        (before, now) => before != now,
    };
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let shown = |value: Option<&Value>| value.map_or("not given".to_owned(), ToString::to_string);
    let difference = |name: &String| Difference {
        name: name.clone(),
        before: shown(before.get(name)),
        now: shown(now.get(name)),
    };
    names.into_iter().filter(|name| differ(name)).map(difference).collect()
}

fn is_off(option: &Value) -> bool {
    match option {
        Value::Null => true,
        Value::Bool(is_on) => !is_on,
        Value::Array(list) => list.is_empty(),
        Value::Object(table) => table.is_empty(),
        Value::Number(_) | Value::String(_) => false,
    }
}
