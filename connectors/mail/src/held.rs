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

/// Messages that are not sent yet.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The last epoch of which there were messages.
    pub(crate) epoch: Option<u64>,
    /// Those of epochs that are acknowledged.
    pub(crate) items: Vec<Item>,
    /// How many more there were.
    pub(crate) more: u64,
    /// Those of the last epoch, as long as it is not acknowledged.
    #[serde(default)]
    pub(crate) open: Vec<Item>,
}

impl Held {
    /// The messages of `epoch` are to be sent, unless they were here already. If the epoch before was not acknowledged, it was dropped.
    pub(crate) fn begin(&mut self, epoch: u64, items: Vec<Item>) {
        if self.epoch.is_none_or(|last| last < epoch) {
            (self.epoch, self.open) = (Some(epoch), items);
        }
    }

    /// The last epoch is acknowledged: what is left of it waits.
    pub(crate) fn acknowledge(&mut self) {
        let room = MOST.saturating_sub(self.items.len());
        self.more += self.open.len().saturating_sub(room) as u64;
        self.items.extend(self.open.drain(..).take(room));
    }

    /// The next message, if those at the beginning of the last epoch are passed over.
    pub(crate) fn next(&self, passed: usize) -> Option<Item> {
        self.items.first().or_else(|| self.open.get(passed)).cloned()
    }

    /// All of them in one.
    pub(crate) fn gathered(&self, passed: usize) -> Option<Item> {
        let first = self.next(passed)?;
        let all = self.count(passed);
        if all == 1 {
            return Some(first);
        }
        let items = self.items.iter().chain(self.open.iter().skip(passed));
        let mut text: String = items.map(|item| format!("{}\n", item.text.trim_end())).collect();
        if self.more > 0 {
            text += &format!("… and {} more\n", self.more);
        }
        let subject = format!("{} (and {} more)", first.subject, all - 1);
        Some(Item { subject, text, id: format!("{}-{all}", first.id) })
    }

    /// How many there are.
    pub(crate) fn count(&self, passed: usize) -> u64 {
        (self.items.len() + self.open.len().saturating_sub(passed)) as u64 + self.more
    }
}

/// What the file in a state folder has.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept<H> {
    #[serde(flatten)]
    pub(crate) held: H,
    /// When the last mails were sent, in milliseconds since 1970.
    #[serde(default)]
    pub(crate) sent: Vec<u64>,
}

/// The file in a state folder.
#[derive(Debug)]
pub(crate) struct Memory {
    path: Option<PathBuf>,
    /// What was written last.
    written: Vec<u8>,
}

impl Memory {
    /// That of `writer` in `folder`; none without a folder.
    pub(crate) fn new(folder: Option<&Path>, writer: &str) -> Self {
        Self { path: folder.map(|folder| folder.join(format!("mail-{writer}.json"))), written: Vec::new() }
    }

    /// What is in it.
    pub(crate) fn read(&self) -> Result<Kept<Held>> {
        let Some(path) = &self.path else { return Ok(Kept::default()) };
        match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(Error::io("read", path.display(), &error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::data(format!("the mails in {} cannot be read: {error}", path.display()))
                    .with_help("remove the file: the mails in it are lost")
            }),
        }
    }

    /// Writes `kept` durably, if it is not what was written last.
    pub(crate) fn write(&mut self, kept: &Kept<&Held>) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed = |error: std::io::Error| Error::io("write", path.display(), &error);
        let bytes = serde_json::to_vec(kept).map_err(|error| Error::internal(error.to_string()))?;
        if bytes == self.written {
            return Ok(());
        }
        let aside = path.with_extension("json.new");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&aside).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&aside, path).map_err(failed)?;
        let folder = path.parent().unwrap_or(path);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        self.written = bytes;
        Ok(())
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
        let mut take = |epoch, items| {
            held.begin(epoch, items);
            held.acknowledge();
            held.gathered(0)
        };
        assert_eq!(take(1, Vec::new()), None);
        assert_eq!(take(2, vec![item(1)]), Some(item(1)));
        assert_eq!(take(2, vec![item(1)]), Some(item(1)), "it was here already");
        let all = take(3, vec![item(2), item(3)]).expect("one");
        assert_eq!((&*all.subject, &*all.text), ("s1 (and 2 more)", "t1\nt2\nt3\n"));
        assert!(take(4, (0..MOST + 5).map(item).collect()).expect("one").text.ends_with("… and 8 more\n"));
        assert_eq!((held.items.len(), held.more), (MOST, 8));
    }

    #[test]
    fn an_epoch_that_is_not_acknowledged_waits_for_the_same_one_and_gives_way_to_a_later_one() {
        let mut held = Held::default();
        held.begin(1, vec![item(1)]);
        held.begin(1, vec![item(1)]);
        assert_eq!((held.next(0), held.next(1)), (Some(item(1)), None));
        held.begin(2, vec![item(2)]);
        held.acknowledge();
        assert_eq!(held.items, [item(2)]);
    }

    #[test]
    fn what_waits_survives_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut memory = Memory::new(Some(folder.path()), "w");
        assert_eq!(memory.read().expect("nothing"), Kept::default());
        let mut held = Held::default();
        held.begin(7, vec![item(1)]);
        memory.write(&Kept { held: &held, sent: vec![5] }).expect("written");
        let read = || Memory::new(Some(folder.path()), "w").read();
        assert_eq!(read().expect("read"), Kept { held, sent: vec![5] });
        let path = folder.path().join("mail-w.json");
        // As earlier versions wrote it.
        std::fs::write(&path, r#"{"epoch":7,"items":[],"more":2}"#).expect("written");
        assert_eq!(read().expect("read").held.more, 2);
        std::fs::write(&path, "{").expect("written");
        assert!(read().expect_err("damaged").to_string().contains("mail-w.json"));
    }
}
