//! Rules per sensor, by name or glob; the last match wins (clause 12).

use globset::{GlobBuilder, GlobMatcher};
use indexmap::IndexMap;

use super::{SensorId, Sensors};
use crate::error::{Error, Result};

/// A rule for all sensors, with exceptions for those whose name matches a pattern.
#[derive(Clone, Debug)]
pub struct Rules<R> {
    base: R,
    exceptions: Vec<(GlobMatcher, R)>,
}

impl<R> Rules<R> {
    /// `base` for all sensors except those that match a pattern of `exceptions`; `merge` combines an exception with the base.
    ///
    /// # Errors
    /// A configuration error that names an invalid pattern.
    pub fn new<E>(base: R, exceptions: &IndexMap<String, E>, merge: impl Fn(&R, &E) -> R) -> Result<Self> {
        let exceptions = exceptions
            .iter()
            .map(|(pattern, exception)| Ok((matcher(pattern)?, merge(&base, exception))))
            .collect::<Result<_>>()?;
        Ok(Self { base, exceptions })
    }

    /// The rule for the sensor `name`.
    pub fn of(&self, name: &str) -> &R {
        self.exceptions
            .iter()
            .rev()
            .find(|(pattern, _)| pattern.is_match(name))
            .map_or(&self.base, |(_, rule)| rule)
    }

    /// The rule for all sensors, if there are no exceptions.
    pub fn single(&self) -> Option<&R> {
        self.exceptions.is_empty().then_some(&self.base)
    }

    /// The same patterns with other rules.
    pub fn map<S>(&self, rule: impl Fn(&R) -> S) -> Rules<S> {
        let exceptions =
            self.exceptions.iter().map(|(pattern, exception)| (pattern.clone(), rule(exception)));
        Rules { base: rule(&self.base), exceptions: exceptions.collect() }
    }

    /// All rules, the base first.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        std::iter::once(&self.base).chain(self.exceptions.iter().map(|(_, rule)| rule))
    }
}

/// A matcher for sensor names: `*` matches any text (including slashes), `?` one character, `[a-c]` and `{a,b}` one of several.
///
/// # Errors
/// A configuration error that names the pattern.
pub fn matcher(pattern: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(pattern).build().map(|glob| glob.compile_matcher()).map_err(|error| {
        Error::config(format!("`{pattern}` is not a valid sensor pattern: {}", error.kind()))
            .with_help("`*` matches any text, `?` one character, `[a-c]` and `{a,b}` one of several")
    })
}

/// A small derived value per sensor, by id: constant within a run, accessed once per record.
#[derive(Clone, Debug)]
pub struct OfSensors<T> {
    known: Vec<T>,
    /// The number of reused ids at the last call.
    reused: u64,
}

impl<T> Default for OfSensors<T> {
    fn default() -> Self {
        Self { known: Vec::new(), reused: 0 }
    }
}

impl<T> OfSensors<T> {
    /// The value of each sensor in `sensors`; `make` computes it for new ones.
    pub fn of(&mut self, sensors: &Sensors, make: impl Fn(&str) -> T) -> &[T] {
        let of = |id: usize| make(sensors.name(SensorId(id as u32)));
        if sensors.reused() != self.reused {
            match sensors.reused_since(self.reused) {
                None => self.known.clear(),
                Some(ids) => {
                    for &id in ids {
                        let known = self.known.get_mut(id as usize);
                        known.into_iter().for_each(|known| *known = of(id as usize));
                    }
                }
            }
            self.reused = sensors.reused();
        }
        self.known.extend((self.known.len()..sensors.len()).map(of));
        &self.known
    }
}

/// State per sensor, created when the sensor first occurs.
#[derive(Clone, Debug)]
pub struct PerSensor<T>(Vec<Option<T>>);

impl<T> Default for PerSensor<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> PerSensor<T> {
    /// The state of sensor `id`; `make` creates it the first time.
    pub fn get_or_insert_with(&mut self, id: SensorId, make: impl FnOnce() -> T) -> &mut T {
        if id.index() >= self.0.len() {
            self.0.resize_with(id.index() + 1, || None);
        }
        self.0[id.index()].get_or_insert_with(make)
    }

    /// The state of sensor `id`, if it has any.
    pub fn get(&self, id: SensorId) -> Option<&T> {
        self.0.get(id.index())?.as_ref()
    }

    /// The mutable state of sensor `id`, if it has any.
    #[inline]
    pub fn get_mut(&mut self, id: SensorId) -> Option<&mut T> {
        self.0.get_mut(id.index())?.as_mut()
    }

    /// Removes and returns the state of sensor `id`.
    pub fn remove(&mut self, id: SensorId) -> Option<T> {
        self.0.get_mut(id.index())?.take()
    }

    /// All states, by id.
    pub fn iter(&self) -> impl Iterator<Item = (SensorId, &T)> {
        self.0.iter().enumerate().filter_map(|(id, kept)| Some((SensorId(id as u32), kept.as_ref()?)))
    }

    /// All states, by id, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }

    /// The same with ids.
    pub fn enumerate_mut(&mut self) -> impl Iterator<Item = (SensorId, &mut T)> {
        self.0.iter_mut().enumerate().filter_map(|(id, kept)| Some((SensorId(id as u32), kept.as_mut()?)))
    }

    /// The same sensors with transformed states.
    pub fn map<U>(&self, change: impl Fn(&T) -> U) -> PerSensor<U> {
        PerSensor(self.0.iter().map(|place| place.as_ref().map(&change)).collect())
    }

    /// All states, by id, by value.
    pub fn into_kept(self) -> impl Iterator<Item = (SensorId, T)> {
        self.0.into_iter().enumerate().filter_map(|(id, kept)| Some((SensorId(id as u32), kept?)))
    }

    /// The underlying list: one element per id.
    pub fn as_slice(&self) -> &[Option<T>] {
        &self.0
    }
}

impl<T> From<Vec<Option<T>>> for PerSensor<T> {
    fn from(places: Vec<Option<T>>) -> Self {
        Self(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_match_wins() {
        let exceptions: IndexMap<String, i32> =
            [("press-*", 1), ("press-9", 2), ("*/flow", 3)].map(|(p, r)| (p.to_owned(), r)).into();
        let rules = Rules::new(0, &exceptions, |_, &exception| exception).expect("patterns");
        let of = |name| *rules.of(name);
        assert_eq!([of("temp"), of("press-1"), of("press-9"), of("hall/3/flow")], [0, 1, 2, 3]);
        let exceptions: IndexMap<String, i32> = [("a".to_owned(), 1), ("*".to_owned(), 2)].into();
        assert_eq!(*Rules::new(0, &exceptions, |_, &e| e).expect("patterns").of("a"), 2);
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = matcher("[a").expect_err("broken");
        assert!(error.to_string().contains("`[a`"), "{error}");
    }
}
