//! Counters that add up: the ledger of a stage and of a run. No globals.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What became of the records that came in. `is_balanced` holds after every run (asserted in
/// release builds too): in + made = out + folded + filtered + rejected + late + dropped + held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Records that came in.
    pub input: u64,
    /// Records that went on.
    pub output: u64,
    /// New records that summarise others.
    pub made: u64,
    /// Went into a summary instead of going on.
    pub folded: u64,
    /// Removed because a stage was told to.
    pub filtered: u64,
    /// Set aside as malformed.
    pub rejected: u64,
    /// Set aside as late.
    pub late: u64,
    /// Given up because a queue was full (never, unless the pipeline allows it).
    pub dropped: u64,
    /// Still inside: waiting to be put in order. 0 at the end of a bounded run.
    pub held: u64,
}

impl Ledger {
    /// Whether everything that came in is accounted for.
    pub fn is_balanced(&self) -> bool {
        let gone = self.folded + self.filtered + self.rejected + self.late + self.dropped;
        self.input + self.made == self.output + gone + self.held
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.output += other.output;
        self.made += other.made;
        self.folded += other.folded;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
        self.late += other.late;
        self.dropped += other.dropped;
        self.held += other.held;
    }
}

/// One line of the summary: a source, stage or sink with its ledger and the time spent in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// The component's name, as in the pipeline file.
    pub name: String,
    /// What became of its records.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Time spent in it, summed over the threads.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub time: Duration,
    /// Time that threads waited for their turn to get at it, beside that.
    #[serde(serialize_with = "seconds", rename = "waiting_seconds")]
    pub waiting: Duration,
}

impl Entry {
    /// An empty line for the component `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// What has been entered, for a checkpoint.
    pub(crate) fn counted(&self) -> (Ledger, Duration, Duration) {
        (self.ledger, self.time, self.waiting)
    }

    /// Goes on from a checkpoint.
    pub(crate) fn restore(&mut self, (ledger, time, waiting): (Ledger, Duration, Duration)) {
        (self.ledger, self.time, self.waiting) = (ledger, time, waiting);
    }

    /// Adds what another thread has entered for the same component.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ledger += other.ledger;
        self.time += other.time;
        self.waiting += other.waiting;
    }
}

/// Writes a duration as decimal seconds.
pub(crate) fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_balances_only_when_nothing_is_lost() {
        let mut ledger =
            Ledger { input: 10, output: 4, filtered: 3, rejected: 1, late: 1, held: 1, ..Ledger::default() };
        assert!(ledger.is_balanced());
        ledger.output += 1;
        assert!(!ledger.is_balanced());
        ledger.made += 1;
        assert!(ledger.is_balanced());
        ledger = Ledger { input: 3, folded: 3, made: 1, output: 1, ..Ledger::default() };
        assert!(ledger.is_balanced());
    }
}
