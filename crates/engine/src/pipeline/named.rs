//! The options named in an error.

use crate::error::Error;

/// The options that an error may be about: the one that it is attributed to, then those quoted in its text, in order; also anything else
/// that is quoted.
pub(super) fn named(error: &Error) -> impl Iterator<Item = String> + '_ {
    let message = error.message();
    let stated = message.split("(option `").nth(1).and_then(|rest| rest.split('`').next());
    // An option may be quoted with its value.
    let name_of = |said: &str| said.split(" = ").next().unwrap_or_default().trim_matches('`').to_owned();
    let leading = message.split_once(" = ").and_then(|(before, _)| before.rsplit(' ').next());
    let quoted = message.split('`').skip(1).step_by(2);
    stated.into_iter().chain(leading).chain(quoted).map(name_of)
}
