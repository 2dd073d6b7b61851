//! Many names in few buffers: a million of them are a thousand blocks, which a copy for a checkpoint shares with the table.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of names in a block.
const BLOCK: usize = 1 << 10;

/// Names of sensors by id. Copying is cheap: blocks are shared until one of the copies changes them.
#[derive(Clone, Debug, Default)]
pub struct SensorNames {
    blocks: Vec<Arc<Block>>,
    len: usize,
    bytes: usize,
}

/// Names with consecutive ids; all blocks except the last are full.
#[derive(Clone, Debug, Default)]
struct Block {
    text: String,
    /// The end of each name.
    ends: Vec<usize>,
    /// Those that were replaced by other names: few, unless sensors come and go.
    others: HashMap<usize, Box<str>>,
}

impl Block {
    fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
        if self.ends.len() == BLOCK {
            self.text.shrink_to_fit();
        }
    }

    fn set(&mut self, at: usize, name: &str) {
        self.others.insert(at, name.into());
        // Replaced names must not take more memory than names in use.
        if 2 * self.others.len() > self.ends.len() {
            let mut anew = Self::default();
            (0..self.ends.len()).for_each(|at| anew.push(self.get(at)));
            *self = anew;
        }
    }

    #[inline]
    fn get(&self, at: usize) -> &str {
        if !self.others.is_empty()
            && let Some(other) = self.others.get(&at)
        {
            return other;
        }
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[at]]
    }
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
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.push(Arc::default());
        }
        if let Some(last) = self.blocks.last_mut() {
            Arc::make_mut(last).push(name);
        }
        self.len += 1;
        self.bytes += name.len();
    }

    /// Replaces the name with this ordinal.
    ///
    /// # Panics
    /// If the ordinal is out of range.
    pub(super) fn set(&mut self, at: usize, name: &str) {
        self.bytes = self.bytes - self.get(at).len() + name.len();
        Arc::make_mut(&mut self.blocks[at / BLOCK]).set(at % BLOCK, name);
    }

    /// Gives the name with this ordinal, or the next one, to a sensor; returns whether there is such an ordinal.
    pub fn put(&mut self, at: usize, name: &str) -> bool {
        match at.cmp(&self.len) {
            Ordering::Less => self.set(at, name),
            Ordering::Equal => self.push(name),
            Ordering::Greater => return false,
        }
        true
    }

    /// The names that `before`, an earlier copy of these, does not have at their ordinals, each with that, in order. What both share is not looked at.
    pub fn since(&self, before: &Self) -> impl Iterator<Item = (usize, &str)> {
        let shares =
            move |at: usize| before.blocks.get(at).is_some_and(|old| Arc::ptr_eq(old, &self.blocks[at]));
        let blocks = (0..self.blocks.len()).filter(move |&at| !shares(at));
        let ordinals = blocks.flat_map(move |at| at * BLOCK..self.len.min((at + 1) * BLOCK));
        let names = ordinals.map(move |at| (at, self.get(at)));
        names.filter(move |&(at, name)| at >= before.len || before.get(at) != name)
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their total length in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The name with this ordinal.
    ///
    /// # Panics
    /// If the ordinal is out of range.
    #[inline]
    pub fn get(&self, at: usize) -> &str {
        self.blocks[at / BLOCK].get(at % BLOCK)
    }

    /// All names, in order.
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

/// Serialises them as a sequence of strings.
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
    fn a_copy_shares_the_names_and_keeps_its_own() {
        let list: Vec<_> = (0..2 * BLOCK + 3).map(|at| format!("s{at}")).collect();
        let mut names: SensorNames = list.iter().collect();
        let copy = names.clone();
        let shared = |names: &SensorNames, copy: &SensorNames| -> Vec<bool> {
            names.blocks.iter().zip(&copy.blocks).map(|(a, b)| Arc::ptr_eq(a, b)).collect()
        };
        assert_eq!(shared(&names, &copy), [true, true, true]);
        names.push("new");
        assert_eq!(shared(&names, &copy), [true, true, false]);
        names.set(1, "other");
        assert_eq!(shared(&names, &copy), [false, true, false]);
        assert!(copy.iter().eq(list.iter()));
        assert_eq!((names.get(1), names.get(BLOCK), names.get(list.len())), ("other", "s1024", "new"));
        let bytes: usize = names.iter().map(str::len).sum();
        assert_eq!((names.len(), names.bytes()), (list.len() + 1, bytes));
    }

    #[test]
    fn names_that_were_replaced_are_not_kept() {
        let mut names: SensorNames = (0..BLOCK).map(|_| "x".repeat(100)).collect();
        for round in 0..5 {
            for at in 0..BLOCK {
                names.set(at, &format!("{round:03}{at:097}"));
            }
        }
        let kept = |block: &Arc<Block>| {
            block.text.len() + block.others.values().map(|name| name.len()).sum::<usize>()
        };
        let kept: usize = names.blocks.iter().map(kept).sum();
        assert!(kept <= 151 * BLOCK, "{kept} bytes");
        assert!(names.iter().enumerate().all(|(at, name)| name == format!("004{at:097}")));
    }

    #[test]
    fn what_an_earlier_copy_does_not_have_is_found() {
        let mut names: SensorNames = (0..3 * BLOCK).map(|at| format!("s{at}")).collect();
        let before = names.clone();
        assert_eq!(names.since(&before).count(), 0);
        assert!(names.since(&SensorNames::default()).eq(names.iter().enumerate()));
        names.set(BLOCK + 1, "other");
        names.set(5, "s5");
        assert!(names.put(7, "again") && names.put(3 * BLOCK, "new") && !names.put(3 * BLOCK + 2, "later"));
        let found: Vec<_> = names.since(&before).collect();
        assert_eq!(found, [(7, "again"), (BLOCK + 1, "other"), (3 * BLOCK, "new")]);
        let mut again = before.clone();
        assert!(found.iter().all(|&(at, name)| again.put(at, name)));
        assert_eq!(again, names);
    }

    #[test]
    fn a_name_can_be_replaced() {
        let mut names: SensorNames = ["a", "bb", "c"].iter().collect();
        names.set(1, "a longer one");
        names.set(1, "d");
        names.push("e");
        assert_eq!(names.bytes(), 4);
        assert_eq!(names, ["a", "d", "c", "e"].iter().collect());
    }
}
