//! Translates messages of the deserialiser to plain language.

use crate::error::nearest;

/// A message of the deserialiser in plain language.
pub(super) fn plain(message: &str) -> String {
    let message = message.trim();
    let wrong = ["invalid type: ", "invalid value: ", "invalid length "];
    if let Some((found, expected)) = wrong
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .and_then(|rest| rest.split_once(", expected "))
    {
        return format!("expected {}, found {}", expected_words(expected), found_words(found));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("the option {rest} is missing");
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return format!("unknown option {}", rest.split(',').next().unwrap_or(rest));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return format!("unknown value {}", rest.split(", expected").next().unwrap_or(rest));
    }
    message.to_owned()
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "f64" | "f32" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "usize" | "u64" | "u32" => "a whole number, 0 or more",
        "i64" | "i32" | "i16" | "i8" => "a whole number",
        "a string" | "string" | "a character" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        "a map" => "a table, such as { a = 1 }",
        other if other.starts_with("struct ") => "a table, such as { a = 1 }",
        other if other.starts_with("a nonzero") => "a whole number, 1 or more",
        other => other.strip_prefix("expected ").unwrap_or(other),
    }
}

fn found_words(found: &str) -> String {
    let kinds = [
        ("string ", "text "),
        ("integer ", ""),
        ("floating point ", ""),
        ("boolean ", ""),
        ("sequence", "a list"),
        ("map", "a table"),
    ];
    let kind = kinds.iter().find_map(|(theirs, ours)| Some((ours, found.strip_prefix(theirs)?)));
    kind.map_or_else(|| found.to_owned(), |(ours, rest)| format!("{ours}{rest}"))
}

/// A suggestion for a message that lists known names: the most similar one, or all.
pub(super) fn suggestion(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let known: Vec<String> = quoted.map(str::to_owned).collect();
    match nearest(wrong, known.iter().map(String::as_str)) {
        Some(known) => Some(format!("did you mean `{known}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", list(&known))),
    }
}

/// Quoted names, separated by commas.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The help for an unknown option.
pub(super) fn known_help(name: &str, known: &[String]) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("the options here are {}", list(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_for_people() {
        assert_eq!(
            plain("invalid type: string \"hot\", expected f64"),
            "expected a number, found text \"hot\""
        );
        assert_eq!(
            plain("invalid value: integer `400`, expected u8"),
            "expected a whole number from 0 to 255, found `400`"
        );
        assert_eq!(
            plain("invalid type: integer `3`, expected a string"),
            "expected text in quotes, found `3`"
        );
        assert_eq!(
            plain("unknown variant `min_mx`, expected `min_max` or `z_score`"),
            "unknown value `min_mx`"
        );
        assert_eq!(
            suggestion("unknown variant `min_mx`, expected `min_max` or `z_score`").as_deref(),
            Some("did you mean `min_max`?")
        );
    }
}
