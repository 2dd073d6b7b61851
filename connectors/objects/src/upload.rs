//! A file that becomes an object, whole or not at all.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use tidemill_engine::files::FileHandle;

use crate::failure::is_undecided;
use crate::runtime::until;
use crate::stores::{PAUSE, RETRIED, Store};

/// A file up to this size is one request; a larger one has parts of at least this size. In bytes.
const PART: u64 = 8 << 20;

/// The largest number of parts that a store takes.
const PARTS: u64 = 10_000;

/// The number of parts that are on their way at once.
const AT_ONCE: usize = 2;

/// How long a part may still take once the run is to stop, which uploads what it has.
const GRACE: Duration = Duration::from_secs(30);

/// Uploads `file`. An object of that key is replaced, unless the new one `must_be_new`.
///
/// # Errors
/// An I/O error; `AlreadyExists` if it must be new and exists, be it by this upload: an answer may be lost.
pub(crate) async fn upload(
    store: &Store,
    file: &dyn FileHandle,
    key: &Key,
    must_be_new: bool,
) -> io::Result<()> {
    match file.size()? {
        size if size <= PART => {
            let bytes = piece(file, 0, size)?;
            if must_be_new { create(store, bytes, key).await } else { replace(store, bytes, key).await }
        }
        size => in_parts(store, file, size, key, must_be_new).await,
    }
}

/// What a store is asked to do: for a while only, if the run is to stop.
async fn ask<T>(store: &Store, request: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
    until(&store.stop, GRACE, async { request.await.map_err(|error| store.failures.of(error)) }).await
}

async fn replace(store: &Store, bytes: Bytes, key: &Key) -> io::Result<()> {
    ask(store, store.client.put(key, PutPayload::from(bytes))).await.map(drop)
}

/// Creates an object by one request. The library does not send it again if its answer is lost, because the object may be there then: that is what `AlreadyExists` says.
async fn create(store: &Store, bytes: Bytes, key: &Key) -> io::Result<()> {
    let begun = Instant::now();
    let send = || {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.client.put_opts(key, PutPayload::from(bytes.clone()), options)
    };
    let put = async {
        loop {
            match send().await {
                Err(error) if is_undecided(&error) && begun.elapsed() < RETRIED => {
                    tokio::time::sleep(PAUSE).await;
                }
                put => return put,
            }
        }
    };
    ask(store, put).await.map(drop)
}

async fn in_parts(
    store: &Store,
    file: &dyn FileHandle,
    size: u64,
    key: &Key,
    must_be_new: bool,
) -> io::Result<()> {
    if must_be_new {
        absent(store, key).await?;
    }
    let client = store.creating.as_ref().filter(|_| must_be_new).unwrap_or(&store.client);
    let part = PART.max(size.div_ceil(PARTS));
    let parts = ask(store, client.put_multipart(key)).await?;
    let mut parts = WriteMultipart::new_with_chunk_size(parts, part as usize);
    let sent = match send(&mut parts, store, file, size, part).await {
        // A store without a condition for this: what has appeared meanwhile is not replaced.
        Ok(()) if must_be_new && store.creating.is_none() => absent(store, key).await,
        sent => sent,
    };
    match sent {
        Ok(()) => until(&store.stop, GRACE, finish(store, parts)).await,
        Err(error) => {
            // What cannot be removed now is removed by the rules of the bucket.
            let _as_it_is = ask(store, parts.abort()).await;
            Err(error)
        }
    }
}

/// Completes an upload; its condition is that there is no such object.
async fn finish(store: &Store, parts: WriteMultipart) -> io::Result<()> {
    match parts.finish().await {
        Err(Error::Precondition { .. }) => Err(io::ErrorKind::AlreadyExists.into()),
        finished => finished.map(drop).map_err(|error| store.failures.of(error)),
    }
}

/// Checks that there is no object of this key.
async fn absent(store: &Store, key: &Key) -> io::Result<()> {
    match ask(store, store.client.head(key)).await {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn send(
    parts: &mut WriteMultipart,
    store: &Store,
    file: &dyn FileHandle,
    size: u64,
    part: u64,
) -> io::Result<()> {
    let mut place = 0;
    while place < size {
        ask(store, parts.wait_for_capacity(AT_ONCE)).await?;
        let bytes = piece(file, place, part.min(size - place))?;
        place += bytes.len() as u64;
        parts.put(bytes);
    }
    // What is less than a part is sent with the last request.
    ask(store, parts.wait_for_capacity(1)).await
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
