//! Unit suffixes of numbers, by column.

use super::{ColumnOptions, Columns};
use crate::batch::Pattern;
use crate::error::{Error, Result};

/// The unit that may follow the numbers of a column; the last match wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Suffixes(Vec<(Pattern, Suffix)>);

/// A unit as it is written after numbers.
pub type Suffix = Box<[u8]>;

impl Suffixes {
    pub(super) fn new(options: &ColumnOptions) -> Result<Self> {
        let suffixes = options.unit_suffixes.iter().map(|(column, unit)| {
            if unit.trim().is_empty() {
                return Err(Error::config(format!("`unit_suffixes` has no unit for `{column}`"))
                    .with_help("such as unit_suffixes = { temp = \"°C\" }"));
            }
            Ok((Pattern::new(column.as_str()), unit.trim().as_bytes().into()))
        });
        Ok(Self(suffixes.collect::<Result<_>>()?))
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter().map(|(pattern, _)| pattern)
    }
}

impl Columns {
    /// The unit that may follow the numbers of the column `name`.
    pub fn suffix(&self, name: &str) -> Option<Suffix> {
        let mut fitting = self.suffixes.0.iter().rev().filter(|(pattern, _)| pattern.fits(name));
        fitting.next().map(|(_, suffix)| suffix.clone())
    }

    /// A trimmed field without its unit suffix, if it has one.
    pub fn without_suffix<'t>(field: &'t [u8], suffix: Option<&Suffix>) -> &'t [u8] {
        let rest = suffix.and_then(|suffix| field.strip_suffix(&**suffix)).map(Self::trim);
        let rest = rest.map(|rest| rest.strip_suffix("\u{a0}".as_bytes()).unwrap_or(rest));
        // A unit alone is neither a number nor a missing value.
        rest.filter(|rest| !rest.is_empty()).unwrap_or(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clause_3_the_last_match_says_which_unit_may_stand_there() {
        let units = [("*", "V"), ("T_*", "°C")].map(|(column, unit)| (column.to_owned(), unit.to_owned()));
        let options = ColumnOptions { unit_suffixes: units.into(), ..ColumnOptions::default() };
        let columns = Columns::new(&options).expect("good options");
        let bare = |name: &str, field: &str| {
            let suffix = columns.suffix(name);
            String::from_utf8_lossy(Columns::without_suffix(field.as_bytes(), suffix.as_ref())).into_owned()
        };
        assert_eq!(bare("T_1", "19.5 °C"), "19.5");
        assert_eq!(bare("T_1", "19.5\u{a0}°C"), "19.5");
        assert_eq!(bare("T_1", "19.5"), "19.5");
        assert_eq!(bare("T_1", "19.5 V"), "19.5 V");
        assert_eq!(bare("U", "230V"), "230");
        assert_eq!(bare("U", "V"), "V");
    }
}
