//! What waits to be sent. With a state folder it is also in a file there, so that it survives the process.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};

/// Messages that wait at most; of more, the number is known.
const MOST: usize = 10_000;

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) subject: String,
    pub(crate) text: String,
    /// Identifies it among all mails, also if it is sent twice.
    pub(crate) id: String,
}

/// Messages that wait.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The epoch of the last ones.
    pub(crate) epoch: Option<u64>,
    pub(crate) items: Vec<Item>,
    /// How many more there were.
    pub(crate) more: u64,
}

impl Held {
    /// Adds the messages of `epoch`, unless they are here already.
    pub(crate) fn add(&mut self, epoch: u64, items: Vec<Item>) {
        if self.epoch == Some(epoch) {
            return;
        }
        self.epoch = Some(epoch);
        let room = MOST.saturating_sub(self.items.len());
        self.more += items.len().saturating_sub(room) as u64;
        self.items.extend(items.into_iter().take(room));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All of them in one.
    pub(crate) fn gathered(&self) -> Option<Item> {
        let first = self.items.first()?;
        if self.items.len() == 1 && self.more == 0 {
            return Some(first.clone());
        }
        let all = self.items.len() as u64 + self.more;
        let mut text: String = self.items.iter().map(|item| format!("{}\n", item.text.trim_end())).collect();
        if self.more > 0 {
            text += &format!("… and {} more\n", self.more);
        }
        let subject = format!("{} (and {} more)", first.subject, all - 1);
        Some(Item { subject, text, id: format!("{}-{all}", first.id) })
    }
}

/// The file in a state folder.
#[derive(Debug)]
pub(crate) struct Memory(Option<PathBuf>);

impl Memory {
    /// That of `writer` in `folder`; none without a folder.
    pub(crate) fn new(folder: Option<&Path>, writer: &str) -> Self {
        Self(folder.map(|folder| folder.join(format!("mail-{writer}.json"))))
    }

    /// What is in it.
    pub(crate) fn read(&self) -> Result<Held> {
        let Some(path) = &self.0 else { return Ok(Held::default()) };
        match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Held::default()),
            Err(error) => Err(Error::io("read", path.display(), &error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::data(format!("the mails in {} cannot be read: {error}", path.display()))
                    .with_help("remove the file: the mails in it are lost")
            }),
        }
    }

    /// Writes `held` durably.
    pub(crate) fn write(&self, held: &Held) -> Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let failed = |error: std::io::Error| Error::io("write", path.display(), &error);
        let bytes = serde_json::to_vec(held).map_err(|error| Error::internal(error.to_string()))?;
        let aside = path.with_extension("json.new");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&aside).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&aside, path).map_err(failed)?;
        let folder = path.parent().unwrap_or(path);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(at: usize) -> Item {
        Item { subject: format!("s{at}"), text: format!("t{at}\n"), id: format!("i{at}") }
    }

    #[test]
    fn many_messages_are_one_and_none_is_forgotten() {
        let mut held = Held::default();
        assert_eq!(held.gathered(), None);
        held.add(1, vec![item(1)]);
        assert_eq!(held.gathered(), Some(item(1)));
        held.add(1, vec![item(1)]);
        held.add(2, vec![item(2), item(3)]);
        let all = held.gathered().expect("one");
        assert_eq!((&*all.subject, &*all.text), ("s1 (and 2 more)", "t1\nt2\nt3\n"));
        held.add(3, (0..MOST + 5).map(item).collect());
        assert_eq!((held.items.len(), held.more), (MOST, 8));
        assert!(held.gathered().expect("one").text.ends_with("… and 8 more\n"));
    }

    #[test]
    fn what_waits_survives_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::new(Some(folder.path()), "w");
        assert_eq!(memory.read().expect("nothing"), Held::default());
        let mut held = Held::default();
        held.add(7, vec![item(1)]);
        memory.write(&held).expect("written");
        assert_eq!(Memory::new(Some(folder.path()), "w").read().expect("read"), held);
        std::fs::write(folder.path().join("mail-w.json"), "{").expect("written");
        assert!(memory.read().expect_err("damaged").to_string().contains("mail-w.json"));
    }
}
