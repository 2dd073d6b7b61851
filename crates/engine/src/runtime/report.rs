//! The report of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Masks, Rejection, Result};
use crate::metrics::{Entry, Latency, seconds};
use crate::pipeline::Graph;

/// The number of rejections shown.
const SHOWN: usize = 5;

/// The ledger of every part of a run, and its duration. The values of secret variables are replaced by `${NAME}`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The sources, in order. Serialized as `source`: an object if there is one source, otherwise a list.
    #[serde(rename = "source", serialize_with = "one_or_more")]
    pub sources: Vec<Entry>,
    /// The stages, in order.
    pub stages: Vec<Entry>,
    /// The sinks, in order.
    pub sinks: Vec<Entry>,
    /// The rejected records.
    pub rejects: Rejects,
    /// The number of distinct sensors; one that was given up and reported again counts again.
    pub sensors: u64,
    /// How often sensors were given up (clause 27).
    #[serde(skip_serializing_if = "is_zero")]
    pub sensors_given_up: u64,
    /// Records counted before this run resumed: included in ledgers, but not in durations.
    pub records_before: u64,
    /// Bytes read, over all passes.
    pub bytes: u64,
    /// The number of passes over the input.
    pub passes: u64,
    /// The passes before the last one, for stages that are fitted to the input first.
    pub first_passes: Vec<FirstPassReport>,
    /// The number of worker threads.
    pub threads: u64,
    /// Total time that workers waited for their turn to pass chunks to the sinks.
    #[serde(serialize_with = "seconds", rename = "handing_over_seconds")]
    pub handing_over: Duration,
    /// Whether the run was stopped before the end of its input, and can be resumed from its checkpoint.
    pub is_paused: bool,
    /// Latencies of live input, from the arrival of records to each stage's end and each sink's output.
    pub latencies: Vec<Latency>,
    /// Input that could not be read, though the run continued: then the output is incomplete.
    pub missing: Option<String>,
    /// Other remarks.
    pub remarks: Vec<String>,
    /// Wall-clock duration.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub elapsed: Duration,
    /// Whether some parts have begun to count behind the beginning of the input: they have counted other records than those that feed them.
    #[serde(skip)]
    pub is_partial: bool,
}

/// Serializes a single entry without a list, as in a pipeline file.
fn one_or_more<S: Serializer>(entries: &[Entry], to: S) -> std::result::Result<S::Ok, S::Error> {
    match entries {
        [one] => one.serialize(to),
        entries => entries.serialize(to),
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One pass over the input for a stage that is fitted to it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FirstPassReport {
    /// The sources, in order. Serialized as `source`: an object if there is one source, otherwise a list.
    #[serde(rename = "source", serialize_with = "one_or_more")]
    pub sources: Vec<Entry>,
    /// The stages before the fitted one.
    pub stages: Vec<Entry>,
    /// The fitted stage.
    pub fit: Entry,
    /// Wall-clock duration.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub elapsed: Duration,
}

/// Counts of rejected records, and the first of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rejects {
    /// Records that could not be decoded.
    pub malformed: u64,
    /// Late records.
    pub late: u64,
    /// Records whose time was too far ahead of the clock.
    pub ahead: u64,
    /// The first five, in the order of the input.
    pub first: Vec<Shown>,
}

/// A rejection as shown in the summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shown {
    /// The file.
    pub file: String,
    /// The line number, from 1.
    pub line: u64,
    /// The byte offset in the file, from 0.
    pub offset: u64,
    /// The faulty column, if it is known.
    pub column: Option<String>,
    /// The reason for the rejection.
    pub reason: String,
    /// The raw record, with undecodable bytes replaced.
    pub raw: String,
}

impl Rejects {
    pub(crate) fn note(&mut self, rejection: &Rejection) {
        if self.first.len() < SHOWN {
            self.first.push(Shown {
                file: rejection.position.file.to_string(),
                line: rejection.position.line,
                offset: rejection.position.offset,
                column: rejection.column.as_deref().map(str::to_owned),
                reason: rejection.reason.clone(),
                raw: String::from_utf8_lossy(&rejection.raw).into_owned(),
            });
        }
    }
}

impl Report {
    /// Masks secrets in all text that may contain options.
    pub(crate) fn hide(&mut self, masks: &Masks) {
        for Shown { file, column, reason, raw, .. } in &mut self.rejects.first {
            for name in std::iter::once(file).chain(column) {
                *name = masks.hide_value(name).into_owned();
            }
            *reason = masks.hide(reason).into_owned();
            // Data, which contains no text of the pipeline.
            *raw = masks.hide_long(raw).into_owned();
        }
        for text in self.missing.iter_mut().chain(&mut self.remarks) {
            *text = masks.hide(text).into_owned();
        }
    }

    /// The total number of records of the sources.
    pub fn records(&self) -> u64 {
        self.sources.iter().map(|entry| entry.ledger.input).sum()
    }

    /// Adds the report of the first passes.
    pub(crate) fn follows(&mut self, first: Self) {
        let Self { bytes, passes, first_passes, remarks, .. } = first;
        self.bytes += bytes;
        self.passes += passes;
        self.first_passes = first_passes;
        let own = std::mem::replace(&mut self.remarks, remarks);
        self.remark(own);
    }

    /// Adds remarks that are not there yet, since an input may be read more than once.
    pub(crate) fn remark(&mut self, remarks: impl IntoIterator<Item = String>) {
        for remark in remarks {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }

    /// Reports how often sensors were given up, if the run does that.
    pub(crate) fn give_up(&mut self, times: Option<u64>) {
        let Some(times) = times else { return };
        self.sensors_given_up = times;
        if times > 0 {
            let what = if times == 1 { "sensor has" } else { "sensors have" };
            self.remark([format!("{times} {what} been given up after being idle for `idle_sensors`")]);
        }
    }

    /// Moves the entries of a first pass to [`Report::first_passes`]; the bytes stay.
    pub(crate) fn end_first_pass(&mut self, fit: Entry, elapsed: Duration) {
        let (sources, stages) = (std::mem::take(&mut self.sources), std::mem::take(&mut self.stages));
        self.first_passes.push(FirstPassReport { sources, stages, fit, elapsed });
    }

    /// # Errors
    /// Checks that all input could be read.
    ///
    /// # Errors
    /// A data error if part of the input could not be read.
    pub fn check_complete(&self) -> Result<()> {
        let Some(missing) = &self.missing else { return Ok(()) };
        Err(Error::data(missing.clone()).with_help(
            "everything that could be read was written; restore an intact copy of the input for the rest",
        ))
    }

    /// Checks that all ledgers balance, and that each part received what the parts that feed it produced.
    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        let balanced = self.sources.iter().chain(&self.stages).chain(&self.sinks);
        for entry in balanced {
            if !entry.ledger.is_balanced() {
                return Err(Error::internal(format!(
                    "the ledger of `{}` does not balance: {:?}",
                    entry.name, entry.ledger
                )));
            }
        }
        if self.is_partial {
            return Ok(());
        }
        let ports: Vec<_> = self.sources.iter().chain(&self.stages).collect();
        for (stage, from) in self.stages.iter().zip(&graph.stages) {
            let flowing: u64 = from.iter().map(|&port| ports[port].ledger.output).sum();
            if stage.ledger.input != flowing {
                return Err(Error::internal(format!(
                    "{flowing} records went to `{}`, {} came",
                    stage.name, stage.ledger.input
                )));
            }
        }
        Ok(())
    }
}
