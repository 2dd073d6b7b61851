//! A runtime of its own, for callers that wait.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill_engine::error::{Error, Result};
use tokio::runtime::{Builder, Runtime};

/// How often a wait looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How long a request that has begun may still take when the run is to stop.
const GRACE: Duration = Duration::from_secs(3);

/// Runs futures on the calling thread. What they spawn makes progress only during a call.
#[derive(Debug)]
pub struct Blocking {
    runtime: Runtime,
    stop: Arc<AtomicBool>,
}

impl Blocking {
    /// A runtime; `stop` is set when the run is to stop.
    ///
    /// # Errors
    /// An internal error if the system has no resources for it.
    pub fn new(stop: Arc<AtomicBool>) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime =
            runtime.map_err(|error| Error::internal(format!("a runtime cannot be started: {error}")))?;
        Ok(Self { runtime, stop })
    }

    /// Waits for `work`: for a short while only, if the run is to stop.
    ///
    /// # Errors
    /// Those of `work`; a transient error if the run is to stop.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                () = self.stopped() => Err(Error::unavailable("the run was stopped during a request").transient()),
            }
        })
    }

    async fn stopped(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(GRACE).await;
    }
}
