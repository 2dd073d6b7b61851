//! The limit of rejected records (clause 7).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chunks::Refused;
use crate::error::{Error, Rejection, RejectionKind, Result};
use crate::pipeline::{MaxRejects, Pipeline};

/// A fraction is checked during the run from this record on.
const FIRST_CHECK: u64 = 1000;
/// So many rejections never fail a run, however small its input.
const FEW: u64 = 10;

/// The counts of a limit, for a checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LimitState {
    records: u64,
    malformed: RejectCounts,
    others: RejectCounts,
}

/// Counts of rejected records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RejectCounts {
    count: u64,
    first: Option<Rejection>,
    by_column: BTreeMap<String, u64>,
}

/// The limit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RejectRule {
    /// No limit: anyone may send.
    Any,
    /// The default, checked at the end: at most 10 or 1 %, and at most half.
    Usual,
    /// `max_rejects`.
    Given(MaxRejects),
}

/// Counts rejections. During the run, the check applies to records rejected by the source, record by record, and at the end to all: so the
/// result does not depend on chunks.
#[derive(Clone)]
pub(crate) struct RejectLimit {
    rule: RejectRule,
    /// Whether the input may never end: then rejections by stages are checked as they come.
    is_endless: bool,
    counted: LimitState,
}

impl RejectLimit {
    /// The limit of `pipeline`.
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let traits = pipeline.traits();
        let given = pipeline.sources.iter().find_map(|source| source.input.max_rejects);
        let rule = match given {
            Some(limit) => RejectRule::Given(limit),
            None if traits.is_open => RejectRule::Any,
            None => RejectRule::Usual,
        };
        Self { rule, is_endless: !traits.is_bounded, counted: LimitState::default() }
    }

    /// Its state for a checkpoint.
    pub(crate) fn counted(&self) -> &LimitState {
        &self.counted
    }

    /// Resumes from a checkpoint.
    pub(crate) fn restore(&mut self, counted: LimitState) {
        self.counted = counted;
    }

    /// Takes note of a piece of the input, of which this was refused.
    pub(crate) fn pass(&mut self, refused: &Refused) -> Result<()> {
        let start = self.counted.records;
        for (rejection, ordinal) in refused.rejections.iter().zip(&refused.ordinals) {
            if rejection.kind == RejectionKind::OtherHeader {
                return Err(other_header(rejection));
            }
            // Of all sources together.
            let record = start + ordinal;
            self.advance(record.saturating_sub(1))?;
            self.counted.malformed.note(rejection);
            self.counted.records = record;
            self.check()?;
        }
        self.advance(start + refused.records)
    }

    /// Counts records that were rejected for other reasons.
    pub(crate) fn note(&mut self, rejections: &[Rejection]) -> Result<()> {
        let others = &mut self.counted.others;
        if others.first.is_none() {
            others.first = rejections.iter().min_by_key(|rejection| rejection.trigger()).cloned();
        }
        rejections.iter().for_each(|rejection| others.note(rejection));
        if self.is_endless && !rejections.is_empty() { self.check() } else { Ok(()) }
    }

    /// Advances the count of good records to `records`. They make the fraction smaller, so only the record at which checking starts can
    /// fail.
    fn advance(&mut self, records: u64) -> Result<()> {
        let is_first_check = self.counted.records < FIRST_CHECK && FIRST_CHECK <= records;
        if is_first_check {
            self.counted.records = FIRST_CHECK;
            self.check()?;
        }
        self.counted.records = records;
        Ok(())
    }

    /// The check during the run: on rejections by the source, and on all if the input may never end.
    fn check(&self) -> Result<()> {
        let LimitState { records, malformed, others } = &self.counted;
        let count = malformed.count + if self.is_endless { others.count } else { 0 };
        let counts = || if self.is_endless { self.counted.all() } else { malformed.clone() };
        let is_looked_at = *records >= FIRST_CHECK;
        match self.rule {
            RejectRule::Usual if is_looked_at && 2 * count > *records => {
                Err(counts().error(*records, "more than half"))
            }
            RejectRule::Given(MaxRejects::Share(_)) if !is_looked_at => Ok(()),
            RejectRule::Given(limit) => check_limit(limit, *records, count, counts),
            RejectRule::Usual | RejectRule::Any => Ok(()),
        }
    }

    /// The check on all rejections, at the end of the input.
    pub(crate) fn finish(&self) -> Result<()> {
        let LimitState { records, malformed, others } = &self.counted;
        let (records, count) = (*records, malformed.count + others.count);
        let all = || self.counted.all();
        match self.rule {
            RejectRule::Usual if 2 * count > records => Err(all().error(records, "more than half")),
            RejectRule::Usual if count > FEW && 100 * count > records => {
                Err(all().error(records, "more than 1 %"))
            }
            RejectRule::Given(limit) => check_limit(limit, records, count, all),
            RejectRule::Usual | RejectRule::Any => Ok(()),
        }
    }
}

/// Checks `count` rejections among `records` against a limit; `counts` has them for the error.
fn check_limit(limit: MaxRejects, records: u64, count: u64, counts: impl Fn() -> RejectCounts) -> Result<()> {
    match limit {
        MaxRejects::Count(most) if count > most => Err(counts().error(records, &format!("more than {most}"))),
        MaxRejects::Share(share) if count as f64 > share * records as f64 => {
            Err(counts().error(records, &format!("more than {share}")))
        }
        _ => Ok(()),
    }
}

/// The input after such a line cannot be read, whatever the limit.
fn other_header(rejection: &Rejection) -> Error {
    Error::data(rejection.reason.clone()).with_position(rejection.position.clone()).with_help(
        "split the file at this line: the files of one input may have their columns in any order, and `unknown_columns` determines the treatment of other columns",
    )
}

impl LimitState {
    /// All rejections.
    fn all(&self) -> RejectCounts {
        let Self { malformed, others, .. } = self;
        let mut all = malformed.clone();
        all.count += others.count;
        all.first = all.first.or_else(|| others.first.clone());
        for (column, count) in &others.by_column {
            *all.by_column.entry(column.clone()).or_default() += count;
        }
        all
    }
}

impl RejectCounts {
    fn note(&mut self, rejection: &Rejection) {
        self.count += 1;
        self.first.get_or_insert_with(|| rejection.clone());
        if let Some(column) = &rejection.column {
            match self.by_column.get_mut(&**column) {
                Some(count) => *count += 1,
                None => drop(self.by_column.insert(column.to_string(), 1)),
            }
        }
    }

    /// The error of a run with this number of records, whose rejections are more `than` allowed.
    fn error(&self, records: u64, than: &str) -> Error {
        let mut message = format!("{} of {records} records were rejected, {than}", self.count);
        if let Some((column, _)) = self.by_column.iter().find(|&(_, &count)| count == self.count) {
            message += &format!(", all for column `{column}`");
        }
        let mut error = Error::data(message);
        if let Some(first) = &self.first {
            error = Error::data(format!("{}; the first: {}", error.message(), first.reason))
                .with_position(first.position.clone());
        }
        error.with_help(match self.first.as_ref().map(|first| first.kind) {
            Some(RejectionKind::Late) => {
                "allow more `disorder`, or raise `max_rejects` and collect the rejected records in a `dead_letter` sink"
            }
            Some(RejectionKind::Ahead) => {
                "see `max_ahead` and `max_jump`, or raise `max_rejects` and collect the rejected records in a `dead_letter` sink"
            }
            _ => {
                "correct the [source] options, or raise `max_rejects` and collect the rejected records in a `dead_letter` sink"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::offset::Position;

    /// A piece of `records` records of one source, with these rejections.
    fn refused(records: u64, rejections: &[Rejection]) -> Refused {
        let mut refused = Refused::default();
        refused.add(records, rejections.to_vec(), 0);
        refused
    }

    fn limit(rule: RejectRule, is_endless: bool) -> RejectLimit {
        RejectLimit { rule, is_endless, counted: LimitState::default() }
    }

    fn rejection(record: u64) -> Rejection {
        Rejection {
            kind: RejectionKind::Malformed,
            position: Position { file: "a.csv".into(), line: record + 1, offset: 0 },
            record,
            decided: None,
            column: None,
            reason: "bad".into(),
            raw: Vec::new(),
        }
    }

    /// Passes records, each good or refused, in pieces, to the end; the error's message.
    fn verdict(rule: RejectRule, is_refused: &[bool], pieces: impl Fn(usize) -> usize) -> Option<String> {
        let (mut limit, mut start) = (limit(rule, false), 0);
        while start < is_refused.len() {
            let end = is_refused.len().min(start + pieces(start).max(1));
            let of_piece =
                (start..end).filter(|&at| is_refused[at]).map(|at| rejection((at - start) as u64 + 1));
            let piece = refused((end - start) as u64, &of_piece.collect::<Vec<_>>());
            if let Err(error) = limit.pass(&piece) {
                return Some(error.message().to_owned());
            }
            start = end;
        }
        limit.finish().err().map(|error| error.message().to_owned())
    }

    /// The result for a number of records of which the last ones are rejected by the source, and as many more by others.
    fn of(rule: RejectRule, records: u64, malformed: u64, others: u64) -> Option<String> {
        let mut limit = limit(rule, false);
        let rejections: Vec<_> = (records - malformed..records).map(|at| rejection(at + 1)).collect();
        let late: Vec<_> = (0..others).map(|_| rejection(0)).collect();
        let result = limit
            .pass(&refused(records, &rejections))
            .and_then(|()| limit.note(&late))
            .and_then(|()| limit.finish());
        result.err().map(|error| error.message().to_owned())
    }

    #[test]
    fn clause_7_a_run_that_ends_fails_above_ten_and_one_percent_or_above_half() {
        let is_refused =
            |records, malformed, others| of(RejectRule::Usual, records, malformed, others).is_some();
        assert!(!is_refused(8, 4, 0) && is_refused(8, 5, 0) && is_refused(8, 7, 0) && is_refused(1, 1, 0));
        assert!(!is_refused(500, 10, 0) && is_refused(500, 11, 0) && is_refused(900, 450, 0));
        assert!(!is_refused(5000, 50, 0) && is_refused(5000, 51, 0));
        // For any reason.
        assert!(!is_refused(5000, 25, 25) && is_refused(5000, 25, 26) && is_refused(10_000, 0, 9999));
        assert!(!is_refused(0, 0, 0));
    }

    #[test]
    fn clause_7_max_rejects_overrides_the_rule() {
        let is_refused = |limit, records, malformed, others| {
            of(RejectRule::Given(limit), records, malformed, others).is_some()
        };
        assert!(!is_refused(MaxRejects::Count(8), 8, 8, 0) && is_refused(MaxRejects::Count(8), 80, 8, 1));
        assert!(!is_refused(MaxRejects::Share(1.0), 8, 8, 0) && !is_refused(MaxRejects::Share(0.5), 8, 2, 2));
        assert!(
            is_refused(MaxRejects::Share(0.5), 8, 2, 3) && is_refused(MaxRejects::Share(0.0), 8000, 0, 1)
        );
        assert_eq!(of(RejectRule::Any, 8, 8, 0), None);
    }

    #[test]
    fn clause_7_where_no_end_may_come_all_is_looked_at_as_it_comes() {
        let mut limit = limit(RejectRule::Given(MaxRejects::Count(2)), true);
        let late = |count| vec![rejection(0); count];
        limit.pass(&refused(10, &[rejection(4)])).and_then(|()| limit.note(&late(1))).expect("two");
        let error = limit.note(&late(1)).expect_err("three");
        assert_eq!(error.message(), "3 of 10 records were rejected, more than 2; the first: bad");
    }

    #[test]
    fn clause_7_few_rejects_among_many_records_are_no_matter_where_they_stand() {
        let at = |places: &[usize]| (0..50_000).map(|at| places.contains(&at)).collect::<Vec<_>>();
        let spread: Vec<usize> = (1..40).map(|n| n * 1200).collect();
        assert_eq!(verdict(RejectRule::Usual, &at(&spread), |_| 50_000), None);
        let early: Vec<usize> = (0..500).collect();
        assert_eq!(verdict(RejectRule::Usual, &at(&early), |_| 50_000), None);
        // More than half of the first thousand fails at once.
        let early: Vec<usize> = (0..501).collect();
        let message = "501 of 1000 records were rejected, more than half; the first: bad";
        assert_eq!(verdict(RejectRule::Usual, &at(&early), |_| 50_000).as_deref(), Some(message));
        let early: Vec<usize> = (0..11).collect();
        let message = "11 of 1000 records were rejected, more than 0.01; the first: bad";
        let share = RejectRule::Given(MaxRejects::Share(0.01));
        assert_eq!(verdict(share, &at(&early), |_| 50_000).as_deref(), Some(message));
    }

    proptest! {
        #[test]
        fn clause_7_the_verdict_does_not_depend_on_chunks(
            places in proptest::collection::vec(0..3000usize, 0..60), length in 900..3000usize, size in 1..3000usize,
        ) {
            let refused: Vec<bool> = (0..length).map(|at| places.contains(&at)).collect();
            let given = [MaxRejects::Share(0.01), MaxRejects::Share(0.02), MaxRejects::Count(20)].map(RejectRule::Given);
            for rule in given.into_iter().chain([RejectRule::Usual]) {
                let one_by_one = verdict(rule, &refused, |_| 1);
                prop_assert_eq!(&verdict(rule, &refused, |_| length), &one_by_one);
                prop_assert_eq!(&verdict(rule, &refused, |start| 1 + (start * 7919) % size), &one_by_one);
            }
        }
    }
}
