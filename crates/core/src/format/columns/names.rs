//! The names of a file's fields: unique, and renamed as the options say.

use std::collections::{HashMap, HashSet};

use super::{Columns, UnknownColumns, listed};
use crate::error::{Error, Result, nearest};

impl Columns {
    /// The names, after renaming, of the fields that a file calls `names`.
    pub fn own_names(&self, file: &str, names: &[String]) -> Result<Vec<String>> {
        let mut own = names.to_vec();
        for name in &mut own {
            if let Some(new) = self.options.rename.get(name.as_str()) {
                new.clone_into(name);
            }
        }
        check_distinct(file, &own)?;
        Ok(own)
    }

    /// The name that self-describing records use for column `name`.
    pub fn written_name(&self, name: &str) -> String {
        let old = self.options.rename.iter().find(|(_, new)| *new == name).map(|(old, _)| old.as_str());
        old.unwrap_or(name).to_owned()
    }

    /// The name that records use for the time column, or for the first column that the time is composed of.
    pub(in crate::format) fn written_time(&self) -> Option<String> {
        let time = self.options.time.as_ref()?.as_slice().first()?;
        Some(self.written_name(time))
    }

    /// The column name of the field that records call `name`.
    pub(super) fn renamed<'n>(&'n self, name: &'n str) -> &'n str {
        self.options.rename.get(name).map_or(name, String::as_str)
    }

    /// The names of a header, with a number appended to duplicates and to empty names; each change is remarked.
    pub fn distinct(&self, names: &[String]) -> Vec<String> {
        let mut seen: HashSet<&str> = HashSet::with_capacity(names.len());
        let is_odd: Vec<bool> = names.iter().map(|name| name.is_empty() || !seen.insert(name)).collect();
        if !is_odd.contains(&true) {
            return names.to_vec();
        }
        let mut taken: HashSet<String> = seen.into_iter().map(str::to_owned).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut own = Vec::with_capacity(names.len());
        for (at, (name, is_odd)) in names.iter().zip(is_odd).enumerate() {
            if !is_odd {
                own.push(name.clone());
                continue;
            }
            let place = at + 1;
            let (stem, count) = match name.is_empty() {
                true => (format!("column_{place}"), counts.entry("").or_insert(0)),
                false => (name.clone(), counts.entry(name).or_insert(1)),
            };
            let mut new = stem.clone();
            while new == *name || taken.contains(&new) {
                *count += 1;
                new = format!("{stem}_{count}");
            }
            self.remark(match name.is_empty() {
                true => format!("column {place} has no name: it is called `{new}`"),
                false => format!("duplicate column name `{name}` at column {place}: renamed to `{new}`"),
            });
            taken.insert(new.clone());
            own.push(new);
        }
        own
    }

    /// Checks that every column to be renamed exists in a file whose fields are called `names`.
    pub(super) fn check_renamed(&self, file: &str, names: &[String]) -> Result<()> {
        if self.options.unknown_columns != UnknownColumns::Error || self.options.rename.is_empty() {
            return Ok(());
        }
        match self.options.rename.keys().find(|old| !names.contains(old)) {
            Some(old) => Err(no_column(file, old, "rename", names)),
            None => Ok(()),
        }
    }
}

/// Checks that no two columns are renamed to the same name.
pub(super) fn check_renames(options: &super::ColumnOptions) -> Result<()> {
    let mut seen = HashSet::new();
    match options.rename.values().find(|&new| new.is_empty() || !seen.insert(new)) {
        None => Ok(()),
        Some(new) if new.is_empty() => Err(Error::config("`rename` gives a column an empty name")
            .with_help("to leave a column out, list the others in `columns`")),
        Some(new) => Err(Error::config(format!("`rename` gives two columns the name `{new}`"))
            .with_help("give each a unique name")),
    }
}

/// The error for an option that names a missing column.
pub(super) fn no_column(file: &str, name: &str, option: &str, names: &[String]) -> Error {
    let help = match nearest(name, names.iter().map(String::as_str)) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("its columns are {}", listed(names)),
    };
    Error::config(format!("`{file}` has no column `{name}` (option `{option}`)")).with_help(help)
}

fn check_distinct(file: &str, names: &[String]) -> Result<()> {
    let mut seen = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        if let Some(earlier) = seen.insert(name, at) {
            return Err(Error::data(format!(
                "`{file}` has two columns called `{name}`: numbers {} and {}",
                earlier + 1,
                at + 1
            ))
            .with_help("give one of them another name with `rename`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::columns::ColumnOptions;

    fn own(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let columns = Columns::new(&ColumnOptions::default()).expect("good options");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        (columns.distinct(&names), columns.remarks())
    }

    #[test]
    fn clause_1_a_name_that_comes_again_is_numbered_and_none_is_taken_twice() {
        assert_eq!(own(&["t", "Temp", "Temp", "Temp"]).0, ["t", "Temp", "Temp_2", "Temp_3"]);
        assert_eq!(own(&["Temp", "Temp", "Temp_2"]).0, ["Temp", "Temp_3", "Temp_2"]);
        assert_eq!(own(&["", "a", ""]).0, ["column_1", "a", "column_3"]);
        assert_eq!(own(&["column_2", "", ""]).0, ["column_2", "column_2_1", "column_3"]);
    }

    #[test]
    fn what_was_numbered_is_said() {
        let (_, remarks) = own(&["a", "a", ""]);
        assert_eq!(
            remarks,
            [
                "duplicate column name `a` at column 2: renamed to `a_2`",
                "column 3 has no name: it is called `column_3`"
            ]
        );
    }
}
