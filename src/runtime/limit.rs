//! How many rejects a run takes before it fails (clause 7).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Rejection, Result};
use crate::pipeline::MaxRejects;

/// A share is looked at from this record on.
const FIRST_CHECK: u64 = 1000;

/// What a limit has counted, for a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    records: u64,
    rejects: u64,
    first: Option<Rejection>,
    by_column: BTreeMap<String, u64>,
}

/// Counts rejects record by record, so that the verdict does not depend on chunks.
#[derive(Clone)]
pub(crate) struct RejectLimit {
    /// `None` for any number.
    limit: Option<MaxRejects>,
    records: u64,
    rejects: u64,
    first: Option<Rejection>,
    by_column: BTreeMap<String, u64>,
}

impl RejectLimit {
    pub(crate) fn new(limit: Option<MaxRejects>) -> Self {
        Self { limit, records: 0, rejects: 0, first: None, by_column: BTreeMap::new() }
    }

    /// For a checkpoint.
    pub(crate) fn counted(&self) -> Counted {
        let Self { records, rejects, first, by_column, .. } = self;
        Counted { records: *records, rejects: *rejects, first: first.clone(), by_column: by_column.clone() }
    }

    /// Goes on from a checkpoint.
    pub(crate) fn restore(&mut self, counted: Counted) {
        let Counted { records, rejects, first, by_column } = counted;
        *self = Self { limit: self.limit, records, rejects, first, by_column };
    }

    /// Takes note of `records` more records, of which `rejections` were refused.
    pub(crate) fn pass(&mut self, records: u64, rejections: &[Rejection]) -> Result<()> {
        let end = self.records + records;
        for rejection in rejections {
            self.advance(rejection.record - 1)?;
            self.note(rejection);
            self.records = rejection.record;
            self.check(rejection.record)?;
        }
        self.advance(end)
    }

    /// Only good records come until there have been `records`. They make the share smaller: of all of them, only the one
    /// from which on it is looked at can fail.
    fn advance(&mut self, records: u64) -> Result<()> {
        let is_first_check = self.records < FIRST_CHECK && FIRST_CHECK <= records;
        self.records = records;
        if is_first_check { self.check(FIRST_CHECK) } else { Ok(()) }
    }

    /// The input has ended: a run in which every record was refused fails, however short it was.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.limit.is_some() && self.records > 0 && self.rejects == self.records {
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
            Some(MaxRejects::Count(count)) if self.rejects > count => {
                Err(self.error(&format!("more than {count} rejects")))
            }
            Some(MaxRejects::Share(share))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::RejectionKind;
    use crate::offset::Position;

    fn rejection(record: u64) -> Rejection {
        Rejection {
            kind: RejectionKind::Malformed,
            position: Position { file: "a.csv".into(), line: record + 1, offset: 0 },
            record,
            column: None,
            reason: "bad".into(),
            raw: Vec::new(),
        }
    }

    /// Passes records, each good or refused, in pieces; the error's message.
    fn verdict(limit: MaxRejects, refused: &[bool], pieces: impl Fn(usize) -> usize) -> Option<String> {
        let (mut state, mut start) = (RejectLimit::new(Some(limit)), 0);
        while start < refused.len() {
            let end = refused.len().min(start + pieces(start).max(1));
            let records = (start..end).filter(|&at| refused[at]).map(|at| rejection(at as u64 + 1));
            if let Err(error) = state.pass((end - start) as u64, &records.collect::<Vec<_>>()) {
                return Some(error.message().to_owned());
            }
            start = end;
        }
        None
    }

    #[test]
    fn clause_7_few_rejects_among_many_records_are_no_matter_where_they_stand() {
        let at = |places: &[usize]| (0..50_000).map(|at| places.contains(&at)).collect::<Vec<_>>();
        let spread: Vec<usize> = (1..40).map(|n| n * 1200).collect();
        let share = MaxRejects::Share(0.01);
        assert_eq!(verdict(share, &at(&spread), |_| 50_000), None);
        let early: Vec<usize> = (0..11).collect();
        let message = "11 of 1000 records were refused, more than 0.01; the first: bad";
        assert_eq!(verdict(share, &at(&early), |_| 50_000).as_deref(), Some(message));
    }

    proptest! {
        #[test]
        fn clause_7_the_verdict_does_not_depend_on_chunks(
            places in proptest::collection::vec(0..3000usize, 0..60), length in 900..3000usize, size in 1..3000usize,
        ) {
            let refused: Vec<bool> = (0..length).map(|at| places.contains(&at)).collect();
            for limit in [MaxRejects::Share(0.01), MaxRejects::Share(0.02), MaxRejects::Count(20)] {
                let one_by_one = verdict(limit, &refused, |_| 1);
                prop_assert_eq!(&verdict(limit, &refused, |_| length), &one_by_one);
                prop_assert_eq!(&verdict(limit, &refused, |start| 1 + (start * 7919) % size), &one_by_one);
            }
        }
    }
}
