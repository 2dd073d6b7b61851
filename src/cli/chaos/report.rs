//! What a chaos run has shown, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::child::Ended;
use super::judge::{JudgedBy, SinkVerdict};
use super::ledger::{LedgerVerdict, ledgers};
use super::recovery::Recovery;
use super::setup::Setup;
use super::supervise::Supervised;
use crate::cli::output::TerminalText;
use crate::cli::summary::{aligned, count, plural, time};
use tidemill_core::error::visible;
use tidemill_engine::chaos::{Event, Fault, Line, Plan};

/// The result of a chaos run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    tidemill: &'static str,
    seed: u64,
    schedule: Vec<Fault>,
    /// By kind: how many faults have had an effect.
    struck: BTreeMap<&'static str, u64>,
    /// How many processes were killed, and started again.
    kills: u64,
    /// How many processes have failed, and were started again.
    failures: u64,
    /// Why the run was given up, if it was.
    error: Option<Vec<String>>,
    /// Records read.
    read: Option<u64>,
    sinks: Vec<SinkVerdict>,
    recovery: Recovery,
    ledger: LedgerVerdict,
    /// The most bytes that the state folder had at the end of a process.
    state_bytes: u64,
    seconds: f64,
}

impl Report {
    pub(super) fn new(
        setup: &Setup,
        plan: &Plan,
        quiet: &Ended,
        run: &Supervised,
        sinks: Vec<SinkVerdict>,
    ) -> Self {
        let counted = run.report.as_ref().map(ledgers);
        let read = counted.as_ref().map(|all| {
            all.iter().filter(|(part, _)| part.starts_with("source")).map(|(_, ledger)| ledger.input).sum()
        });
        Self {
            tidemill: env!("CARGO_PKG_VERSION"),
            seed: setup.seed,
            schedule: plan.schedule.clone(),
            struck: struck(&plan.schedule, &run.lines),
            kills: run.kills,
            failures: run.failures,
            error: run.error.clone(),
            read,
            sinks,
            recovery: Recovery::of(
                &plan.schedule,
                &run.lines,
                run.end,
                setup.sinks.iter().any(|sink| sink.delivers),
            ),
            ledger: LedgerVerdict::of(quiet.report.as_ref().map(ledgers), counted),
            state_bytes: run.state_bytes,
            seconds: run.elapsed.as_secs_f64(),
        }
    }

    /// What is broken, a line each; empty if all promises were kept.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if let Some(said) = &self.error {
            broken.push(format!("the run was given up after {}:", plural(self.failures, "failure")));
            broken.extend(said.iter().map(|line| format!("  {line}")));
        }
        for sink in self.sinks.iter().filter(|sink| sink.is_kept == Some(false)) {
            broken.push(format!("{}: promised {}, but {}", sink.sink, sink.promise, sink.wrong()));
        }
        if self.ledger.is_balanced == Some(false) {
            broken.push("a ledger does not add up".into());
        }
        broken.extend(self.ledger.differences.iter().map(|part| format!("the ledger of {part}")));
        broken
    }

    pub(super) fn json(&self) -> String {
        let is_kept = self.broken().is_empty();
        let mut all = serde_json::to_value(self).unwrap_or(Value::Null);
        all["is_kept"] = json!(is_kept);
        format!("{all:#}\n")
    }

    pub(super) fn text(&self) -> String {
        let mut page = TerminalText::default();
        // Into memory, where it cannot fail.
        let _written = self.write(&mut page);
        page.to_string()
    }

    fn write(&self, page: &mut TerminalText) -> std::fmt::Result {
        let struck: Vec<_> = self.struck.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
        let total: u64 = self.struck.values().sum();
        writeln!(page, "faults:    {total} of {} struck: {}", self.schedule.len(), struck.join(", "))?;
        writeln!(
            page,
            "restarts:  {} after kills, {} after failures",
            count(self.kills),
            count(self.failures)
        )?;
        writeln!(page, "recovery:  {}", self.recovery.told())?;
        let read =
            self.read.map_or_else(|| "an unknown number of records".into(), |read| plural(read, "record"));
        let state = self.state_bytes.div_ceil(1024);
        writeln!(
            page,
            "run:       {read} in {}; state folder {} KiB",
            time(Duration::from_secs_f64(self.seconds)),
            count(state)
        )?;
        writeln!(page, "ledger:    {}", self.ledger.told())?;
        page.write_str(&aligned(&self.table()))?;
        for (sink, remark) in self.sinks.iter().filter_map(|sink| Some((&sink.sink, sink.remark.as_ref()?))) {
            writeln!(page, "note: {}: {}", visible(sink), visible(remark))?;
        }
        Ok(())
    }

    fn table(&self) -> Vec<Vec<String>> {
        let head = ["", "expected", "arrived", "lost", "repeated", "promised", "kept", "judged by"];
        let row = |sink: &SinkVerdict| {
            let known = |figure: Option<u64>| figure.map_or_else(|| "?".into(), count);
            let repeated = match (sink.judged_by, sink.repeated) {
                (JudgedBy::Acknowledgements, Some(most)) if most > 0 => format!("at most {}", count(most)),
                (_, repeated) => known(repeated),
            };
            let kept = match sink.is_kept {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "?",
            };
            vec![
                visible(&sink.sink).into_owned(),
                known(sink.expected),
                known(sink.arrived),
                known(sink.lost),
                repeated,
                sink.promise.clone(),
                kept.into(),
                sink.judged_by.told().into(),
            ]
        };
        std::iter::once(head.map(str::to_owned).to_vec()).chain(self.sinks.iter().map(row)).collect()
    }
}

impl SinkVerdict {
    fn wrong(&self) -> String {
        // What is only an upper bound is not wrong.
        let repeated = self.repeated.filter(|_| self.judged_by != JudgedBy::Acknowledgements);
        let figures = [(self.lost, "lost"), (repeated, "repeated"), (self.unexpected, "unexpected")];
        let figures = figures.into_iter().filter_map(|(figure, what)| {
            Some(format!("{} {what}", plural(figure.filter(|figure| *figure > 0)?, "record")))
        });
        figures.chain(self.remark.clone()).collect::<Vec<_>>().join(", ")
    }
}

impl JudgedBy {
    fn told(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Count => "count",
            Self::Acknowledgements => "acknowledgements",
            Self::Nothing => "nothing",
        }
    }
}

/// By kind: how many faults have had an effect, of all kinds that the schedule has.
fn struck(schedule: &[Fault], lines: &[Line]) -> BTreeMap<&'static str, u64> {
    let mut struck: BTreeMap<_, _> = schedule.iter().map(|fault| (fault.effect.kind().name(), 0)).collect();
    for (at, fault) in schedule.iter().enumerate() {
        if lines.iter().any(|line| line.event == Event::Struck { fault: at }) {
            *struck.entry(fault.effect.kind().name()).or_default() += 1;
        }
    }
    struck
}
