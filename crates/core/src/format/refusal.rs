//! Why a decoder rejects a record.

use super::columns::{not_of_type, shown};
use crate::batch::FieldType;
use crate::error::RejectionKind;

/// Why a record is rejected: the index of the column at fault, if any, and the reason.
pub(super) struct Refusal {
    pub(super) column: Option<usize>,
    pub(super) reason: String,
    pub(super) kind: RejectionKind,
}

impl Refusal {
    pub(super) fn record(reason: impl Into<String>) -> Self {
        Self { column: None, reason: reason.into(), kind: RejectionKind::Malformed }
    }

    pub(super) fn field(column: usize, reason: impl Into<String>) -> Self {
        Self { column: Some(column), ..Self::record(reason) }
    }

    /// The field is not a value of type `ty`.
    pub(super) fn of_type(column: usize, field: &[u8], ty: FieldType) -> Self {
        Self::field(column, format!("{} is {}", shown(field), not_of_type(ty)))
    }

    /// It is a header other than the file's.
    pub(super) fn header(reason: impl Into<String>) -> Self {
        Self { kind: RejectionKind::OtherHeader, ..Self::record(reason) }
    }
}
