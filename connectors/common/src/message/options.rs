//! The options that all sources of messages share.

use std::sync::Arc;

use schemars::{JsonSchema, Schema as JsonSchemaOf, schema_for};
use serde::{Deserialize, Serialize};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::format::columns::{ColumnOptions, Names};
use tidemill_engine::format::csv::{Csv, Dialect};
use tidemill_engine::format::influx::{Influx, InfluxOptions, MissingTime};
use tidemill_engine::format::jsonl::{JsonLayout, JsonLines, JsonOptions};
use tidemill_engine::format::{Decode, Format, Head, unpivoted};
use tidemill_engine::meter::SourceMeter;
use tidemill_engine::options::Options;
use tidemill_engine::source::OpenOptions;

use super::envelope::{ARRIVAL, Envelope};
use super::readings::READING;

/// What a message contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// A number as text, such as 20.5.
    Number,
    /// An object or an array of objects.
    Json,
    /// An object per line.
    Jsonl,
    /// Delimited text without a header, one record per line.
    Csv,
    /// Line protocol of InfluxDB.
    Influx,
    /// Sensor Measurement Lists in JSON (RFC 8428).
    Senml,
    /// Sparkplug B.
    Sparkplug,
    /// Avro, with a schema registry.
    Avro,
    /// Remote write of Prometheus.
    Prometheus,
    /// Readings of a protocol that has no other payload: see [`Messages::readings`].
    #[serde(skip)]
    Readings,
}

impl Payload {
    /// Its name in a pipeline file.
    fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Influx => "influx",
            Self::Senml => "senml",
            Self::Sparkplug => "sparkplug",
            Self::Avro => "avro",
            Self::Prometheus => "prometheus",
            Self::Readings => "readings",
        }
    }

    /// How its records are written as lines.
    pub(super) fn line(self) -> Line {
        match self {
            Self::Json | Self::Jsonl | Self::Avro => Line::Json,
            Self::Influx => Line::Influx,
            Self::Number | Self::Csv | Self::Senml | Self::Sparkplug | Self::Prometheus | Self::Readings => {
                Line::Csv
            }
        }
    }
}

/// The format of the lines that messages become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Csv,
    Json,
    Influx,
}

/// What the messages of a source contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageOptions {
    /// What a message contains: "number"; "json", an object or an array of objects; "jsonl", an object per line; "csv", lines of delimited text without a header, whose columns
    /// `names` lists; "influx", line protocol; "senml" (RFC 8428, JSON); for MQTT "sparkplug"; for Kafka "avro"; for HTTP "prometheus", remote write. Readings of SenML, Sparkplug and Prometheus have the columns `time`, `sensor`, `value`,
    /// `text`, `unit` and `quality`.
    pub payload: Payload,
    /// Fields of the message besides its payload that become columns of text, such as `["@topic", "@arrival"]`: see the description of the source. Those that
    /// `time`, `sensor` and a topic pattern name need not be listed.
    #[serde(default)]
    pub fields: Vec<String>,
}

/// Options of delimited text in messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct CsvOptions {
    /// The columns of a "csv" payload, in order.
    names: Option<Vec<String>>,
    /// The byte between the fields of a "csv" payload.
    delimiter: String,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { names: None, delimiter: ",".into() }
    }
}

/// The options of messages, as read from a pipeline file.
#[derive(Clone, Debug, PartialEq)]
pub struct Messages {
    options: MessageOptions,
    columns: ColumnOptions,
    csv: CsvOptions,
    json: JsonOptions,
    influx: InfluxOptions,
}

/// The decoder of the lines, and what they are made of.
#[derive(Clone)]
pub struct Decoding {
    pub(super) payload: Payload,
    pub(super) delimiter: u8,
    /// The fields of the envelope that every line has, in this order: the values that [`Lines::push`](super::Lines::push) asks for.
    pub fields: Vec<String>,
    /// The columns of the records.
    pub schema: Arc<Schema>,
    pub(super) decoder: Arc<dyn Decode>,
    /// Where messages without records are counted.
    pub(super) meter: SourceMeter,
    /// Lines that are read instead of messages.
    pub(super) letters: Option<Arc<[Vec<u8>]>>,
    format: Arc<dyn Format>,
}

impl Messages {
    /// The schemas of all options. `payloads` are those that the source understands.
    #[must_use]
    pub fn schemas(payloads: &[Payload]) -> Vec<JsonSchemaOf> {
        let mut schemas = vec![
            schema_for!(MessageOptions),
            schema_for!(CsvOptions),
            schema_for!(ColumnOptions),
            schema_for!(JsonOptions),
        ];
        if payloads.contains(&Payload::Influx) {
            let mut influx = schema_for!(InfluxOptions);
            let known: Vec<String> = schemas.iter().flat_map(properties).collect();
            if let Some(serde_json::Value::Object(own)) = influx.get_mut("properties") {
                known.iter().for_each(|name| drop(own.remove(name)));
            }
            schemas.push(influx);
        }
        // `layout` is that of a message.
        for schema in &mut schemas {
            if let Some(serde_json::Value::Object(own)) = schema.get_mut("properties") {
                own.remove("layout");
            }
        }
        schemas
    }

    /// Reads the options; `None` if any is invalid, which is reported in `options`.
    pub fn configure(options: &mut Options<'_>, payloads: &[Payload]) -> Option<Self> {
        let is_payload = |options: &MessageOptions| payloads.contains(&options.payload);
        let message: Option<MessageOptions> = options.take();
        if let Some(unknown) = message.as_ref().filter(|message| !is_payload(message)) {
            let all: Vec<_> = payloads.iter().map(|payload| payload.as_str()).collect();
            let why = format!(
                "payload = \"{}\" is not one of this source; it understands {}",
                unknown.options_payload(),
                all.join(", ")
            );
            let span = options.span();
            options.diagnostics.push(tidemill_engine::options::Diagnostic::new(span, why));
            return None;
        }
        let is_influx = message.as_ref().is_some_and(|message| message.payload.line() == Line::Influx);
        let (mut columns, mut json, mut csv) =
            (Some(ColumnOptions::default()), Some(JsonOptions::default()), Some(CsvOptions::default()));
        let mut influx = Some(InfluxOptions::default());
        if is_influx {
            let says_time = options.has("missing_time");
            influx = options.take().map(|influx: InfluxOptions| match says_time {
                true => influx,
                false => InfluxOptions { missing_time: MissingTime::Arrival, ..influx },
            });
        } else {
            columns = options.take();
            if message.as_ref().is_some_and(|message| message.payload.line() == Line::Json) {
                options.refuse(
                    "layout",
                    "the payload says how a message is laid out",
                    "set payload = \"json\" or \"jsonl\"",
                );
                json = options.take();
            }
            if message.as_ref().is_some_and(|message| message.payload == Payload::Csv) {
                csv = options.take();
            }
        }
        Some(Self { options: message?, columns: columns?, csv: csv?, json: json?, influx: influx? })
    }

    /// Messages with this payload and these columns, in code.
    #[must_use]
    pub fn new(payload: Payload, columns: ColumnOptions) -> Self {
        Self {
            options: MessageOptions { payload, fields: Vec::new() },
            columns,
            csv: CsvOptions::default(),
            json: JsonOptions::default(),
            influx: InfluxOptions { missing_time: MissingTime::Arrival, ..InfluxOptions::default() },
        }
    }

    /// Readings of a protocol that has no other payload, with these columns and these fields of the envelope.
    #[must_use]
    pub fn readings(columns: ColumnOptions, fields: Vec<String>) -> Self {
        let messages = Self::new(Payload::Readings, columns);
        Self { options: MessageOptions { fields, ..messages.options }, ..messages }
    }

    /// What a message contains.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.options.payload
    }

    /// All options that apply, including defaults.
    #[must_use]
    pub fn parameters(&self) -> serde_json::Value {
        let value = |options: serde_json::Result<serde_json::Value>| options.unwrap_or_default();
        let mut groups = vec![value(serde_json::to_value(&self.options))];
        match self.options.payload.line() {
            Line::Influx => groups.push(value(serde_json::to_value(&self.influx))),
            line => {
                groups.push(value(serde_json::to_value(&self.columns)));
                if line == Line::Json {
                    groups.push(value(serde_json::to_value(&self.json)));
                }
                if self.options.payload == Payload::Csv {
                    groups.push(value(serde_json::to_value(&self.csv)));
                }
            }
        }
        let all = groups.into_iter().filter_map(|group| match group {
            serde_json::Value::Object(group) => Some(group),
            _ => None,
        });
        serde_json::Value::Object(all.flatten().filter(|(name, _)| name != "layout").collect())
    }

    /// The decoder of messages of `name`, for messages about the source such as an address, whose messages have this `envelope`.
    ///
    /// # Errors
    /// A configuration error that names the option: a field that messages do not have, columns that are not known before the first message.
    pub fn decoding(&self, name: &str, envelope: &Envelope, open: &OpenOptions) -> Result<Decoding> {
        let fields = self.fields(envelope)?;
        let format = self.format(envelope, &fields, open.origins)?;
        let schema = format.declared(name)?.ok_or_else(|| not_declared(self.options.payload))?;
        let schema = Arc::new(schema);
        let head = Head { name, stem: "", bytes: b"", is_whole: true };
        let decoder = format.bind(head, &schema)?.decoder;
        let delimiter = self.csv.delimiter.bytes().next().unwrap_or(b',');
        let (payload, meter, letters) = (self.options.payload, open.meter.clone(), open.letters.clone());
        Ok(Decoding { payload, delimiter, fields, schema, decoder, meter, letters, format })
    }

    /// The fields of the envelope that are needed, each once.
    fn fields(&self, envelope: &Envelope) -> Result<Vec<String>> {
        for name in &self.options.fields {
            envelope.check("fields", name)?;
        }
        let named = |text: &str| envelope.named_in(text).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut all = Vec::new();
        if self.options.payload.line() == Line::Influx {
            all.extend(self.influx.sensor.iter().flat_map(|text| named(text)));
        } else {
            if self.has_arrival_time() {
                all.push(ARRIVAL.to_owned());
            }
            for name in self.columns.time.iter().flat_map(Names::as_slice) {
                if name.starts_with('@') {
                    envelope.check("time", name)?;
                }
                all.extend(named(name));
            }
            all.extend(self.sensor(envelope).iter().flat_map(|text| named(text)));
        }
        all.extend(envelope.names.iter().chain(&self.options.fields).cloned());
        let mut once = Vec::new();
        all.into_iter().for_each(|name| {
            if !once.contains(&name) {
                once.push(name)
            }
        });
        Ok(once)
    }

    /// Whether records have the time of arrival because no option says otherwise.
    fn has_arrival_time(&self) -> bool {
        self.columns.time.is_none() && !self.has_readings()
    }

    /// The sensor, if it is read from a field.
    fn sensor(&self, envelope: &Envelope) -> Option<String> {
        if self.columns.sensor_name.is_some() || self.columns.sensor.is_some() {
            return self.columns.sensor.clone();
        }
        match self.has_readings() || envelope.names.iter().any(|name| name == SENSOR) {
            true => Some(SENSOR.to_owned()),
            false => Some(envelope.sensor.to_owned()),
        }
    }

    fn has_readings(&self) -> bool {
        use Payload::{Prometheus, Readings, Senml, Sparkplug};
        matches!(self.options.payload, Senml | Sparkplug | Prometheus | Readings)
    }

    fn format(&self, envelope: &Envelope, fields: &[String], origins: bool) -> Result<Arc<dyn Format>> {
        let line = self.options.payload.line();
        if line == Line::Influx {
            let format = Influx::new(&self.influx_columns(fields))?.with_origins(origins);
            return Ok(unpivoted(Arc::new(format)));
        }
        let columns = self.all_columns(envelope, fields)?;
        if line == Line::Json {
            let json = JsonOptions { layout: JsonLayout::Lines, ..self.json.clone() };
            return Ok(unpivoted(Arc::new(JsonLines::new(&json, &columns)?.with_origins(origins))));
        }
        let names = fields.iter().cloned().chain(self.own_names()?).collect();
        let dialect = Dialect {
            delimiter: self.csv.delimiter.clone(),
            header: false,
            names: Some(names),
            ..Dialect::default()
        };
        Ok(unpivoted(Arc::new(Csv::new(&dialect, &columns)?.with_origins(origins))))
    }

    /// The columns of the payload, where its lines have an order.
    fn own_names(&self) -> Result<Vec<String>> {
        match self.options.payload {
            Payload::Number => Ok(vec![self.number()?.to_owned()]),
            _ if self.has_readings() => Ok(READING.map(str::to_owned).to_vec()),
            _ => self.csv.names.clone().ok_or_else(|| {
                Error::config("payload = \"csv\" needs `names`, the columns of a message in order")
                    .with_help("such as names = [\"time\", \"temp\"]")
            }),
        }
    }

    /// The column of a payload that is a number.
    fn number(&self) -> Result<&str> {
        match self.columns.measurements.as_deref() {
            None => Ok(VALUE),
            Some([name]) => Ok(name),
            Some(_) => Err(Error::config("payload = \"number\" has one measurement")
                .with_help("`measurements` may give it a name, such as [\"temp\"]")),
        }
    }

    /// The options of columns for lines: those of the pipeline, and the fields of the envelope.
    fn all_columns(&self, envelope: &Envelope, fields: &[String]) -> Result<ColumnOptions> {
        let mut columns = self.columns.clone();
        let is_envelope_time =
            columns.time.iter().flat_map(Names::as_slice).any(|name| name.starts_with('@'));
        if (is_envelope_time || self.has_arrival_time())
            && columns.time_format != ColumnOptions::default().time_format
        {
            return Err(Error::config("`time_format` does not apply: the time of the records is one of the message, not of its payload")
                .with_help("name the field of the payload with the time in `time`, or leave `time_format` out"));
        }
        if self.has_readings() {
            columns.time.get_or_insert_with(|| TIME.into());
        } else if columns.time.is_none() {
            columns.rename.insert(ARRIVAL.to_owned(), TIME.to_owned());
            columns.time = Some(TIME.into());
        }
        if columns.sensor.is_none() && columns.sensor_name.is_none() {
            if let Some(field) = self.sensor(envelope).filter(|field| field != SENSOR) {
                columns.rename.insert(field, SENSOR.to_owned());
            }
            columns.sensor = Some(SENSOR.to_owned());
        }
        match self.options.payload {
            Payload::Number => columns.measurements = Some(vec![self.number()?.to_owned()]),
            _ if self.has_readings() => {
                columns.measurements.get_or_insert_with(|| vec![VALUE.to_owned()]);
            }
            _ => {}
        }
        if self.options.payload.line() == Line::Json || columns.columns.is_some() {
            let renamed = |name: &String| columns.rename.get(name).unwrap_or(name).clone();
            let asked: Vec<String> = fields.iter().map(renamed).collect();
            columns.columns.get_or_insert_default().extend(asked);
        }
        Ok(columns)
    }

    /// The options of line protocol: those of the pipeline, and the fields of the envelope.
    fn influx_columns(&self, fields: &[String]) -> InfluxOptions {
        let mut influx = self.influx.clone();
        let own = if influx.texts.is_some() { &mut influx.texts } else { &mut influx.columns };
        own.get_or_insert_default().extend(fields.iter().cloned());
        influx
    }
}

impl MessageOptions {
    fn options_payload(&self) -> &'static str {
        self.payload.as_str()
    }
}

impl Decoding {
    /// Remarks about the columns, for the end of the run.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.format.columns().remarks()
    }
}

const TIME: &str = "time";
const SENSOR: &str = "sensor";
const VALUE: &str = "value";

fn not_declared(payload: Payload) -> Error {
    let names = if payload.line() == Line::Influx {
        "`measurements`, and `texts` or `columns`"
    } else {
        "`measurements`"
    };
    Error::config(format!(
        "the columns are not known before the first message: {names} must name them, without globs"
    ))
    .with_help("such as measurements = [\"temp\"]")
}

/// The options that a schema describes.
fn properties(schema: &JsonSchemaOf) -> Vec<String> {
    match schema.get("properties") {
        Some(serde_json::Value::Object(own)) => own.keys().cloned().collect(),
        _ => Vec::new(),
    }
}
