//! Where a source goes on after a restart, as a checkpoint has it.
//!
//! ```text
//! records read   u64
//! columns        u32 length, a stream of Arrow IPC without record batches
//! position       u32 length, as `saved` has it; none if nothing had been read, or if the records are counted
//! ```
//! All numbers are little-endian. What follows is not read.

use std::io::Cursor;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use tidemill::{Error, Result};

#[derive(Clone)]
pub(super) struct Place {
    pub(super) records: u64,
    pub(super) schema: SchemaRef,
    pub(super) position: Option<Vec<u8>>,
}

impl Place {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let failed = |error| Error::internal(format!("the columns cannot be saved: {error}"));
        let writer = StreamWriter::try_new(Vec::new(), &self.schema).map_err(failed)?;
        let schema = writer.into_inner().map_err(failed)?;
        let mut bytes = self.records.to_le_bytes().to_vec();
        for part in [&schema[..], self.position.as_deref().unwrap_or_default()] {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part);
        }
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes)
            .ok_or_else(|| Error::data("the position of a source in the checkpoint cannot be read"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (records, rest) = bytes.split_first_chunk()?;
        let (schema, rest) = part(rest)?;
        let (position, _) = part(rest)?;
        let schema = StreamReader::try_new(Cursor::new(schema), None).ok()?.schema();
        let position = (!position.is_empty()).then(|| position.to_vec());
        Some(Self { records: u64::from_le_bytes(*records), schema, position })
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
