//! Many names in one text: a million of them are two allocations, and are copied as fast as the memory goes.

use std::collections::HashMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names of sensors, by id.
#[derive(Clone, Debug, Default)]
pub struct SensorNames {
    text: String,
    /// Where each name ends.
    ends: Vec<usize>,
    /// Those that have been given other names since: few, unless sensors come and go.
    others: HashMap<usize, Box<str>>,
}

impl PartialEq for SensorNames {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SensorNames {}

impl SensorNames {
    /// Appends a name.
    pub fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// Gives the one with this ordinal another name.
    ///
    /// # Panics
    /// When there are not so many.
    pub(super) fn set(&mut self, at: usize, name: &str) {
        assert!(at < self.len(), "a name that is there");
        self.others.insert(at, name.into());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that they have together.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The name with this ordinal.
    ///
    /// # Panics
    /// When there are not so many.
    #[inline]
    pub fn get(&self, at: usize) -> &str {
        if !self.others.is_empty()
            && let Some(other) = self.others.get(&at)
        {
            return other;
        }
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[at]]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at))
    }
}

impl<T: AsRef<str>> FromIterator<T> for SensorNames {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.push(name.as_ref()));
        all
    }
}

/// As a sequence of texts.
impl Serialize for SensorNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.len()).map(|at| self.get(at)))
    }
}

impl<'de> Deserialize<'de> for SensorNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Texts)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = SensorNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<SensorNames, A::Error> {
        let mut names = SensorNames::default();
        while let Some(name) = texts.next_element::<std::borrow::Cow<'de, str>>()? {
            names.push(&name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_a_list_of_texts_would_be() {
        let list = ["b", "", "a ü", "b"];
        let names: SensorNames = list.iter().collect();
        assert_eq!((names.len(), names.bytes(), names.get(2)), (4, 6, "a ü"));
        assert!(names.iter().eq(list));
        let bytes = postcard::to_stdvec(&names).expect("bytes");
        assert_eq!(bytes, postcard::to_stdvec(&list.to_vec()).expect("bytes"));
        assert_eq!(postcard::from_bytes::<SensorNames>(&bytes).expect("names"), names);
    }

    #[test]
    fn a_name_can_be_replaced() {
        let mut names: SensorNames = ["a", "bb", "c"].iter().collect();
        names.set(1, "a longer one");
        names.set(1, "d");
        names.push("e");
        assert_eq!(names, ["a", "d", "c", "e"].iter().collect());
    }
}
