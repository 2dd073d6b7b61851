//! The columns of one file, for the decoders of its chunks.

use std::sync::Arc;

use super::columns::{Columns, Role, Roles, Suffix};
use crate::batch::Schema;

/// What all chunks of a file share.
#[derive(Clone, Debug)]
pub(super) struct FileColumns {
    pub(super) columns: Columns,
    pub(super) schema: Arc<Schema>,
    /// By field of the file.
    pub(super) roles: Vec<Role>,
    /// Columns that the file does not have: null in all records.
    pub(super) missing: Vec<Role>,
    /// By column of the schema: the unit that may follow its numbers; empty if no column has one.
    pub(super) suffixes: Vec<Option<Suffix>>,
    /// The sensor of the whole file, if no column has it.
    pub(super) sensor: Option<String>,
    pub(super) origins: bool,
}

impl FileColumns {
    /// The columns of `schema` in a file whose stem is `stem`.
    pub(super) fn new(
        columns: &Columns,
        schema: &Arc<Schema>,
        roles: Roles,
        stem: &str,
        origins: bool,
    ) -> Self {
        let suffixes: Vec<_> = schema.fields().iter().map(|field| columns.suffix(&field.name)).collect();
        let has_suffix = suffixes.iter().any(Option::is_some);
        Self {
            sensor: columns.file_sensor(stem).map(str::to_owned),
            columns: columns.clone(),
            schema: Arc::clone(schema),
            roles: roles.fields,
            missing: roles.missing,
            suffixes: if has_suffix { suffixes } else { Vec::new() },
            origins,
        }
    }

    /// Whether every column is a single field, as the fast decoders require.
    pub(super) fn is_plain(&self) -> bool {
        let has_parts = self.roles.iter().any(|role| matches!(role, Role::Part { .. }));
        self.suffixes.is_empty() && !has_parts
    }
}
