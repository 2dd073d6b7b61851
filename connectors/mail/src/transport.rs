//! SMTP, and what the answers mean.

use std::error::Error as StdError;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tidemill_connect::blocking::Blocking;
use tidemill_connect::tls::failed_check;
use tidemill_engine::error::{Error, Result};

use crate::held::Item;
use crate::options::{Mail, Security};

/// Letters of a subject at most.
const SUBJECT: usize = 200;

/// Takes mails, one after the other.
pub(crate) trait Carrier: Send {
    /// Sends one.
    ///
    /// # Errors
    /// If it cannot be sent.
    fn send(&self, item: &Item) -> Result<(), Failed>;
}

/// Why a mail was not sent.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// Whether it is this mail that was refused; others may not be.
    pub(crate) is_refused: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, is_refused: false }
    }
}

/// A server, for callers that wait.
pub(crate) struct Waiting {
    pub(crate) transport: Transport,
    pub(crate) runtime: Blocking,
}

impl Carrier for Waiting {
    fn send(&self, item: &Item) -> Result<(), Failed> {
        self.runtime.wait(async { Ok(self.transport.send(item).await) })?
    }
}

/// Sends mails by one server.
pub(crate) struct Transport {
    server: String,
    port: u16,
    client: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Transport {
    /// A client of the server in `options`; not connected yet.
    pub(crate) fn new(options: &Mail) -> Result<Self> {
        let (usual, tls) = match options.security {
            Security::Starttls => (587, Tls::Required(parameters(options)?)),
            Security::Tls => (465, Tls::Wrapper(parameters(options)?)),
            Security::None => (25, Tls::None),
        };
        let port = options.port.unwrap_or(usual);
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&*options.server)
            .port(port)
            .tls(tls)
            .timeout(Some(options.timeout()?));
        if let (Some(user), Some(password)) = (&options.user, &options.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
        }
        let server = format!("{}:{port}", options.server);
        Ok(Self { server, port, client: builder.build(), from: options.sender()?, to: options.to()? })
    }

    /// Sends one mail.
    async fn send(&self, item: &Item) -> Result<(), Failed> {
        let mail = self.mail(item).map_err(|error| Failed { error, is_refused: true })?;
        self.client.send(mail).await.map(drop).map_err(|error| self.failed(&error))
    }

    /// Connects and logs in, and sends nothing.
    pub(crate) async fn test(&self) -> Result<()> {
        self.client.test_connection().await.map(drop).map_err(|error| self.failed(&error).error)
    }

    /// The port of the server.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn mail(&self, item: &Item) -> Result<Message> {
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(one_line(&item.subject))
            .message_id(Some(format!("<{}@{domain}>", item.id)))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let mail = builder.body(item.text.clone());
        mail.map_err(|error| Error::data(format!("a mail cannot be made: {error}")))
    }

    fn failed(&self, error: &lettre::transport::smtp::Error) -> Failed {
        if let Some(check) = failed_check(error) {
            return Error::unavailable(format!("{}: {check}", self.server)).into();
        }
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let said = Error::unavailable(format!("{}: {error}{cause}", self.server));
        let code = error.status().map(u16::from);
        let error = match code {
            Some(530 | 534 | 535 | 538) => {
                said.with_help("check `user` and `password`, and what the server accepts")
            }
            Some(550..=559) => said.with_help("check `sender` and `to`"),
            _ if error.is_permanent() || error.is_client() => said,
            _ => said.transient(),
        };
        // Lower codes are about the connection, the command or the login.
        Failed { error, is_refused: matches!(code, Some(550..=599)) }
    }
}

/// How the server is verified.
fn parameters(options: &Mail) -> Result<TlsParameters> {
    let wrong =
        |error: lettre::transport::smtp::Error| Error::config(format!("TLS cannot be set up: {error}"));
    let mut builder = TlsParameters::builder(options.server.clone());
    if let Some(path) = &options.ca {
        let pem =
            std::fs::read(path.place()).map_err(|error| Error::config(format!("`ca` {path}: {error}")))?;
        let certificate = Certificate::from_pem(&pem).map_err(|_| not_pem(path))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(wrong)
}

fn not_pem(path: &tidemill_engine::files::FilePath) -> Error {
    Error::config(format!("`ca` {path} has no certificates"))
        .with_help("it must be a PEM file: lines between -----BEGIN … and -----END …")
}

/// A subject: one line, and not too long.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|letter| !letter.is_control()).take(SUBJECT).collect()
}
