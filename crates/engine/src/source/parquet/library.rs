//! The Parquet library, and what it does over damaged files.

use crate::error::guard::survived;
use crate::error::{Error, Result};

/// Calls the Parquet library, which panics over some damaged files, for the file called `name`.
pub(super) fn library<T, E: std::fmt::Display>(
    name: &str,
    act: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    match survived(act) {
        Ok(result) => result.map_err(|error| damaged(name, &error)),
        Err(panic) => Err(damaged(name, &panic)),
    }
}

pub(super) fn damaged(name: &str, error: &dyn std::fmt::Display) -> Error {
    Error::data(format!("`{name}` cannot be read as Parquet: {error}"))
        .with_help("check that it is a whole Parquet file")
}
