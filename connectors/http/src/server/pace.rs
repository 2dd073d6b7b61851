//! How long a connection may take: for the header of a request, and between requests.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long the header of a request, and the beginning of a connection, may take.
pub(super) const HEADER: Duration = Duration::from_secs(10);

/// How long a connection may wait for its next request: longer than most clients keep one that they do not use, so that it is they who close it, and none is closed
/// while a request is on its way.
const IDLE: Duration = Duration::from_secs(120);

/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a connection waits for, and until when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
    /// The next request.
    Idle(Instant),
    /// The rest of a header.
    Header(Instant),
    /// Nothing of its own: bodies and answers have limits elsewhere.
    Answer,
}

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Waits>);

/// How a connection was too slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Late {
    /// It was not used.
    Idle,
    /// A header was not complete.
    Header,
}

impl Pace {
    /// That of a connection that begins.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Waits::Idle(now + HEADER)))
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come.
    fn received(&self, now: Instant) {
        let mut waits = self.waits();
        if let Waits::Idle(_) = *waits {
            *waits = Waits::Header(now + HEADER);
        }
    }

    /// A header is complete.
    pub(super) fn asked(&self) {
        *self.waits() = Waits::Answer;
    }

    /// The request is answered.
    pub(super) fn answered(&self, now: Instant) {
        *self.waits() = Waits::Idle(now + IDLE);
    }

    fn late(&self, now: Instant) -> Option<Late> {
        match *self.waits() {
            Waits::Idle(until) if until <= now => Some(Late::Idle),
            Waits::Header(until) if until <= now => Some(Late::Header),
            _ => None,
        }
    }

    /// Waits until the connection is too slow.
    pub(super) async fn until_late(&self) -> Late {
        loop {
            if let Some(late) = self.late(Instant::now()) {
                return late;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A connection whose pace is known.
pub(super) struct Paced<S> {
    pub(super) stream: S,
    pub(super) pace: Arc<Pace>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if into.filled().len() > before {
            self.pace.received(Instant::now());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_less_time_than_a_connection_between_requests() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let second = Duration::from_secs(1);
        assert_eq!((pace.late(start + 9 * second), pace.late(start + HEADER)), (None, Some(Late::Idle)));
        pace.received(start + second);
        // More bytes of the same header give it no more time.
        pace.received(start + 9 * second);
        assert_eq!(
            (pace.late(start + 10 * second), pace.late(start + 11 * second)),
            (None, Some(Late::Header))
        );
        pace.asked();
        pace.received(start + 20 * second);
        assert_eq!(pace.late(start + 10 * IDLE), None, "bodies and answers have limits elsewhere");
        pace.answered(start + 30 * second);
        assert_eq!(
            (pace.late(start + 149 * second), pace.late(start + 150 * second)),
            (None, Some(Late::Idle))
        );
        pace.received(start + 100 * second);
        assert_eq!(pace.late(start + 110 * second), Some(Late::Header));
    }
}
