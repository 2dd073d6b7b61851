//! Selects columns by name or glob.

use globset::GlobMatcher;

use crate::sensor::matcher;

/// A column name, or a glob for several names.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// `None` for a name.
    glob: Option<GlobMatcher>,
}

impl Pattern {
    /// Parses a pattern: a glob if it contains `*`, `?`, `[` or `{`. It always matches the column with exactly this name, so that names
    /// with such characters can be used.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let glob = text.contains(['*', '?', '[', '{']).then(|| matcher(&text).ok()).flatten();
        Self { text, glob }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it may match several names.
    pub fn is_glob(&self) -> bool {
        self.glob.is_some()
    }

    /// Whether it matches the column `name`.
    pub fn fits(&self, name: &str) -> bool {
        self.text == name || self.glob.as_ref().is_some_and(|glob| glob.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_itself_whatever_its_characters() {
        for name in ["T_1", "Temp [°C]", "a{b", "[x", "T*"] {
            assert!(Pattern::new(name).fits(name), "{name}");
        }
        assert!(Pattern::new("T_*").fits("T_1") && !Pattern::new("T_*").fits("H_1"));
        assert!(!Pattern::new("T_1").is_glob() && !Pattern::new("[x").is_glob());
    }
}
