//! Paths in checkpoints, serialized as bytes since a name need not be UTF-8; the encoding is that of text.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(path.as_os_str().as_bytes())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    deserializer.deserialize_byte_buf(Bytes)
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = PathBuf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a path")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<PathBuf, E> {
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<PathBuf, E> {
        Ok(OsString::from_vec(bytes).into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PathBuf, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<PathBuf, A::Error> {
        let mut all = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            all.push(byte);
        }
        self.visit_byte_buf(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Named(#[serde(with = "super")] PathBuf);

    #[test]
    fn names_that_are_no_text_read_back() {
        for name in [&b"in.csv"[..], b"caf\xe9.csv", b""] {
            let named = Named(OsString::from_vec(name.to_vec()).into());
            let bytes = postcard::to_stdvec(&named).expect("bytes");
            assert_eq!(postcard::from_bytes::<Named>(&bytes).expect("a name"), named);
        }
        let text = postcard::to_stdvec(Path::new("in.csv")).expect("bytes");
        assert_eq!(postcard::to_stdvec(&Named("in.csv".into())).expect("bytes"), text, "as it always was");
    }
}
