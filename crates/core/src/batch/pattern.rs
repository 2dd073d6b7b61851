//! Columns chosen by name or glob.

use globset::GlobMatcher;

use crate::sensor::matcher;

/// A column's name, or a glob that several names fit.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// `None` for a plain name.
    glob: Option<GlobMatcher>,
}

impl Pattern {
    /// The pattern written as `text`: a glob if it has one of `*`, `?`, `[` and `{`. A column's own name fits in any case, so that
    /// names with such characters can be written as they are.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let glob = text.contains(['*', '?', '[', '{']).then(|| matcher(&text).ok()).flatten();
        Self { text, glob }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether several names may fit.
    pub fn is_glob(&self) -> bool {
        self.glob.is_some()
    }

    /// Whether the column called `name` is meant.
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
