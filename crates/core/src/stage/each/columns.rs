//! Declares which columns a stage reads and writes, before the run.

use std::sync::Arc;

use crate::batch::{Field, FieldRole, FieldType, Schema};
use crate::error::{Error, Result};

/// The input columns; in its `bind`, a stage declares which of them it reads, and which columns it adds or changes.
#[derive(Debug)]
pub struct Columns<'a> {
    input: &'a Schema,
    output: Schema,
    written: Vec<WriteColumn>,
    is_of_new: bool,
}

/// A column that a stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadColumn(pub(super) usize);

/// A column that a stage adds or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteColumn {
    /// Its index in the output.
    pub(super) at: usize,
    /// Its ordinal among the written columns.
    pub(super) slot: usize,
    pub(super) ty: FieldType,
    /// Whether it exists in the input: then a record keeps its value unless the stage writes another one.
    pub(super) is_changed: bool,
}

/// The effect of a stage on the columns.
#[derive(Clone, Debug)]
pub(super) struct StageColumns {
    pub(super) output: Arc<Schema>,
    pub(super) written: Vec<WriteColumn>,
    /// Whether only records added by the stage are emitted.
    pub(super) is_of_new: bool,
}

impl<'a> Columns<'a> {
    /// Declares nothing yet for the input columns.
    pub fn new(input: &'a Schema) -> Self {
        Self { input, output: input.clone(), written: Vec::new(), is_of_new: false }
    }

    pub(super) fn into_layout(self) -> StageColumns {
        StageColumns { output: Arc::new(self.output), written: self.written, is_of_new: self.is_of_new }
    }

    /// All input columns.
    pub fn input(&self) -> &Schema {
        self.input
    }

    /// The name of a column.
    pub fn name(&self, column: ReadColumn) -> Arc<str> {
        Arc::clone(&self.input.fields()[column.0].name)
    }

    /// The field of a column: its type, its unit.
    pub fn field(&self, column: ReadColumn) -> &Field {
        &self.input.fields()[column.0]
    }

    /// Checks that records have a time, which `what` needs, such as "`every`".
    ///
    /// # Errors
    /// A configuration error if there is no time column.
    pub fn need_time(&self, what: &str) -> Result<()> {
        match self.input.time() {
            Some(_) => Ok(()),
            None => {
                Err(Error::config(format!("{what} needs a time column"))
                    .with_help("name it in [source] `time`"))
            }
        }
    }

    /// The measurement called `name`.
    ///
    /// # Errors
    /// A configuration error if there is none.
    pub fn read(&self, name: &str) -> Result<ReadColumn> {
        self.input.measurement(name).map(ReadColumn)
    }

    /// The measurements selected by `names`, by name or glob; all if it is `None` (clause 12).
    ///
    /// # Errors
    /// A configuration error: see [`Schema::select`].
    pub fn read_all(&self, names: Option<&[String]>) -> Result<Vec<ReadColumn>> {
        Ok(self.input.select(names)?.into_iter().map(ReadColumn).collect())
    }

    /// The column `name`, of any type; read with [`Row::value`](super::Row::value).
    ///
    /// # Errors
    /// A configuration error if there is none, or if it is the time or the sensor.
    pub fn read_any(&self, name: &str) -> Result<ReadColumn> {
        let at = self
            .input
            .index_of(name)
            .filter(|&at| !matches!(self.input.fields()[at].role, FieldRole::Time | FieldRole::Sensor));
        at.map(ReadColumn).ok_or_else(|| {
            let has = self.input.fields().iter().map(|field| &*field.name).collect::<Vec<_>>().join("`, `");
            Error::config(format!("no readable column `{name}`"))
                .with_help(format!("the columns are `{has}`; time and sensor have their own accessors"))
        })
    }

    /// Emits only records added by the stage, with the time, the sensor and the columns written from here on. Input records are counted as
    /// folded, unless they are filtered or late. Must be called before `write`.
    ///
    /// # Errors
    /// An internal error after `write`.
    pub fn only_new(&mut self) -> Result<()> {
        if !self.written.is_empty() {
            return Err(Error::internal("columns were written before `only_new`"));
        }
        let is_kept = |field: &&Field| matches!(field.role, FieldRole::Time | FieldRole::Sensor);
        let kept = self.input.fields().iter().filter(is_kept).cloned().collect();
        self.output = Schema::new(kept)?;
        self.is_of_new = true;
        Ok(())
    }

    /// Adds a column, which is null unless the stage writes to it. If a column of the same name and role exists, it is changed: it keeps
    /// the input's value unless the stage writes to it, converted to the nearest float if it becomes an f64 column, and its unit unless
    /// `field` has another.
    ///
    /// # Errors
    /// A configuration error if the name is empty, or belongs to a column of another role, or of another type and the new one is not f64.
    pub fn write(&mut self, field: Field) -> Result<WriteColumn> {
        if matches!(field.role, FieldRole::Time | FieldRole::Sensor) {
            return Err(Error::internal(format!("a stage cannot write the {} column", field.description())));
        }
        let (ty, name) = (field.ty, Arc::clone(&field.name));
        let same = self.output.fields().iter().find(|known| known.name == name);
        let field = match same.filter(|_| field.unit.is_none()) {
            Some(known) => field.described_as(known),
            None => field,
        };
        let (output, at) = self.output.clone().with(field)?;
        let before = self.output.fields().get(at);
        if before.is_some_and(|before| before.ty != ty && !(ty == FieldType::F64 && before.ty.is_number())) {
            return Err(Error::config(format!("`{name}` is of another type already"))
                .with_help("choose another name with `into`"));
        }
        self.output = output;
        if let Some(known) = self.written.iter().find(|known| known.at == at) {
            return Ok(*known);
        }
        let is_changed = !self.is_of_new && at < self.input.fields().len();
        let column = WriteColumn { at, slot: self.written.len(), ty, is_changed };
        self.written.push(column);
        Ok(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_a_stage_changes_keeps_its_unit_unless_the_stage_gives_another() {
        let fields = vec![Field::sensor("s"), Field::measurement("v").with_unit("V").with_metadata("k", "x")];
        let input = Schema::new(fields).expect("a schema");
        let written = |field: Field| {
            let mut columns = Columns::new(&input);
            columns.write(field).expect("a column");
            let output = columns.into_layout().output;
            let last = output.fields().last().expect("some").clone();
            (last.unit, last.metadata.len())
        };
        assert_eq!(written(Field::measurement("v")), (Some("V".into()), 1));
        assert_eq!(written(Field::measurement("v").with_unit("mV")), (Some("mV".into()), 0));
        assert_eq!(written(Field::measurement("new")), (None, 0));
    }
}
