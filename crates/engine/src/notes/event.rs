//! What happens during a run, as an event of `tracing`: with a kind, the part of the pipeline and what else a collector of logs selects by, and a sentence for people.
//!
//! Where no subscriber was ever set, as in a program that does not know of `tracing`, events from [`Level::INFO`] up go to standard error as sentences.

use tracing::{Level, Span, dispatcher};

use super::say;
use crate::error::{Error, ErrorKind, Masks, hide_secrets};

/// The target of all events and spans of the engine.
pub const TARGET: &str = "tidemill";

/// Kinds of events of which a terminal has a page of its own: what is guaranteed, the summary, the error that ended the run. They are not written to standard error as sentences.
pub const PAGES: [&str; 4] = ["started", "guarantee", "ended", "failed"];

/// An event, until it is [said](Event::say).
#[must_use]
#[derive(Clone, Debug)]
pub struct Event<'a> {
    level: Level,
    kind: &'static str,
    /// The label of a part, such as `sink 0 (csv)`.
    parts: [Option<&'a str>; 2],
    sensor: Option<&'a str>,
    error: Option<ErrorKind>,
    epoch: Option<u64>,
    records: Option<u64>,
    bytes: Option<u64>,
    seconds: Option<f64>,
}

impl<'a> Event<'a> {
    fn new(level: Level, kind: &'static str) -> Self {
        Self {
            level,
            kind,
            parts: [None; 2],
            sensor: None,
            error: None,
            epoch: None,
            records: None,
            bytes: None,
            seconds: None,
        }
    }

    /// One that ends the run.
    pub fn error(kind: &'static str) -> Self {
        Self::new(Level::ERROR, kind)
    }

    /// One that somebody may have to act on.
    pub fn warn(kind: &'static str) -> Self {
        Self::new(Level::WARN, kind)
    }

    /// One in the ordinary life of a run.
    pub fn info(kind: &'static str) -> Self {
        Self::new(Level::INFO, kind)
    }

    /// One that happens again and again.
    pub fn debug(kind: &'static str) -> Self {
        Self::new(Level::DEBUG, kind)
    }

    /// The part that it is about, by its label in messages; of a source and a sink, both may be given.
    pub fn part(mut self, label: &'a str) -> Self {
        self.parts = [Some(label), self.parts[0]];
        self
    }

    /// The sensor that it is about.
    pub fn sensor(mut self, sensor: &'a str) -> Self {
        self.sensor = Some(sensor);
        self
    }

    /// The class of the error that it is about.
    pub fn caused_by(mut self, error: &Error) -> Self {
        self.error = Some(error.kind());
        self
    }

    /// The epoch that it is about.
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// How many records it is about.
    pub fn records(mut self, records: u64) -> Self {
        self.records = Some(records);
        self
    }

    /// How many bytes it is about.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// How long it took.
    pub fn seconds(mut self, seconds: f64) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Emits it with a sentence for people. All of its text is without secrets, and without the values that `masks` hides.
    pub fn say(self, masks: &Masks, sentence: &str) {
        if !dispatcher::has_been_set() {
            if self.level <= Level::INFO && !PAGES.contains(&self.kind) {
                say(&masks.hide(sentence));
            }
            return;
        }
        let hidden = |text: &str| hide_secrets(&masks.hide(text)).into_owned();
        self.emit(&hidden(sentence), &hidden);
    }

    fn emit(&self, sentence: &str, hidden: &dyn Fn(&str) -> String) {
        let part = |kind: &str| {
            let mut own = self.parts.iter().flatten().filter_map(|label| named(label, kind));
            own.next().map(hidden)
        };
        // The fields of an event are part of its place in the code, and those without a value are left out.
        macro_rules! emit {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    event = self.kind,
                    source = part("source"),
                    stage = part("stage"),
                    sink = part("sink"),
                    sensor = self.sensor.map(hidden),
                    error = self.error.map(class),
                    epoch = self.epoch,
                    records = self.records,
                    bytes = self.bytes,
                    seconds = self.seconds,
                    "{sentence}"
                )
            };
        }
        match self.level {
            Level::ERROR => emit!(Level::ERROR),
            Level::WARN => emit!(Level::WARN),
            Level::INFO => emit!(Level::INFO),
            _ => emit!(Level::DEBUG),
        }
    }
}

/// The span of a run, in which all threads of the run are; `pipeline` is its name.
pub fn span(pipeline: Option<&str>) -> Span {
    tracing::info_span!(target: TARGET, "run", pipeline = pipeline.map(|name| hide_secrets(name).into_owned()))
}

/// `act` in the span of the calling thread, for a thread that it starts.
pub fn in_span<T>(act: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(act)
}

/// What names a part in its label, if that is of this kind: `0 (csv)`, or `csv` where there is no other.
fn named<'l>(label: &'l str, kind: &str) -> Option<&'l str> {
    let name = label.strip_prefix(kind)?.strip_prefix(' ')?;
    let alone = name.strip_prefix('(').and_then(|name| name.strip_suffix(')'));
    Some(alone.unwrap_or(name))
}

/// The class of an error, as written in events.
pub fn class(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "usage",
        ErrorKind::Data => "data",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Io => "io",
        ErrorKind::Config => "config",
        ErrorKind::Interrupted => "interrupted",
        _ => "internal",
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    use super::*;
    use crate::error::Hidden;

    /// Keeps the fields of all events.
    #[derive(Clone, Default)]
    struct Keeps(Arc<Mutex<Vec<String>>>);

    impl Visit for Keeps {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.lock().expect("no panic").push(format!("{}={value:?}", field.name()));
        }
    }

    impl Subscriber for Keeps {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::INFO
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn an_event_has_what_it_is_about_and_no_secret() {
        let secret = Hidden::new("n1ghtjar-42".into(), "{ env = \"PASSWORD\" }".into());
        let (kept, masks) = (Keeps::default(), Masks::default());
        let (sink, text) = (format!("sink 0 (db at {})", secret.value()), format!("no {}", secret.value()));
        tracing::subscriber::with_default(kept.clone(), || {
            let error = Error::unavailable("away");
            let event = Event::warn("delivery_failed").part(&sink).part("source (csv)").epoch(7);
            event.sensor(secret.value()).caused_by(&error).seconds(1.5).say(&masks, &text);
            Event::debug("checkpoint").say(&masks, "not wanted");
        });
        let kept = kept.0.lock().expect("no panic").join(" ");
        for field in
            ["event=\"delivery_failed\"", "source=\"csv\"", "epoch=7", "error=\"unavailable\"", "seconds=1.5"]
        {
            assert!(kept.contains(field), "{field}: {kept}");
        }
        assert!(kept.contains("sink=\"0 (db at {") && kept.contains("message=no {"), "{kept}");
        assert!(
            !kept.contains("n1ghtjar") && !kept.contains("not wanted") && !kept.contains("stage="),
            "{kept}"
        );
    }

    #[test]
    fn a_part_is_named_as_in_messages() {
        let names = ["sink 0 (csv)", "source (csv)", "source plant (csv)", "order", "a sink"];
        let of = |kind: &str| names.map(|label| named(label, kind));
        assert_eq!(of("sink"), [Some("0 (csv)"), None, None, None, None]);
        assert_eq!(of("source"), [None, Some("csv"), Some("plant (csv)"), None, None]);
    }
}
