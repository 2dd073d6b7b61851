//! The table as the options and the records want it.

use std::io;
use std::path::{Component, Path, PathBuf};

use delta_kernel::schema::{StructField, StructType};
use tidemill_engine::batch::{Field, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::FilePath;

use crate::DeltaTable;
use crate::fit::Fit;
use crate::kind::Own;
use crate::table::Table;

/// The column of the day in `partition_by`.
const DAY: &str = "day";

/// What names of columns cannot have, unless the table maps them to others.
const FORBIDDEN: [char; 10] = [' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// A column that is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    /// The index in the records of what it is made of.
    pub(crate) at: usize,
    /// The name in the records.
    pub(crate) field: String,
    /// The name in the table.
    pub(crate) column: String,
    pub(crate) own: Own,
}

impl Written {
    fn of(at: usize, field: &Field, options: &DeltaTable) -> Self {
        let column = options.columns.get(&*field.name).cloned().unwrap_or_else(|| field.name.to_string());
        Self { at, field: field.name.to_string(), column, own: Own::of(field) }
    }

    /// Whether it is written to `column`: names do not differ by upper and lower case.
    pub(crate) fn is(&self, column: &str) -> bool {
        self.column.to_lowercase() == column.to_lowercase()
    }
}

/// The table as the options and the records want it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: FilePath,
    pub(crate) create: bool,
    pub(crate) partition_by: Vec<String>,
    pub(crate) columns: Vec<Written>,
    pub(crate) level: i32,
    pub(crate) row_group: usize,
}

impl Target {
    /// The table for records of `schema`.
    ///
    /// # Errors
    /// A configuration error if the options do not fit it.
    pub(crate) fn new(options: &DeltaTable, schema: &Schema) -> Result<Self> {
        check_names(options, schema)?;
        let is_omitted = |field: &Field| options.omit.iter().any(|name| **name == *field.name);
        let fields = schema.fields().iter().enumerate().filter(|(_, field)| !is_omitted(field));
        let mut columns: Vec<_> = fields.map(|(at, field)| Written::of(at, field, options)).collect();
        if options.partition_by.iter().any(|name| name == DAY) && !columns.iter().any(|own| own.is(DAY)) {
            columns.push(day(schema)?);
        }
        let DeltaTable { path, create, partition_by, level, row_group, .. } = options.clone();
        let target = Self { path, create, partition_by, columns, level, row_group };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<()> {
        if !(1..=22).contains(&self.level) {
            return Err(Error::config(format!("`level` {} is not from 1 to 22", self.level)));
        }
        if self.row_group == 0 {
            return Err(Error::config("`row_group` must be at least 1"));
        }
        let mut all = self.columns.iter().enumerate();
        let is_second =
            |at: usize, own: &Written| self.columns[..at].iter().any(|other| other.is(&own.column));
        if let Some((_, twice)) = all.find(|(at, own)| is_second(*at, own)) {
            return Err(Error::config(format!(
                "two columns of the records are written to `{}`",
                twice.column
            ))
            .with_help("rename one of them in `columns`, or omit it"));
        }
        self.partition_by.iter().try_for_each(|name| self.check_partition(name))?;
        match self.columns.iter().any(|own| !self.partition_by.iter().any(|name| own.is(name))) {
            true => Ok(()),
            false => {
                Err(Error::config("`partition_by` and `omit` leave no column for the files of the table"))
            }
        }
    }

    fn check_partition(&self, name: &str) -> Result<()> {
        let Some(written) = self.columns.iter().find(|own| own.is(name)) else {
            let all: Vec<_> = self.columns.iter().map(|own| &*own.column).collect();
            return Err(Error::config(format!(
                "`partition_by` names `{name}`, which is not a column that is written"
            ))
            .with_help(format!("these are {}; and `day`, the day of the time", all.join(", "))));
        };
        match written.own.can_partition() {
            true => Ok(()),
            false => Err(Error::config(format!(
                "a table is not partitioned by {}, which `{name}` has: each value would be a folder",
                written.own.says()
            ))
            .with_help(
                "partition by \"day\", or by a column with few values: text, integers (i64) or booleans",
            )),
        }
    }

    /// The folder as the system calls it, without links and `..`: the library would take `..` out of it by the names alone.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        resolved(self.path.place()).map_err(|error| Error::io("find", &self.path, &error))
    }

    /// The columns of a new table: all of them may be null, as in other tables.
    pub(crate) fn new_columns(&self) -> Result<StructType> {
        if let Some(own) = self.columns.iter().find(|own| own.column.contains(FORBIDDEN)) {
            let (field, column) = (&own.field, &own.column);
            return Err(Error::config(format!(
                "a new table cannot have a column `{column}`: names are without spaces and any of ,;{{}}()="
            ))
            .with_help(format!("give it another name: columns = {{ \"{field}\" = \"…\" }}")));
        }
        let fields = self.columns.iter().map(|own| StructField::nullable(&own.column, own.own.new_type()));
        let columns = StructType::try_new(fields);
        columns.map_err(|error| Error::config(format!("these columns are not those of a table: {error}")))
    }

    /// What a look at the table finds, which changes nothing.
    ///
    /// # Errors
    /// If it cannot be read, or does not fit.
    pub(crate) fn inspect(&self) -> Result<String> {
        let table = Table::open(self)?;
        match table.snapshot()? {
            None if self.create => Ok(format!("{} does not exist, and a run creates it", self.path)),
            None => Err(self.absent()),
            Some(snapshot) => {
                Fit::new(self, &snapshot)?;
                table.write_state(&snapshot, self)?;
                let (version, count) = (snapshot.version(), self.columns.len());
                Ok(format!("version {version} of {} takes {count} columns", self.path))
            }
        }
    }

    pub(crate) fn absent(&self) -> Error {
        Error::config(format!("there is no Delta table in {}", self.path))
            .with_help("check `path`; create = true creates the table")
    }
}

/// `path` without links and `..`, as an absolute path. What does not exist yet has no links.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut there = path.as_path();
    let (mut real, missing) = loop {
        match (there.canonicalize(), there.parent()) {
            (Ok(real), _) => break (real, path.strip_prefix(there).unwrap_or(Path::new(""))),
            (Err(error), Some(above)) if error.kind() == io::ErrorKind::NotFound => there = above,
            (Err(error), _) => return Err(error),
        }
    };
    for part in missing.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    Ok(real)
}

/// The day of the time of a record.
fn day(schema: &Schema) -> Result<Written> {
    let at = schema.time();
    let at = at.ok_or_else(|| Error::config("`partition_by` names `day`, and the records have no time"))?;
    Ok(Written { at, field: DAY.to_owned(), column: DAY.to_owned(), own: Own::Day })
}

/// Whether the records have the columns that `columns` and `omit` name.
fn check_names(options: &DeltaTable, schema: &Schema) -> Result<()> {
    if options.app_id.is_empty() {
        return Err(Error::config("`app_id` is empty"));
    }
    let renamed = options.columns.keys().map(|name| ("columns", name));
    for (option, named) in renamed.chain(options.omit.iter().map(|name| ("omit", name))) {
        if schema.index_of(named).is_none() {
            let all: Vec<_> = schema.fields().iter().map(|field| &*field.name).collect();
            return Err(Error::config(format!("`{option}` names `{named}`, which the records do not have"))
                .with_help(format!("their columns are {}", all.join(", "))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_called_as_the_system_calls_it() {
        let place = tempfile::tempdir().expect("a folder");
        let real = place.path().canonicalize().expect("there");
        std::fs::create_dir_all(real.join("a/deep")).expect("made");
        std::os::unix::fs::symlink("a/deep", real.join("link")).expect("a link");
        for (path, expected) in [
            ("a/t", "a/t"),
            ("a/deep/../t", "a/t"),
            ("link/../t", "a/t"),
            ("link/t", "a/deep/t"),
            ("a/new/t", "a/new/t"),
            ("a/new/../t", "a/t"),
            ("link/new/../../t", "a/t"),
        ] {
            assert_eq!(resolved(&place.path().join(path)).expect(path), real.join(expected), "{path}");
        }
        std::fs::write(real.join("file"), "").expect("written");
        assert!(resolved(&real.join("file/t")).is_err(), "a file has no folders");
    }
}
