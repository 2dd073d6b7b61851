//! The end of clients: dropping one waits until brokers have answered what was asked of them, a minute if they do not.

use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

/// How long the end of a client may hold up its owner.
const LIMIT: Duration = Duration::from_secs(5);

/// Does `work`, such as dropping a client, and waits for that only so long. It goes on alone then, until it is done or the process ends.
pub(crate) fn aside(work: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel::<()>();
    let work = move || {
        work();
        drop(done);
    };
    // Without a thread, what `work` holds is dropped here.
    if Builder::new().name("kafka-end".into()).spawn(work).is_ok() {
        // An error in any case: it is done, or takes too long.
        drop(ended.recv_timeout(LIMIT));
    }
}

/// Drops a client.
pub(crate) fn let_go(client: impl Send + 'static) {
    aside(move || drop(client));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;
    use std::time::Instant;

    use super::*;

    /// Dropping it takes until somebody sends something.
    struct Waiting(Receiver<()>);

    impl Drop for Waiting {
        fn drop(&mut self) {
            drop(self.0.recv());
        }
    }

    #[test]
    fn a_client_that_does_not_end_is_not_waited_for() {
        let (end, waits) = channel();
        let begun = Instant::now();
        let_go(Waiting(waits));
        assert!(begun.elapsed() >= LIMIT && end.send(()).is_ok());
        let (end, waits) = channel();
        end.send(()).expect("a receiver");
        let_go(Waiting(waits));
        assert!(end.send(()).is_err(), "it was not waited for");
    }
}
