//! A file that becomes an object, whole or not at all.

use std::io;

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use tidemill_engine::files::FileHandle;

use crate::stores::Store;

/// A file up to this size is one request; a larger one has parts of at least this size. In bytes.
const PART: u64 = 8 << 20;

/// The largest number of parts that a store takes.
const PARTS: u64 = 10_000;

/// The number of parts that are on their way at once.
const AT_ONCE: usize = 2;

/// Uploads `file`. An object of that key is replaced, unless the new one `must_be_new`.
///
/// # Errors
/// An I/O error; `AlreadyExists` if it must be new and exists.
pub(crate) async fn upload(
    store: &Store,
    file: &dyn FileHandle,
    key: &Key,
    must_be_new: bool,
) -> io::Result<()> {
    let size = file.size()?;
    if size <= PART {
        return put(store, piece(file, 0, size)?, key, must_be_new).await;
    }
    let failed = |error| store.failures.of(error);
    if must_be_new && store.client.head(key).await.is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let part = PART.max(size.div_ceil(PARTS));
    let parts = store.client.put_multipart(key).await.map_err(failed)?;
    let mut parts = WriteMultipart::new_with_chunk_size(parts, part as usize);
    let sent = send(&mut parts, store, file, part).await;
    match sent {
        Ok(()) => parts.finish().await.map(drop).map_err(failed),
        Err(error) => {
            // What cannot be removed now is removed by the rules of the bucket.
            let _as_it_is = parts.abort().await;
            Err(error)
        }
    }
}

async fn send(parts: &mut WriteMultipart, store: &Store, file: &dyn FileHandle, part: u64) -> io::Result<()> {
    let size = file.size()?;
    let mut place = 0;
    while place < size {
        parts.wait_for_capacity(AT_ONCE).await.map_err(|error| store.failures.of(error))?;
        let bytes = piece(file, place, part.min(size - place))?;
        place += bytes.len() as u64;
        parts.put(bytes);
    }
    Ok(())
}

async fn put(store: &Store, bytes: Bytes, key: &Key, must_be_new: bool) -> io::Result<()> {
    let mode = if must_be_new { PutMode::Create } else { PutMode::Overwrite };
    let options = PutOptions { mode, ..PutOptions::default() };
    let put = store.client.put_opts(key, PutPayload::from(bytes), options).await;
    put.map(drop).map_err(|error| store.failures.of(error))
}

/// The `length` bytes of a file at `place`.
fn piece(file: &dyn FileHandle, place: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; length as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], place + filled as u64)? {
            0 => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the staged file has become shorter",
                ));
            }
            read => filled += read,
        }
    }
    Ok(bytes.into())
}
