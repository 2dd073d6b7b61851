//! The column types that the options declare.

use super::{ColumnOptions, Columns};
use crate::batch::{FieldType, Pattern};
use crate::error::{Error, Result};

/// The declared type by column pattern; the last match wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Types(Vec<(Pattern, FieldType)>);

impl Types {
    pub(super) fn new(options: &ColumnOptions) -> Result<Self> {
        let types = options.types.iter().map(|(column, &ty)| (Pattern::new(column.as_str()), ty));
        let types = Self(types.collect());
        let is_text = |name: &&String| types.of(name) == Some(FieldType::Text);
        match options.measurements.iter().flatten().find(is_text) {
            None => Ok(types),
            Some(name) => {
                Err(Error::config(format!("`types` declares `{name}` as text, but `measurements` lists it"))
                    .with_help("list it in only one of them, or give it a numeric type"))
            }
        }
    }

    /// The type declared for the column `name`.
    pub(super) fn of(&self, name: &str) -> Option<FieldType> {
        self.0.iter().rev().find(|(pattern, _)| pattern.fits(name)).map(|&(_, ty)| ty)
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter().map(|(pattern, _)| pattern)
    }
}

/// The predicate for a value that is not of type `ty`, to follow "is" in a message.
pub fn not_of_type(ty: FieldType) -> &'static str {
    match ty {
        FieldType::I64 => "not an i64: a whole number from -9223372036854775808 to 9223372036854775807",
        FieldType::U64 => "not a u64: a whole number from 0 to 18446744073709551615",
        FieldType::Bool => "not a bool: true or false",
        FieldType::F64 | FieldType::Text => "not a number",
    }
}

impl Columns {
    /// The type of a measurement `name` whose input type is `ty`: text is parsed as f64.
    pub(super) fn measured_type(&self, name: &str, ty: FieldType) -> FieldType {
        let own = if ty == FieldType::Text { FieldType::F64 } else { ty };
        self.types.of(name).unwrap_or(own)
    }

    /// The common type of measurements of these types; a loss of type is remarked.
    pub(in crate::format) fn common_type(&self, types: impl Iterator<Item = FieldType>) -> FieldType {
        let mut types = types.collect::<Vec<_>>();
        types.dedup();
        match types[..] {
            [ty] => ty,
            [] => FieldType::F64,
            _ => {
                self.remark("`unpivot` joins measurements of several types: the values are f64".into());
                FieldType::F64
            }
        }
    }
}
