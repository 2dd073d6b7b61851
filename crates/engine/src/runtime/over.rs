//! Calling a run again that has ended: publishes its output if that was interrupted, or reports that nothing is left to do.

use std::sync::Arc;

use super::inlets::Inlets;
use super::outlet::Outlets;
use super::setup::recorder_of;
use super::state::{Resume, State};
use super::tally::Tally;
use super::{Rejects, Report, RunOptions};
use crate::atomic::SavedPart;
use crate::checkpoint::Ending;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Entry, Ledger};
use crate::pipeline::{Pipeline, Plan, plan};
use crate::sensor::{SensorIds, SharedSensors};
use crate::sink::SinkContext;
use crate::source::{OpenOptions, Recovery};

/// A run that is called again after its input has ended: publishes the output unless that was done.
pub(crate) fn after_the_end(
    pipeline: &Pipeline,
    options: &RunOptions,
    state: Option<State>,
    ending: Ending,
) -> Result<Report> {
    let mut report = Report::default();
    let counted = state.as_ref().and_then(|state| state.resume.clone()).unwrap_or_default();
    for (at, place) in counted.sources.iter().enumerate() {
        if let (Some(recorder), Some(place)) = (&options.open.record, place) {
            recorder_of(pipeline, at, recorder)?.finish_from(place)?;
        }
    }
    if ending == Ending::Complete {
        let open = pipeline.opening(&options.open);
        let resume = state.as_ref().map(State::resumptions).unwrap_or_default();
        let sources = Inlets::open(pipeline, |at| {
            Ok(OpenOptions { resume: resume.get(at).cloned().flatten(), ..open.clone() })
        })?;
        let plan = Plan::new(pipeline, sources.schemas()?)?;
        let (stop, clock) = (Arc::clone(&options.stop), options.open.clock.clone());
        let plain = SinkContext { stop, clock, ..SinkContext::default() };
        Outlets::open(pipeline, &plan, state, &plain)?.publish(&mut report)?;
        report.remarks.push("published the output of a run that was interrupted while publishing".into());
    } else {
        state.as_ref().map_or(Ok(()), |state| Outlets::clear(pipeline, state))?;
        state.as_ref().map_or(Ok(()), |state| state.check_over(pipeline, options))?;
        report.remarks.extend(state.into_iter().flat_map(|mut state| std::mem::take(&mut state.remarks)));
        report.remarks.push("this run had already ended: there was nothing to do".into());
    }
    recount(pipeline, &counted, &mut report)?;
    Ok(report)
}

/// Fills in the counts of the ended run.
fn recount(pipeline: &Pipeline, resume: &Resume, report: &mut Report) -> Result<()> {
    let damaged = |error| Error::data(format!("the counts of the checkpoint cannot be read: {error}"));
    let (own, rest): (Vec<u8>, Vec<u8>) = postcard::from_bytes(&resume.counts).map_err(damaged)?;
    let (counted, _) = postcard::take_from_bytes(&own).map_err(damaged)?;
    let (rejects, sinks): (Rejects, Vec<Ledger>) = postcard::from_bytes(&rest).map_err(damaged)?;
    let mut tally = Tally::new(pipeline, &plan::as_written(pipeline)?);
    tally.restore(counted, &resume.sources_before, &resume.stages_before, true);
    (report.sources, report.stages, report.records_before) = (tally.sources, tally.stages, tally.before);
    let sinks = pipeline.sinks.iter().zip(sinks);
    report.sinks = sinks.map(|(sink, ledger)| Entry { ledger, ..Entry::new(sink.spec.name()) }).collect();
    (report.rejects, report.sensors) = (rejects, resume.sensors.len() as u64);
    Ok(())
}

impl State {
    /// Checks that there is indeed nothing to do. Input that has changed since the end is an error; input that was removed is not. Output
    /// that was removed is an error, since it is not written again.
    fn check_over(&self, pipeline: &Pipeline, options: &RunOptions) -> Result<()> {
        let anew = "start a new run with another --state";
        let traits = pipeline.traits();
        if traits.recovery != Recovery::Replayed && !self.options.finishes {
            let what = format!("the run in {} has ended with its input", self.options.folder.display());
            let help = format!("new input cannot be added to published output: {anew}");
            return Err(Error::config(what).with_help(help));
        }
        let outputs = self.found.iter().flat_map(|found| &found.outputs);
        for (sink, outputs) in pipeline.sinks.iter().zip(outputs) {
            // The state folder may have been moved with its output. Rolled files may have been moved away after delivery.
            let Some(path) = sink.spec.file() else { continue };
            for output in outputs {
                let output = SavedPart { path: path.clone(), ..output.clone() };
                output.check_published(&*self.options.files)?;
            }
        }
        let Some(resume) = self.resume.as_ref().filter(|_| traits.is_replayable && !self.options.finishes)
        else {
            return Ok(());
        };
        let open = OpenOptions { record: None, ..pipeline.opening(&options.open) };
        let Ok(mut sources) = Inlets::open(pipeline, |_| Ok(open.clone())) else { return Ok(()) };
        let over = "this run had already ended, but its input has changed since";
        // The run does not read anything any more, whatever changes are accepted.
        let help = format!("restore the input, or {anew}");
        sources.restore(&resume.sources).map_err(|error| match error.kind() {
            ErrorKind::Data => error.with_context(over).with_help(help),
            _ => error,
        })?;
        let sensors = Arc::new(SharedSensors::new(pipeline.sensor_limits()));
        let mut ids = SensorIds::new(sensors);
        loop {
            match sources.next(&mut ids)? {
                None => return Ok(()),
                Some(arrived) if arrived.is_nothing() => {}
                Some(_) => {
                    return Err(Error::data(format!("{over}: its input has grown since")).with_help(anew));
                }
            }
        }
    }
}
