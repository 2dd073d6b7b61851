//! The arrays of a record batch as the columns of a source.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::convert::{carried, joined, measurement, sensors, times, unfolded};
use super::typed::{Arrays, Typed};
use crate::error::Result;
use crate::format::columns::Composite;
use crate::sensor::SensorLookup;

/// The arrays of a batch.
pub(crate) struct RecordArrays<'r> {
    /// All of them.
    pub(crate) columns: &'r [ArrayRef],
    /// For each column of the schema, the arrays that it is made of: none if there is none, several if it is composed.
    pub(crate) sources: &'r [Vec<usize>],
    /// The name of the file or source, for messages.
    pub(crate) name: &'r Arc<str>,
}

impl Arrays for RecordArrays<'_> {
    type Array = ArrayRef;

    fn of(&self, at: usize) -> Vec<&ArrayRef> {
        self.sources[at].iter().map(|&at| &self.columns[at]).collect()
    }

    fn joined(
        &self,
        typed: &mut Typed<'_>,
        at: usize,
        made: &Composite,
        arrays: &[&ArrayRef],
    ) -> Result<Vec<Option<String>>> {
        joined(typed, at, made, arrays, self.name)
    }

    fn times(&self, typed: &mut Typed<'_>, at: usize, array: &ArrayRef) -> Result<()> {
        times(typed, at, &unfolded(array, self.name)?, self.name)
    }

    fn sensors(
        &self,
        typed: &mut Typed<'_>,
        at: usize,
        array: &ArrayRef,
        lookup: &mut dyn SensorLookup,
    ) -> Result<()> {
        sensors(typed, at, &unfolded(array, self.name)?, self.name, lookup)
    }

    fn measurement(&self, typed: &mut Typed<'_>, at: usize, array: &ArrayRef) -> Result<()> {
        measurement(typed, at, &unfolded(array, self.name)?, self.name)
    }

    fn carried(&self, typed: &mut Typed<'_>, at: usize, array: &ArrayRef) -> Result<()> {
        carried(typed, at, &unfolded(array, self.name)?, self.name)
    }
}
