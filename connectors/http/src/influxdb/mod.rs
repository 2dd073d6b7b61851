//! `influxdb`: records as line protocol, over the HTTP API of InfluxDB (1.8 and later versions, and what speaks it: Telegraf, VictoriaMetrics, QuestDB).
//!
//! | module | |
//! |---|---|
//! | `deliver` | requests, and what the answers mean |
//! | `lines` | prepared lines, in pieces for requests |

mod deliver;
mod lines;

use std::sync::Arc;

use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema as JsonSchemaOf, schema_for};
use serde::{Deserialize, Serialize};
use tidemill_connect::line_protocol::{Encoder, PointOptions};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::secret::Secret;
use tidemill_engine::sink::{Component, Repeat, Sink, SinkContext, SinkSpec};

use self::deliver::Delivering;
use tidemill_connect::http::{ClientOptions, Endpoint, ask, authorization, headers, merged, probe_server};

/// The largest body that InfluxDB accepts by default is 25 MB; this leaves room.
const LARGEST: usize = 20 << 20;

/// Writes records to InfluxDB, as line protocol. A point is identified by its measurement, its tags and its time: one that is written again replaces itself,
/// so a repeated delivery has no effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Influxdb {
    options: InfluxdbOptions,
    client: ClientOptions,
}

/// Where points go, and what they consist of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InfluxdbOptions {
    /// The address of the server, such as `"https://influx.example:8086"`.
    pub url: String,
    /// The bucket, of InfluxDB 2 and later.
    #[serde(default)]
    pub bucket: Option<String>,
    /// The organisation of the bucket; InfluxDB 3 needs none.
    #[serde(default)]
    pub org: Option<String>,
    /// The token, such as `{ env = "INFLUX_TOKEN" }`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The database, of InfluxDB 1, instead of a bucket.
    #[serde(default)]
    pub database: Option<String>,
    /// The retention policy in that database; the default one if none is given.
    #[serde(default)]
    pub retention_policy: Option<String>,
    /// The user, of InfluxDB 1.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user, such as `{ env = "INFLUX_PASSWORD" }`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The name of the measurement that the points belong to.
    #[serde(default = "default_measurement")]
    pub measurement: String,
    /// The columns of text that are tags, such as ["line", "site"]; by default all columns that are no measurements. The sensor is always a tag. Other columns are fields.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// The largest number of bytes of lines in a request, before compression.
    #[serde(default = "default_batch_bytes")]
    pub batch_bytes: usize,
    /// Whether requests are compressed with gzip.
    #[serde(default = "default_gzip")]
    pub gzip: bool,
    /// What happens if the server refuses some points of a request, because of a field of another type, for example, and has stored the others: "stop" is an error, after which the points can be
    /// delivered again; "drop" counts those refused and goes on.
    #[serde(default)]
    pub refused: Refused,
}

/// What happens to points that the server refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// An error.
    #[default]
    Stop,
    /// They are counted.
    Drop,
}

fn default_measurement() -> String {
    "readings".into()
}

fn default_batch_bytes() -> usize {
    1 << 20
}

fn default_gzip() -> bool {
    true
}

inventory::submit! { Component::of::<Influxdb>("influxdb", "points in InfluxDB, as line protocol over HTTP") }

impl Configure for Influxdb {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schema_for!(InfluxdbOptions), schema_for!(ClientOptions)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (own, client) = (options.take(), options.take());
        Some(Self { options: own?, client: client? })
    }
}

impl InfluxdbOptions {
    /// How points are made of records. InfluxDB 1 has no unsigned integers.
    fn points(&self) -> PointOptions<'_> {
        let Self { measurement, tags, database, .. } = self;
        PointOptions { measurement, tags: tags.as_deref(), has_unsigned: database.is_none() }
    }

    /// Where points are written.
    fn endpoint(&self) -> Result<Endpoint> {
        let server = Endpoint::parse("url", &self.url, &["http", "https"])?;
        match (&self.bucket, &self.database) {
            (Some(bucket), None) => {
                let org = self.org.as_deref().map(|org| ("org", org));
                let query = [Some(("bucket", &**bucket)), org, Some(("precision", "ns"))];
                Ok(server.at("/api/v2/write", &query.into_iter().flatten().collect::<Vec<_>>()))
            }
            (None, Some(database)) => {
                let policy = self.retention_policy.as_deref().map(|policy| ("rp", policy));
                let query = [Some(("db", &**database)), policy, Some(("precision", "ns"))];
                Ok(server.at("/write", &query.into_iter().flatten().collect::<Vec<_>>()))
            }
            (None, None) => Err(Error::config("neither `bucket` nor `database` is given").with_help(
                "`bucket` (with `org` and `token`) for InfluxDB 2 and later, `database` for InfluxDB 1",
            )),
            (Some(_), Some(_)) => Err(Error::config("`bucket` and `database` cannot be used together")),
        }
    }

    fn check(&self) -> Result<()> {
        let given = [("org", self.org.is_some()), ("retention_policy", self.retention_policy.is_some())];
        let needs = [("bucket", self.bucket.is_some()), ("database", self.database.is_some())];
        for ((option, is_given), (needed, is_there)) in given.into_iter().zip(needs) {
            if is_given && !is_there {
                return Err(Error::config(format!("`{option}` has no meaning without `{needed}`")));
            }
        }
        if self.measurement.is_empty() {
            return Err(Error::config("`measurement` is empty"));
        }
        if !(1..=LARGEST).contains(&self.batch_bytes) {
            return Err(Error::config(format!("`batch_bytes` is not from 1 to {LARGEST}")));
        }
        Ok(())
    }
}

impl Influxdb {
    /// The headers of every request.
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let InfluxdbOptions { token, user, password, .. } = &self.options;
        let mut all = headers(&self.client.headers)?;
        let token = token.as_ref().map(|token| ("Token", token));
        if let Some(value) = authorization(token, user.as_deref(), password.as_ref())? {
            all.push((AUTHORIZATION, value));
        }
        Ok(all)
    }
}

impl SinkSpec for Influxdb {
    fn name(&self) -> &str {
        "influxdb"
    }

    fn parameters(&self) -> serde_json::Value {
        merged(&self.options, &self.client)
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { client: self.client.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.options.check()?;
        let has_secret = self.options.token.is_some() || self.options.password.is_some();
        self.client.check_secrecy(&self.options.endpoint()?, has_secret)?;
        self.headers()?;
        self.client.check()?;
        Encoder::new(&self.options.points(), schema).map(drop)
    }

    fn probe(&self, _schema: Option<&Schema>, probe: &mut Probe) {
        let Some(endpoint) = probe_server(probe, self.options.endpoint(), &self.client) else { return };
        probe.step("login and database", || {
            // No points: some versions say that there are none.
            let answer = ask(&endpoint, Method::POST, &self.headers()?, &self.client, &[400])?;
            Ok(((), format!("writing is allowed ({})", answer.status)))
        });
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let encoder = Arc::new(Encoder::new(&self.options.points(), schema)?);
        Ok(Box::new(Delivering::new(self, encoder, context)?))
    }
}
