//! All that is wrong with a part of a pipeline, not only what is met first: it is planned again and again, each time without the
//! options that were found wrong.

use super::spec::Spec;
use super::written::SpecError;
use super::{Pipeline, Resolved};
use crate::error::{Error, Part, Result};

/// An option of a part, by its name.
pub(super) type OptionOf = (Part, String);

impl Spec {
    /// All that `plan` has against the part of this pipeline that `error`, the first that it said, belongs to; of sinks, against all behind
    /// it too. What comes into other parts behind one that is wrong is not known.
    ///
    /// # Errors
    /// `error` again, where it belongs to no part.
    pub fn findings(
        &self,
        resolved: &Resolved,
        error: Error,
        plan: impl Fn(&Pipeline) -> Result<()>,
    ) -> Result<SpecError> {
        let first = match resolved.diagnose(&error) {
            Some(first) => first,
            None => return Err(error),
        };
        let (mut found, mut left_out) = (vec![first], Vec::<OptionOf>::new());
        let mut error = error;
        // What lies in files can be looked at again.
        let can_look_again = resolved.pipeline.source.traits().is_replayable;
        while can_look_again
            && let Some(option) = resolved.at_fault(&error).filter(|option| !left_out.contains(option))
        {
            left_out.push(option);
            let Ok(rest) = self.resolve_without(&left_out) else { break };
            let Err(next) = plan(&rest.pipeline) else { break };
            if !is_independent(error.part(), next.part()) {
                break;
            }
            // What follows from an option that was left out is none of its own.
            let follows = left_out.iter().any(|(_, name)| next.speaks_of(name));
            found.extend(resolved.diagnose(&next).filter(|_| !follows));
            error = next;
        }
        Ok(resolved.spec_error(found))
    }
}

/// Whether what is wrong with one part says nothing about what is wrong with the next.
fn is_independent(part: Option<Part>, next: Option<Part>) -> bool {
    part == next || matches!((part, next), (Some(Part::Sink(_)), Some(Part::Sink(_))))
}
