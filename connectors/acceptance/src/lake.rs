//! Programs that read the tables of a lake.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{environment, process};

/// A program that reads tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The Python package `deltalake`, on delta-rs.
    DeltaRs,
    /// Polars, on delta-rs.
    Polars,
    /// DuckDB, over files that delta-rs names.
    DuckDb,
    /// Spark with Delta Lake.
    Spark,
    /// DuckDB, over Parquet files without a table: the place is a pattern.
    Parquet,
    /// PyIceberg: the place is the address of a catalog, which has the table `plant.readings`.
    Iceberg,
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Self::DeltaRs => "delta_rs",
            Self::Polars => "polars",
            Self::DuckDb => "duckdb",
            Self::Spark => "spark",
            Self::Parquet => "parquet",
            Self::Iceberg => "iceberg",
        }
    }

    /// The rows of the table at `place`, as JSON arrays of these columns, sorted.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn rows(self, place: &str, columns: &[&str]) -> Vec<String> {
        let mut command = match self {
            Self::Spark => spark(),
            _ => python(),
        };
        command.arg(script("connectors/acceptance/servers/lake.py")).args([self.name(), place]).args(columns);
        let printed = String::from_utf8(process::succeed(&mut command)).expect("UTF-8");
        printed.lines().map(str::to_owned).collect()
    }
}

/// Python with the packages of `servers/delta.txt`.
///
/// # Panics
/// If it is not installed.
#[must_use]
pub fn python() -> Command {
    Command::new(environment::tool("delta").join("bin/python"))
}

/// Python with Spark, and the jars of Delta Lake; `from lake import session` gives a session.
///
/// # Panics
/// If it is not installed.
#[must_use]
pub fn spark() -> Command {
    let mut command = Command::new(environment::tool("spark").join("bin/python"));
    command.env("PYTHONPATH", script("connectors/acceptance/servers")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("TIDEMILL_JARS", environment::tool("spark-jars").join("libs"));
    command
}

/// A file of the repository.
#[must_use]
pub fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
