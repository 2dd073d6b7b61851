//! `mail`: its options.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::blocking::Blocking;
use tidemill_connect::endpoint::reach;
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::{Base, FilePath};
use tidemill_engine::probe::Probe;
use tidemill_engine::secret::Secret;
use tidemill_engine::sink::{Component, Repeat, Sink, SinkContext, SinkSpec};
use tidemill_engine::time::parse_duration;

use crate::sink::{Delivering, Encoder};
use crate::transport::Transport;

/// Sends alerts, or any records, by e-mail: a mail for each, up to a number in a time; what comes beyond that is gathered into one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The server that mails are given to, such as "smtp.example.com".
    pub server: String,
    /// Its port; by default 587 with "starttls", 465 with "tls", 25 with "none".
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is encrypted: "starttls", "tls" (from the beginning) or "none". Without encryption, a password is sent to this machine only.
    #[serde(default)]
    pub security: Security,
    /// A PEM file with the certificates of the authorities to trust, instead of those that the system trusts.
    #[serde(default)]
    pub ca: Option<FilePath>,
    /// The user, for a server that asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user, such as `{ env = "SMTP_PASSWORD" }`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The sender, such as "Plant 3 <alerts@example.com>".
    pub sender: String,
    /// Those who get the mails, such as `["ops@example.com"]`.
    pub to: Vec<String>,
    /// The template of the subject, such as "{rule}: {sensor}", where `{name}` is the value of a column; by default a sentence about the alert.
    #[serde(default)]
    pub subject: Option<String>,
    /// The template of the text; by default the same sentence.
    #[serde(default)]
    pub text: Option<String>,
    /// How many mails are sent in the time `per`, at most: the last of them has everything that is left.
    #[serde(default = "default_most")]
    pub most: usize,
    /// The time that `most` refers to.
    #[serde(default = "default_per")]
    pub per: String,
    /// How long sending a mail may take.
    #[serde(default = "default_timeout")]
    pub timeout: String,
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// It begins without, and must then be encrypted.
    #[default]
    Starttls,
    /// From the beginning.
    Tls,
    /// Not at all.
    None,
}

fn default_most() -> usize {
    20
}

fn default_per() -> String {
    "1h".into()
}

fn default_timeout() -> String {
    "20s".into()
}

inventory::submit! { Component::of::<Mail>("mail", "alerts by e-mail") }

impl Mail {
    /// The time that `most` refers to.
    pub(crate) fn per(&self) -> Result<Duration> {
        duration("per", &self.per)
    }

    pub(crate) fn timeout(&self) -> Result<Duration> {
        duration("timeout", &self.timeout)
    }

    pub(crate) fn sender(&self) -> Result<Mailbox> {
        mailbox("sender", &self.sender)
    }

    pub(crate) fn to(&self) -> Result<Vec<Mailbox>> {
        match self.to.is_empty() {
            true => Err(Error::config("`to` is empty")),
            false => self.to.iter().map(|to| mailbox("to", to)).collect(),
        }
    }

    fn check_login(&self) -> Result<()> {
        if self.user.is_some() != self.password.is_some() {
            return Err(Error::config("`user` and `password` belong together: one of them is missing"));
        }
        let is_here = ["localhost", "127.0.0.1", "::1"].contains(&&*self.server);
        if self.security == Security::None && self.password.is_some() && !is_here {
            return Err(Error::config("a password must not be sent over a connection that is not encrypted")
                .with_help("set `security` to \"starttls\" or \"tls\""));
        }
        if self.security == Security::None && self.ca.is_some() {
            return Err(Error::config("`ca` has no meaning with `security = \"none\"`"));
        }
        Ok(())
    }
}

fn duration(option: &str, text: &str) -> Result<Duration> {
    let nanos = parse_duration(text).map_err(|why| Error::config(format!("`{option}`: {why}")))?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

fn mailbox(option: &str, text: &str) -> Result<Mailbox> {
    text.parse().map_err(|error| {
        Error::config(format!("`{option}`: {text:?} is not an address: {error}"))
            .with_help("write \"name@example.com\" or \"Name <name@example.com>\"")
    })
}

impl SinkSpec for Mail {
    fn name(&self) -> &str {
        "mail"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        let ca = self.ca.as_ref().map(|ca| ca.with_base(base));
        Some(Arc::new(Self { ca, ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.check_login()?;
        self.per()?;
        if self.most == 0 {
            return Err(Error::config("`most` is 0: no mail would be sent"));
        }
        Transport::new(self)?;
        Encoder::new(self, schema).map(drop)
    }

    fn probe(&self, _schema: Option<&Schema>, probe: &mut Probe) {
        let Some(transport) = probe.step("options", || Ok((Transport::new(self)?, self.server.clone())))
        else {
            return;
        };
        if reach(probe, &self.server, transport.port(), None).is_none() {
            return;
        }
        probe.step("login", || {
            Blocking::new(Arc::default())?.wait(transport.test())?;
            Ok(((), "the server is ready for mails".to_owned()))
        });
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let encoder = Arc::new(Encoder::new(self, schema)?);
        Ok(Box::new(Delivering::new(self, encoder, context)?))
    }
}
