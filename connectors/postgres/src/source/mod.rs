//! The source `postgres`: the rows of a table or a query.
//!
//! By a cursor column, in its order, rows are read where an earlier run has ended, and with `every` again and again.

mod copied;
mod position;
mod query;
mod reader;
mod reading;

use std::sync::Arc;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::source::{Component, OpenOptions, Recovery, Source, SourceSpec, Traits};
use tidemill_engine::time::TimeParser;

use self::query::Query;
use self::reader::Reader;
use self::reading::Repeats;
use crate::server::{ServerOptions, duration};

/// What the source `postgres` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueryOptions {
    /// The table or view to read, such as "readings" or "plant.readings", as the database shows its name; or `query`.
    pub table: Option<String>,
    /// The query to read, such as "SELECT time, sensor, value FROM readings JOIN sensors USING (id)"; instead of `table`.
    pub query: Option<String>,
    /// The column whose value grows with every new row, such as a serial number or the time of insertion: rows are read in its order, and a run resumes where the
    /// one before has ended. Rows of the same value are told apart by their content. Rows where it is null are not read. It should have an index.
    pub cursor: Option<String>,
    /// Reads only rows whose `cursor` is greater than this, such as "2026-01-01" or "4711".
    pub after: Option<String>,
    /// Looks for new rows at this interval, such as "10s", until the run is stopped; it needs `cursor`. By default, the input ends with the rows that are there.
    pub every: Option<String>,
    /// With `every`: how long to wait at most until transactions have ended that were running when new rows were seen. Their rows may come before those in the order of
    /// `cursor`, and would be missed. After that time, rows are read all the same, and counted.
    pub settle: String,
}

/// Rows of a table or a query of a PostgreSQL database. Columns keep their type: integers, numbers (`numeric` as the nearest f64), booleans, times (`timestamp` without
/// a zone is in `timezone`); all others are text. `null_values` and `decimal` apply to text.
#[derive(Clone, Debug)]
pub struct PostgresQuery {
    /// The server.
    pub server: ServerOptions,
    /// The rows.
    pub query: QueryOptions,
    /// The columns.
    pub columns: ColumnOptions,
}

inventory::submit! { Component::of::<PostgresQuery>("postgres", "rows of a table or a query of a PostgreSQL database") }

impl Configure for PostgresQuery {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![
            schemars::schema_for!(ServerOptions),
            schemars::schema_for!(QueryOptions),
            schemars::schema_for!(ColumnOptions),
        ]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (server, query, columns) = (options.take(), options.take(), options.take());
        Some(Self { server: server?, query: query?, columns: columns? })
    }
}

impl Default for QueryOptions {
    fn default() -> Self {
        let settle = "1m".into();
        Self { table: None, query: None, cursor: None, after: None, every: None, settle }
    }
}

impl QueryOptions {
    /// How often to look for new rows, and how long to wait for transactions that may have earlier ones.
    fn repeats(&self) -> Result<Option<Repeats>> {
        let settle = duration("settle", &self.settle)?;
        let every = self.every.as_ref().map(|every| duration("every", every)).transpose()?;
        Ok(every.map(|every| Repeats { every, settle }))
    }
}

impl SourceSpec for PostgresQuery {
    fn name(&self) -> &str {
        "postgres"
    }

    fn parameters(&self) -> serde_json::Value {
        crate::parameters([
            serde_json::to_value(&self.server),
            serde_json::to_value(&self.query),
            serde_json::to_value(&self.columns),
        ])
    }

    fn traits(&self) -> Traits {
        let is_ordered = self.query.cursor.is_some();
        let is_bounded = self.query.every.is_none();
        let recovery = if is_ordered { Recovery::Replayed } else { Recovery::Lost };
        Traits { is_bounded, is_replayable: is_bounded && is_ordered, is_open: false, recovery }
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(Self { server: self.server.with_base(base), ..self.clone() }))
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.columns.times().map(Some)
    }

    fn can_resume(&self) -> bool {
        self.query.cursor.is_some()
    }

    fn check_resumable(&self) -> Result<()> {
        match self.can_resume() {
            true => Ok(()),
            false => Err(Error::config("rows without an order cannot be resumed").with_help(
                "set `cursor` to a column that grows with every new row, such as a serial number",
            )),
        }
    }

    fn probe(&self, probe: &mut Probe) {
        self.server.probe(probe, async |probe, session| {
            let columns = match Query::new(&self.query) {
                Ok(query) => reading::looked(session, &query).await,
                Err(error) => Err(error),
            };
            probe.step("query", || columns.map(|columns| ((), format!("{} columns", columns.len()))));
        });
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let query = Query::new(&self.query)?;
        let repeats = self.query.repeats()?;
        if repeats.is_some() && self.query.cursor.is_none() {
            return Err(Error::config(
                "`every` needs `cursor`: without it, all rows would be read again each time",
            )
            .with_help("set `cursor` to a column that grows with every new row, such as a serial number"));
        }
        Reader::open(self.server.server()?, query, &self.columns, repeats, options)
            .map(|reader| Box::new(reader) as Box<dyn Source>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: QueryOptions) -> String {
        let server = ServerOptions {
            url: "postgres://u@127.0.0.1:9/d".into(),
            password: None,
            tls: None,
            timeout: "1s".into(),
        };
        let source = PostgresQuery { server, query, columns: ColumnOptions::default() };
        source.open(&OpenOptions::default()).err().expect("refused").to_string()
    }

    #[test]
    fn contradictions_are_refused_before_anybody_is_asked() {
        let table = || QueryOptions { table: Some("t".into()), ..QueryOptions::default() };
        assert!(refused(QueryOptions::default()).contains("`table` or `query`"));
        assert!(refused(QueryOptions { query: Some("SELECT 1".into()), ..table() }).contains("both"));
        assert!(refused(QueryOptions { every: Some("1s".into()), ..table() }).contains("needs `cursor`"));
        assert!(refused(QueryOptions { after: Some("1".into()), ..table() }).contains("needs `cursor`"));
        assert!(refused(QueryOptions { every: Some("soon".into()), ..table() }).contains("`every`"));
        assert!(refused(table()).contains("cannot connect"));
    }
}
