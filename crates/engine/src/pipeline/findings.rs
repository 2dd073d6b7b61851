//! All that is wrong with a pipeline, not only what is met first: it is planned again and again, each time without the options that were
//! found wrong.

use super::parts::OptionOf;
use super::spec::Spec;
use super::written::SpecError;
use super::{Pipeline, Resolved};
use crate::error::{Error, Part, Result};
use crate::options::Diagnostic;

impl Spec {
    /// All that `plan` has against this pipeline, of which `error` is the first. What comes into the parts behind one that is wrong is not
    /// known: what is said of its columns there is left out.
    ///
    /// # Errors
    /// `error` again, where it belongs to no part.
    pub fn findings(
        &self,
        resolved: &Resolved,
        error: Error,
        plan: impl Fn(&Pipeline) -> Result<()>,
    ) -> Result<SpecError> {
        match resolved.diagnose(&error) {
            Some(_) => Ok(resolved.spec_error(self.more(resolved, error, LeftOut::default(), plan))),
            None => Err(error),
        }
    }

    /// What is `wrong` with options as they are written, and all that `plan` has against the others.
    pub fn with_findings(&self, wrong: SpecError, plan: impl Fn(&Pipeline) -> Result<()>) -> SpecError {
        let Some(options) = self.options_at(&wrong.diagnostics) else { return wrong };
        let Ok(rest) = self.resolve_without(&options) else { return wrong };
        if !rest.pipeline.source.traits().is_replayable {
            return wrong;
        }
        let Err(error) = plan(&rest.pipeline) else { return wrong };
        // A source may read other columns than with the option that was meant.
        let reads_otherwise = options.iter().any(|(part, _)| *part == Part::Source);
        let left_out = LeftOut { meant: meant(&wrong.diagnostics), options, reads_otherwise };
        let more = self.more(&rest, error, left_out, plan);
        rest.spec_error([wrong.diagnostics, more].concat())
    }

    /// What `plan` has against a pipeline without the options that are left out: `error` first, then what comes behind it.
    fn more(
        &self,
        resolved: &Resolved,
        mut error: Error,
        mut left_out: LeftOut,
        plan: impl Fn(&Pipeline) -> Result<()>,
    ) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        // What lies in files can be looked at again.
        let can_look_again = resolved.pipeline.source.traits().is_replayable;
        loop {
            found.extend(resolved.diagnose(&error).filter(|_| !left_out.leads_to(&error)));
            let Some(option) = resolved.at_fault(&error).filter(|option| !left_out.options.contains(option))
            else {
                return found;
            };
            left_out.options.push(option);
            let rest = self.resolve_without(&left_out.options).ok().filter(|_| can_look_again);
            match rest.map(|rest| plan(&rest.pipeline)) {
                Some(Err(next)) => error = next,
                _ => return found,
            }
        }
    }
}

/// Options that were found wrong, and are left out to find others.
#[derive(Default)]
struct LeftOut {
    options: Vec<OptionOf>,
    /// What may have been meant by those that are unknown.
    meant: Vec<String>,
    /// Whether what is said of columns may come of that.
    reads_otherwise: bool,
}

impl LeftOut {
    /// Whether that they are left out may be all that is wrong.
    fn leads_to(&self, error: &Error) -> bool {
        let names = self.options.iter().map(|(_, name)| name).chain(&self.meant);
        let is_spoken_of = |name: &String| error.speaks_of(name);
        let is_behind = |(part, _): &OptionOf| !is_independent(Some(*part), error.part());
        let is_of_columns = ["column", "measurement"].iter().any(|word| error.message().contains(word));
        names.into_iter().any(is_spoken_of)
            || is_of_columns && (self.reads_otherwise || self.options.iter().any(is_behind))
    }
}

/// The options that diagnostics propose in place of unknown ones.
fn meant(wrong: &[Diagnostic]) -> Vec<String> {
    let proposed = |wrong: &Diagnostic| {
        let (_, name) = wrong.help.as_ref()?.split_once("did you mean `")?;
        Some(name.split('`').next().unwrap_or_default().to_owned())
    };
    wrong.iter().filter_map(proposed).collect()
}

/// Whether what is wrong with one part says nothing about what comes into the next.
fn is_independent(part: Option<Part>, next: Option<Part>) -> bool {
    part == next || matches!((part, next), (Some(Part::Sink(_)), Some(Part::Sink(_))))
}
