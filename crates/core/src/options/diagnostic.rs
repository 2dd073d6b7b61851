//! What is wrong in a pipeline file, and where.

use std::ops::Range;

/// Something wrong in a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// What is wrong at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// Whether its message or its help names an option.
    pub fn speaks_of(&self, option: &str) -> bool {
        let is_in =
            |text: &String| text.contains(&format!("`{option}`")) || text.contains(&format!("{option} = "));
        std::iter::once(&self.message).chain(&self.help).any(is_in)
    }

    /// The same, with what to do about it.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
