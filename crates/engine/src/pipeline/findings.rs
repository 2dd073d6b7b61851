//! Finds all mistakes in a pipeline, not only the first: plans it repeatedly, each time without the parts and options found wrong so far.

use std::sync::Arc;

use super::parts::{Fault, LeftOut, NOWHERE};
use super::places::Places;
use super::secrets::Secrets;
use super::sources::check_exclusive;
use super::spec::{Attempt, Spec};
use super::written::SpecError;
use super::{Pipeline, Plan, Resolved};
use crate::batch::Schema;
use crate::error::{Error, ErrorKind, PartIndex, Result};
use crate::options::Diagnostic;

/// Why a pipeline cannot be planned.
#[derive(Debug)]
// Exhaustive: `Other` is everything without a position in the file.
pub enum Wrong {
    /// Mistakes in the pipeline file, each with its position.
    Written(SpecError),
    /// Another error, such as a missing input.
    Other(Error),
}

impl Spec {
    /// Checks everything, and plans which columns each part gets, given the columns of each source that `look` determines from its input.
    ///
    /// # Errors
    /// All mistakes. The columns behind a wrong part are not known, so mistakes that concern them are not reported.
    pub fn plan(
        &self,
        look: impl Fn(&Pipeline) -> Result<Vec<Arc<Schema>>>,
    ) -> Result<(Resolved, Plan), Wrong> {
        let mut search = MistakeSearch::default();
        loop {
            let attempt = self.attempt(&search.left_out);
            if search.note_diagnostics(&attempt) {
                continue;
            }
            let Attempt { pipeline: Some(pipeline), places, secrets, .. } = attempt else {
                return Err(search.wrong(self, &attempt.secrets, &attempt.places));
            };
            // Before any source is opened, which may wait.
            if let Err(error) = check_exclusive(&pipeline) {
                search.note_error(error, &pipeline, &places);
                return Err(search.wrong(self, &secrets, &places));
            }
            let has_more = match search.plan(&pipeline, &look) {
                Ok(plan) if search.found.is_empty() => return Ok((self.resolved(pipeline, places), plan)),
                Ok(_) => false,
                Err(error) => search.note_error(error, &pipeline, &places),
            };
            if !has_more {
                return Err(search.wrong(self, &secrets, &places));
            }
        }
    }
}

/// A mistake.
struct Finding {
    diagnostic: Diagnostic,
    fault: Option<Fault>,
    /// Set unless it is a mistake in the options.
    error: Option<Error>,
}

/// The search for all mistakes.
#[derive(Default)]
struct MistakeSearch {
    found: Vec<Finding>,
    left_out: LeftOut,
    /// The probably intended names of unknown options.
    meant: Vec<(PartIndex, String)>,
    /// Parts behind which the columns differ from those intended.
    blurred: Vec<PartIndex>,
    /// Whether a source may read other columns than with an intended option.
    reads_otherwise: bool,
    /// The columns of each source, once all were inspected.
    columns: Option<Vec<Arc<Schema>>>,
}

impl MistakeSearch {
    /// Records mistakes in options; returns whether anything more can be left out now.
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
        let mut has_more = !places.has_source() && self.leave_out((PartIndex::Source(0), None), places);
        for diagnostic in diagnostics {
            let Some(fault) = places.at(&diagnostic.span) else { continue };
            self.reads_otherwise |= matches!(fault.0, PartIndex::Source(_));
            self.meant.extend(meant(diagnostic).map(|name| (fault.0, name)));
            has_more |= self.leave_out(fault, places);
        }
        has_more
    }

    /// The same for an error of planning.
    fn note_error(&mut self, error: Error, pipeline: &Pipeline, places: &Places) -> bool {
        let fault = places.fault(&error);
        let diagnostic = places.diagnose(&error).unwrap_or_else(|| Diagnostic::new(NOWHERE, error.message()));
        let is_input = self.columns.is_none() && matches!(error.part(), Some(PartIndex::Source(_)));
        let finding = Finding { diagnostic, fault: fault.clone(), error: Some(error) };
        // What belongs to no part may come of any other.
        if !self.leads_to(&finding) && !self.is_said(&finding) && (fault.is_some() || self.found.is_empty()) {
            self.found.push(finding);
        }
        let Some((part, option)) = fault else { return false };
        // An input that is not replayable may not be available for another inspection.
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

    /// Leaves an option out, or the whole part if the option is not known or that was not enough; returns whether anything more is left out
    /// now.
    fn leave_out(&mut self, (part, option): Fault, places: &Places) -> bool {
        // Nothing follows a sink, and an input that was inspected does not change.
        let changes_columns = match part {
            PartIndex::Source(_) => self.columns.is_none(),
            PartIndex::Stage(_) => true,
            PartIndex::Sink(_) => false,
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

    /// Whether it may be a mistake only because something is left out.
    fn leads_to(&self, finding: &Finding) -> bool {
        let Finding { diagnostic, fault, .. } = finding;
        let Some((part, own)) = fault else { return false };
        let speaks_of_it = |(of, name): &(PartIndex, String)| {
            let may_matter = of == part || !matches!((of, part), (PartIndex::Sink(_), PartIndex::Sink(_)));
            // An option is named by its own mistake.
            let is_itself = own.as_ref() == Some(name) && !self.is_left_out(*part, name);
            may_matter && !is_itself && diagnostic.speaks_of(name)
        };
        let is_of_columns = ["column", "measurement"].iter().any(|word| diagnostic.message.contains(word));
        self.left_out.options.iter().chain(&self.meant).any(speaks_of_it)
            || is_of_columns && self.is_blurred(*part)
    }

    /// Whether the same message about the same columns is known already: it is not repeated for each part that receives them.
    fn is_said(&self, finding: &Finding) -> bool {
        // The message begins with the part; the rest is compared.
        let said = |finding: &Finding| {
            let of_columns =
                Some(&finding.diagnostic.message).filter(|message| message.contains("columns"))?;
            of_columns.split_once('`').map(|(_, said)| said.to_owned())
        };
        let own = said(finding);
        own.is_some() && self.found.iter().any(|known| said(known) == own)
    }

    fn is_left_out(&self, part: PartIndex, option: &String) -> bool {
        self.left_out.options.iter().any(|(of, name)| *of == part && name == option)
    }

    /// Whether the columns of a part differ from those intended.
    fn is_blurred(&self, part: PartIndex) -> bool {
        let place = |part| match part {
            PartIndex::Source(_) => (0, 0),
            PartIndex::Stage(at) => (1, at),
            PartIndex::Sink(at) => (2, at),
        };
        matches!(part, PartIndex::Source(_)) && self.reads_otherwise
            || self.blurred.iter().any(|before| place(*before) < place(part))
    }

    /// All mistakes found.
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

/// The option suggested in place of an unknown one.
fn meant(wrong: &Diagnostic) -> Option<String> {
    let (_, name) = wrong.help.as_ref()?.split_once("did you mean `")?;
    Some(name.split('`').next().unwrap_or_default().to_owned())
}
