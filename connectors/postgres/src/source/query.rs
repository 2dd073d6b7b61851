//! The statements that read rows.

use std::sync::Arc;

use tidemill_engine::error::{Error, Result};
use tokio_postgres::Column;

use super::QueryOptions;
use super::copied::InputColumn;
use crate::kind::Kind;
use crate::names::{TableName, literal, quoted};

/// The transactions of clients of this database that are running, other than this one and those of such sources, which only read. Each holds a lock on its own name from its beginning on, while it gets a number
/// only when it first writes: after `nextval()`, which gives a serial number, it may have none.
const RUNNING: &str = "SELECT l.virtualtransaction FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'virtualxid' AND l.pid <> pg_backend_pid() AND a.datname = current_database() AND a.usesysid IS NOT NULL AND a.application_name IS DISTINCT FROM 'tidemill'";

/// Whether all transactions have ended that had a number below `$1`, or are named in `$2`.
pub(super) const ENDED: &str = "SELECT txid_snapshot_xmin(txid_current_snapshot()) >= $1 AND NOT EXISTS \
    (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'virtualxid' AND virtualtransaction = ANY ($2))";

/// What is read, as SQL.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Its name in messages.
    pub(super) name: Arc<str>,
    /// What comes after `FROM`.
    from: String,
    pub(super) cursor: Option<String>,
    after: Option<String>,
}

/// Where a statement begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin<'a> {
    /// With the first row, after this many.
    Start(u64),
    /// With the rows that have this value of the cursor.
    At(&'a str),
}

impl Query {
    /// What the options name.
    ///
    /// # Errors
    /// A configuration error if they contradict one another.
    pub(super) fn new(options: &QueryOptions) -> Result<Self> {
        let QueryOptions { table, query, cursor, after, .. } = options;
        let (name, from) = match (table, query) {
            (Some(table), None) => (table.as_str(), format!("{} AS q", TableName::parse(table)?.as_sql())),
            (None, Some(query)) => {
                let query = query.trim().trim_end_matches(';');
                // A comment may be at its end.
                ("query", format!("({query}\n) AS q"))
            }
            (Some(_), Some(_)) => {
                return Err(Error::config("`table` and `query` are both given: one says what to read"));
            }
            (None, None) => return Err(Error::config("`table` or `query` is missing: it says what to read")),
        };
        if after.is_some() && cursor.is_none() {
            return Err(Error::config("`after` needs `cursor`: it is a value of that column"));
        }
        Ok(Self { name: name.into(), from, cursor: cursor.clone(), after: after.clone() })
    }

    /// The statement whose columns are those of the rows.
    pub(super) fn describe(&self) -> String {
        format!("SELECT * FROM {} LIMIT 0", self.from)
    }

    /// Checks that the columns that are read, `read`, are among those that the rows have now, and of the same types; returns those that came later.
    ///
    /// # Errors
    /// A data error that names the first one that is not.
    pub(super) fn compare(&self, read: &[InputColumn], now: &[InputColumn]) -> Result<Vec<String>> {
        for column in read {
            let found = now.iter().find(|other| other.name == column.name);
            if found.is_some_and(|found| found.kind == column.kind) {
                continue;
            }
            let says = found.map_or_else(
                || "does not exist any more".to_owned(),
                |found| format!("was read as {}, and would be {} now", column.as_sql(), found.as_sql()),
            );
            return Err(Error::data(format!("column `{}` of `{}` {says}", column.name, self.name)).with_help(
                "change it back, or read it by a `query` that casts it to the former type; or begin a new run with another --state",
            ));
        }
        let is_later = |column: &&InputColumn| read.iter().all(|other| other.name != column.name);
        Ok(now.iter().filter(is_later).map(|column| column.name.clone()).collect())
    }

    /// The columns of the rows, as the server describes them.
    ///
    /// # Errors
    /// A configuration error if the cursor is not one of them.
    pub(super) fn columns(&self, described: &[Column]) -> Result<Vec<InputColumn>> {
        // The binary format of the others is not known, or is not text.
        let kind = |column: &Column| Kind::of(column.type_().oid()).filter(|kind| *kind != Kind::Jsonb);
        let columns: Vec<_> = described
            .iter()
            .map(|column| InputColumn { name: column.name().to_owned(), kind: kind(column).map(Kind::code) })
            .collect();
        match self.cursor.as_ref().filter(|cursor| columns.iter().all(|column| column.name != **cursor)) {
            None => Ok(columns),
            Some(cursor) => {
                let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
                Err(Error::config(format!("`cursor` names `{cursor}`, which `{}` does not have", self.name))
                    .with_help(format!("its columns are {}", names.join(", "))))
            }
        }
    }

    /// The statement with the text of the greatest cursor from `begin` on, the first transaction that had not got a number when it was seen, and the transactions of the
    /// database that were running then, whether they had a number or not; without a cursor, nothing.
    pub(super) fn newest(&self, begin: Begin<'_>) -> String {
        let newest = self.cursor.as_ref().map_or_else(
            || "NULL".to_owned(),
            |cursor| {
                let (cursor, from) = (format!("q.{}", quoted(cursor)), &self.from);
                let bound = self.bound(&cursor, begin);
                format!("SELECT {cursor}::text FROM {from} WHERE {bound} ORDER BY {cursor} DESC LIMIT 1")
            },
        );
        format!("SELECT ({newest}), txid_snapshot_xmax(txid_current_snapshot()), ARRAY({RUNNING})")
    }

    /// Which rows come from `begin` on.
    fn bound(&self, cursor: &str, begin: Begin<'_>) -> String {
        match (begin, &self.after) {
            (Begin::At(value), _) => format!("{cursor} >= {}", literal(value)),
            (Begin::Start(_), Some(after)) => format!("{cursor} > {}", literal(after)),
            (Begin::Start(_), None) => format!("{cursor} IS NOT NULL"),
        }
    }

    /// The statement that copies the rows from `begin` on, up to the cursor `end` if it is given; the text of the cursor is the last field of each.
    pub(super) fn copy(&self, columns: &[InputColumn], begin: Begin<'_>, end: Option<&str>) -> String {
        let field = |column: &InputColumn| {
            let cast = if column.kind.is_some() { "" } else { "::text" };
            format!("q.{}{cast}", quoted(&column.name))
        };
        let mut fields: Vec<_> = columns.iter().map(field).collect();
        let mut conditions = String::new();
        if let Some(cursor) = &self.cursor {
            let cursor = format!("q.{}", quoted(cursor));
            fields.push(format!("{cursor}::text"));
            let end = end.map(|end| format!(" AND {cursor} <= {}", literal(end))).unwrap_or_default();
            conditions = format!(" WHERE {}{end} ORDER BY {cursor}", self.bound(&cursor, begin));
        }
        if let Begin::Start(skipped @ 1..) = begin {
            conditions.push_str(&format!(" OFFSET {skipped}"));
        }
        format!(
            "COPY (SELECT {} FROM {}{conditions}) TO STDOUT (FORMAT binary)",
            fields.join(", "),
            self.from
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<InputColumn> {
        let column =
            |name: &str, kind: Option<Kind>| InputColumn { name: name.into(), kind: kind.map(Kind::code) };
        vec![column("id", Some(Kind::Int8)), column("where", None)]
    }

    #[test]
    fn a_table_is_copied_in_the_order_of_its_cursor() {
        let options = QueryOptions {
            table: Some("plant.readings".into()),
            cursor: Some("id".into()),
            ..QueryOptions::default()
        };
        let query = Query::new(&options).expect("a query");
        assert_eq!(query.describe(), "SELECT * FROM \"plant\".\"readings\" AS q LIMIT 0");
        let select = "COPY (SELECT q.\"id\", q.\"where\"::text, q.\"id\"::text FROM \"plant\".\"readings\" AS q WHERE q.\"id\"";
        let copy = |begin| query.copy(&columns(), begin, None);
        assert_eq!(
            copy(Begin::Start(0)),
            format!("{select} IS NOT NULL ORDER BY q.\"id\") TO STDOUT (FORMAT binary)")
        );
        assert_eq!(
            copy(Begin::At("it's")),
            format!("{select} >= 'it''s' ORDER BY q.\"id\") TO STDOUT (FORMAT binary)")
        );
        assert_eq!(
            query.copy(&columns(), Begin::At("1"), Some("9")),
            format!("{select} >= '1' AND q.\"id\" <= '9' ORDER BY q.\"id\") TO STDOUT (FORMAT binary)")
        );
        assert_eq!(
            query.newest(Begin::At("1")),
            "SELECT (SELECT q.\"id\"::text FROM \"plant\".\"readings\" AS q WHERE q.\"id\" >= '1' ORDER BY q.\"id\" DESC LIMIT 1), \
             txid_snapshot_xmax(txid_current_snapshot()), ARRAY(".to_owned() + RUNNING + ")"
        );
        let after = Query::new(&QueryOptions { after: Some("7".into()), ..options }).expect("a query");
        assert_eq!(
            after.copy(&columns(), Begin::Start(3), None),
            format!("{select} > '7' ORDER BY q.\"id\" OFFSET 3) TO STDOUT (FORMAT binary)")
        );
    }

    #[test]
    fn columns_that_change_are_named_and_those_that_come_later_do_not_matter() {
        let options = QueryOptions { table: Some("t".into()), ..QueryOptions::default() };
        let query = Query::new(&options).expect("a query");
        let column =
            |name: &str, kind: Option<Kind>| InputColumn { name: name.into(), kind: kind.map(Kind::code) };
        let compare = |now: &[InputColumn]| query.compare(&columns(), now);
        let [id, place] = [column("id", Some(Kind::Int8)), column("where", None)];
        assert_eq!(compare(&columns()).expect("the same"), Vec::<String>::new());
        let later = [column("new", Some(Kind::Bool)), place.clone(), id.clone()];
        assert_eq!(compare(&later).expect("enough"), ["new"]);
        // Values of both types have eight bytes.
        let other = compare(&[column("id", Some(Kind::Float8)), place]).expect_err("changed").to_string();
        assert!(
            other.contains("column `id` of `t` was read as bigint, and would be double precision now"),
            "{other}"
        );
        let gone = compare(&[id]).expect_err("changed").to_string();
        assert!(gone.contains("column `where` of `t` does not exist any more"), "{gone}");
    }

    #[test]
    fn a_query_is_a_part_of_the_statement() {
        let options =
            QueryOptions { query: Some("SELECT 1 AS id -- one;\n;".into()), ..QueryOptions::default() };
        let query = Query::new(&options).expect("a query");
        assert_eq!(
            query.copy(&columns(), Begin::Start(0), None),
            "COPY (SELECT q.\"id\", q.\"where\"::text FROM (SELECT 1 AS id -- one;\n\n) AS q) TO STDOUT (FORMAT binary)"
        );
    }
}
