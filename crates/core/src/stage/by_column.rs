//! The selection of a stage's measurements, and rules for them.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::{Pattern, Schema};
use crate::error::{Error, Result};

/// The measurements that a stage processes, by name or glob, optionally with a rule for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a list of columns, or a table of rules by column")]
// Exhaustive: names, with or without rules.
pub enum ByColumn<R> {
    /// A list of names or globs.
    Names(Vec<String>),
    /// Names or globs with a rule each; the last match wins.
    Rules(IndexMap<String, R>),
}

impl<R> From<Vec<String>> for ByColumn<R> {
    fn from(names: Vec<String>) -> Self {
        Self::Names(names)
    }
}

impl<R> ByColumn<R> {
    /// The selected measurements of `input`, each with its rule; all of them, without rules, if `columns` is `None`.
    ///
    /// # Errors
    /// A configuration error for a name that is not a measurement, or a glob without a match.
    pub fn select<'r>(columns: Option<&'r Self>, input: &Schema) -> Result<Vec<(usize, Option<&'r R>)>> {
        let without = |at| (at, None);
        match columns {
            None => Ok(input.select(None)?.into_iter().map(without).collect()),
            Some(Self::Names(names)) => Ok(input.select(Some(names))?.into_iter().map(without).collect()),
            Some(Self::Rules(rules)) if rules.is_empty() => {
                Err(Error::config("`columns` is empty").with_help("leave it out to work on all measurements"))
            }
            Some(Self::Rules(rules)) => {
                let all = input.measurements();
                let mut selected = IndexMap::new();
                for (pattern, rule) in rules {
                    for at in input.select_fitting(&Pattern::new(pattern.as_str()), &all)? {
                        selected.insert(at, Some(rule));
                    }
                }
                Ok(selected.into_iter().collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::Table;

    #[test]
    fn clause_12_the_last_rule_that_fits_a_column_wins_and_each_fits_one() {
        let input = Table::new(&["TI1", "PI1", "TI2"]).schema();
        let rules = |rules: &[(&str, u8)]| {
            ByColumn::Rules(rules.iter().map(|&(pattern, rule)| (pattern.to_owned(), rule)).collect())
        };
        let select = |columns: &ByColumn<u8>| {
            let selected = ByColumn::select(Some(columns), &input);
            selected
                .map(|columns| columns.into_iter().map(|(at, rule)| (at, rule.copied())).collect::<Vec<_>>())
        };
        let all = rules(&[("TI*", 1), ("PI*", 2), ("TI2", 3)]);
        assert_eq!(select(&all).expect("good"), [(2, Some(1)), (4, Some(3)), (3, Some(2))]);
        let globs = ByColumn::from(vec!["PI1".to_owned(), "*1".to_owned()]);
        assert_eq!(select(&globs).expect("good"), [(3, None), (2, None)]);
        let error = select(&rules(&[("TI*", 1), ("FI*", 2)])).expect_err("no such column").to_string();
        assert!(error.contains("`FI*` matches no measurement") && error.contains("`PI1`"), "{error}");
    }
}
