//! All that is wrong with a pipeline, not only what is met first: it is checked again and again, each time without what was found wrong.

use std::sync::Arc;

use super::parts::{Fault, LeftOut, NOWHERE};
use super::places::Places;
use super::secrets::Secrets;
use super::spec::{Attempt, Spec};
use super::written::SpecError;
use super::{Pipeline, Plan, Resolved};
use crate::batch::Schema;
use crate::error::{Error, ErrorKind, Part, Result};
use crate::options::Diagnostic;

/// Why a pipeline cannot be planned.
#[derive(Debug)]
pub enum Wrong {
    /// What is wrong with it as it is written, each at its place.
    Written(SpecError),
    /// Something else: its input is not there, for one.
    Other(Error),
}

impl Spec {
    /// Checks everything, and plans what will happen to the columns that `look` finds in the input of each source.
    ///
    /// # Errors
    /// All that is wrong. What comes into the parts behind one that is wrong is not known: what would be said of its columns there is left out.
    pub fn plan(
        &self,
        look: impl Fn(&Pipeline) -> Result<Vec<Arc<Schema>>>,
    ) -> Result<(Resolved, Plan), Wrong> {
        let mut search = Search::default();
        loop {
            let attempt = self.attempt(&search.left_out);
            if search.note_diagnostics(&attempt) {
                continue;
            }
            let Attempt { pipeline: Some(pipeline), places, secrets, .. } = attempt else {
                return Err(search.wrong(self, &attempt.secrets, &attempt.places));
            };
            let goes_on = match search.plan(&pipeline, &look) {
                Ok(plan) if search.found.is_empty() => return Ok((self.resolved(pipeline, places), plan)),
                Ok(_) => false,
                Err(error) => search.note_error(error, &pipeline, &places),
            };
            if !goes_on {
                return Err(search.wrong(self, &secrets, &places));
            }
        }
    }
}

/// Something that is wrong.
struct Finding {
    diagnostic: Diagnostic,
    fault: Option<Fault>,
    /// Where it is no mistake in the options.
    error: Option<Error>,
}

/// The search for all that is wrong.
#[derive(Default)]
struct Search {
    found: Vec<Finding>,
    left_out: LeftOut,
    /// What may have been meant by options that are unknown.
    meant: Vec<(Part, String)>,
    /// Parts behind which other columns come than were meant.
    blurred: Vec<Part>,
    /// Whether a source may read other columns than with an option that was meant.
    reads_otherwise: bool,
    /// The columns of each source, once all could be looked at.
    columns: Option<Vec<Arc<Schema>>>,
}

impl Search {
    /// Takes note of what is wrong with options as they are written; whether something else can be left out now.
    fn note_diagnostics(&mut self, attempt: &Attempt) -> bool {
        let Attempt { diagnostics, places, .. } = attempt;
        let finding = |diagnostic: &Diagnostic| {
            let fault = places.at(&diagnostic.span);
            Finding { diagnostic: diagnostic.clone(), fault, error: None }
        };
        let is_known = |new: &Finding| self.found.iter().any(|known| known.diagnostic == new.diagnostic);
        let new = diagnostics.iter().map(finding).filter(|new| !is_known(new) && !self.leads_to(new));
        let new: Vec<_> = new.collect();
        self.found.extend(new);
        let mut goes_on = !places.has_source() && self.leave_out((Part::Source(0), None), places);
        for diagnostic in diagnostics {
            let Some(fault) = places.at(&diagnostic.span) else { continue };
            self.reads_otherwise |= matches!(fault.0, Part::Source(_));
            self.meant.extend(meant(diagnostic).map(|name| (fault.0, name)));
            goes_on |= self.leave_out(fault, places);
        }
        goes_on
    }

    /// The same for an error of planning.
    fn note_error(&mut self, error: Error, pipeline: &Pipeline, places: &Places) -> bool {
        let fault = places.fault(&error);
        let diagnostic = places.diagnose(&error).unwrap_or_else(|| Diagnostic::new(NOWHERE, error.message()));
        let is_input = self.columns.is_none() && matches!(error.part(), Some(Part::Source(_)));
        let finding = Finding { diagnostic, fault: fault.clone(), error: Some(error) };
        // What belongs to no part may come of any other.
        if !self.leads_to(&finding) && (fault.is_some() || self.found.is_empty()) {
            self.found.push(finding);
        }
        let Some((part, option)) = fault else { return false };
        // What does not lie in files may not be there to be looked at again.
        let can_look_again = !is_input || pipeline.traits().is_replayable;
        self.leave_out((part, option.filter(|_| can_look_again)), places)
    }

    fn plan(
        &mut self,
        pipeline: &Pipeline,
        look: impl Fn(&Pipeline) -> Result<Vec<Arc<Schema>>>,
    ) -> Result<Plan> {
        let columns = match &self.columns {
            Some(columns) => columns.clone(),
            None => look(pipeline)?,
        };
        Plan::new(pipeline, self.columns.insert(columns).clone())
    }

    /// Leaves an option out, or the part where it is not known which, or that was not enough; whether anything more is left out now.
    fn leave_out(&mut self, (part, option): Fault, places: &Places) -> bool {
        // Behind a sink comes nothing, and an input that has been looked at stays as it is.
        let changes_columns = match part {
            Part::Source(_) => self.columns.is_none(),
            Part::Stage(_) => true,
            Part::Sink(_) => false,
        };
        if changes_columns {
            self.blurred.push(part);
        }
        let LeftOut { options, parts } = &mut self.left_out;
        match option.map(|option| (part, option)) {
            Some(option) if !options.contains(&option) => options.push(option),
            _ if !parts.contains(&part) => {
                parts.push(part);
                self.meant.extend(places.options(part).map(|name| (part, name.clone())));
            }
            _ => return false,
        }
        true
    }

    /// Whether it may be wrong only because something is left out.
    fn leads_to(&self, finding: &Finding) -> bool {
        let Finding { diagnostic, fault, .. } = finding;
        let Some((part, own)) = fault else { return false };
        let speaks_of_it = |(of, name): &(Part, String)| {
            let may_matter = of == part || !matches!((of, part), (Part::Sink(_), Part::Sink(_)));
            // An option is named by what is wrong with itself.
            let is_itself = own.as_ref() == Some(name) && !self.is_left_out(*part, name);
            may_matter && !is_itself && diagnostic.speaks_of(name)
        };
        let is_of_columns = ["column", "measurement"].iter().any(|word| diagnostic.message.contains(word));
        self.left_out.options.iter().chain(&self.meant).any(speaks_of_it)
            || is_of_columns && self.is_blurred(*part)
    }

    fn is_left_out(&self, part: Part, option: &String) -> bool {
        self.left_out.options.iter().any(|(of, name)| *of == part && name == option)
    }

    /// Whether other columns come into a part than were meant.
    fn is_blurred(&self, part: Part) -> bool {
        let place = |part| match part {
            Part::Source(_) => (0, 0),
            Part::Stage(at) => (1, at),
            Part::Sink(at) => (2, at),
        };
        matches!(part, Part::Source(_)) && self.reads_otherwise
            || self.blurred.iter().any(|before| place(*before) < place(part))
    }

    /// All that was found.
    fn wrong(mut self, spec: &Spec, secrets: &Secrets, places: &Places) -> Wrong {
        let mistake = |finding: &Finding| {
            finding
                .error
                .as_ref()
                .is_none_or(|error| error.kind() == ErrorKind::Config && finding.fault.is_some())
        };
        let has_mistake = self.found.iter().any(mistake);
        let first = self.found.first_mut().and_then(|finding| finding.error.take()).filter(|_| !has_mistake);
        match first {
            Some(error) if self.found.len() == 1 => {
                let option = places.fault(&error).and_then(|(_, option)| option);
                Wrong::Other(secrets.hide_error(error, option.as_deref()))
            }
            first => {
                let kind = first.map_or(ErrorKind::Config, |error| error.kind());
                let found = self.found.into_iter().map(|finding| finding.diagnostic).collect();
                Wrong::Written(spec.wrong(found, secrets, places).of_kind(kind))
            }
        }
    }
}

/// The option that is proposed in place of an unknown one.
fn meant(wrong: &Diagnostic) -> Option<String> {
    let (_, name) = wrong.help.as_ref()?.split_once("did you mean `")?;
    Some(name.split('`').next().unwrap_or_default().to_owned())
}
