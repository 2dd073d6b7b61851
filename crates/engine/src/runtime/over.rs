//! A run that is over and is called again: its output is published, if that was cut off, or it is said that nothing is left to do.

use std::sync::Arc;

use super::inlets::Inlets;
use super::outlet::Outlets;
use super::setup::recorder_of;
use super::snapshot::Resume;
use super::state::State;
use super::tally::Tally;
use super::{Rejects, Report, RunOptions};
use crate::atomic::Output;
use crate::checkpoint::Ending;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Entry, Ledger};
use crate::pipeline::{Pipeline, Plan, plan};
use crate::sensor::{SensorIds, SharedSensors};
use crate::sink::Outset;
use crate::source::OpenOptions;

/// A run that is called again when its input has ended: the output is published, unless it has been.
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
            recorder_of(pipeline, at, recorder)?.go_on(place)?;
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
        let plain = Outset { stop, clock, ..Outset::default() };
        Outlets::open(pipeline, &plan, state, &plain)?.publish(&mut report)?;
        report.remarks.push("the output of a run that was cut off at its end was published".into());
    } else {
        state.as_ref().map_or(Ok(()), |state| state.check_over(pipeline, options))?;
        report.remarks.extend(state.into_iter().flat_map(|mut state| std::mem::take(&mut state.remarks)));
        report.remarks.push("this run was over already: there was nothing left to do".into());
    }
    recount(pipeline, &counted, &mut report)?;
    Ok(report)
}

/// Fills in what a run that is over had counted at its end.
fn recount(pipeline: &Pipeline, resume: &Resume, report: &mut Report) -> Result<()> {
    let damaged = |error| Error::data(format!("the counts of the checkpoint cannot be read: {error}"));
    let (own, rest): (Vec<u8>, Vec<u8>) = postcard::from_bytes(&resume.counts).map_err(damaged)?;
    let (counted, _) = postcard::take_from_bytes(&own).map_err(damaged)?;
    let (rejects, sinks): (Rejects, Vec<Ledger>) = postcard::from_bytes(&rest).map_err(damaged)?;
    let mut tally = Tally::new(pipeline, &plan::as_written(pipeline)?);
    tally.restore(counted, &resume.sources_before, true);
    (report.sources, report.stages, report.records_before) = (tally.sources, tally.stages, tally.before);
    let sinks = pipeline.sinks.iter().zip(sinks);
    report.sinks = sinks.map(|(sink, ledger)| Entry { ledger, ..Entry::new(sink.spec.name()) }).collect();
    (report.rejects, report.sensors) = (rejects, resume.sensors.len() as u64);
    Ok(())
}

impl State {
    /// A run that is over, is called again, and has nothing left to do: that must be so. An input that has changed since its end was
    /// reached is not one that is done with; one that is there no more is, and one of which nothing is to be read does not matter. An output that
    /// is gone is not there again by itself.
    fn check_over(&self, pipeline: &Pipeline, options: &RunOptions) -> Result<()> {
        let anew = "start anew with another --state";
        let traits = pipeline.traits();
        if !traits.is_kept && !self.options.finishes {
            let what = format!("the run in {} is over: its input has ended", self.options.folder.display());
            let help = format!("what comes in now cannot be added to output that has its name: {anew}");
            return Err(Error::config(what).with_help(help));
        }
        let outputs = self.found.iter().flat_map(|found| &found.outputs);
        for (sink, outputs) in pipeline.sinks.iter().zip(outputs) {
            // Its folder may have been moved with all that is in it. Files that roll may have been taken away as they were delivered.
            let Some(path) = sink.spec.file() else { continue };
            for output in outputs {
                let output = Output { path: path.clone(), ..output.clone() };
                output.check_published(&*self.options.files)?;
            }
        }
        let Some(resume) = self.resume.as_ref().filter(|_| traits.is_replayable && !self.options.finishes)
        else {
            return Ok(());
        };
        let open = OpenOptions { record: None, ..pipeline.opening(&options.open) };
        let Ok(mut sources) = Inlets::open(pipeline, |_| Ok(open.clone())) else { return Ok(()) };
        let over = "this run was over already, and its input is no longer what it was";
        // What has changed is not for this run to read any more, whatever is accepted.
        let help = format!("bring the input back as it was, or {anew}");
        sources.restore(&resume.sources).map_err(|error| match error.kind() {
            ErrorKind::Data => error.with_context(over).with_help(help),
            _ => error,
        })?;
        let sensors = Arc::new(SharedSensors::new(pipeline.sensor_limits()));
        match sources.next(&mut SensorIds::new(sensors))? {
            None => Ok(()),
            Some(_) => Err(Error::data(format!("{over}: more has come behind its end")).with_help(anew)),
        }
    }
}
