//! Constants that are written in the options.

use std::collections::HashMap;
use std::sync::Arc;

use super::constants::Constants;
use super::options::{Exception, Method, Normalize};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::stage::{ByColumn, Rules};

/// The constants of a measurement by sensor; `Err` for those without constants.
pub(super) type GivenRules = Rules<Result<Constants, ()>>;

impl Normalize {
    /// The constants in the options, by measurement.
    pub(super) fn given(&self, input: &Schema) -> Result<HashMap<Arc<str>, GivenRules>> {
        let columns = ByColumn::select(self.columns.as_ref(), input)?.into_iter();
        let given = columns.map(|(at, rule)| {
            let base = rule.map_or(self.base(), |rule| rule.over(&self.base()));
            Ok((Arc::clone(&input.fields()[at].name), self.rules(base)?))
        });
        given.collect()
    }

    /// The constants of a measurement: `base`, and exceptions for some sensors.
    fn rules(&self, base: Exception) -> Result<GivenRules> {
        let rules = Rules::new(base, &self.sensors, |base, exception| exception.over(base))?;
        let is_base_used = self.sensors.is_empty() || !base.is_empty();
        for rule in rules.iter().skip(usize::from(!is_base_used)) {
            rule.constants(self.method)?;
        }
        Ok(rules.map(|rule| rule.constants(self.method).map_err(|_| ())))
    }
}

impl Exception {
    fn constants(&self, method: Method) -> Result<Constants> {
        let foreign = |&(other, first, second): &(Method, Option<f64>, Option<f64>)| {
            other != method && first.or(second).is_some()
        };
        if self.pairs().iter().any(foreign) {
            return Err(Error::config("a constant of another `method` is given").with_help(method.needs()));
        }
        for (other, first, second) in self.pairs() {
            if let (true, Some(first), Some(second)) = (other == method, first, second) {
                return Constants::new(method, first, second);
            }
        }
        Err(Error::config("a constant is missing").with_help(method.needs()))
    }
}
