//! Serialises the state of a stage.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::kernel::stable_hash::stable_hash;

/// The serialised state.
pub(super) fn to_bytes(state: &impl Serialize) -> Result<Vec<u8>> {
    append_bytes(Vec::new(), state)
}

/// The serialised state behind `bytes`.
pub(super) fn append_bytes(bytes: Vec<u8>, state: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_extend(state, bytes)
        .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))
}

/// The state at the start of `bytes`, and the remaining bytes.
pub(super) fn take_from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8])> {
    postcard::take_from_bytes(bytes)
        .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))
}

/// The state in `bytes`, without remaining bytes.
pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match take_from_bytes(bytes)? {
        (state, []) => Ok(state),
        (_, rest) => Err(Error::data(format!("the saved state cannot be read: {} bytes remain", rest.len()))),
    }
}

/// The form of what moves between processes: which kind it is, its version, the content, and a hash of all that.
pub(crate) struct Envelope {
    /// What the bytes begin with.
    pub(crate) magic: [u8; 4],
    /// Raised with every change of the content's form.
    pub(crate) version: u16,
    /// What messages call it, such as "the state of a chain".
    pub(crate) what: &'static str,
}

/// Bytes before the content, and behind it.
const HEAD: usize = 4 + 2;
const TAIL: usize = 8;

impl Envelope {
    /// `content` in it.
    ///
    /// # Errors
    /// An internal error where it cannot be written.
    pub(crate) fn seal(&self, content: &impl Serialize) -> Result<Vec<u8>> {
        let head = [&self.magic[..], &self.version.to_le_bytes()].concat();
        let mut bytes = postcard::to_extend(content, head)
            .map_err(|error| Error::internal(format!("{} cannot be written: {error}", self.what)))?;
        bytes.extend(stable_hash(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// The content of `bytes`.
    ///
    /// # Errors
    /// A data error where they are something else, of another version, or not as they were written.
    pub(crate) fn open<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        let what = self.what;
        let damaged = |why: &str| {
            Error::data(format!("these bytes are not {what}: {why}"))
                .with_help("pass the saved bytes, complete and unchanged")
        };
        let content = bytes.len().checked_sub(TAIL).filter(|&end| end >= HEAD);
        let (sealed, hash) = bytes.split_at(content.ok_or_else(|| damaged("they are too short"))?);
        let (head, content) = sealed.split_at(HEAD);
        if !head.starts_with(&self.magic) {
            return Err(damaged("they do not have its header"));
        }
        let version = u16::from_le_bytes([head[4], head[5]]);
        if version != self.version {
            return Err(Error::data(format!(
                "{what} is of version {version}; this release reads version {}",
                self.version
            ))
            .with_help("use the release that saved it, or start without the saved state"));
        }
        if stable_hash(sealed).to_le_bytes() != hash {
            return Err(damaged("they are damaged"));
        }
        from_bytes(content).map_err(|error| damaged(&error.to_string()))
    }
}
