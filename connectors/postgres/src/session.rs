//! A connection to a server. All waits end after a time; whoever waits ends them when the run is to stop.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemill_engine::error::{Error, Result};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Socket, ToStatement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::failure;
use crate::server::Server;

/// Texts of values are the same whatever the defaults of the server and the user.
const SETTINGS: &str = "SET standard_conforming_strings = on; SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; \
    SET intervalstyle = 'iso_8601'; SET extra_float_digits = 1; SET client_min_messages = warning";

/// A connection, which ends when this is dropped.
pub(crate) struct Session {
    pub(crate) client: Client,
    server: Arc<str>,
    timeout: Duration,
    task: JoinHandle<()>,
    /// Why the connection has ended.
    end: Arc<Mutex<Option<tokio_postgres::Error>>>,
}

impl Session {
    /// Connects to `server` within `limit`; `application` is shown to its administrators.
    ///
    /// # Errors
    /// If that fails: a transient error if it may succeed later.
    pub(crate) async fn open(server: &Server, application: &str, limit: Duration) -> Result<Self> {
        let opening = Opening { server, application, limit };
        let session = match &server.tls {
            None => opening.with(NoTls).await?,
            Some(tls) => {
                let config = tls.client().map_err(|error| error.with_context(&server.name))?;
                opening.with(MakeRustlsConnect::new((*config).clone())).await?
            }
        };
        let seconds = server.timeout.as_secs().clamp(2, 3600);
        // The server is to notice soon that this side is gone, for it holds locks until then.
        let settings = format!(
            "{SETTINGS}; SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = {}; SET tcp_keepalives_count = 3",
            seconds.div_ceil(2),
            seconds.div_ceil(6)
        );
        session.run("set up the session", &settings).await?;
        Ok(session)
    }

    /// Waits for what the server answers to `future`.
    ///
    /// # Errors
    /// Those of the server; a transient one after the time, or once the run is to stop.
    pub(crate) async fn answer<T>(
        &self,
        doing: &str,
        future: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let error = match timeout(self.timeout, future).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => return Err(too_long(&self.server, doing, self.timeout)),
        };
        if error.is_closed() {
            // The connection says why it has ended, a moment later.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            if let Some(end) = self.end.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(failure(&self.server, doing, &end));
            }
        }
        Err(failure(&self.server, doing, &error))
    }
}

impl Session {
    /// The rows of a query.
    ///
    /// # Errors
    /// As [`Session::answer`].
    pub(crate) async fn rows<S: ToStatement + ?Sized + Sync + Send>(
        &self,
        doing: &str,
        query: &S,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.answer(doing, self.client.query(query, parameters)).await
    }

    /// Runs statements that return nothing.
    ///
    /// # Errors
    /// As [`Session::answer`].
    pub(crate) async fn run(&self, doing: &str, statements: &str) -> Result<()> {
        self.answer(doing, self.client.batch_execute(statements)).await
    }

    /// The same for statements that need not be run any more if the server answers with one of `codes`.
    ///
    /// # Errors
    /// As [`Session::answer`].
    pub(crate) async fn run_unless(&self, codes: &[SqlState], doing: &str, statements: &str) -> Result<()> {
        let ran = async {
            match self.client.batch_execute(statements).await {
                Err(error) if error.code().is_some_and(|code| codes.contains(code)) => Ok(()),
                ran => ran,
            }
        };
        self.answer(doing, ran).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection in the making.
struct Opening<'a> {
    server: &'a Server,
    application: &'a str,
    limit: Duration,
}

impl Opening<'_> {
    async fn with<T>(&self, tls: T) -> Result<Session>
    where
        T: MakeTlsConnect<Socket>,
        T::TlsConnect: Send,
        T::Stream: Send + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let Self { server, application, limit } = self;
        let mut config = server.config.clone();
        config.application_name(*application);
        let connected = timeout(*limit, config.connect(tls)).await;
        let connected = connected.map_err(|_| too_long(&server.name, "connect", *limit))?;
        let (client, connection) = connected.map_err(|error| failure(&server.name, "connect", &error))?;
        let end = Arc::new(Mutex::new(None));
        let told = Arc::clone(&end);
        let task = tokio::spawn(async move {
            let ended = connection.await;
            *told.lock().unwrap_or_else(PoisonError::into_inner) = ended.err();
        });
        let name = Arc::clone(&server.name);
        Ok(Session { client, server: name, timeout: server.timeout, task, end })
    }
}

/// There was no answer within `limit`.
pub(crate) fn too_long(server: &str, doing: &str, limit: Duration) -> Error {
    Error::unavailable(format!("{server}: cannot {doing}: no answer within {limit:?}"))
        .with_help("check that the server is not blocked; raise `timeout` if it needs longer")
        .transient()
}
