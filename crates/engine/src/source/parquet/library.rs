//! Calls of the Parquet library, which may panic on damaged files.

use crate::error::guard::survived;
use crate::error::{Error, Result};

/// Calls the Parquet library for the file `name`, turning panics into errors.
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
        .with_help("check that the file is complete")
}
