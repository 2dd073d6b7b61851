//! The units that the options declare, by column.

use std::sync::Arc;

use super::{ColumnOptions, Columns};
use crate::batch::{Field, FieldRole, Pattern, Schema};
use crate::error::{Error, Result};

/// The unit of a measurement; the last match wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Units(Vec<(Pattern, Arc<str>)>);

impl Units {
    pub(super) fn new(options: &ColumnOptions) -> Result<Self> {
        let units = options.units.iter().map(|(column, unit)| match unit.trim() {
            "" => Err(Error::config(format!("`units` has no unit for `{column}`"))
                .with_help("such as units = { temp = \"degC\" }")),
            unit => Ok((Pattern::new(column.as_str()), unit.into())),
        });
        Ok(Self(units.collect::<Result<_>>()?))
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter().map(|(pattern, _)| pattern)
    }
}

impl Columns {
    /// `field` with the unit that the options declare, if it is a measurement and they declare one.
    pub(super) fn in_unit(&self, field: Field) -> Field {
        let mut fitting = self.units.0.iter().rev().filter(|(pattern, _)| pattern.fits(&field.name));
        match fitting.next() {
            Some((_, unit)) if field.role == FieldRole::Measurement => field.with_unit(Arc::clone(unit)),
            _ => field,
        }
    }

    /// `schema`, whose measurements get unit and metadata from the field that `said` gives for them; declared units have precedence.
    pub fn described(&self, schema: Schema, said: impl Fn(&Field) -> Option<Field>) -> Schema {
        schema.described(|_, field| match said(&field) {
            Some(said) if field.role == FieldRole::Measurement => self.in_unit(field.described_as(&said)),
            _ => field,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(units: &[(&str, &str)]) -> Result<Columns> {
        let units = units.iter().map(|(column, unit)| ((*column).to_owned(), (*unit).to_owned()));
        Columns::new(&ColumnOptions { units: units.collect(), ..ColumnOptions::default() })
    }

    #[test]
    fn clause_34_the_last_match_is_the_unit_of_a_measurement() {
        let columns = columns(&[("*", "V"), ("T_*", " degC ")]).expect("good options");
        let unit = |field: Field| columns.in_unit(field).unit;
        assert_eq!(unit(Field::measurement("U")).as_deref(), Some("V"));
        assert_eq!(unit(Field::measurement("T_1")).as_deref(), Some("degC"));
        assert_eq!(unit(Field::text("note")), None);
    }

    #[test]
    fn a_unit_is_some_text() {
        let error = columns(&[("T", " ")]).expect_err("none");
        assert!(error.to_string().contains("`units` has no unit for `T`"), "{error}");
    }

    #[test]
    fn what_the_options_declare_goes_before_what_the_input_says() {
        let columns = columns(&[("a", "K")]).expect("good options");
        let fields =
            vec![Field::sensor("s"), Field::measurement("a"), Field::measurement("b"), Field::text("c")];
        let said = |field: &Field| Some(field.clone().with_unit("degC").with_metadata("height", "2 m"));
        let schema = columns.described(Schema::new(fields).expect("a schema"), said);
        let said: Vec<_> =
            schema.fields().iter().map(|field| (field.unit.as_deref(), field.metadata.len())).collect();
        assert_eq!(said, [(None, 0), (Some("K"), 1), (Some("degC"), 1), (None, 0)]);
    }
}
