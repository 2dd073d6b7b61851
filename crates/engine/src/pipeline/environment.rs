//! The environment, read here and nowhere else: everything above is given a closure.

/// The environment variable `name`; `None` where it is unset or not Unicode.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
