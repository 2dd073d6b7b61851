//! Access to environment variables. Everything else is given a closure.

/// The environment variable `name`; `None` if it is not set or not Unicode.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
