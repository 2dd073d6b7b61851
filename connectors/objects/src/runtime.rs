//! Where requests run: two threads, started with the first request, that end with the process. They wait for the network; whoever calls waits for them.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::{Builder, Runtime};

/// How often a wait looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Set when the run is to stop, if it can be stopped.
pub(crate) type Stop = Option<Arc<AtomicBool>>;

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

/// `work`, for so long only once the run is to stop.
///
/// # Errors
/// That of `work`; `TimedOut` if the run is to stop.
pub(crate) async fn until<T>(
    stop: &Stop,
    grace: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let Some(stop) = stop else { return work.await };
    match select(pin!(work), pin!(stopped(stop, grace))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the run was stopped during a request"))
        }
    }
}

async fn stopped(stop: &AtomicBool, grace: Duration) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(grace).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_request_that_hangs_ends_after_a_stop_and_one_that_does_not_is_waited_for() {
        let stop = Arc::new(AtomicBool::new(false));
        let hangs = std::future::pending::<io::Result<()>>();
        let setter = Arc::clone(&stop);
        let thread = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            setter.store(true, Ordering::Relaxed);
        });
        let begun = Instant::now();
        let error = wait(until(&Some(Arc::clone(&stop)), Duration::from_millis(100), hangs));
        assert_eq!(error.expect_err("stopped").kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= Duration::from_millis(200));
        thread.expect("a thread").join().expect("no panic");
        let slow = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(7)
        };
        assert_eq!(wait(until(&Some(stop), Duration::from_secs(60), slow)).expect("in time"), 7);
    }
}
