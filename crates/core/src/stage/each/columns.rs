//! Which columns a stage reads and writes, told before the run.

use std::sync::Arc;

use crate::batch::{Field, FieldRole, FieldType, Schema};
use crate::error::{Error, Result};

/// The columns that come in; a stage says in its `bind` which of them it reads, and which it adds or changes.
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
    /// Its ordinal among those that the stage writes.
    pub(super) slot: usize,
    pub(super) ty: FieldType,
    /// Whether it has come in: then a record has what it had, unless the stage writes something else.
    pub(super) is_changed: bool,
}

/// What a stage does to the columns.
#[derive(Clone, Debug)]
pub(super) struct StageColumns {
    pub(super) output: Arc<Schema>,
    pub(super) written: Vec<WriteColumn>,
    /// Whether only records that the stage adds go on.
    pub(super) is_of_new: bool,
}

impl<'a> Columns<'a> {
    /// Nothing is read or written yet of the columns that come in.
    pub fn new(input: &'a Schema) -> Self {
        Self { input, output: input.clone(), written: Vec::new(), is_of_new: false }
    }

    pub(super) fn into_layout(self) -> StageColumns {
        StageColumns { output: Arc::new(self.output), written: self.written, is_of_new: self.is_of_new }
    }

    /// All columns that come in.
    pub fn input(&self) -> &Schema {
        self.input
    }

    /// The name of a column.
    pub fn name(&self, column: ReadColumn) -> Arc<str> {
        Arc::clone(&self.input.fields()[column.0].name)
    }

    /// Checks that records have a time; `what` needs it, as in "`every`".
    ///
    /// # Errors
    /// A configuration error where they have none.
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
    /// A configuration error where there is none.
    pub fn read(&self, name: &str) -> Result<ReadColumn> {
        self.input.measurement(name).map(ReadColumn)
    }

    /// The measurements that `names` names, or that fit its globs; all where it is `None` (clause 12).
    ///
    /// # Errors
    /// A configuration error: see [`Schema::select`].
    pub fn read_all(&self, names: Option<&[String]>) -> Result<Vec<ReadColumn>> {
        Ok(self.input.select(names)?.into_iter().map(ReadColumn).collect())
    }

    /// The column called `name`, of any type; [`Row::value`](super::Row::value) reads it.
    ///
    /// # Errors
    /// A configuration error where there is none, or where it is the time or the sensor.
    pub fn read_any(&self, name: &str) -> Result<ReadColumn> {
        let at = self
            .input
            .index_of(name)
            .filter(|&at| !matches!(self.input.fields()[at].role, FieldRole::Time | FieldRole::Sensor));
        at.map(ReadColumn).ok_or_else(|| {
            let has = self.input.fields().iter().map(|field| &*field.name).collect::<Vec<_>>().join("`, `");
            Error::config(format!("there is no column `{name}` to read here"))
                .with_help(format!("the columns are `{has}`; those of times and sensors are not read so"))
        })
    }

    /// Only records that the stage adds go on: they have the time, the sensor and the columns that are written from here on. Those that come in are folded, unless they
    /// are filtered or late. To be called before anything is written.
    ///
    /// # Errors
    /// An internal error where something was.
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

    /// Adds a column, which is null where nothing is written to it. One that has the name of a column of the same role is that one: it has what came in
    /// where nothing is written, as the nearest floats if it is of floats from now on.
    ///
    /// # Errors
    /// A configuration error where the name is none, or that of a column of another role, or of another type but floats.
    pub fn write(&mut self, field: Field) -> Result<WriteColumn> {
        if matches!(field.role, FieldRole::Time | FieldRole::Sensor) {
            return Err(Error::internal(format!("a stage cannot write the {} column", field.description())));
        }
        let (ty, name) = (field.ty, Arc::clone(&field.name));
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
