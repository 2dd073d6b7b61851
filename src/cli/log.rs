//! Events on standard error: as sentences for people, or as JSON for collectors, one object per line.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use super::args::{LogArgs, LogFormat, LogLevel};
use super::masked;
use tidemill_core::error::visible;
use tidemill_core::time::Clock;
use tidemill_engine::notes;
use tidemill_engine::notes::event::{PAGES, TARGET};

/// What is written, and how.
static SETTINGS: Settings =
    Settings { is_json: AtomicBool::new(false), level: AtomicU8::new(LogLevel::Info as u8) };

/// The name of the pipeline of the current run.
static PIPELINE: Mutex<Option<Arc<str>>> = Mutex::new(None);

struct Settings {
    is_json: AtomicBool,
    level: AtomicU8,
}

/// From now on, events of this process are written; unless the program has a subscriber of its own.
pub(super) fn install() {
    let _has_its_own = tracing::subscriber::set_global_default(Log);
}

/// Writes what `args` ask for from now on.
pub(super) fn set(args: &LogArgs) {
    SETTINGS.is_json.store(args.log == LogFormat::Json, Ordering::Relaxed);
    SETTINGS.level.store(args.log_level as u8, Ordering::Relaxed);
    // Which events are wanted is remembered where they happen.
    tracing::callsite::rebuild_interest_cache();
}

/// Whether everything on standard error is JSON.
pub(super) fn is_json() -> bool {
    SETTINGS.is_json.load(Ordering::Relaxed)
}

/// Writes a page that is for people where events are sentences, such as an error, as an event: `kind` and its text. Only where everything is JSON.
pub(super) fn page(level: Level, kind: &str, text: &str) {
    if level <= wanted() {
        write_json(
            level,
            TARGET,
            Fields { kind: Some(kind.to_owned()), message: text.to_owned(), ..Fields::default() },
        );
    }
}

/// The least important level that is written.
fn wanted() -> LevelFilter {
    match SETTINGS.level.load(Ordering::Relaxed) {
        level if level == LogLevel::Error as u8 => LevelFilter::ERROR,
        level if level == LogLevel::Warn as u8 => LevelFilter::WARN,
        level if level == LogLevel::Info as u8 => LevelFilter::INFO,
        level if level == LogLevel::Debug as u8 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// The subscriber.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = wanted();
        match metadata.target().starts_with(TARGET) {
            true => *metadata.level() <= wanted,
            // What libraries say is for those who look for a fault: at first only what went wrong.
            // Their traces have the bytes of connections, and keys.
            false if wanted == LevelFilter::TRACE => *metadata.level() <= Level::DEBUG,
            false => wanted == LevelFilter::DEBUG && *metadata.level() <= Level::WARN,
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(wanted())
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        if let Some(Value::String(name)) = fields.others.get("pipeline") {
            *pipeline() = Some(name.as_str().into());
        }
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let (mut fields, metadata) = (Fields::default(), event.metadata());
        event.record(&mut fields);
        match is_json() {
            true => write_json(*metadata.level(), metadata.target(), fields),
            false => write_sentence(metadata.target(), &fields),
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn pipeline() -> std::sync::MutexGuard<'static, Option<Arc<str>>> {
    PIPELINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_sentence(target: &str, fields: &Fields) {
    let Fields { kind, message, .. } = fields;
    // What has a page of its own is repeated for those who look for a fault.
    if wanted() < LevelFilter::DEBUG && kind.as_deref().is_some_and(|kind| PAGES.contains(&kind)) {
        return;
    }
    let text = match target.starts_with(TARGET) {
        true => message.clone(),
        false => format!("{target}: {message}"),
    };
    notes::write(&format!("{}\n", visible(&masked::message(&text))));
}

fn write_json(level: Level, target: &str, fields: Fields) {
    let text = |text: &str| Value::from(masked::message(text));
    let mut line = Map::new();
    line.insert("time".into(), Clock::default().read().to_string().into());
    line.insert("level".into(), level.as_str().to_ascii_lowercase().into());
    if target != TARGET {
        line.insert("target".into(), target.into());
    }
    line.extend(fields.kind.map(|kind| ("event".to_owned(), kind.into())));
    line.extend(pipeline().as_deref().map(|name| ("pipeline".to_owned(), text(name))));
    for (name, value) in fields.others {
        let value = value.as_str().map(text).unwrap_or(value);
        line.insert(name, value);
    }
    line.insert("message".into(), text(&fields.message));
    notes::write(&format!("{}\n", Value::Object(line)));
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.add(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "event" => self.kind = Some(value.to_owned()),
            _ => self.add(field, value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}
