//! A session with a server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use opcua::client::{Client, ClientBuilder, Session, SessionActivity, SessionPollResult};
use opcua::types::{EndpointDescription, StatusCode};
use tempfile::TempDir;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::FilePath;
use tokio::time::timeout;

use crate::failure::{failed, of_status};
use crate::options::{Connection, Security};
use crate::{certificates, security};

/// How long a session may take to be closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// For how long the server keeps a session that is not heard of: a pipeline may stand still so long.
const PATIENCE: Duration = Duration::from_secs(300);

/// The largest message in bytes that is accepted.
const LARGEST: usize = 64 << 20;

type Events = Pin<Box<dyn Stream<Item = std::result::Result<SessionPollResult, StatusCode>> + Send>>;

/// A session that was made. It lives only while one of its methods is waited for.
pub(crate) struct Connected {
    pub(crate) session: Arc<Session>,
    events: Events,
    url: String,
    /// The client's folder of certificates.
    _folder: TempDir,
}

/// What the server offers.
///
/// # Errors
/// If it cannot be asked.
pub(crate) async fn offered(connection: &Connection) -> Result<Vec<EndpointDescription>> {
    let (client, _folder) = client(connection)?;
    endpoints(connection, &client).await
}

async fn endpoints(connection: &Connection, client: &Client) -> Result<Vec<EndpointDescription>> {
    let url = connection.url.as_str();
    let asked = timeout(connection.timeout()?, client.get_server_endpoints_from_url(url)).await;
    match asked {
        Ok(Ok(endpoints)) => Ok(endpoints),
        Ok(Err(error)) => Err(failed(url, "cannot connect", &error)),
        Err(_) => Err(of_status(url, "cannot connect", StatusCode::BadTimeout)),
    }
}

/// A client, with a folder that it needs.
fn client(connection: &Connection) -> Result<(Client, TempDir)> {
    let failed = |error: std::io::Error| Error::io("make a folder in", "the temporary folder", &error);
    let folder = tempfile::Builder::new().prefix("tidemill-opcua-").tempdir().map_err(failed)?;
    let mut builder = ClientBuilder::new()
        .application_name("tidemill")
        .application_uri(&connection.application_uri)
        .product_uri("urn:tidemill")
        .session_name("tidemill")
        .pki_dir(folder.path())
        // The certificate is checked before, where the user has put it.
        .trust_server_certs(true)
        .verify_server_certs(false)
        // A lost session is made anew, by whoever waits for it.
        .session_retry_limit(0)
        .recreate_subscriptions(false)
        .max_message_size(LARGEST)
        .max_chunk_count(LARGEST / 8192)
        .max_array_length(LARGEST / 16)
        .max_string_length(LARGEST / 16)
        .max_byte_string_length(LARGEST / 16)
        .session_timeout(PATIENCE.as_millis() as u32)
        .min_publish_interval(Duration::from_millis(10))
        // The answer to such a request comes with the next value.
        .publish_timeout(Duration::from_hours(1))
        .request_timeout(connection.timeout()?);
    if connection.security != Security::None {
        certificates::prepare(connection)?;
        let at = |path: &FilePath| {
            std::path::absolute(path.place()).map_err(|error| Error::io("find", path, &error))
        };
        if let (Some(certificate), Some(key)) = (&connection.certificate, &connection.key) {
            builder = builder.certificate_path(at(certificate)?).private_key_path(at(key)?);
        }
    }
    let client = builder.client().map_err(|why| Error::config(why.join("; ")))?;
    Ok((client, folder))
}

impl Connected {
    /// Connects, checks the server's certificate, and logs in.
    ///
    /// # Errors
    /// Which of these has failed.
    pub(crate) async fn new(connection: &Connection) -> Result<Self> {
        let (mut client, folder) = client(connection)?;
        let all = endpoints(connection, &client).await?;
        let endpoint = security::choose(connection, &all)?;
        security::verify(connection, &endpoint)?;
        let identity = security::identity(connection)?;
        let (session, events) = client
            .connect_to_endpoint_directly(endpoint, identity)
            .map_err(|error| failed(&connection.url, "cannot connect", &error))?;
        let events = Box::pin(events.enter());
        let mut connected = Self { session, events, url: connection.url.clone(), _folder: folder };
        match timeout(3 * connection.timeout()?, connected.made()).await {
            Ok(made) => made.map(|()| connected),
            Err(_) => Err(of_status(&connection.url, "cannot open a session", StatusCode::BadTimeout)),
        }
    }

    async fn made(&mut self) -> Result<()> {
        loop {
            match self.events.next().await {
                Some(Ok(SessionPollResult::Reconnected(_))) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(status)) => return Err(of_status(&self.url, "cannot open a session", status)),
                None => {
                    return Err(of_status(
                        &self.url,
                        "cannot open a session",
                        StatusCode::BadConnectionClosed,
                    ));
                }
            }
        }
    }

    /// Lets the session send and receive, until something has happened.
    ///
    /// # Errors
    /// If it is lost.
    pub(crate) async fn step(&mut self) -> Result<()> {
        let lost = match self.events.next().await {
            Some(Ok(SessionPollResult::ConnectionLost(status))) => status,
            Some(Ok(SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(status)))) => status,
            Some(Ok(_)) => return Ok(()),
            Some(Err(status)) => status,
            None => StatusCode::BadConnectionClosed,
        };
        Err(of_status(&self.url, "the session was lost", lost).transient())
    }

    /// Waits for `work`, which uses the session.
    ///
    /// # Errors
    /// Those of `work`; if the session is lost.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                event = self.step() => event?,
            }
        }
    }

    /// Closes the session, unless that takes long.
    pub(crate) async fn close(mut self) {
        let session = Arc::clone(&self.session);
        let close = async {
            // An error: it is closed already.
            drop(session.disconnect().await);
            Ok(())
        };
        let _closed_or_late = timeout(FAREWELL, self.during(close)).await;
    }
}
