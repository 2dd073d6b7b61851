//! An object that is read in ranges, as long as it does not change.

use std::io;
use std::path::Path;
use std::time::Instant;

use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta};
use tidemill_engine::files::FileHandle;

use crate::stores::{PAUSE, RETRIED, Store};

/// An object, for reading.
#[derive(Debug)]
pub(crate) struct Object {
    store: Store,
    key: Key,
    size: u64,
    version: String,
    /// Whether the store compares the version itself.
    is_strong: bool,
}

/// What identifies the content of an object: its entity tag, else when it was changed. Azure lists tags without the quotes that they have elsewhere.
fn version(meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.as_ref().map(|tag| tag.trim_matches('"').to_owned());
    tag.unwrap_or_else(|| meta.last_modified.to_rfc3339())
}

impl Object {
    /// The object of `meta`, in its present version.
    pub(crate) fn new(store: Store, meta: ObjectMeta) -> Self {
        // A weak tag never matches in a condition.
        let is_strong = meta.e_tag.as_ref().is_some_and(|tag| !tag.starts_with("W/"));
        let version = version(&meta);
        Self { store, key: meta.location, size: meta.size, version, is_strong }
    }

    async fn get(&self, buffer: &mut [u8], place: u64) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            match self.get_once(buffer, place).await {
                // The library does so itself if there is a tag.
                Err(error) if is_lost(&error) && !self.is_strong && begun.elapsed() < RETRIED => {
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn get_once(&self, buffer: &mut [u8], place: u64) -> io::Result<()> {
        let failed = |error| self.store.failures.of(error);
        let range = Some(GetRange::Bounded(place..place + buffer.len() as u64));
        let if_match = self.is_strong.then(|| format!("\"{}\"", self.version));
        let options = GetOptions { range, if_match, ..GetOptions::default() };
        let answer = self.store.client.get_opts(&self.key, options).await.map_err(failed)?;
        if answer.meta.size != self.size || version(&answer.meta) != self.version {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        let (mut filled, mut pieces) = (0, answer.into_stream());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(failed)?;
            let room = buffer.get_mut(filled..filled + piece.len());
            room.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?.copy_from_slice(&piece);
            filled += piece.len();
        }
        if filled < buffer.len() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// Whether a body has not come to its end.
fn is_lost(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut
    )
}

/// The error of what can be done with a file of this machine only.
fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "an object can only be read, or replaced as a whole")
}

impl FileHandle for Object {
    fn write_at(&self, _bytes: &[u8], _place: u64) -> io::Result<usize> {
        Err(read_only())
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(place)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        if length > 0 {
            self.store.wait(self.get(&mut buffer[..length], place))?;
        }
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn truncate(&self, _size: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn sync(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn hold(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn has_name(&self, _name: &Path) -> io::Result<bool> {
        Err(read_only())
    }

    fn version(&self) -> Option<String> {
        Some(self.version.clone())
    }
}
