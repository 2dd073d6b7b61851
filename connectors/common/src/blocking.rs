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
    /// There until it is dropped.
    runtime: Option<Runtime>,
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
        Ok(Self { runtime: Some(runtime), stop })
    }

    /// Waits for `work`: for a short while only, if the run is to stop.
    ///
    /// # Errors
    /// Those of `work`; a transient error if the run is to stop.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::internal("a request after the end of its runtime"));
        };
        runtime.block_on(async {
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

impl Drop for Blocking {
    fn drop(&mut self) {
        // Otherwise names that are being resolved would be waited for: the system may take minutes to give up a name server that is away.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_the_system_does_not_finish_is_not_waited_for() {
        let stop = Arc::new(AtomicBool::new(true));
        let (blocking, begun) = (Blocking::new(stop).expect("a runtime"), Instant::now());
        // As the resolution of a name does.
        let endless = || std::thread::sleep(Duration::from_secs(600));
        let stopped = blocking.wait(async {
            let _never = tokio::task::spawn_blocking(endless).await;
            Ok(())
        });
        assert!(stopped.is_err_and(|error| error.is_transient()));
        drop(blocking);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
