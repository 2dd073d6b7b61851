//! How many records a run sets aside before it fails (clause 7).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Rejection, RejectionKind, Result};
use crate::pipeline::{MaxRejects, Pipeline};

/// A share is looked at while the run goes on from this record on.
const FIRST_CHECK: u64 = 1000;
/// Set aside in an input of any size, these are no reason to fail.
const FEW: u64 = 10;

/// What a limit has counted, for a checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counted {
    records: u64,
    malformed: Pile,
    others: Pile,
}

/// Records set aside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Pile {
    count: u64,
    first: Option<Rejection>,
    by_column: BTreeMap<String, u64>,
}

/// Which rule a run is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Anybody may send: none.
    Any,
    /// At the end, neither more than 10 and 1 %, nor more than half.
    Usual,
    /// `max_rejects`.
    Given(MaxRejects),
}

/// Counts what was set aside. While the run goes on, the verdict is on what the source has refused, record by record, and at the end on
/// everything: so it does not depend on chunks.
#[derive(Clone)]
pub(crate) struct RejectLimit {
    rule: Rule,
    /// Whether no end may come: what stages set aside is looked at as it comes.
    is_endless: bool,
    counted: Counted,
}

impl RejectLimit {
    /// That of `pipeline`.
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let traits = pipeline.traits();
        let given = pipeline.sources.iter().find_map(|source| source.input.max_rejects);
        let rule = match given {
            Some(limit) => Rule::Given(limit),
            None if traits.is_open => Rule::Any,
            None => Rule::Usual,
        };
        Self { rule, is_endless: !traits.is_bounded, counted: Counted::default() }
    }

    /// For a checkpoint.
    pub(crate) fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Goes on from a checkpoint.
    pub(crate) fn restore(&mut self, counted: Counted) {
        self.counted = counted;
    }

    /// Takes note of `records` more records of a source that has given `before`, of which it has refused those of `rejections`.
    pub(crate) fn pass(&mut self, records: u64, before: u64, rejections: &[Rejection]) -> Result<()> {
        let start = self.counted.records;
        for rejection in rejections {
            if rejection.kind == RejectionKind::OtherHeader {
                return Err(other_header(rejection));
            }
            // Of all sources together.
            let record = start + rejection.record.saturating_sub(before);
            self.advance(record.saturating_sub(1))?;
            self.counted.malformed.note(rejection);
            self.counted.records = record;
            self.check()?;
        }
        self.advance(start + records)
    }

    /// Takes note of records that were set aside for other reasons.
    pub(crate) fn note(&mut self, rejections: &[Rejection]) -> Result<()> {
        let others = &mut self.counted.others;
        if others.first.is_none() {
            others.first = rejections.iter().min_by_key(|rejection| rejection.trigger()).cloned();
        }
        rejections.iter().for_each(|rejection| others.note(rejection));
        if self.is_endless && !rejections.is_empty() { self.check() } else { Ok(()) }
    }

    /// Only good records come until there have been `records`. They make the share smaller: of all of them, only the one
    /// from which on it is looked at can fail.
    fn advance(&mut self, records: u64) -> Result<()> {
        let is_first_check = self.counted.records < FIRST_CHECK && FIRST_CHECK <= records;
        if is_first_check {
            self.counted.records = FIRST_CHECK;
            self.check()?;
        }
        self.counted.records = records;
        Ok(())
    }

    /// The verdict while the run goes on: on what the source has refused, and on all where no end may come.
    fn check(&self) -> Result<()> {
        let Counted { records, malformed, others } = &self.counted;
        let count = malformed.count + if self.is_endless { others.count } else { 0 };
        let pile = || if self.is_endless { self.counted.all() } else { malformed.clone() };
        let is_looked_at = *records >= FIRST_CHECK;
        match self.rule {
            Rule::Usual if is_looked_at && 2 * count > *records => {
                Err(pile().error(*records, "more than half"))
            }
            Rule::Given(MaxRejects::Share(_)) if !is_looked_at => Ok(()),
            Rule::Given(limit) => held_to(limit, *records, count, pile),
            Rule::Usual | Rule::Any => Ok(()),
        }
    }

    /// The input has ended: the verdict on all that was set aside.
    pub(crate) fn finish(&self) -> Result<()> {
        let Counted { records, malformed, others } = &self.counted;
        let (records, count) = (*records, malformed.count + others.count);
        let all = || self.counted.all();
        match self.rule {
            Rule::Usual if 2 * count > records => Err(all().error(records, "more than half")),
            Rule::Usual if count > FEW && 100 * count > records => Err(all().error(records, "more than 1 %")),
            Rule::Given(limit) => held_to(limit, records, count, all),
            Rule::Usual | Rule::Any => Ok(()),
        }
    }
}

/// Holds `count` of `records`, which are set aside on `pile`, to a limit.
fn held_to(limit: MaxRejects, records: u64, count: u64, pile: impl Fn() -> Pile) -> Result<()> {
    match limit {
        MaxRejects::Count(most) if count > most => Err(pile().error(records, &format!("more than {most}"))),
        MaxRejects::Share(share) if count as f64 > share * records as f64 => {
            Err(pile().error(records, &format!("more than {share}")))
        }
        _ => Ok(()),
    }
}

/// What is behind such a line is not read: no limit has a say in that.
fn other_header(rejection: &Rejection) -> Error {
    Error::data(rejection.reason.clone()).with_position(rejection.position.clone()).with_help(
        "split the file at this line: the files of one input may have their columns in any order, and `unknown_columns` says what becomes of other columns",
    )
}

impl Counted {
    /// All that was set aside.
    fn all(&self) -> Pile {
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

impl Pile {
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

    /// The error of a run of so many records, of which more than a limit are here.
    fn error(&self, records: u64, than: &str) -> Error {
        let mut message = format!("{} of {records} records were refused, {than}", self.count);
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
                "allow for more `disorder`, or raise `max_rejects`: then a `dead_letter` sink has what was refused"
            }
            Some(RejectionKind::Ahead) => {
                "see `max_ahead` and `max_jump`, or raise `max_rejects`: then a `dead_letter` sink has what was refused"
            }
            _ => {
                "mend the [source] options, or raise `max_rejects`: then a `dead_letter` sink has what was refused"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::offset::Position;

    fn limit(rule: Rule, is_endless: bool) -> RejectLimit {
        RejectLimit { rule, is_endless, counted: Counted::default() }
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
    fn verdict(rule: Rule, refused: &[bool], pieces: impl Fn(usize) -> usize) -> Option<String> {
        let (mut limit, mut start) = (limit(rule, false), 0);
        while start < refused.len() {
            let end = refused.len().min(start + pieces(start).max(1));
            let records = (start..end).filter(|&at| refused[at]).map(|at| rejection(at as u64 + 1));
            if let Err(error) = limit.pass((end - start) as u64, start as u64, &records.collect::<Vec<_>>()) {
                return Some(error.message().to_owned());
            }
            start = end;
        }
        limit.finish().err().map(|error| error.message().to_owned())
    }

    /// The verdict on so many records of which the last ones are refused by the source, and as many more by others.
    fn of(rule: Rule, records: u64, malformed: u64, others: u64) -> Option<String> {
        let mut limit = limit(rule, false);
        let pile: Vec<_> = (records - malformed..records).map(|at| rejection(at + 1)).collect();
        let late: Vec<_> = (0..others).map(|_| rejection(0)).collect();
        let result =
            limit.pass(records, 0, &pile).and_then(|()| limit.note(&late)).and_then(|()| limit.finish());
        result.err().map(|error| error.message().to_owned())
    }

    #[test]
    fn clause_7_a_run_that_ends_fails_above_ten_and_one_percent_or_above_half() {
        let is_refused = |records, malformed, others| of(Rule::Usual, records, malformed, others).is_some();
        assert!(!is_refused(8, 4, 0) && is_refused(8, 5, 0) && is_refused(8, 7, 0) && is_refused(1, 1, 0));
        assert!(!is_refused(500, 10, 0) && is_refused(500, 11, 0) && is_refused(900, 450, 0));
        assert!(!is_refused(5000, 50, 0) && is_refused(5000, 51, 0));
        // Whatever the reason.
        assert!(!is_refused(5000, 25, 25) && is_refused(5000, 25, 26) && is_refused(10_000, 0, 9999));
        assert!(!is_refused(0, 0, 0));
    }

    #[test]
    fn clause_7_max_rejects_overrides_the_rule() {
        let is_refused =
            |limit, records, malformed, others| of(Rule::Given(limit), records, malformed, others).is_some();
        assert!(!is_refused(MaxRejects::Count(8), 8, 8, 0) && is_refused(MaxRejects::Count(8), 80, 8, 1));
        assert!(!is_refused(MaxRejects::Share(1.0), 8, 8, 0) && !is_refused(MaxRejects::Share(0.5), 8, 2, 2));
        assert!(
            is_refused(MaxRejects::Share(0.5), 8, 2, 3) && is_refused(MaxRejects::Share(0.0), 8000, 0, 1)
        );
        assert_eq!(of(Rule::Any, 8, 8, 0), None);
    }

    #[test]
    fn clause_7_where_no_end_may_come_all_is_looked_at_as_it_comes() {
        let mut limit = limit(Rule::Given(MaxRejects::Count(2)), true);
        let late = |count| vec![rejection(0); count];
        limit.pass(10, 0, &[rejection(4)]).and_then(|()| limit.note(&late(1))).expect("two");
        let error = limit.note(&late(1)).expect_err("three");
        assert_eq!(error.message(), "3 of 10 records were refused, more than 2; the first: bad");
    }

    #[test]
    fn clause_7_few_rejects_among_many_records_are_no_matter_where_they_stand() {
        let at = |places: &[usize]| (0..50_000).map(|at| places.contains(&at)).collect::<Vec<_>>();
        let spread: Vec<usize> = (1..40).map(|n| n * 1200).collect();
        assert_eq!(verdict(Rule::Usual, &at(&spread), |_| 50_000), None);
        let early: Vec<usize> = (0..500).collect();
        assert_eq!(verdict(Rule::Usual, &at(&early), |_| 50_000), None);
        // More than half of the first thousand: nobody has to wait for the end.
        let early: Vec<usize> = (0..501).collect();
        let message = "501 of 1000 records were refused, more than half; the first: bad";
        assert_eq!(verdict(Rule::Usual, &at(&early), |_| 50_000).as_deref(), Some(message));
        let early: Vec<usize> = (0..11).collect();
        let message = "11 of 1000 records were refused, more than 0.01; the first: bad";
        let share = Rule::Given(MaxRejects::Share(0.01));
        assert_eq!(verdict(share, &at(&early), |_| 50_000).as_deref(), Some(message));
    }

    proptest! {
        #[test]
        fn clause_7_the_verdict_does_not_depend_on_chunks(
            places in proptest::collection::vec(0..3000usize, 0..60), length in 900..3000usize, size in 1..3000usize,
        ) {
            let refused: Vec<bool> = (0..length).map(|at| places.contains(&at)).collect();
            let given = [MaxRejects::Share(0.01), MaxRejects::Share(0.02), MaxRejects::Count(20)].map(Rule::Given);
            for rule in given.into_iter().chain([Rule::Usual]) {
                let one_by_one = verdict(rule, &refused, |_| 1);
                prop_assert_eq!(&verdict(rule, &refused, |_| length), &one_by_one);
                prop_assert_eq!(&verdict(rule, &refused, |start| 1 + (start * 7919) % size), &one_by_one);
            }
        }
    }
}
