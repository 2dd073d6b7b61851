//! What must come out of a kind of input.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Records, reasons of rejects and what is said; or what a command that fails says.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// As the sink `jsonl` writes them.
    pub(crate) records: Vec<String>,
    /// Records may have more fields than these.
    pub(crate) is_partial: bool,
    pub(crate) rejects: Vec<String>,
    /// Parts of what the run says.
    pub(crate) said: Vec<String>,
    /// Parts of what the command says that fails.
    pub(crate) fails: Vec<String>,
}

impl Expected {
    /// Sections of lines: the records, then those under `rejects`, `said` and `fails`.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut expected = Self::default();
        let mut section = &mut expected.records;
        for line in text.lines() {
            match line {
                "rejects" => section = &mut expected.rejects,
                "said" => section = &mut expected.said,
                "fails" => section = &mut expected.fails,
                line => section.push(line.to_owned()),
            }
        }
        expected
    }

    /// Compares what the sinks `jsonl` and `dead_letter` have written, with all text where it `is_exact`, otherwise with all values.
    #[track_caller]
    pub(crate) fn compare(&self, records: &str, letters: &str, is_exact: bool, way: &str) {
        let found: Vec<String> = records.lines().map(str::to_owned).collect();
        if is_exact && !self.is_partial {
            assert_eq!(found, self.records, "{way}");
        }
        assert_eq!(found.len(), self.records.len(), "{way}: {found:#?}");
        for (found, expected) in found.iter().zip(&self.records) {
            let (found, expected) = (object(found), object(expected));
            let is_asked = |name: &String| !self.is_partial || expected.contains_key(name);
            let found: serde_json::Map<String, Value> =
                found.into_iter().filter(|(name, _)| is_asked(name)).collect();
            assert_eq!(found, expected, "{way}");
        }
        let reason = |line: &str| object(line)["reason"].as_str().expect("a reason").to_owned();
        assert_eq!(letters.lines().map(reason).collect::<Vec<_>>(), self.rejects, "{way}");
    }

    #[track_caller]
    pub(crate) fn check_said(&self, said: &str, name: &str) {
        self.said.iter().for_each(|part| assert!(said.contains(part.as_str()), "{name}: {part:?} in {said}"));
    }

    #[track_caller]
    pub(crate) fn check_failed(&self, said: &str, name: &str) {
        assert!(!self.fails.is_empty(), "{name}: {said}");
        self.fails
            .iter()
            .for_each(|part| assert!(said.contains(part.as_str()), "{name}: {part:?} in {said}"));
    }
}

fn object(line: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
}
