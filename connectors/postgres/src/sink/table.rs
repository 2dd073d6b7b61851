//! The table: which of its columns takes which column of the records.

use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::TableOptions;
use crate::kind::{Kind, Own};
use crate::names::{TableName, list, quoted};
use crate::session::Session;

/// The columns of the table whose name is the parameter.
pub(super) const COLUMNS: &str = "SELECT a.attname::text, coalesce(nullif(t.typbasetype, 0), t.oid)::oid, \
    t.typtype = 'e' OR t.typcategory = 'S', a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> '', \
    pg_catalog.format_type(a.atttypid, a.atttypmod) \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Schema, name and kind of the table whose name is the parameter, which of the rights `$2` the user lacks, and whether a crash of the server empties it or a part of it.
const TABLE: &str = "SELECT n.nspname::text, c.relname::text, c.relkind::text, \
    ARRAY(SELECT r FROM unnest($2::text[]) r WHERE NOT (has_table_privilege(c.oid, r) OR has_any_column_privilege(c.oid, r))), \
    c.relpersistence = 'u' OR EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p \
    JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE l.relpersistence = 'u') \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.oid = pg_catalog.to_regclass($1)";

/// Whether a unique index of the table has just these columns, sorted.
const UNIQUE: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = pg_catalog.to_regclass($1) \
    AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND $2 = \
    (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE \"C\") \
    FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k))";

/// Whether the table of epochs exists, and whether the user may use it.
const EPOCHS: &str = "SELECT has_table_privilege(to_regclass, 'SELECT') AND has_table_privilege(to_regclass, 'INSERT') \
    AND has_table_privilege(to_regclass, 'UPDATE') FROM pg_catalog.to_regclass($1) WHERE to_regclass IS NOT NULL";

/// The schema of the parameter, or the one where new tables are created, and whether the user may create tables there.
const MAY_CREATE: &str =
    "SELECT s, has_schema_privilege(s, 'CREATE') FROM coalesce($1, pg_catalog.current_schema()::text) s";

/// The table of epochs, in the schema of the table.
const EPOCHS_NAME: &str = "tidemill_epochs";

/// A column that is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// Its index in the records.
    pub(super) at: usize,
    /// Its name in the records.
    pub(super) field: String,
    /// Its name in the table.
    pub(super) column: String,
    pub(super) own: Own,
    /// Whether every record has a value.
    is_there: bool,
}

/// The table as the options and the records want it.
#[derive(Debug)]
pub(super) struct Target {
    name: TableName,
    create: bool,
    key: Vec<String>,
    pub(super) columns: Vec<Written>,
}

/// The table as it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    /// Schema and name in SQL.
    pub(super) table: String,
    /// The table of epochs in SQL.
    pub(super) epochs: String,
    /// The types of the columns that are written.
    pub(super) kinds: Vec<Kind>,
    /// Whether a crash of the server empties it.
    pub(super) is_unlogged: bool,
}

/// The table as it was found.
struct Found {
    schema: String,
    /// Schema and name in SQL.
    table: String,
    kinds: Vec<Kind>,
    is_unlogged: bool,
}

/// A column of the table.
struct Column {
    name: String,
    kind: Option<Kind>,
    is_required: bool,
    has_default: bool,
    is_generated: bool,
    /// Its type in words.
    says: String,
}

impl Column {
    fn of(row: &Row) -> Self {
        let (oid, is_text): (u32, bool) = (row.get(1), row.get(2));
        let kind = if is_text { Some(Kind::Text) } else { Kind::of(oid) };
        let (is_required, has_default, is_generated) = (row.get(3), row.get(4), row.get(5));
        Self { name: row.get(0), kind, is_required, has_default, is_generated, says: row.get(6) }
    }
}

impl Target {
    /// The table for records of `schema`.
    ///
    /// # Errors
    /// A configuration error if the options do not fit it.
    pub(super) fn new(options: &TableOptions, schema: &Schema) -> Result<Self> {
        let name = TableName::parse(&options.table)?;
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
        let written = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| !options.omit.iter().any(|name| **name == *field.name));
        let written = written.map(|(at, field)| {
            let column = options.columns.get(&*field.name).cloned().unwrap_or_else(|| field.name.to_string());
            let is_there = schema.time() == Some(at) || schema.sensor() == at;
            Written { at, field: field.name.to_string(), column, own: Own::of(field), is_there }
        });
        let target =
            Self { name, create: options.create, key: options.key.clone(), columns: written.collect() };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<()> {
        if self.columns.is_empty() {
            return Err(Error::config("`omit` leaves no column"));
        }
        let names = || self.columns.iter().map(|written| written.column.as_str());
        if let Some(twice) =
            names().enumerate().find(|(at, name)| names().take(*at).any(|other| other == *name))
        {
            return Err(Error::config(format!("two columns of the records are written to `{}`", twice.1))
                .with_help("rename one of them in `columns`, or omit it"));
        }
        let key = |at: usize, name: &String| self.key[..at].contains(name) || !names().any(|own| own == name);
        match self.key.iter().enumerate().find(|(at, name)| key(*at, name)) {
            None => Ok(()),
            Some((_, name)) => Err(Error::config(format!(
                "`key` names `{name}`, which is not a column that is written, or twice"
            ))
            .with_help(format!("these are {}", names().collect::<Vec<_>>().join(", ")))),
        }
    }

    /// Whether rows of the same key replace each other.
    pub(super) fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// The name for the parameter of [`COLUMNS`].
    pub(super) fn name(&self) -> String {
        self.name.as_sql()
    }

    /// Looks at the table, and creates what is missing and may be created.
    ///
    /// # Errors
    /// A configuration error if it does not fit; the errors of the server.
    pub(super) async fn look(&self, session: &Session) -> Result<Known> {
        if self.create {
            self.create(session).await?;
        }
        let found = self.found(session).await?.ok_or_else(|| self.missing())?;
        let Found { schema, table, kinds, is_unlogged } = found;
        let epochs = epochs_of(&schema);
        if !have_epochs(session, &epochs).await? {
            let create = epochs_definition(&epochs);
            made(session, "create the table of epochs", &create).await.map_err(|error| {
                match error.is_transient() {
                    true => error,
                    false => error.with_help(format!("let somebody who may: {create}")),
                }
            })?;
        }
        Ok(Known { table, epochs, kinds, is_unlogged })
    }

    /// What a look at the table finds, which changes nothing: also whether a run may create what is missing.
    ///
    /// # Errors
    /// As [`Target::look`].
    pub(super) async fn inspect(&self, session: &Session) -> Result<String> {
        if self.has_key() {
            may_stage(session).await?;
        }
        let Some(Found { schema, table, kinds, is_unlogged }) = self.found(session).await? else {
            if !self.create {
                return Err(self.missing());
            }
            may_create(session, self.name.schema(), &self.definition("CREATE TABLE")).await?;
            return Ok(format!("{} does not exist, and a run creates it", self.name()));
        };
        let epochs = epochs_of(&schema);
        if !have_epochs(session, &epochs).await? {
            may_create(session, Some(&schema), &epochs_definition(&epochs)).await?;
        }
        let unlogged = if is_unlogged { ", and is UNLOGGED: a crash of the server empties it" } else { "" };
        Ok(format!("{table} takes {} columns{unlogged}", kinds.len()))
    }

    /// What the user must be allowed to do with the table.
    fn rights(&self) -> &'static [&'static str] {
        if self.has_key() { &["INSERT", "SELECT", "UPDATE"] } else { &["INSERT"] }
    }

    async fn row(&self, session: &Session) -> Result<Option<Row>> {
        let mut rows = session.rows("find the table", TABLE, &[&self.name(), &self.rights()]).await?;
        Ok(rows.pop())
    }

    /// The table, if it exists.
    async fn found(&self, session: &Session) -> Result<Option<Found>> {
        let Some(found) = self.row(session).await? else { return Ok(None) };
        let (schema, table, relation): (String, String, String) = (found.get(0), found.get(1), found.get(2));
        let table = format!("{}.{}", quoted(&schema), quoted(&table));
        if !["r", "p"].contains(&relation.as_str()) {
            return Err(Error::config(format!("{table} is not a table, but a view or the like"))
                .with_help("name the table itself in `table`"));
        }
        let (lacks, is_unlogged): (Vec<String>, bool) = (found.get(3), found.get(4));
        if !lacks.is_empty() {
            let lacks = lacks.join(", ");
            return Err(Error::config(format!("the user of `url` lacks {lacks} on {table}"))
                .with_help(format!("GRANT {lacks} ON {table} TO that user")));
        }
        let rows = session.rows("read the columns of the table", COLUMNS, &[&self.name()]).await?;
        let kinds = self.fit(&table, &rows)?;
        if self.has_key() {
            self.check_key(session, &table, &rows).await?;
        }
        Ok(Some(Found { schema, table, kinds, is_unlogged }))
    }

    /// The types of the columns that are written, in `rows` of [`COLUMNS`].
    ///
    /// # Errors
    /// A configuration error if the columns do not fit the records.
    pub(super) fn fit(&self, table: &str, rows: &[Row]) -> Result<Vec<Kind>> {
        self.fit_columns(table, &rows.iter().map(Column::of).collect::<Vec<_>>())
    }

    fn fit_columns(&self, table: &str, columns: &[Column]) -> Result<Vec<Kind>> {
        let kinds = self.columns.iter().map(|written| written.kind(table, columns)).collect::<Result<_>>()?;
        let is_written = |name: &str| self.columns.iter().any(|written| written.column == name);
        let lacking = columns
            .iter()
            .find(|column| column.is_required && !column.has_default && !is_written(&column.name));
        match lacking {
            None => Ok(kinds),
            Some(column) => Err(Error::config(format!(
                "column `{}` of {table} must not be null and has no default, but the records do not have it",
                column.name
            ))
            .with_help(
                "give it a default, drop its NOT NULL, or name the column of the records in `columns`",
            )),
        }
    }

    async fn check_key(&self, session: &Session, table: &str, rows: &[Row]) -> Result<()> {
        let mut sorted = self.key.clone();
        sorted.sort_unstable();
        let unique = session.rows("look for the index of `key`", UNIQUE, &[&self.name(), &sorted]).await?;
        let key = list(self.key.iter().map(String::as_str));
        if !unique.first().is_some_and(|row| row.get(0)) {
            return Err(Error::config(format!("{table} has no unique index on ({key}), which `key` needs"))
                .with_help(format!("CREATE UNIQUE INDEX ON {table} ({key})")));
        }
        let nullable =
            rows.iter().map(Column::of).find(|column| self.key.contains(&column.name) && !column.is_required);
        match nullable {
            None => Ok(()),
            Some(column) => Err(Error::config(format!(
                "column `{}` of {table} may be null, and is in `key`",
                column.name
            ))
            .with_help(format!("ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL", quoted(&column.name)))),
        }
    }

    async fn create(&self, session: &Session) -> Result<()> {
        if self.row(session).await?.is_some() {
            return Ok(());
        }
        made(session, "create the table", &self.definition("CREATE TABLE IF NOT EXISTS")).await
    }

    /// The statement that creates the table.
    fn definition(&self, create: &str) -> String {
        let column = |written: &Written| {
            let not_null = written.is_there || self.key.contains(&written.column);
            let not_null = if not_null { " NOT NULL" } else { "" };
            format!("{} {}{not_null}", quoted(&written.column), written.own.natural().as_sql())
        };
        let mut parts: Vec<_> = self.columns.iter().map(column).collect();
        if self.has_key() {
            parts.push(format!("PRIMARY KEY ({})", list(self.key.iter().map(String::as_str))));
        }
        format!("{create} {} ({})", self.name(), parts.join(", "))
    }

    fn missing(&self) -> Error {
        let place = self.name.schema().map_or("in the search path of the user", |_| "in the database");
        Error::config(format!("there is no table {} {place}", self.name())).with_help(format!(
            "check `table`, upper and lower case too; set create = true, or create it: {}",
            self.definition("CREATE TABLE")
        ))
    }

    /// The statement that copies rows into `table`.
    pub(super) fn copy(&self, table: &str) -> String {
        let ordinal = self.has_key().then_some(ORDINAL);
        let columns = list(ordinal.into_iter().chain(self.names()));
        format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")
    }

    /// The statement that creates the table where rows with a key wait, until the end of the transaction.
    pub(super) fn staging(&self, table: &str) -> String {
        let columns = list(self.names());
        format!(
            "CREATE TEMP TABLE {STAGING} ON COMMIT DELETE ROWS AS SELECT 0::bigint AS {ORDINAL}, {columns} FROM {table} WITH NO DATA"
        )
    }

    /// The statement that takes them to `table`: the last one of each key.
    pub(super) fn merge(&self, table: &str) -> String {
        let (columns, key) = (list(self.names()), list(self.key.iter().map(String::as_str)));
        let others = self.names().filter(|name| !self.key.iter().any(|key| key == name));
        let others: Vec<_> = others.map(|name| format!("{0} = EXCLUDED.{0}", quoted(name))).collect();
        let update = if others.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", others.join(", "))
        };
        format!(
            "INSERT INTO {table} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM {STAGING} \
             ORDER BY {key}, {ORDINAL} DESC ON CONFLICT ({key}) DO {update}"
        )
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|written| written.column.as_str())
    }
}

/// The table where rows with a key wait, and the column with their order.
pub(super) const STAGING: &str = "pg_temp.tidemill_staging";
const ORDINAL: &str = "tidemill_ordinal";

/// The name of the table of epochs in SQL.
fn epochs_of(schema: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(EPOCHS_NAME))
}

/// The statement that creates it.
fn epochs_definition(name: &str) -> String {
    format!("CREATE TABLE IF NOT EXISTS {name} (writer text PRIMARY KEY, epoch bigint NOT NULL)")
}

/// Whether there is a table of epochs.
///
/// # Errors
/// A configuration error if there is one that the user may not use.
async fn have_epochs(session: &Session, name: &str) -> Result<bool> {
    match session.rows("find the table of epochs", EPOCHS, &[&name]).await?.first() {
        None => Ok(false),
        Some(row) if row.get(0) => Ok(true),
        Some(_) => {
            Err(Error::config(format!("the user of `url` may not use {name}, where epochs are written"))
                .with_help(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO that user")))
        }
    }
}

/// Checks that the user may create a table in `schema`, or where new tables are created.
async fn may_create(session: &Session, schema: Option<&str>, definition: &str) -> Result<()> {
    let rows = session.rows("look at the schema", MAY_CREATE, &[&schema]).await?;
    let (name, may) = rows
        .first()
        .map_or((None, None), |row| (row.get::<_, Option<&str>>(0), row.get::<_, Option<bool>>(1)));
    match (name, may) {
        (_, Some(true)) => Ok(()),
        (Some(name), _) => {
            let name = quoted(name);
            Err(Error::config(format!("the user of `url` may not create tables in the schema {name}"))
                .with_help(format!(
                    "GRANT CREATE ON SCHEMA {name} TO that user, or let somebody who may: {definition}"
                )))
        }
        (None, _) => Err(Error::config("there is no schema in the search path of the user of `url`")
            .with_help("write \"schema.table\" in `table`")),
    }
}

/// Checks that the user may create temporary tables.
async fn may_stage(session: &Session) -> Result<()> {
    let may = "SELECT has_database_privilege(current_database(), 'TEMP')";
    match session.rows("look at the database", may, &[]).await?.first() {
        Some(row) if row.get(0) => Ok(()),
        _ => Err(Error::config("the user of `url` may not create temporary tables, which `key` needs")
            .with_help("GRANT TEMP ON DATABASE … TO that user")),
    }
}

/// Runs a statement that creates a table, unless somebody else does so at the same time: the two collide in the catalogue.
async fn made(session: &Session, doing: &str, statement: &str) -> Result<()> {
    let codes = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
    session.run_unless(&codes, doing, statement).await
}

impl Written {
    /// The type of its column among those of the table.
    fn kind(&self, table: &str, columns: &[Column]) -> Result<Kind> {
        let Self { field, column, own, .. } = self;
        let Some(found) = columns.iter().find(|other| other.name == *column) else {
            let all: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            let (quoted, kind) = (quoted(column), own.natural().as_sql());
            return Err(Error::config(format!("{table} has no column `{column}`, which the records have"))
                .with_help(format!(
                    "add it (ALTER TABLE {table} ADD COLUMN {quoted} {kind}), say in `columns` which one it is ({}), or set omit = [\"{field}\"]",
                    all.join(", ")
                )));
        };
        if found.is_generated {
            return Err(Error::config(format!("column `{column}` of {table} is generated by the database"))
                .with_help(format!("set omit = [\"{field}\"]")));
        }
        if let Some(kind) = found.kind.filter(|kind| own.kinds().contains(kind)) {
            return Ok(kind);
        }
        let takes: Vec<_> = own.kinds().iter().map(|kind| kind.as_sql()).collect();
        let (own, says) = (own.as_str(), &found.says);
        Err(Error::config(format!(
            "column `{column}` of {table} is of type {says}, and the records have {own}"
        ))
        .with_help(format!("such a column can be of type {}; or set omit = [\"{field}\"]", takes.join(", "))))
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
