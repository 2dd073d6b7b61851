//! Waiting for brokers: in short steps, which look at whether the run is to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// One step.
const STEP: Duration = Duration::from_millis(500);

/// Between two answers that say "not yet".
const PAUSE: Duration = Duration::from_millis(50);

/// How long to wait once the run is to stop.
const STOPPING: Duration = Duration::from_secs(4);

/// How long calls that wait for brokers may take.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) limit: Duration,
}

impl Patience {
    /// Calls `act` with the time that it may take until it gives anything but a timeout, or no time is left.
    ///
    /// # Errors
    /// That of the last call.
    pub(crate) fn wait<T>(&self, mut act: impl FnMut(Duration) -> KafkaResult<T>) -> KafkaResult<T> {
        let mut wait = self.begin();
        loop {
            match act(STEP) {
                Err(error) if is_timeout(&error) && wait.may_go_on() => {}
                Err(error) if is_moving(&error) && wait.may_go_on() => std::thread::sleep(PAUSE),
                result => return result,
            }
        }
    }

    /// A wait that begins now.
    pub(crate) fn begin(&self) -> Wait<'_> {
        Wait { patience: self, begun: Instant::now(), stopped: None }
    }
}

/// A wait.
pub(crate) struct Wait<'p> {
    patience: &'p Patience,
    begun: Instant,
    /// When the stop was noticed.
    stopped: Option<Instant>,
}

impl Wait<'_> {
    /// Whether time is left.
    pub(crate) fn may_go_on(&mut self) -> bool {
        if self.patience.stop.load(Ordering::Relaxed) && self.stopped.is_none() {
            self.stopped = Some(Instant::now());
        }
        let is_stopping_too_long = self.stopped.is_some_and(|stopped| stopped.elapsed() >= STOPPING);
        self.begun.elapsed() < self.patience.limit && !is_stopping_too_long
    }
}

/// Whether no broker has answered.
pub(crate) fn is_away(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    let is_down =
        matches!(code, Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown));
    is_down || is_timeout(error)
}

/// Whether a broker is about to take over what is asked of it.
fn is_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::ConcurrentTransactions
                | Code::UnstableOffsetCommit
                | Code::WaitingForCoordinator
        )
    )
}

/// Whether the time was not enough.
fn is_timeout(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::TimedOutQueue
        )
    )
}
