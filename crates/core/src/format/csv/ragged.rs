//! Records with more or fewer fields than columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scan::FieldSpan;
use crate::format::MAX_FIELDS;
use crate::format::columns::Columns;

/// What to do with a record with too few or too many fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ragged {
    /// It is rejected.
    #[default]
    Reject,
    /// Surplus empty fields at its end are removed; any other mismatch is rejected.
    Trim,
    /// Fields missing at its end are null; a record with too many is rejected.
    Fill,
    /// Surplus fields at its end are removed, whatever they contain; a record with too few is rejected.
    Cut,
    /// Missing fields are null, surplus fields are removed.
    Fit,
}

/// The number of fields of a file's records, and what to do with other numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fitting {
    pub(super) fields: usize,
    /// Whether records may end with a delimiter, as the header does.
    pub(super) has_trailing: bool,
    pub(super) ragged: Ragged,
}

impl Fitting {
    /// Adjusts the fields of a record that ends at `end` to the expected number, if that is allowed.
    pub(super) fn fit(&self, text: &[u8], end: usize, fields: &mut Vec<FieldSpan>) {
        let expected = self.fields;
        if fields.len() == expected || fields.len() > MAX_FIELDS {
            return;
        }
        let is_empty = |span: &FieldSpan| Columns::trim(&text[span.start..span.end]).is_empty();
        if self.has_trailing && fields.len() == expected + 1 {
            fields.pop_if(|last| is_empty(last));
        }
        match self.ragged {
            Ragged::Reject => {}
            Ragged::Trim => {
                while fields.len() > expected && fields.pop_if(|last| is_empty(last)).is_some() {}
            }
            Ragged::Fill => self.fill(end, fields),
            Ragged::Cut => fields.truncate(expected),
            Ragged::Fit => {
                self.fill(end, fields);
                fields.truncate(expected);
            }
        }
    }

    fn fill(&self, end: usize, fields: &mut Vec<FieldSpan>) {
        let missing = self.fields.saturating_sub(fields.len());
        fields.extend(std::iter::repeat_n(FieldSpan { start: end, end, is_quoted: false }, missing));
    }
}
