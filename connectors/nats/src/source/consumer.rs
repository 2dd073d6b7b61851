//! The consumer of a stream: the one with the name, or a new one. What the server writes into its description says whose it is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, FromConsumer as _, pull};
use async_nats::jetstream::stream::RetentionPolicy;
use async_nats::jetstream::{self, ErrorCode};
use tidemill_engine::error::{Error, Result};

use super::progress::Newest;
use super::stream::{Reading, Stream, made};
use crate::failure;

/// The server sends again what was not acknowledged for so long.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// A consumer without a name is forgotten by the server when nobody has asked it for so long.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// The description of a consumer that any run may use; that of a consumer for the runs of one state has its owner besides.
const SHARED: &str = "tidemill";

/// A consumer from which messages are pulled.
pub(super) type Pulled = Consumer<pull::Config>;

/// What a run may do with a consumer that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Use it.
    Has,
    /// Make it its own, by the description.
    Takes,
    /// Nothing: messages that it has acknowledged were read by others.
    Refused,
}

impl Claim {
    /// For a consumer with the description `found`, which `has_acknowledged` messages.
    fn of(found: Option<&str>, owner: u64, is_shared: bool, has_acknowledged: bool) -> Self {
        let (found, alone) = (found.unwrap_or_default(), alone(owner));
        let is_own = found == alone;
        match is_shared {
            false if is_own => Self::Has,
            true if !found.starts_with(&format!("{SHARED}: ")) => Self::Has,
            // Nobody has a checkpoint that depends on it.
            _ if !has_acknowledged || is_own => Self::Takes,
            _ => Self::Refused,
        }
    }
}

/// The description of a consumer for the runs of one state.
fn alone(owner: u64) -> String {
    format!("{SHARED}: for the state {owner:016x} alone")
}

impl Reading<'_> {
    /// The consumer: the one with the name, if there is one and nothing was read by this run, or else a new one, which begins behind what was read. So messages
    /// that were on their way to a process that was killed, or over a connection that was lost, come at once and in their order.
    pub(super) async fn consumer(&self) -> Result<Pulled> {
        // It may be another one since the last time.
        let stream = self.stream().await?;
        self.check(&stream)?;
        let is_resumed = self.is_resumed();
        let consumer = match self.usable(&stream).await? {
            Some(consumer) => consumer,
            None => {
                let shown = self.streamed.consumer.as_deref().unwrap_or("(without a name)");
                let new = stream.create_consumer(self.config(&stream)).await;
                let new = new.map_err(|error| failure::consumer(self.url, shown, &error))?;
                self.fits(&new)?;
                new
            }
        };
        let info = consumer.cached_info();
        *self.consumer.borrow_mut() = Some(info.name.clone());
        let window = u64::try_from(info.config.max_ack_pending).ok().filter(|&window| window > 0);
        self.shared.window.store(window.unwrap_or(u64::from(self.streamed.window)), Ordering::Release);
        // Also where a consumer begins that has given nothing yet.
        self.shared.floor.fetch_max(info.ack_floor.stream_sequence, Ordering::AcqRel);
        // From here on, positions say where it began.
        self.shared.created.store(made(&stream), Ordering::Release);
        if is_resumed {
            self.count_dropped(&stream);
        }
        Ok(consumer)
    }

    /// The consumer that there is, unless a new one is to take its place.
    async fn usable(&self, stream: &Stream) -> Result<Option<Pulled>> {
        let known = self.consumer.borrow().clone();
        let Some(name) = self.streamed.consumer.clone().or(known) else { return Ok(None) };
        let Some(consumer) = self.found(stream, &name).await? else { return Ok(None) };
        self.fits(&consumer)?;
        let info = consumer.cached_info();
        let claim = if self.streamed.consumer.is_some() { self.claim(info) } else { Claim::Has };
        // What others have skipped is not acknowledged.
        let knows_floor = claim == Claim::Has || !self.is_resumed();
        match claim {
            Claim::Refused => return Err(self.is_of_others(&name)),
            // Nothing that it has given is in a checkpoint: this run reads all of it.
            Claim::Takes if !self.streamed.is_for_all() => {
                self.shared.created.store(made(stream), Ordering::Release);
            }
            Claim::Takes | Claim::Has => {}
        }
        if self.replaces(stream) {
            if knows_floor {
                self.shared.floor.fetch_max(info.ack_floor.stream_sequence, Ordering::AcqRel);
            }
            let gone = stream.delete_consumer(&name).await;
            gone.map_err(|error| failure::consumer(self.url, &name, &error))?;
            Ok(None)
        } else if claim == Claim::Takes {
            self.described(stream, info).await.map(Some)
        } else {
            Ok(Some(consumer))
        }
    }

    /// The consumer with this name.
    async fn found(&self, stream: &Stream, name: &str) -> Result<Option<Pulled>> {
        let error = match stream.get_consumer::<pull::Config>(name).await {
            Ok(consumer) => return Ok(Some(consumer)),
            Err(error) => error,
        };
        match stream.consumer_info(name).await {
            Err(missing) if is_missing(&missing) => Ok(None),
            Err(other) => Err(Error::unavailable(format!(
                "{}: the consumer {name:?} does not answer: {other}",
                self.url
            ))
            .transient()),
            Ok(_) => Err(Error::unavailable(format!(
                "{}: the consumer {name:?} cannot be used: {error}",
                self.url
            ))
            .with_help("it must be one from which messages are pulled: choose another name in `consumer`")),
        }
    }

    /// The same consumer with the own description.
    async fn described(&self, stream: &Stream, info: &jetstream::consumer::Info) -> Result<Pulled> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::unavailable(format!(
                "{}: the consumer {:?} cannot be changed: {error}",
                self.url, info.name
            ))
        };
        let config = pull::Config::try_from_consumer_config(info.config.clone());
        let mut config = config.map_err(|error| failed(&error))?;
        config.description = Some(self.description());
        let changed = stream.create_consumer(config).await;
        changed.map_err(|error| failure::consumer(self.url, &info.name, &error))
    }

    fn claim(&self, info: &jetstream::consumer::Info) -> Claim {
        let has_acknowledged = info.ack_floor.consumer_sequence > 0;
        let found = info.config.description.as_deref();
        Claim::of(found, self.owner, self.streamed.is_for_all(), has_acknowledged)
    }

    /// What another run has done with the consumer since: an error if it has taken it for itself.
    pub(super) fn is_still_own(&self, info: &jetstream::consumer::Info) -> Result<()> {
        match self.streamed.consumer.is_some() && self.claim(info) == Claim::Refused {
            true => Err(self.is_of_others(&info.name)),
            false => Ok(()),
        }
    }

    fn is_of_others(&self, name: &str) -> Error {
        let help = match self.streamed.is_for_all() {
            true => {
                "choose another name in `consumer`, or set shared = true for that run too and delete the consumer"
            }
            false => {
                "choose another name in `consumer` (a new one begins at `start`); or let all of them share it, at least once: shared = true"
            }
        };
        Error::config(format!(
            "{}: the consumer {name:?} has given messages to others that this run has not read: runs with another --state, or without one",
            self.url
        ))
        .with_help(help)
    }

    /// Whether a new consumer takes the place of one that there is: not if others use it, nor if the stream keeps messages for its consumers alone.
    fn replaces(&self, stream: &Stream) -> bool {
        let keeps = stream.cached_info().config.retention != RetentionPolicy::Interest;
        self.is_resumed() && keeps && !self.streamed.is_for_all()
    }

    /// A consumer that was made before must give what the options ask for.
    fn fits(&self, consumer: &Pulled) -> Result<()> {
        let config = &consumer.cached_info().config;
        let mut filters: Vec<&str> = config.filter_subjects.iter().map(String::as_str).collect();
        filters.extend(Some(config.filter_subject.as_str()).filter(|filter| !filter.is_empty()));
        let mut own: Vec<&str> = self.filters.iter().map(String::as_str).collect();
        filters.sort_unstable();
        own.sort_unstable();
        let wrong = if filters != own {
            format!("is for {}, and `subject` asks for {}", filters.join(", "), own.join(", "))
        } else if config.ack_policy != AckPolicy::Explicit {
            "does not expect each message to be acknowledged".to_owned()
        } else {
            return Ok(());
        };
        let name = &consumer.cached_info().name;
        Err(Error::config(format!("{}: the consumer {name:?} {wrong}", self.url))
            .with_help("choose another name in `consumer`, or delete it: a run with --state continues at its own position"))
    }

    fn config(&self, stream: &Stream) -> pull::Config {
        let (filter_subject, filter_subjects) = match self.filters {
            [one] => (one.clone(), Vec::new()),
            several => (String::new(), several.to_vec()),
        };
        pull::Config {
            durable_name: self.streamed.consumer.clone(),
            description: Some(self.description()),
            deliver_policy: match stream.cached_info().config.retention {
                // It has only what is not acknowledged.
                RetentionPolicy::WorkQueue => DeliverPolicy::All,
                _ if self.is_resumed() => DeliverPolicy::ByStartSequence { start_sequence: self.next() },
                _ => self.streamed.start,
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            filter_subject,
            filter_subjects,
            max_ack_pending: i64::from(self.streamed.window),
            inactive_threshold: if self.streamed.consumer.is_some() { Duration::ZERO } else { FORGOTTEN },
            ..pull::Config::default()
        }
    }

    fn description(&self) -> String {
        if self.streamed.is_for_all() { SHARED.to_owned() } else { alone(self.owner) }
    }

    /// Where a new consumer begins. Where checkpoints tell what was read, not behind the newest message: that it comes again, and is still the same, shows that the stream has not lost its
    /// end.
    fn next(&self) -> u64 {
        let (floor, Newest { sequence: newest, .. }) =
            (self.shared.floor.load(Ordering::Acquire), self.shared.newest());
        match (self.streamed.is_late, newest) {
            (true, 0) => floor + 1,
            (true, newest) => newest.min(floor + 1),
            (false, newest) => newest.max(floor) + 1,
        }
    }
}

fn is_missing(error: &jetstream::context::ConsumerInfoError) -> bool {
    match error.kind() {
        jetstream::context::ConsumerInfoErrorKind::NotFound => true,
        jetstream::context::ConsumerInfoErrorKind::JetStream(error) => {
            error.error_code() == ErrorCode::CONSUMER_NOT_FOUND
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_for_the_runs_of_one_state_or_for_all() {
        let (own, other) = (alone(1), alone(2));
        let table = [
            // found, shared, acknowledged, claim
            (Some(own.as_str()), false, true, Claim::Has),
            (Some(own.as_str()), false, false, Claim::Has),
            (Some(own.as_str()), true, true, Claim::Takes),
            (Some(other.as_str()), false, true, Claim::Refused),
            (Some(other.as_str()), false, false, Claim::Takes),
            (Some(other.as_str()), true, true, Claim::Refused),
            (Some(other.as_str()), true, false, Claim::Takes),
            (Some(SHARED), false, true, Claim::Refused),
            (Some(SHARED), false, false, Claim::Takes),
            (Some(SHARED), true, true, Claim::Has),
            // One that somebody has made by hand.
            (None, false, true, Claim::Refused),
            (None, false, false, Claim::Takes),
            (None, true, true, Claim::Has),
            (Some("for the plant"), true, false, Claim::Has),
        ];
        for (found, is_shared, has_acknowledged, expected) in table {
            let claim = Claim::of(found, 1, is_shared, has_acknowledged);
            assert_eq!(claim, expected, "{found:?} {is_shared} {has_acknowledged}");
        }
    }
}
