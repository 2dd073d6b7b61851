//! Records derived from others: each has the values of one of them, and new columns.

use std::sync::Arc;

use super::{Batch, Column, Schema};

impl Batch {
    /// A batch of the columns of `schema`, whose `i`th record is derived from record `rows[i]` of this one: its column `at` is column
    /// `from[at]` of this one, or, if that is `None`, the next of `made`, which has one value for each of `rows`.
    ///
    /// # Panics
    /// If a column's type or length does not match: a bug in the caller.
    pub(crate) fn spread(
        &self,
        schema: &Arc<Schema>,
        rows: &[u32],
        from: &[Option<usize>],
        made: impl IntoIterator<Item = Column>,
    ) -> Self {
        let mut made = made.into_iter();
        let column = |(&at, field): (&Option<usize>, _)| match at {
            Some(at) => self.columns[at].take(rows),
            None => made.next().unwrap_or_else(|| Column::empty(field)),
        };
        let columns = from.iter().zip(schema.fields()).map(column).collect();
        let mut batch = Self::new(Arc::clone(schema), columns, self.text.clone());
        (batch.sequence, batch.received) = (self.sequence, self.received);
        batch.origins = self.origins.as_ref().map(|origins| origins.take(rows));
        batch
    }
}
