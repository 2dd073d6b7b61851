//! What a run tells at its end.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Masks, Rejection, Result};
use crate::metrics::{Entry, Latency, seconds};
use crate::pipeline::Graph;

/// How many rejects a report shows.
const SHOWN: usize = 5;

/// The ledger of every part of a run, and how long it took. Wherever it has the value of a variable that is secret, `${NAME}` stands in its place.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The sources, in order; where they are written out, as `source`, which is no list where there is one.
    #[serde(rename = "source", serialize_with = "one_or_more")]
    pub sources: Vec<Entry>,
    /// The stages, in order.
    pub stages: Vec<Entry>,
    /// The sinks, in order.
    pub sinks: Vec<Entry>,
    /// What was set aside.
    pub rejects: Rejects,
    /// How many distinct sensors there were; one that was given up and came again counts again.
    pub sensors: u64,
    /// How many of them were given up (clause 27).
    #[serde(skip_serializing_if = "is_zero")]
    pub sensors_given_up: u64,
    /// Records that were counted before this run went on: ledgers have them, times have not.
    pub records_before: u64,
    /// Bytes read, over all passes.
    pub bytes: u64,
    /// How often the input was read.
    pub passes: u64,
    /// The readings before the last one, for stages that learn something first.
    pub first_passes: Vec<FirstPassReport>,
    /// How many threads worked.
    pub threads: u64,
    /// Time that threads waited to hand chunks to the sinks in their order.
    #[serde(serialize_with = "seconds", rename = "handing_over_seconds")]
    pub handing_over: Duration,
    /// Whether the run was stopped before the end of its input, and will go on from its checkpoint.
    pub is_paused: bool,
    /// From the arrival of records to each stage's end and each sink's output, of live input.
    pub latencies: Vec<Latency>,
    /// What of the input could not be read, though the run went on without it: then the output is not of all of it.
    pub missing: Option<String>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
    /// Wall time.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub elapsed: Duration,
    /// Whether the counts begin behind the beginning of the input, where stages may have held records already.
    #[serde(skip)]
    pub is_partial: bool,
}

/// As in a pipeline file: one without a list.
fn one_or_more<S: Serializer>(entries: &[Entry], to: S) -> std::result::Result<S::Ok, S::Error> {
    match entries {
        [one] => one.serialize(to),
        entries => entries.serialize(to),
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One reading of the input for a stage that learns something first.
#[derive(Clone, Debug, Serialize)]
pub struct FirstPassReport {
    /// The sources, in order; where they are written out, as `source`, which is no list where there is one.
    #[serde(rename = "source", serialize_with = "one_or_more")]
    pub sources: Vec<Entry>,
    /// The stages before the one that learns.
    pub stages: Vec<Entry>,
    /// The stage that learns.
    pub fit: Entry,
    /// Wall time.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub elapsed: Duration,
}

/// The records set aside, the first of them in full.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rejects {
    /// How many could not be read.
    pub malformed: u64,
    /// How many came too late.
    pub late: u64,
    /// How many had a time further ahead than is believed.
    pub ahead: u64,
    /// The first five: position, column and reason, raw text.
    pub first: Vec<Shown>,
}

/// A reject as the summary shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The byte, from 0.
    pub offset: u64,
    /// The column at fault.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// The record as it came, undecodable bytes replaced.
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
    /// Hides what is not to be said in all text that may have come from options.
    pub(crate) fn hide(&mut self, masks: &Masks) {
        for Shown { file, column, reason, raw, .. } in &mut self.rejects.first {
            for name in std::iter::once(file).chain(column) {
                *name = masks.hide_value(name).into_owned();
            }
            *reason = masks.hide(reason).into_owned();
            // It is data, and quotes nothing of the pipeline.
            *raw = masks.hide_long(raw).into_owned();
        }
        for text in self.missing.iter_mut().chain(&mut self.remarks) {
            *text = masks.hide(text).into_owned();
        }
    }

    /// How many records the sources gave.
    pub fn records(&self) -> u64 {
        self.sources.iter().map(|entry| entry.ledger.input).sum()
    }

    /// Adds what is to be said of the first passes before.
    pub(crate) fn follows(&mut self, first: Self) {
        let Self { bytes, passes, first_passes, remarks, .. } = first;
        self.bytes += bytes;
        self.passes += passes;
        self.first_passes = first_passes;
        let own = std::mem::replace(&mut self.remarks, remarks);
        self.remark(own);
    }

    /// Adds remarks that it does not have yet: an input may be read more than once.
    pub(crate) fn remark(&mut self, remarks: impl IntoIterator<Item = String>) {
        for remark in remarks {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }

    /// Says how often a sensor has been given up, where that was asked for.
    pub(crate) fn give_up(&mut self, times: Option<u64>) {
        let Some(times) = times else { return };
        self.sensors_given_up = times;
        if times > 0 {
            let what = if times == 1 { "sensor has" } else { "sensors have" };
            self.remark([format!("{times} {what} been given up after being idle for `idle_sensors`")]);
        }
    }

    /// Moves what was entered in a first pass aside; its bytes stay.
    pub(crate) fn end_first_pass(&mut self, fit: Entry, elapsed: Duration) {
        let (sources, stages) = (std::mem::take(&mut self.sources), std::mem::take(&mut self.stages));
        self.first_passes.push(FirstPassReport { sources, stages, fit, elapsed });
    }

    /// # Errors
    /// A data error where a part of the input could not be read.
    pub fn check_complete(&self) -> Result<()> {
        let Some(missing) = &self.missing else { return Ok(()) };
        Err(Error::data(missing.clone())
            .with_help("what could be read was written; bring back a whole copy of it for the rest"))
    }

    /// Whether all ledgers add up, and each stage's goes on where those of the parts that feed it left off.
    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        if self.is_partial {
            return Ok(());
        }
        let balanced = self.sources.iter().chain(&self.stages).chain(&self.sinks);
        for entry in balanced {
            if !entry.ledger.is_balanced() {
                return Err(Error::internal(format!(
                    "the ledger of `{}` does not add up: {:?}",
                    entry.name, entry.ledger
                )));
            }
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
