//! Records made of others: each has what one of them has, and columns of its own.

use std::sync::Arc;

use super::{Batch, Column, Schema};

impl Batch {
    /// A batch of the columns of `schema`, whose `i`th record has what record `rows[i]` of this one has: its column `at` is column `from[at]`
    /// of this one, or, where that is `None`, the next of `made`, which has a value for each of `rows`.
    ///
    /// # Panics
    /// When a column's type or length does not fit: a bug in the caller.
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
        batch.sequence = self.sequence;
        batch.origins = self.origins.as_ref().map(|origins| origins.take(rows));
        batch
    }
}
