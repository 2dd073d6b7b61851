//! What is in a data file, guessed from its beginning: `table` finds records and fields, `columns` what each is.

mod columns;
mod table;
#[cfg(test)]
mod tests;

pub(super) use columns::Roles;
pub(super) use table::{Dialect, Kind};

use table::Table;

/// How many bytes are looked at.
pub(super) const SAMPLE: usize = 1 << 18;

/// A guess at a file.
#[derive(Debug)]
pub(super) struct Guess {
    /// Which source reads it.
    pub(super) kind: Kind,
    /// How it is laid out, where it is delimited text.
    pub(super) dialect: Dialect,
    /// The names of the columns.
    pub(super) names: Vec<String>,
    /// What the columns are.
    pub(super) roles: Roles,
    /// How many records were looked at.
    pub(super) records: usize,
}

/// Looks at the first bytes of a text file.
pub(super) fn guess(bytes: &[u8], is_whole: bool) -> Guess {
    let table = Table::read(bytes, is_whole);
    let roles = columns::guess(&table.names, &table.rows, table.decimal_comma());
    Guess { kind: table.kind, dialect: table.dialect, names: table.names, roles, records: table.rows.len() }
}

/// Looks at records whose fields have been found.
pub(super) fn of_records(kind: Kind, names: Vec<String>, records: &[Vec<String>]) -> Guess {
    let roles = columns::guess(&names, records, false);
    Guess { kind, dialect: Dialect::default(), names, roles, records: records.len() }
}
