//! A session with a server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use opcua::client::{Client, ClientBuilder, Session, SessionActivity, SessionPollResult};
use opcua::types::{DateTime, EndpointDescription, StatusCode, SubStatusCode};
use tempfile::TempDir;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::FilePath;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::failure::{failed, of_status};
use crate::options::{Connection, Security};
use crate::{certificates, security};

/// How long a session may take to be closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// For how long the server keeps a session that is not heard of: a pipeline may stand still so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// For how long the keys of a connection are valid. The client renews them with the first request after three quarters of that: what is left lets the pipeline stand still.
const CHANNEL: Duration = Duration::from_secs(4 * PATIENCE.as_secs());

/// Signs of life in a row that may come too late. The pipeline may have stood still while one was on its way.
const LATE: u32 = 1;

/// The largest message in bytes that is accepted.
const LARGEST: usize = 64 << 20;

type Event = std::result::Result<SessionPollResult, StatusCode>;

type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// A session that was made. It lives only while one of its methods is waited for, and is to be [closed](Connected::close): servers keep few.
pub(crate) struct Connected {
    pub(crate) session: Arc<Session>,
    events: Events,
    pulse: Pulse,
    url: String,
}

/// What the events of a session say about its life.
#[derive(Default)]
struct Pulse {
    /// Signs of life in a row that came too late.
    late: u32,
    /// Whether the connection was lost.
    is_lost: bool,
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
    let asked = async {
        resolve(connection).await?;
        let asked = client.get_server_endpoints_from_url(url).await;
        asked.map_err(|error| failed(url, "cannot connect", &error))
    };
    let late = |_| Err(of_status(url, "cannot connect", StatusCode::BadTimeout));
    timeout(connection.timeout()?, asked).await.unwrap_or_else(late)
}

/// Looks up the host. The client does so too, but does not say which host is not known, or why.
async fn resolve(connection: &Connection) -> Result<()> {
    let (host, port) = connection.endpoint()?;
    let found = lookup_host((host.as_str(), port)).await;
    found.map(drop).map_err(|why| {
        Error::unavailable(format!(
            "{}: cannot connect: the host `{host}` is not found: {why}",
            connection.url
        ))
        .transient()
        .with_help("check the spelling of the host name, and the name servers of this machine")
    })
}

/// A client, with a folder for certificates that it needs until a session is made.
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
        .channel_lifetime(CHANNEL.as_millis() as u32)
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
        let (mut client, _folder) = client(connection)?;
        let all = endpoints(connection, &client).await?;
        let endpoint = security::choose(connection, &all)?;
        security::verify(connection, &endpoint, &DateTime::now())?;
        let identity = security::identity(connection)?;
        let (session, events) = client
            .connect_to_endpoint_directly(endpoint, identity)
            .map_err(|error| failed(&connection.url, "cannot connect", &error))?;
        let events = Box::pin(events.enter());
        let mut connected = Self { session, events, pulse: Pulse::default(), url: connection.url.clone() };
        let late = |_| Err(of_status(&connection.url, "cannot open a session", StatusCode::BadTimeout));
        match timeout(3 * connection.timeout()?, connected.made()).await.unwrap_or_else(late) {
            Ok(()) => Ok(connected),
            Err(error) => {
                connected.close().await;
                Err(error)
            }
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
        let event = self.events.next().await;
        match self.pulse.lost(event.as_ref()) {
            None => Ok(()),
            Some(status) => Err(of_status(&self.url, "the session was lost", status).transient()),
        }
    }

    /// Waits for `work`, which uses the session.
    ///
    /// # Errors
    /// Those of `work`; if the session is lost.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                event = self.step() => event?,
            }
        }
    }

    /// Closes the session, unless that takes long. The server keeps one whose connection was lost: it is taken up again for that.
    pub(crate) async fn close(mut self) {
        let session = Arc::clone(&self.session);
        let close = async {
            if self.pulse.is_lost {
                self.made().await?;
            }
            self.during(async {
                // An error: it is closed already.
                drop(session.disconnect().await);
                Ok(())
            })
            .await
        };
        let _closed_or_late = timeout(FAREWELL, close).await;
    }
}

impl Pulse {
    /// Why the session is lost with this event, if it is.
    fn lost(&mut self, event: Option<&Event>) -> Option<StatusCode> {
        match event {
            Some(Ok(SessionPollResult::SessionActivity(SessionActivity::KeepAliveSucceeded))) => {
                self.late = 0
            }
            Some(Ok(SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(status)))) => {
                self.late += 1;
                let is_late = status.sub_code() == SubStatusCode::BadTimeout;
                return (!is_late || self.late > LATE).then_some(*status);
            }
            Some(Ok(SessionPollResult::ConnectionLost(status))) => {
                self.is_lost = true;
                return Some(*status);
            }
            Some(Ok(_)) => {}
            Some(Err(status)) => return Some(*status),
            None => return Some(StatusCode::BadConnectionClosed),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed_for(status: StatusCode) -> Event {
        Ok(SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(status)))
    }

    #[test]
    fn a_single_late_sign_of_life_is_no_loss_and_two_in_a_row_are() {
        let late = failed_for(StatusCode::BadTimeout);
        let alive = Ok(SessionPollResult::SessionActivity(SessionActivity::KeepAliveSucceeded));
        let mut pulse = Pulse::default();
        for event in [&late, &alive, &late, &Ok(SessionPollResult::BeginConnect)] {
            assert_eq!(pulse.lost(Some(event)), None, "{event:?}");
        }
        assert_eq!(pulse.lost(Some(&late)), Some(StatusCode::BadTimeout));
        let halted = failed_for(StatusCode::BadServerHalted);
        assert_eq!(Pulse::default().lost(Some(&halted)), Some(StatusCode::BadServerHalted));
        assert_eq!(Pulse::default().lost(None), Some(StatusCode::BadConnectionClosed));
    }

    #[test]
    fn a_host_that_is_not_known_is_named() {
        // No name server is asked for a name that is too long.
        let host = "x".repeat(64);
        let connection = Connection::new(format!("opc.tcp://{host}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let error = runtime.block_on(offered(&connection)).expect_err("unknown");
        assert!(
            error.is_transient() && error.to_string().contains(&format!("`{host}` is not found")),
            "{error}"
        );
    }
}
