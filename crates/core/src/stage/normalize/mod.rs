//! `normalize`: brings every series to a common scale (clause 14).

mod apply;
mod constants;
mod fit;
mod fixed;
mod given;
mod options;
mod running;

use std::sync::Arc;

use self::apply::Apply;
use self::constants::FitFile;
use self::fit::FirstPass;
use self::fixed::FixedNormalize;
use self::options::ConstantSource;
use self::running::Running;
use super::{ByColumn, EachSeries, Fit, Process, Reach, Shards, Stage, parameters_of};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::paths::{Base, FilePath};

pub use self::options::{Exception, Method, Normalize, Unknown};

impl Normalize {
    fn columns(&self, input: &Schema) -> Result<Vec<usize>> {
        let columns = ByColumn::select(self.columns.as_ref(), input)?;
        let columns: Vec<_> = columns.into_iter().map(|(at, _)| at).collect();
        if columns.len() > 1 && self.into.as_ref().is_some_and(|into| !into.contains("{column}")) {
            return Err(Error::config("`into` gives several columns the same name")
                .with_help("let it contain {column}"));
        }
        Ok(columns)
    }

    fn output_name(&self, column: &str) -> String {
        self.into.as_deref().unwrap_or("{column}").replace("{column}", column)
    }

    /// The schema with the new columns, and for each measurement the index of its input and of its result.
    fn bind(&self, input: &Schema) -> Result<(Schema, Vec<(usize, usize)>)> {
        let (mut schema, mut places) = (input.clone(), Vec::new());
        for at in self.columns(input)? {
            let (wider, into) =
                schema.with(Field::measurement(self.output_name(&input.fields()[at].name)))?;
            schema = wider;
            places.push((at, into));
        }
        Ok((schema, places))
    }
}

impl Stage for Normalize {
    fn name(&self) -> &str {
        "normalize"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn reach(&self) -> Reach {
        match self.source() {
            Ok(ConstantSource::Fitted) => Reach::Global,
            Ok(ConstantSource::Running) => Reach::Series,
            _ => Reach::Row,
        }
    }

    fn keeps_state(&self) -> bool {
        matches!(self.source(), Ok(ConstantSource::Running))
    }

    fn gives_up(&self) -> bool {
        // Constants are not stored by id, and the preceding values of `running` are removed like the state of any series.
        self.reach() != Reach::Global
    }

    fn shards(&self, input: &Arc<Schema>, count: usize) -> Result<Option<Box<dyn Shards>>> {
        match self.source()? {
            ConstantSource::Running => EachSeries(Running::new(self)).shards(input, count),
            _ => Ok(None),
        }
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        let source = self.source()?;
        self.check(source)?;
        match source {
            ConstantSource::Given => drop(self.given(input)?),
            ConstantSource::Loaded | ConstantSource::Fitted | ConstantSource::Running => {}
        }
        self.bind(input).map(|(schema, _)| schema)
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        match self.source()? {
            ConstantSource::Given => {
                let given = self.given(input)?;
                let lookup = move |sensor: &str, column: &str| given.get(column)?.of(sensor).ok();
                Ok(Box::new(Apply::new(self, input, lookup)?))
            }
            ConstantSource::Running => EachSeries(Running::new(self)).start(input),
            ConstantSource::Loaded => {
                Err(Error::internal("`normalize` was started before its constants were loaded"))
            }
            ConstantSource::Fitted => Err(Error::internal("`normalize` was started before its first pass")),
        }
    }

    fn fit(&self, input: &Arc<Schema>) -> Result<Option<Box<dyn Fit>>> {
        match self.source()? {
            ConstantSource::Fitted => Ok(Some(Box::new(FirstPass::new(self.clone(), input)?))),
            _ => Ok(None),
        }
    }

    fn sensor_patterns(&self) -> Vec<String> {
        self.sensors.keys().cloned().collect()
    }

    fn loads(&self) -> Option<&FilePath> {
        self.load.as_ref()
    }

    fn load(&self, text: &str) -> Result<Arc<dyn Stage>> {
        self.check(self.source()?)?;
        let path = self.load.as_ref().ok_or_else(|| Error::internal("nothing to load"))?;
        Ok(Arc::new(FixedNormalize::new(self, FitFile::parse(text, path, self.method)?)))
    }

    fn saves(&self) -> Option<&FilePath> {
        self.save.as_ref()
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn Stage>> {
        let at_base = |path: &Option<FilePath>| path.as_ref().map(|path| path.with_base(base));
        Some(Arc::new(Self { save: at_base(&self.save), load: at_base(&self.load), ..self.clone() }))
    }

    fn memory(&self) -> String {
        match self.source() {
            Ok(ConstantSource::Running) => "extremes or exact sums per series".into(),
            Ok(ConstantSource::Fitted | ConstantSource::Loaded) => "two constants per series".into(),
            _ => "nothing".into(),
        }
    }
}

#[cfg(test)]
mod tests;
