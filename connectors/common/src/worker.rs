//! A thread with a runtime of its own, for a client that fills an inbox.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{Builder as ThreadBuilder, JoinHandle};

use tidemill_engine::error::{Error, Result};
use tokio::runtime::Builder;

use crate::inbox::Inbox;

/// Starts a thread that runs `work`, for the client of `what` ("MQTT"), which is in the name of the thread too. When it has ended, so has the inbox: if `work` has not
/// [ended](Inbox::end) it, as after a panic, with an internal error. The thread ends at once with `work`, whatever the system still does for it, such as resolving a name.
///
/// # Errors
/// If the system has no resources for it.
pub fn start<T: Send + 'static, F: Future<Output = ()>>(
    what: &'static str,
    inbox: &Arc<Inbox<T>>,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<JoinHandle<()>> {
    let failed = |error: io::Error| Error::io("cannot start a thread for", what, &error);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let ending = inbox.ending(what);
    let run = move || {
        let _at_its_end = ending;
        runtime.block_on(work());
        // Not reached after a panic: whoever joins the thread then waits for what the system does.
        runtime.shutdown_background();
    };
    ThreadBuilder::new().name(what.to_lowercase()).spawn(run).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    #[test]
    fn the_inbox_ends_with_the_work() {
        let inbox = Arc::new(Inbox::<u8>::default());
        let filled = Arc::clone(&inbox);
        let work = move || async move {
            filled.put(&mut vec![1], 1).await;
            filled.end(None);
        };
        let thread = start("a test", &inbox, work).expect("a thread");
        assert!(thread.join().is_ok());
        assert_eq!(inbox.take(SOON).expect("messages"), [1]);
        assert!(inbox.take(SOON).expect("the end").is_empty());
    }

    fn panic_on_purpose() {
        std::panic::resume_unwind(Box::new("on purpose"));
    }

    #[test]
    fn a_panic_ends_it_with_an_error() {
        let inbox = Arc::new(Inbox::<u8>::default());
        let work = || async { panic_on_purpose() };
        let thread = start("a test", &inbox, work).expect("a thread");
        let error = inbox.take(SOON).expect_err("the panic");
        assert!(error.message().contains("has panicked"), "{error}");
        assert!(thread.join().is_err());
    }

    #[test]
    fn what_the_system_does_not_finish_is_not_waited_for() {
        let (inbox, begun) = (Arc::new(Inbox::<u8>::default()), Instant::now());
        let work = || async {
            let resolving = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(600)));
            let _late = tokio::time::timeout(Duration::from_millis(10), resolving).await;
        };
        start("a test", &inbox, work).expect("a thread").join().expect("an end");
        assert!(begun.elapsed() < SOON);
    }
}
