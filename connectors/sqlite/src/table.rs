//! The table: which of its columns takes which column of the records.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use tidemill_engine::batch::{Field, FieldRole, FieldType, Schema};
use tidemill_engine::error::{Error, ErrorKind, Result};
use tidemill_engine::files::FilePath;

use crate::SqliteTable;

/// The table of epochs.
const EPOCHS: &str =
    "CREATE TABLE IF NOT EXISTS tidemill_epochs (writer TEXT PRIMARY KEY, epoch INTEGER NOT NULL)";

/// What a file is, whatever its name: device and inode.
pub(crate) type Identity = (u64, u64);

/// The primary key of the table that is the parameter, without a name, and its unique indexes: a row for each of their columns, null for an expression.
const UNIQUE: &str = "SELECT NULL, lower(name) FROM pragma_table_info(?1) WHERE pk > 0 \
    UNION ALL SELECT i.name, lower(c.name) FROM pragma_index_list(?1) i, pragma_index_info(i.name) c WHERE i.\"unique\" AND NOT i.partial";

/// A column that is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    /// Its index in the records.
    pub(crate) at: usize,
    /// Its name in the records.
    pub(crate) field: String,
    /// Its name in the table.
    pub(crate) column: String,
    role: FieldRole,
    ty: FieldType,
}

/// The table as the options and the records want it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) path: FilePath,
    table: String,
    create: bool,
    key: Vec<String>,
    pub(crate) columns: Vec<Written>,
}

/// The table as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Whether the column takes times as integers, for each that is written.
    pub(crate) counts: Vec<bool>,
}

/// A column of the table.
struct Column {
    name: String,
    ty: String,
    is_required: bool,
    is_generated: bool,
}

/// What a column does to values, by the name of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affinity {
    Integer,
    Text,
    /// Keeps everything as it is.
    Blob,
    Number,
}

impl Affinity {
    /// By the rules of SQLite (section 3.1 of "Datatypes In SQLite").
    fn of(ty: &str) -> Self {
        let ty = ty.to_uppercase();
        let has = |part: &str| ty.contains(part);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || ty.is_empty() || ty == "ANY" {
            Self::Blob
        } else {
            Self::Number
        }
    }
}

impl Written {
    fn of(at: usize, field: &Field, options: &SqliteTable) -> Self {
        let column = options.columns.get(&*field.name).cloned().unwrap_or_else(|| field.name.to_string());
        Self { at, field: field.name.to_string(), column, role: field.role, ty: field.ty }
    }

    fn is_time(&self) -> bool {
        self.role == FieldRole::Time
    }

    fn is_text(&self) -> bool {
        self.role == FieldRole::Sensor || self.ty == FieldType::Text
    }

    /// The type of its column in a new table.
    fn sql(&self) -> &'static str {
        match (self.role, self.ty) {
            (FieldRole::Time, _) => "TEXT NOT NULL",
            (FieldRole::Sensor, _) => "TEXT NOT NULL",
            (_, FieldType::F64) => "REAL",
            (_, FieldType::I64 | FieldType::U64 | FieldType::Bool) => "INTEGER",
            _ => "TEXT",
        }
    }

    /// What the records have.
    fn says(&self) -> &'static str {
        match (self.is_time(), self.is_text(), self.ty) {
            (true, ..) => "times",
            (_, true, _) => "text",
            (.., FieldType::F64) => "numbers (f64)",
            _ => "integers or booleans",
        }
    }

    fn takes(&self, affinity: Affinity, is_strict: bool) -> bool {
        match affinity {
            Affinity::Blob => true,
            Affinity::Text => self.is_time() || self.is_text(),
            Affinity::Integer => {
                self.is_time() || !(self.is_text() || is_strict && self.ty == FieldType::F64)
            }
            Affinity::Number => !self.is_time() && !self.is_text(),
        }
    }

    /// Whether its column takes times as integers.
    fn fit(&self, table: &str, columns: &[Column], is_strict: bool) -> Result<bool> {
        let Self { field, column, .. } = self;
        // Names do not differ by upper and lower case.
        let Some(found) = columns.iter().find(|other| other.name.eq_ignore_ascii_case(column)) else {
            let all: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            return Err(Error::config(format!("table `{table}` has no column `{column}`, which the records have"))
                .with_help(format!(
                    "add it (ALTER TABLE {} ADD COLUMN {} {}), say in `columns` which one it is ({}), or set omit = [\"{field}\"]",
                    quoted(table),
                    quoted(column),
                    self.sql().trim_end_matches(" NOT NULL"),
                    all.join(", ")
                )));
        };
        if found.is_generated {
            return Err(Error::config(format!(
                "column `{column}` of table `{table}` is generated by the database"
            ))
            .with_help(format!("set omit = [\"{field}\"]")));
        }
        let affinity = Affinity::of(&found.ty);
        match self.takes(affinity, is_strict) {
            true => Ok(affinity == Affinity::Integer),
            false => Err(Error::config(format!(
                "column `{column}` of table `{table}` is of type {}, and the records have {}",
                found.ty,
                self.says()
            ))
            .with_help(format!("such a column can be of type {}; or set omit = [\"{field}\"]", self.sql()))),
        }
    }
}

impl Target {
    /// The table for records of `schema`.
    ///
    /// # Errors
    /// A configuration error if the options do not fit it.
    pub(crate) fn new(options: &SqliteTable, schema: &Schema) -> Result<Self> {
        let table = options.table.clone();
        if table.is_empty() || table.contains('\0') || table.starts_with("sqlite_") {
            return Err(Error::config(format!("`table` {table:?} is not the name of a table")));
        }
        let renamed = options.columns.keys().map(|name| ("columns", name));
        for (option, named) in renamed.chain(options.omit.iter().map(|name| ("omit", name))) {
            if schema.index_of(named).is_none() {
                let all: Vec<_> = schema.fields().iter().map(|field| &*field.name).collect();
                return Err(Error::config(format!(
                    "`{option}` names `{named}`, which the records do not have"
                ))
                .with_help(format!("their columns are {}", all.join(", "))));
            }
        }
        let is_omitted = |field: &Field| options.omit.iter().any(|name| **name == *field.name);
        let fields = schema.fields().iter().enumerate().filter(|(_, field)| !is_omitted(field));
        let columns = fields.map(|(at, field)| Written::of(at, field, options)).collect();
        let (path, create, key) = (options.path.clone(), options.create, options.key.clone());
        let target = Self { path, table, create, key, columns };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<()> {
        if self.columns.is_empty() {
            return Err(Error::config("`omit` leaves no column"));
        }
        let names = || self.columns.iter().map(|written| written.column.as_str());
        let mut all = names().enumerate();
        if let Some((_, twice)) =
            all.find(|(at, name)| names().take(*at).any(|other| other.eq_ignore_ascii_case(name)))
        {
            return Err(Error::config(format!("two columns of the records are written to `{twice}`"))
                .with_help("rename one of them in `columns`, or omit it"));
        }
        let is_wrong =
            |at: usize, name: &String| self.key[..at].contains(name) || !names().any(|own| own == name);
        match self.key.iter().enumerate().find(|(at, name)| is_wrong(*at, name)) {
            None => Ok(()),
            Some((_, name)) => Err(Error::config(format!(
                "`key` names `{name}`, which is not a column that is written, or twice"
            ))
            .with_help(format!("these are {}", names().collect::<Vec<_>>().join(", ")))),
        }
    }

    /// Opens the database, and creates what is missing, if the options say so and it `may`.
    ///
    /// # Errors
    /// If it cannot be opened: a transient error if somebody else holds it; a configuration error if the table does not fit.
    pub(crate) fn connect(&self, may: bool) -> Result<Connection> {
        let create = self.create && may;
        let connection = self.open(create)?;
        let failed = |error: rusqlite::Error| self.failure(&error);
        // Readers and the writer do not wait for each other. A commit is on the disk when it returns. 8 MiB of pages: a transaction of many rows is written out less often.
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;";
        connection.execute_batch(settings).map_err(failed)?;
        if create {
            connection.execute_batch(&self.definition()).map_err(failed)?;
        }
        self.fit(&connection)?;
        connection.execute_batch(EPOCHS).map_err(failed)?;
        Ok(connection)
    }

    /// Which file `path` names now.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn identity(&self) -> Result<Identity> {
        let found = std::fs::metadata(self.path.place());
        let found = found.map_err(|error| Error::io("find", &self.path, &error))?;
        Ok((found.dev(), found.ino()))
    }

    /// The database is no longer the file that `path` names.
    pub(crate) fn moved(&self) -> Error {
        Error::unavailable(format!("{} was moved away, removed or replaced during the run", self.path)).with_help(
            "move it back; or run again, which goes on with the file that is there then, and with create = true makes one",
        )
    }

    /// What a look at the table finds, which changes nothing.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub(crate) fn inspect(&self) -> Result<String> {
        if self.create && !self.path.place().exists() {
            return Ok(format!("{} does not exist, and a run creates it", self.path));
        }
        let connection = self.open(false)?;
        if self.create && self.columns_of(&connection)?.is_empty() {
            return Ok(format!("table `{}` does not exist, and a run creates it", self.table));
        }
        self.fit(&connection)?;
        Ok(format!("table `{}` takes {} columns", self.table, self.columns.len()))
    }

    fn open(&self, create: bool) -> Result<Connection> {
        let create = if create { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
        let failed = |error: rusqlite::Error| self.failure(&error);
        let connection = Connection::open_with_flags(self.path.place(), flags).map_err(failed)?;
        connection.busy_timeout(crate::deliver::BUSY).map_err(failed)?;
        Ok(connection)
    }

    /// What the table is like.
    ///
    /// # Errors
    /// A configuration error if it does not fit the records.
    pub(crate) fn fit(&self, connection: &Connection) -> Result<Known> {
        let columns = self.columns_of(connection)?;
        if columns.is_empty() {
            return Err(Error::config(format!("{} has no table `{}`", self.path, self.table))
                .with_help(format!("set create = true, or create it: {}", self.definition())));
        }
        let strict =
            "SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
        let is_strict = connection.query_row(strict, [&self.table], |row| row.get(0)).optional();
        let is_strict = is_strict.map_err(|error| self.failure(&error))?.unwrap_or(false);
        let fit = |written: &Written| written.fit(&self.table, &columns, is_strict);
        let counts = self.columns.iter().map(fit).collect::<Result<_>>()?;
        let is_written =
            |name: &str| self.columns.iter().any(|written| written.column.eq_ignore_ascii_case(name));
        if let Some(column) = columns.iter().find(|column| column.is_required && !is_written(&column.name)) {
            return Err(Error::config(format!(
                "column `{}` of table `{}` must not be null and has no default, but the records do not have it",
                column.name, self.table
            ))
            .with_help("give it a default, or name the column of the records in `columns`"));
        }
        if !self.key.is_empty() && !self.has_unique_key(connection)? {
            let key = list(self.key.iter());
            let (table, quoted) = (&self.table, quoted(&self.table));
            return Err(Error::config(format!(
                "table `{table}` has no unique index on ({key}), which `key` needs"
            ))
            .with_help(format!("CREATE UNIQUE INDEX readings_key ON {quoted} ({key})")));
        }
        Ok(Known { counts })
    }

    /// Whether the columns of `key` are the primary key, or have a unique index.
    fn has_unique_key(&self, connection: &Connection) -> Result<bool> {
        let sorted = |mut names: Vec<Option<String>>| {
            names.sort_unstable();
            names
        };
        let key = sorted(self.key.iter().map(|name| Some(name.to_ascii_lowercase())).collect());
        let read = || {
            let mut statement = connection.prepare(UNIQUE)?;
            let rows = statement.query_map([&self.table], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut indexes = HashMap::<Option<String>, Vec<Option<String>>>::new();
            for row in rows {
                let (index, column) = row?;
                indexes.entry(index).or_default().push(column);
            }
            Ok::<_, rusqlite::Error>(indexes)
        };
        let mut indexes = read().map_err(|error| self.failure(&error))?.into_values();
        Ok(indexes.any(|columns| sorted(columns) == key))
    }

    fn columns_of(&self, connection: &Connection) -> Result<Vec<Column>> {
        let sql = "SELECT name, type, \"notnull\" AND dflt_value IS NULL AND hidden = 0, hidden IN (2, 3) FROM pragma_table_xinfo(?1)";
        let read = || {
            let mut statement = connection.prepare(sql)?;
            let columns = statement.query_map([&self.table], |row| {
                Ok(Column {
                    name: row.get(0)?,
                    ty: row.get(1)?,
                    is_required: row.get(2)?,
                    is_generated: row.get(3)?,
                })
            })?;
            columns.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| self.failure(&error))
    }

    /// The statement that creates the table.
    fn definition(&self) -> String {
        let column = |written: &Written| format!("{} {}", quoted(&written.column), written.sql());
        let mut parts: Vec<_> = self.columns.iter().map(column).collect();
        if !self.key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", list(self.key.iter())));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", quoted(&self.table), parts.join(", "))
    }

    /// The statement that writes so many rows.
    pub(crate) fn insert(&self, rows: usize) -> String {
        let columns = list(self.columns.iter().map(|written| &written.column));
        let values = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let values = vec![values; rows].join(", ");
        let insert = format!("INSERT INTO {} ({columns}) VALUES {values}", quoted(&self.table));
        if self.key.is_empty() {
            return insert;
        }
        let others =
            self.columns.iter().map(|written| &written.column).filter(|name| !self.key.contains(name));
        let others: Vec<_> = others.map(|name| format!("{0} = excluded.{0}", quoted(name))).collect();
        let update = if others.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", others.join(", "))
        };
        format!("{insert} ON CONFLICT ({}) DO {update}", list(self.key.iter()))
    }

    /// An error of SQLite; transient if it may pass.
    pub(crate) fn failure(&self, error: &rusqlite::Error) -> Error {
        let passes = [
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::DiskFull,
            ErrorCode::FileLockingProtocolFailed,
        ];
        let message = format!("{}: {error}", self.path);
        match error.sqlite_error_code() {
            Some(code) if passes.contains(&code) => Error::unavailable(message)
                .with_help("somebody else holds the database, or its disk is full")
                .transient(),
            Some(ErrorCode::CannotOpen) if !self.path.place().exists() => Error::unavailable(message)
                .with_help("check `path`, whose folder must exist; create = true creates the database"),
            Some(ErrorCode::ReadOnly) => Error::new(ErrorKind::Io, message)
                .with_help("check the permissions of the file and its folder"),
            Some(ErrorCode::NotADatabase) => {
                Error::config(message).with_help("`path` names a file of another kind")
            }
            Some(ErrorCode::ConstraintViolation) => Error::unavailable(message).with_help(
                "set `key` to the columns of that constraint, drop it, or leave out such records before",
            ),
            _ => Error::unavailable(message),
        }
    }
}

/// A quoted identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}
