//! What a stage keeps, as bytes and back.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The bytes of a state.
pub(super) fn to_bytes(state: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_stdvec(state).map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))
}

/// The state that `bytes` begin with, and the rest.
pub(super) fn take_from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8])> {
    postcard::take_from_bytes(bytes)
        .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))
}

/// The state that `bytes` are, all of them.
pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match take_from_bytes(bytes)? {
        (state, []) => Ok(state),
        (_, rest) => {
            Err(Error::data(format!("the saved state cannot be read: {} bytes are left over", rest.len())))
        }
    }
}
