//! Records as items, on any thread; items as bodies, when they are delivered.

use serde_json::{Value, json};
use tidemill_connect::alert::{AlertColumns, AlertRecord, Wording};
use tidemill_connect::template::{Language, Template, value_of};
use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};

use super::{BodyFormat, Severity, WebhookOptions};
use crate::frames;
use crate::hash::sha256;

/// The longest key of an incident at PagerDuty, in letters.
const LONGEST_KEY: usize = 255;

/// The longest summary at PagerDuty, in letters.
const LONGEST_SUMMARY: usize = 1024;

/// Encodes each record as an item.
pub(super) struct Encoder(Kind);

enum Kind {
    /// A whole body, or an element of one.
    Body(Template),
    /// A message.
    Text(Wording),
    /// An event of PagerDuty, without the key.
    Event { text: Wording, alert: AlertColumns, severity: Severity, names: Vec<String> },
}

impl Encoder {
    pub(super) fn new(options: &WebhookOptions, schema: &Schema) -> Result<Self> {
        let text = || Wording::new("text", options.text.as_deref(), schema);
        Ok(Self(match options.format {
            BodyFormat::Json => {
                let language = if options.is_json() { Language::Json } else { Language::Plain };
                let body = options.body.as_deref().unwrap_or("{*}");
                Kind::Body(Template::new("body", body, language, schema)?)
            }
            BodyFormat::Slack | BodyFormat::Teams => Kind::Text(text()?),
            BodyFormat::Pagerduty => {
                let alert = AlertColumns::find(schema).ok_or_else(|| {
                    Error::config("events of PagerDuty begin and end incidents: they are made of alerts")
                        .with_help("let the sink follow a stage of type \"alert\", by `from`")
                })?;
                let names = schema.fields().iter().map(|field| field.name.to_string()).collect();
                Kind::Event { text: text()?, alert, severity: options.severity, names }
            }
        }))
    }

    fn item(&self, batch: &Batch, row: usize, sensors: &Sensors) -> String {
        match &self.0 {
            Kind::Body(template) => template.text(batch, row, sensors),
            Kind::Text(wording) => wording.text(batch, row, sensors),
            Kind::Event { text, alert, severity, names } => {
                let value = |(at, name): (usize, &String)| (name.clone(), value_of(batch, at, row, sensors));
                let details = Value::Object(names.iter().enumerate().map(value).collect());
                event(&alert.record(batch, row, sensors), &text.text(batch, row, sensors), *severity, details)
            }
        }
    }
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut out = Vec::new();
        for row in 0..batch.len() {
            frames::push(self.item(batch, row, sensors).as_bytes(), &mut out)?;
        }
        Ok(Box::new(out))
    }
}

/// An event of PagerDuty (Events API 2), without the key: that is added when it is sent, so that no outbox has it.
fn event(alert: &AlertRecord, summary: &str, severity: Severity, details: Value) -> String {
    let key = dedup_key(format!("{}/{}/{}", alert.rule, alert.sensor, alert.column));
    let action = if alert.is_cleared() { "resolve" } else { "trigger" };
    let mut event = json!({
        "event_action": action,
        "dedup_key": key,
        "payload": {
            "summary": shortened(summary, LONGEST_SUMMARY),
            "source": alert.sensor,
            "severity": severity,
            "component": alert.column,
            "custom_details": details,
        },
    });
    if let (Some(time), Some(payload)) = (&alert.time, event["payload"].as_object_mut()) {
        payload.insert("timestamp".into(), time.clone().into());
    }
    event.to_string()
}

/// The key of an incident. Of one that is too long, the end is a hash of all of it: two that begin with the same letters stay two incidents.
fn dedup_key(key: String) -> String {
    if key.chars().count() <= LONGEST_KEY {
        return key;
    }
    let hash = sha256(&key);
    format!("{}#{hash}", shortened(&key, LONGEST_KEY - 1 - hash.len()))
}

fn shortened(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// The body of a request for these items; `key` is the routing key of PagerDuty.
pub(super) fn body(options: &WebhookOptions, items: &[Vec<u8>]) -> Vec<u8> {
    let texts = || items.iter().map(|item| String::from_utf8_lossy(item));
    match options.format {
        BodyFormat::Json if !options.is_json() => items.join(&b'\n'),
        BodyFormat::Json if options.batch == 1 => items.concat(),
        BodyFormat::Json => [b"[", &*items.join(&b','), b"]"].concat(),
        BodyFormat::Slack => {
            let lines: Vec<String> = texts().map(|text| for_slack(&text)).collect();
            json!({ "text": lines.join("\n") }).to_string().into_bytes()
        }
        BodyFormat::Teams => card(texts().map(|text| for_teams(&text))).to_string().into_bytes(),
        BodyFormat::Pagerduty => {
            let key = options.routing_key.as_ref().map_or("", |key| key.reveal());
            let event = items.concat();
            let rest = event.strip_prefix(b"{").unwrap_or(&event);
            [b"{\"routing_key\":", Value::from(key).to_string().as_bytes(), b",", rest].concat()
        }
    }
}

/// The three characters by which Slack recognises links and mentions, escaped.
fn for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Without the brackets of links.
fn for_teams(text: &str) -> String {
    text.replace('[', "\\[").replace(']', "\\]")
}

/// An adaptive card with a paragraph for each text.
fn card(texts: impl Iterator<Item = String>) -> Value {
    let block = |text| json!({ "type": "TextBlock", "text": text, "wrap": true });
    let content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": texts.map(block).collect::<Vec<_>>(),
    });
    let attachment = json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": content });
    json!({ "type": "message", "attachments": [attachment] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_of_incidents_stay_different() {
        let long = |end: &str| "é".repeat(LONGEST_KEY) + end;
        let (one, other) = (dedup_key(long("1")), dedup_key(long("2")));
        assert_eq!((one.chars().count(), other.chars().count()), (LONGEST_KEY, LONGEST_KEY));
        assert!(one != other && one == dedup_key(long("1")), "{one} {other}");
        assert_eq!(dedup_key(long("")), long(""));
    }
}
