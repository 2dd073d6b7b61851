//! How many rejects a run takes before it fails (clause 7).

use std::collections::BTreeMap;

use crate::error::{Error, Rejection, Result};
use crate::pipeline::MaxRejects;

/// A share is looked at from this record on.
const FIRST_CHECK: u64 = 1000;

/// Counts rejects record by record, so that the verdict does not depend on chunks.
pub(super) struct RejectLimit {
    limit: MaxRejects,
    records: u64,
    rejects: u64,
    first: Option<Rejection>,
    by_column: BTreeMap<String, u64>,
}

impl RejectLimit {
    pub(super) fn new(limit: MaxRejects) -> Self {
        Self { limit, records: 0, rejects: 0, first: None, by_column: BTreeMap::new() }
    }

    /// Takes note of `records` more records, of which `rejections` were refused.
    pub(super) fn pass(&mut self, records: u64, rejections: &[Rejection]) -> Result<()> {
        let before = self.records;
        for rejection in rejections {
            // Good records before this one may have brought the count to the first check.
            if before < FIRST_CHECK && rejection.record > FIRST_CHECK {
                self.check(FIRST_CHECK)?;
            }
            self.note(rejection);
            self.check(rejection.record)?;
        }
        self.records += records;
        self.check(self.records)
    }

    /// The input has ended: a run in which every record was refused fails, however short it was.
    pub(super) fn finish(&self) -> Result<()> {
        if self.records > 0 && self.rejects == self.records {
            Err(self.error("every record was refused"))
        } else {
            Ok(())
        }
    }

    fn note(&mut self, rejection: &Rejection) {
        self.rejects += 1;
        self.first.get_or_insert_with(|| rejection.clone());
        if let Some(column) = &rejection.column {
            match self.by_column.get_mut(&**column) {
                Some(count) => *count += 1,
                None => drop(self.by_column.insert(column.to_string(), 1)),
            }
        }
    }

    fn check(&self, records: u64) -> Result<()> {
        match self.limit {
            MaxRejects::Count(count) if self.rejects > count => {
                Err(self.error(&format!("more than {count} rejects")))
            }
            MaxRejects::Share(share)
                if records >= FIRST_CHECK && self.rejects as f64 > share * records as f64 =>
            {
                Err(self
                    .error(&format!("{} of {records} records were refused, more than {share}", self.rejects)))
            }
            _ => Ok(()),
        }
    }

    fn error(&self, what: &str) -> Error {
        let mut message = what.to_owned();
        if let Some((column, _)) = self.by_column.iter().find(|&(_, &count)| count == self.rejects) {
            message += &format!(", all for column `{column}`");
        }
        let mut error = Error::data(message);
        if let Some(first) = &self.first {
            error = Error::data(format!("{}; the first: {}", error.message(), first.reason))
                .with_position(first.position.clone());
        }
        error.with_help(
            "mend the [source] options, collect rejects with a `dead_letter` sink, or raise `max_rejects`",
        )
    }
}
