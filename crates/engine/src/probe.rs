//! Looks at endpoints before a run: what `tidemill doctor` shows.

use crate::error::Result;

/// The steps of a look at an endpoint, such as a name resolved, a connection, a login, the permission to write to a table.
#[derive(Debug, Default)]
pub struct Probe {
    steps: Vec<Step>,
}

/// One step.
#[derive(Debug)]
#[non_exhaustive]
pub struct Step {
    /// What was tried.
    pub what: String,
    /// What was found, or the error with what to do.
    pub outcome: Result<String>,
}

impl Probe {
    /// Tries a step and notes the outcome; `attempt` returns what the next steps need, and what was found, in a few words. `None` if it failed: steps that depend on
    /// it are left out.
    pub fn step<T>(
        &mut self,
        what: impl Into<String>,
        attempt: impl FnOnce() -> Result<(T, String)>,
    ) -> Option<T> {
        let (value, outcome) = match attempt() {
            Ok((value, found)) => (Some(value), Ok(found)),
            Err(error) => (None, Err(error)),
        };
        self.steps.push(Step { what: what.into(), outcome });
        value
    }

    /// All steps so far, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether no step has failed.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.steps.iter().all(|step| step.outcome.is_ok())
    }
}
