//! A sink in the place of one that delivers to a server: it keeps what it is sent in a file, so that it can be compared.
//!
//! The file has, for each delivery, a line `{"epoch":7,"bytes":120}` and behind it that many bytes of JSON Lines. A delivery that is not whole, because the process was
//! killed, does not count, as in a server whose transaction did not end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::format::Encode;
use crate::format::jsonl::JsonEncoder;
use crate::sensor::Sensors;
use crate::sink::{Block, Prepare, Repeat, Sink, SinkContext, SinkSpec};

/// The stand-in of a sink. If that recognises epochs that it has, so does this.
pub(super) struct StandIn {
    pub(super) name: String,
    pub(super) parameters: serde_json::Value,
    pub(super) repeat: Repeat,
    pub(super) path: PathBuf,
}

impl StandIn {
    pub(super) fn of(sink: &dyn SinkSpec, path: &Path) -> Self {
        let (name, parameters) = (sink.name().to_owned(), sink.parameters());
        Self { name, parameters, repeat: sink.repeat(), path: path.to_owned() }
    }
}

impl SinkSpec for StandIn {
    fn name(&self) -> &str {
        &self.name
    }

    fn parameters(&self) -> serde_json::Value {
        self.parameters.clone()
    }

    fn repeat(&self) -> Repeat {
        self.repeat
    }

    fn delivers(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        let file = File::options().read(true).append(true).create(true).open(&self.path);
        let failed = |error| Error::io("write", self.path.display(), &error);
        let mut file = file.map_err(failed)?;
        let whole = deliveries(&self.path, &mut file)?;
        file.set_len(whole.iter().map(|delivery| delivery.end).max().unwrap_or(0)).map_err(failed)?;
        let newest = whole.iter().map(|delivery| delivery.epoch).max();
        let newest = newest.filter(|_| self.repeat == Repeat::Harmless);
        let encoder = Arc::new(Encoder(JsonEncoder::new(schema, None)));
        Ok(Box::new(Recording { file, path: self.path.clone(), newest, repeat: self.repeat, encoder }))
    }
}

/// It in use.
struct Recording {
    file: File,
    path: PathBuf,
    /// The newest epoch, if it recognises those.
    newest: Option<u64>,
    repeat: Repeat,
    encoder: Arc<Encoder>,
}

struct Encoder(JsonEncoder);

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut text = Vec::new();
        self.0.encode(batch, sensors, &mut text);
        Ok(Box::new(text))
    }
}

/// The line before a delivery.
#[derive(Serialize, Deserialize)]
struct Head {
    epoch: u64,
    bytes: usize,
}

impl Sink for Recording {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as _)
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        if self.newest.is_some_and(|newest| epoch <= newest) {
            return Ok(());
        }
        let mut records = Vec::new();
        for block in rows {
            records.extend(block?);
        }
        let head = serde_json::to_string(&Head { epoch, bytes: records.len() })
            .map_err(|error| Error::internal(format!("a delivery has no head: {error}")))?;
        let text = [head.as_bytes(), b"\n", &records].concat();
        self.file.write_all(&text).map_err(|error| Error::io("write", self.path.display(), &error))?;
        if self.repeat == Repeat::Harmless {
            self.newest = Some(epoch);
        }
        Ok(())
    }
}

/// A delivery in the file.
struct Delivery {
    epoch: u64,
    records: std::ops::Range<usize>,
    end: u64,
}

fn deliveries(path: &Path, file: &mut File) -> Result<Vec<Delivery>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(|error| Error::io("read", path.display(), &error))?;
    whole(path, &bytes)
}

/// The deliveries that are whole.
fn whole(path: &Path, bytes: &[u8]) -> Result<Vec<Delivery>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(length) = memchr::memchr(b'\n', &bytes[at..]) {
        let head: Head = serde_json::from_slice(&bytes[at..at + length]).map_err(|error| {
            Error::data(format!("{}, byte {at}: not the head of a delivery: {error}", path.display()))
                .with_help("leave the folder of a chaos run as it is until the run ends")
        })?;
        let begin = at + length + 1;
        let end = begin + head.bytes;
        if end > bytes.len() {
            break;
        }
        found.push(Delivery { epoch: head.epoch, records: begin..end, end: end as u64 });
        at = end;
    }
    Ok(found)
}

/// All records that a stand-in has kept at `path`, as JSON Lines: those of each delivery that is whole.
///
/// # Errors
/// An I/O error, or a data error if that is no such file.
pub fn recorded(path: &Path) -> Result<Vec<u8>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.map_err(|error| Error::io("read", path.display(), &error))?,
    };
    let found = whole(path, &bytes)?;
    Ok(found.into_iter().flat_map(|delivery| bytes[delivery.records].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Field;
    use crate::sink::Null;

    fn delivered(path: &Path, repeat: Repeat, epochs: &[u64]) {
        let stand_in = StandIn { repeat, ..StandIn::of(&Null::default(), path) };
        let schema = Arc::new(Schema::new(vec![Field::sensor("s")]).expect("a schema"));
        let mut sink = stand_in.open(&schema, &SinkContext::default()).expect("open");
        for epoch in epochs {
            let rows = [format!("{epoch}a\n"), format!("{epoch}b\n")].map(|row| Ok(row.into_bytes()));
            sink.deliver(*epoch, &mut rows.into_iter()).expect("delivered");
        }
    }

    #[test]
    fn it_recognises_epochs_where_the_sink_does() {
        for (repeat, expected) in [
            (Repeat::Harmless, "1a\n1b\n2a\n2b\n5a\n5b\n"),
            (Repeat::Duplicates, "1a\n1b\n2a\n2b\n2a\n2b\n5a\n5b\n"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("records");
            assert_eq!(recorded(&path).expect("none"), b"");
            delivered(&path, repeat, &[1, 2]);
            delivered(&path, repeat, &[2, 5]);
            assert_eq!(String::from_utf8(recorded(&path).expect("read")).expect("text"), expected);
        }
    }

    #[test]
    fn a_delivery_that_was_cut_off_anywhere_does_not_count_and_can_come_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("records");
        delivered(&path, Repeat::Harmless, &[1]);
        let one = std::fs::read(&path).expect("read");
        delivered(&path, Repeat::Harmless, &[2]);
        let two = std::fs::read(&path).expect("read");
        for cut in one.len()..two.len() {
            std::fs::write(&path, &two[..cut]).expect("written");
            assert_eq!(recorded(&path).expect("read"), b"1a\n1b\n", "{cut}");
            delivered(&path, Repeat::Harmless, &[2]);
            assert_eq!(std::fs::read(&path).expect("read"), two, "{cut}");
        }
        std::fs::write(&path, "other\n").expect("written");
        assert!(recorded(&path).expect_err("no recording").message().contains("byte 0: not the head"));
    }
}
