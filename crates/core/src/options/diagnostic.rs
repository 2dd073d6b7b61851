//! A problem in a pipeline file, with its position.

use std::ops::Range;

/// A problem in a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The byte range in the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// Whether its message or its help mentions an option.
    pub fn speaks_of(&self, option: &str) -> bool {
        let is_in =
            |text: &String| text.contains(&format!("`{option}`")) || text.contains(&format!("{option} = "));
        std::iter::once(&self.message).chain(&self.help).any(is_in)
    }

    /// Adds how to fix it.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
