//! What a source reports of its connections while it runs: for events, metrics, `/ready` and the status of the run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Span;

use crate::error::{Error, Masks, hide_secrets, visible};
use crate::files::patient::waited_for;
use crate::notes::Event;

/// Reports what happens to a source while it runs: whether it is connected, and what it counts. Clones report for the same source; any thread may call them, and
/// nothing waits.
///
/// A source finds it in [`OpenOptions::meter`](crate::source::OpenOptions::meter), keeps a clone, and calls
///
/// | when | what | seen in |
/// |---|---|---|
/// | the server has accepted the connection, or has answered | [`connected`](Self::connected) | `tidemill_source_connected`; the event `source_connected`, if it was away |
/// | the connection is lost | [`lost`](Self::lost) | `tidemill_source_connections_lost_total`; the event `source_disconnected`; `/ready`, after 10 seconds |
/// | an attempt has failed and is repeated | [`failed`](Self::failed) | `tidemill_source_attempts_failed_total`; without a connection, as above |
/// | a request of a client that polls has failed and is repeated | [`unanswered`](Self::unanswered) | the first one after an answer as `lost`, the next ones as `failed` |
/// | anything else that is worth counting | [`counter`](Self::counter), [`count`](Self::count) | `tidemill_source_counted_total{what="…"}` |
///
/// An event is said once per outage, whatever is called. A source with several connections, such as those to devices, takes one meter for each by
/// [`of`](Self::of); then it is connected as long as one of them is. What a source says at the end of the run ([`Source::remarks`](crate::source::Source::remarks))
/// should have the same counts. With the inbox of `connectors/common`, `Inbox::new(options.meter.clone())` is all that is needed.
#[derive(Clone, Debug)]
pub struct SourceMeter {
    shared: Arc<Shared>,
    /// The connection that it reports.
    at: usize,
}

#[derive(Debug)]
struct Shared {
    /// The name of the source in messages.
    label: String,
    masks: Arc<Masks>,
    /// That of the run: events come from threads of the source.
    span: Span,
    lost: AtomicU64,
    failed: AtomicU64,
    /// Locked to read them, and when one is added.
    counters: Mutex<Vec<(&'static str, Arc<AtomicU64>)>>,
    /// The first one is that of the source itself.
    connections: Mutex<Vec<Connection>>,
}

#[derive(Debug, Default)]
struct Connection {
    name: Option<String>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was reported.
    #[default]
    Unknown,
    Stands,
    Down(Outage),
}

#[derive(Clone, Debug)]
struct Outage {
    since: Instant,
    /// The last error, without secrets.
    why: Option<String>,
}

impl Default for SourceMeter {
    fn default() -> Self {
        Self::new("a source", &Arc::default())
    }
}

impl SourceMeter {
    /// Of the source with this name in messages.
    pub(crate) fn new(label: &str, masks: &Arc<Masks>) -> Self {
        let shared = Shared {
            label: label.to_owned(),
            masks: Arc::clone(masks),
            span: Span::current(),
            lost: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            counters: Mutex::default(),
            connections: Mutex::new(vec![Connection::default()]),
        };
        Self { shared: Arc::new(shared), at: 0 }
    }

    /// The meter of one of several connections of the source, such as that to a device: `name` tells them apart in events. What is counted is that of the source.
    #[must_use]
    pub fn of(&self, name: &str) -> Self {
        let mut connections = self.shared.connections();
        connections.push(Connection { name: Some(name.to_owned()), state: State::Unknown });
        Self { shared: Arc::clone(&self.shared), at: connections.len() - 1 }
    }

    /// The connection stands: it was made, or the other side has answered.
    pub fn connected(&self) {
        let before = self.enters(|state| std::mem::replace(state, State::Stands));
        if let State::Down(Outage { since, .. }) = before {
            let away = since.elapsed();
            let event = Event::info("source_connected").seconds(away.as_secs_f64());
            self.say(event, &format!("is connected again, after {}", waited_for(away)));
        }
    }

    /// The connection is lost, with this error if there is one.
    pub fn lost(&self, error: Option<&Error>) {
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
        self.goes_down("has lost its connection", error);
    }

    /// An attempt has failed, and is repeated: to connect, or to get something over a connection that stands.
    pub fn failed(&self, error: Option<&Error>) {
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
        if !self.stands() {
            self.goes_down("cannot connect", error);
        }
    }

    /// A request has failed, and is repeated: the other side is away until it answers.
    pub fn unanswered(&self, error: &Error) {
        match self.stands() {
            true => self.lost(Some(error)),
            false => self.failed(Some(error)),
        }
    }

    /// Where `what` is counted, which is one of a few names, in lower case with underscores: `repeated`, `dropped`, `missed`, `refused`. Ask for it when the
    /// source is opened, so that it is shown before anything was counted.
    pub fn counter(&self, what: &'static str) -> Arc<AtomicU64> {
        let mut counters = lock(&self.shared.counters);
        if let Some((_, counter)) = counters.iter().find(|(name, _)| *name == what) {
            return Arc::clone(counter);
        }
        let counter = Arc::<AtomicU64>::default();
        counters.push((what, Arc::clone(&counter)));
        counter
    }

    /// Counts `more` of [`what`](Self::counter).
    pub fn count(&self, what: &'static str, more: u64) {
        self.counter(what).fetch_add(more, Ordering::Relaxed);
    }

    /// Why the source has no connection, once it has had none for as long as `patience`.
    pub fn outage(&self, patience: Duration) -> Option<String> {
        let connections = self.shared.connections();
        let known = connections.iter().filter(|connection| !matches!(connection.state, State::Unknown));
        let down: Option<Vec<_>> = known.map(Connection::outage).collect();
        // Since the last of them is down, none stands.
        let Outage { since, why } = down?.into_iter().max_by_key(|outage| outage.since)?;
        let away = Some(since.elapsed()).filter(|&away| away >= patience)?;
        let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        Some(format!("{} has had no connection for {}{why}", self.shared.label, waited_for(away)))
    }

    /// Whether it has a connection; `None` if it has reported nothing of any.
    pub(crate) fn is_connected(&self) -> Option<bool> {
        let connections = self.shared.connections();
        let stands = connections.iter().any(|connection| matches!(connection.state, State::Stands));
        let is_known = connections.iter().any(|connection| !matches!(connection.state, State::Unknown));
        is_known.then_some(stands)
    }

    /// How many connections are down.
    pub(crate) fn down(&self) -> u64 {
        self.shared.connections().iter().filter_map(Connection::outage).count() as u64
    }

    /// How many connections were lost, and how many attempts have failed.
    pub(crate) fn losses(&self) -> (u64, u64) {
        (self.shared.lost.load(Ordering::Relaxed), self.shared.failed.load(Ordering::Relaxed))
    }

    /// What else was counted.
    pub(crate) fn counted(&self) -> Vec<(&'static str, u64)> {
        let counters = lock(&self.shared.counters);
        counters.iter().map(|(what, counter)| (*what, counter.load(Ordering::Relaxed))).collect()
    }

    fn stands(&self) -> bool {
        self.enters(|state| matches!(state, State::Stands))
    }

    fn goes_down(&self, how: &str, error: Option<&Error>) {
        let why = error.map(|error| self.shared.plain(error.message()));
        let is_news = self.enters(|state| match state {
            State::Down(outage) => {
                outage.why = why.clone().or_else(|| outage.why.take());
                false
            }
            State::Unknown | State::Stands => {
                *state = State::Down(Outage { since: Instant::now(), why: why.clone() });
                true
            }
        });
        if is_news {
            let event = Event::warn("source_disconnected");
            let event = error.iter().fold(event, |event, error| event.caused_by(error));
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            self.say(event, &format!("{how}{why}"));
        }
    }

    /// Looks at the state of its connection, and changes it.
    fn enters<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared.connections()[self.at].state)
    }

    fn say(&self, event: Event<'_>, what: &str) {
        let Shared { label, masks, span, .. } = &*self.shared;
        let name = self.shared.connections()[self.at].name.clone();
        let name = name.map_or_else(String::new, |name| format!(", {name},"));
        span.in_scope(|| event.part(label).say(masks, &format!("{label}{name} {what}")));
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        lock(&self.connections)
    }

    /// `text` on one line, without secrets.
    fn plain(&self, text: &str) -> String {
        visible(&hide_secrets(&self.masks.hide(text))).into_owned()
    }
}

impl Connection {
    fn outage(&self) -> Option<Outage> {
        match &self.state {
            State::Down(outage) => Some(outage.clone()),
            State::Unknown | State::Stands => None,
        }
    }
}

/// Each change is made in whole, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Error {
        Error::unavailable("the broker is\naway").transient()
    }

    #[test]
    fn a_connection_is_known_once_something_is_reported() {
        let meter = SourceMeter::default();
        assert_eq!((meter.is_connected(), meter.down(), meter.losses()), (None, 0, (0, 0)));
        meter.connected();
        assert_eq!((meter.is_connected(), meter.outage(Duration::ZERO)), (Some(true), None));
        meter.lost(Some(&away()));
        meter.failed(None);
        assert_eq!((meter.is_connected(), meter.down(), meter.losses()), (Some(false), 1, (1, 1)));
        let outage = meter.outage(Duration::ZERO).expect("an outage");
        assert!(outage.starts_with("a source has had no connection for"), "{outage}");
        assert!(outage.ends_with(r"the broker is\naway"), "the error stays the last one: {outage}");
        assert_eq!(meter.outage(Duration::from_secs(3600)), None, "not for so long");
        meter.connected();
        assert_eq!((meter.is_connected(), meter.down(), meter.losses()), (Some(true), 0, (1, 1)));
    }

    #[test]
    fn what_fails_over_a_connection_that_stands_does_not_end_it() {
        let meter = SourceMeter::default();
        meter.connected();
        meter.failed(Some(&away()));
        assert_eq!((meter.is_connected(), meter.losses()), (Some(true), (0, 1)));
        let other = SourceMeter::default();
        other.failed(Some(&away()));
        assert_eq!((other.is_connected(), other.losses()), (Some(false), (0, 1)));
    }

    #[test]
    fn a_client_that_polls_loses_its_connection_once_per_outage() {
        let meter = SourceMeter::default();
        for _ in 0..2 {
            meter.connected();
            (0..3).for_each(|_| meter.unanswered(&away()));
        }
        assert_eq!(meter.losses(), (2, 4));
    }

    #[test]
    fn a_source_of_several_connections_is_connected_while_one_of_them_is() {
        let meter = SourceMeter::default();
        let (press, pump) = (meter.of("press"), meter.of("pump"));
        press.connected();
        pump.failed(Some(&away()));
        assert_eq!((meter.is_connected(), meter.down()), (Some(true), 1));
        assert_eq!(meter.outage(Duration::ZERO), None);
        press.lost(None);
        assert_eq!((meter.is_connected(), meter.down(), meter.losses()), (Some(false), 2, (1, 1)));
        assert!(meter.outage(Duration::ZERO).is_some());
    }

    #[test]
    fn a_counter_is_shown_from_the_beginning_and_is_the_same_for_all() {
        let meter = SourceMeter::default();
        let repeated = meter.counter("repeated");
        assert_eq!(meter.counted(), [("repeated", 0)]);
        repeated.fetch_add(2, Ordering::Relaxed);
        meter.of("press").count("repeated", 1);
        meter.count("dropped", 4);
        assert_eq!(meter.counted(), [("repeated", 3), ("dropped", 4)]);
    }
}
