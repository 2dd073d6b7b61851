//! Differences between the pipeline of a checkpoint and the one that is to resume from it.

use super::PartSpec;
use crate::options::{Difference, differences};

/// A difference in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has other options.
    Options {
        /// Its name in messages.
        place: String,
        /// The options that differ.
        options: Vec<Difference>,
    },
    /// It was added.
    Added(String),
    /// It was removed.
    Removed(String),
    /// Its place in the order has changed.
    Moved(String),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added(place) => write!(f, "{place} is new"),
            Self::Removed(place) => write!(f, "{place} was removed from the pipeline"),
            Self::Moved(place) => write!(f, "{place} has another place in the order"),
            Self::Options { place, options } => {
                let options: Vec<_> = options
                    .iter()
                    .map(|Difference { name, before, now }| format!("`{name}` was {before}, is {now}"))
                    .collect();
                write!(f, "{place}: {}", options.join(", "))
            }
        }
    }
}

/// Whether two parts are the same. An option that only one of them has and that is off there was added by another version.
fn same(a: &PartSpec, b: &PartSpec) -> bool {
    a.name == b.name && (a.options == b.options || differences(&a.options, &b.options).is_empty())
}

/// For every part of `now`, the index of the part of `before` whose state it resumes: one with the same options, preferably at the same index. All parts
/// are of one kind.
pub(crate) fn matches(before: &[PartSpec], now: &[PartSpec]) -> Vec<Option<usize>> {
    let mut matched: Vec<Option<usize>> = now
        .iter()
        .enumerate()
        .map(|(at, part)| before.get(at).is_some_and(|before| same(before, part)).then_some(at))
        .collect();
    for (at, part) in now.iter().enumerate() {
        if matched[at].is_none() {
            let free = |other: &usize| !matched.contains(&Some(*other)) && same(&before[*other], part);
            matched[at] = (0..before.len()).find(free);
        }
    }
    matched
}

/// The same; for a part of `now` that has changed, the one of `before` at the same index with the same name, or the only one. For sources, which resume
/// at their position whatever their options.
pub(crate) fn successors(before: &[PartSpec], now: &[PartSpec]) -> Vec<Option<usize>> {
    let matched = matches(before, now);
    let is_only = before.len() == 1 && now.len() == 1;
    let was = |at: usize| is_only || before.get(at).is_some_and(|before| before.name == now[at].name);
    let free = |at: usize| !matched.contains(&Some(at));
    let of = |(at, found): (usize, &Option<usize>)| found.or_else(|| (free(at) && was(at)).then_some(at));
    matched.iter().enumerate().map(of).collect()
}

/// The differences, for messages.
pub(crate) fn changes(before: &[PartSpec], now: &[PartSpec]) -> Vec<Change> {
    let matched = matches(before, now);
    let mut changes = Vec::new();
    let mut gone: Vec<usize> = (0..before.len()).filter(|at| !matched.contains(&Some(*at))).collect();
    for (at, part) in now.iter().enumerate().filter(|(at, _)| matched[*at].is_none()) {
        let was = gone.iter().position(|&was| was == at && before[was].name == part.name);
        changes.push(match was {
            None => Change::Added(part.place.clone()),
            Some(was) => {
                let options = differences(&before[gone.remove(was)].options, &part.options);
                Change::Options { place: part.place.clone(), options }
            }
        });
    }
    changes.extend(gone.into_iter().map(|at| Change::Removed(before[at].place.clone())));
    changes
}

/// The parts whose place in the order has changed, for kinds of parts whose order has a meaning.
pub(crate) fn moved(before: &[PartSpec], now: &[PartSpec]) -> Vec<Change> {
    let mut last = 0;
    let mut moved = Vec::new();
    for (part, was) in now.iter().zip(matches(before, now)) {
        let Some(was) = was else { continue };
        if was < last {
            moved.push(Change::Moved(part.place.clone()));
        }
        last = last.max(was);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(place: &str, options: &str) -> PartSpec {
        PartSpec { place: place.into(), name: place.into(), options: options.into() }
    }

    #[test]
    fn parts_are_found_again_wherever_they_stand_and_changes_are_named() {
        let before = [part("a", "{}"), part("b", "{\"min\":1}"), part("c", "{}")];
        let now = [part("c", "{}"), part("b", "{\"min\":2}")];
        assert_eq!(matches(&before, &now), [Some(2), None]);
        let shown: Vec<_> = changes(&before, &now).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["b: `min` was 1, is 2", "a was removed from the pipeline"]);
        assert_eq!(successors(&before, &now), [Some(2), Some(1)]);
        assert_eq!(successors(&before[..2], &[before[1].clone(), part("new", "{}")]), [Some(1), None]);
        assert_eq!(successors(&before[..1], &[part("other", "{}")]), [Some(0)]);
        assert!(changes(&before, &before).is_empty());
    }

    #[test]
    fn options_of_another_version_that_are_off_change_nothing() {
        let before = [part("a", "{\"min\":1,\"old\":null}")];
        let now = |new: &str| [part("a", &format!("{{\"min\":1,\"new\":{new}}}"))];
        for off in ["null", "false", "[]", "{}"] {
            assert_eq!(changes(&before, &now(off)), [], "{off}");
        }
        for on in ["true", "0", "\"\"", "[1]"] {
            assert_eq!(changes(&before, &now(on)).len(), 1, "{on}");
        }
    }
}
