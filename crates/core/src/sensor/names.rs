//! Many names in few texts: a million of them are a thousand blocks, which a copy for a checkpoint shares with the table.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names in a block.
const BLOCK: usize = 1 << 10;

/// Names of sensors, by id. A copy shares the names: of either, only the blocks that change afterwards are copied.
#[derive(Clone, Debug, Default)]
pub struct SensorNames {
    blocks: Vec<Arc<Block>>,
    len: usize,
    bytes: usize,
}

/// Names with consecutive ids; all blocks but the last are full.
#[derive(Clone, Debug, Default)]
struct Block {
    text: String,
    /// Where each name ends.
    ends: Vec<usize>,
    /// Those that have been given other names since: few, unless sensors come and go.
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
        // Names that are no longer in use take no more room than those that are.
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

    /// Gives the one with this ordinal another name.
    ///
    /// # Panics
    /// When there are not so many.
    pub(super) fn set(&mut self, at: usize, name: &str) {
        self.bytes = self.bytes - self.get(at).len() + name.len();
        Arc::make_mut(&mut self.blocks[at / BLOCK]).set(at % BLOCK, name);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that they have together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The name with this ordinal.
    ///
    /// # Panics
    /// When there are not so many.
    #[inline]
    pub fn get(&self, at: usize) -> &str {
        self.blocks[at / BLOCK].get(at % BLOCK)
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
    fn a_name_can_be_replaced() {
        let mut names: SensorNames = ["a", "bb", "c"].iter().collect();
        names.set(1, "a longer one");
        names.set(1, "d");
        names.push("e");
        assert_eq!(names.bytes(), 4);
        assert_eq!(names, ["a", "d", "c", "e"].iter().collect());
    }
}
