//! Which topics there are, and how many partitions they have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use tidemill_engine::error::{Error, Result};

use super::assignment::STEP;
use super::group::{Change, Member, Partition};
use super::partitions::Fixed;
use super::positions::Found;
use super::reader::{Reader, Setup};
use crate::connection::wrong;
use crate::failure::{Words, listen};
use crate::topic::{all, find, partitions};

/// How often a process that reads all partitions looks for new ones.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl Reader {
    /// Finds the topics before the run begins.
    pub(super) fn find_topics(&self) -> Result<Found> {
        let mut config = self.setup.config.clone();
        // Not as a member: the run may resume as another one.
        config.remove("group.id");
        let client: BaseConsumer<Words> =
            config.create_with_context(Words::default()).map_err(|error| wrong(&error))?;
        let Setup { brokers, topics, patience, .. } = &self.setup;
        let said = || listen(|| drop(client.poll(Duration::ZERO)));
        let mut found = Found::default();
        let (patterns, names): (Vec<_>, Vec<_>) = topics.iter().partition(|topic| topic.starts_with('^'));
        for topic in names {
            let count =
                find(client.client(), client.context(), (&**brokers, topic.as_str()), patience, said)?;
            self.check_fixed(topic, count)?;
            found.named.insert(topic.as_str().into(), count);
        }
        if !patterns.is_empty() {
            let others = all(client.client(), client.context(), brokers, patience, said)?.into_iter();
            let may_match = |name: &str| patterns.iter().any(|pattern| name.starts_with(literal(pattern)));
            let others = others.filter(|(name, _)| may_match(name));
            found.others = others.map(|(name, count)| (name.into(), count)).collect();
        }
        Ok(found)
    }

    /// Checks that a topic with so many partitions has all that are to be read.
    fn check_fixed(&self, topic: &str, count: i32) -> Result<()> {
        let Setup { brokers, fixed, .. } = &self.setup;
        match fixed.as_ref().and_then(|fixed| fixed.missing(count)) {
            None => Ok(()),
            Some(partition) => Err(Error::config(format!(
                "Kafka at {brokers}: the topic `{topic}` has no partition {partition}: it has {count}"
            ))
            .with_help("correct `partitions`; they are numbered from 0")),
        }
    }

    /// The fixed partitions, as far as they are known.
    pub(super) fn fixed_partitions(&self, fixed: &Fixed) -> Vec<Partition> {
        let of = |topic: &String| {
            let topic: Arc<str> = topic.as_str().into();
            let partitions = fixed.of(self.positions.count(&topic)).into_iter();
            partitions.map(|at| (Arc::clone(&topic), at)).collect::<Vec<_>>()
        };
        self.setup.topics.iter().flat_map(of).collect()
    }

    /// Takes partitions that were added, if all are read.
    pub(super) fn look_for_partitions(&mut self, member: &Member) {
        let is_time = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        if self.setup.fixed != Some(Fixed::All) || !is_time || member.context().first().is_some() {
            return;
        }
        self.looked = Some(Instant::now());
        let mut added = Vec::new();
        for topic in &self.setup.topics {
            // Without an answer, later.
            let Ok(Some(count)) = partitions(member.client(), topic, STEP) else { return };
            let name: Arc<str> = topic.as_str().into();
            let new = (0..count).filter(|at| self.slots.find(topic, *at).is_none());
            added.extend(new.map(|at| (Arc::clone(&name), at)));
        }
        if !added.is_empty() {
            member.context().change(Change::Assigned(added));
        }
    }
}

/// What the names of all topics that match a pattern begin with.
fn literal(pattern: &str) -> &str {
    let pattern = pattern.trim_start_matches('^');
    if pattern.contains('|') {
        return "";
    }
    let end = pattern.find(|c: char| ".[]()*+?{}^$\\".contains(c)).unwrap_or(pattern.len());
    let (head, rest) = pattern.split_at(end);
    match rest.starts_with(['*', '?', '{']) {
        // The last character may be missing.
        true => head.char_indices().next_back().map_or("", |(last, _)| &head[..last]),
        false => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_match_begin_with_what_a_pattern_begins_with() {
        for (pattern, begin) in [
            ("^plant-.*", "plant-"),
            ("^plant", "plant"),
            ("^ab*c", "a"),
            ("^ü?", ""),
            ("^a+", "a"),
            ("^x\\.y", "x"),
            ("^a|b", ""),
            ("^(a)", ""),
            ("^", ""),
        ] {
            assert_eq!(literal(pattern), begin, "{pattern}");
        }
    }
}
