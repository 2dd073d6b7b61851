//! Runs a pipeline on the runtime that fits its sources.

use crate::error::Result;
use crate::notes::event;
use crate::pipeline::{Builder, Pipeline};
use crate::runtime::told::{ended, started};
use crate::runtime::{Observer, Report, RunOptions};
use crate::source::{OpenOptions, Traits};
use crate::{executor, streaming};

impl Builder {
    /// Builds the pipeline and runs it with default settings.
    ///
    /// # Errors
    /// Any error that ends the run early.
    pub fn run(self) -> Result<Report> {
        self.build()?.run()
    }
}

impl Pipeline {
    /// Runs the pipeline to the end of its input, with default settings. Blocks the calling thread until then.
    ///
    /// # Errors
    /// Any error that ends the run early.
    pub fn run(&self) -> Result<Report> {
        self.run_with(&RunOptions::default(), &mut ())
    }

    /// Runs the pipeline: bounded input to its end, on the [`executor`]; unbounded input, and recordings replayed at a given speed, until
    /// [`RunOptions::stop`] is set, on [`streaming`]. Blocks the calling thread; `observer` is called from it and from the run's threads,
    /// one at a time.
    ///
    /// # Errors
    /// Any error that ends the run early.
    pub fn run_with(&self, options: &RunOptions, observer: &mut (dyn Observer + Send)) -> Result<Report> {
        event::span(self.name.as_deref()).in_scope(|| {
            started(self, options);
            let report = self.run_on(options, observer);
            ended(self, &report);
            report
        })
    }

    fn run_on(&self, options: &RunOptions, observer: &mut (dyn Observer + Send)) -> Result<Report> {
        if options.state.is_none() {
            self.check_stateless().map_err(|error| self.hide_error(error))?;
        }
        let Traits { is_bounded, is_replayable, .. } = self.traits();
        let run = match options.open.speed {
            None if is_bounded => executor::run(self, options, observer),
            // First passes only read the input, so they need not keep its pace.
            Some(_) if is_replayable && self.has_first_pass() => self.run_learnt(options, observer),
            _ => streaming::run(self, options, observer),
        };
        let mut report = run.map_err(|error| self.hide_error(error))?;
        report.remark(options.remark(self));
        report.remark(self.secrets.remarks().iter().cloned());
        report.hide(self.secrets.masks());
        Ok(report)
    }

    fn run_learnt(&self, options: &RunOptions, observer: &mut (dyn Observer + Send)) -> Result<Report> {
        let open = OpenOptions { speed: None, ..options.open.clone() };
        let at_once = RunOptions { open, state: None, ..options.clone() };
        let (learnt, first) = executor::learnt(self, &at_once, observer)?;
        let mut report = streaming::run(&learnt, options, observer)?;
        report.follows(first);
        Ok(report)
    }
}
