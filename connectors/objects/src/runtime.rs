//! Where requests run: two threads, started with the first request, that end with the process. They wait for the network; whoever calls waits for them.

use std::future::Future;
use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Waits for `work`.
///
/// # Errors
/// That of `work`; an I/O error if the system has no resources for the threads.
pub(crate) fn wait<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let threads =
            Builder::new_multi_thread().worker_threads(2).thread_name("objects").enable_all().build();
        threads.map_err(|error| error.to_string())
    });
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(io::Error::other(format!("no threads for requests: {error}"))),
    }
}
