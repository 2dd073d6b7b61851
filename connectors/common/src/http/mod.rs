//! A client of one server: one connection, which is kept open between requests. It follows no redirects, and uses a proxy only if an option names it.
//!
//! | module | |
//! |---|---|
//! | `answer` | an answer, and what it says in words |
//! | `connect` | connections, with TLS or without |
//! | `endpoint` | where requests go |
//! | `options` | the options that all clients share |
//! | `probing` | what `tidemill doctor` asks |
//! | `proxy` | a proxy between a client and its server |

mod answer;
mod connect;
mod endpoint;
mod options;
mod probing;
mod proxy;

use std::time::Duration;

use crate::tls::Tls;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tidemill_engine::error::{Error, Result};

pub use crate::blocking::Blocking;
pub use answer::Answer;
pub use connect::{Stream, connect};
pub use endpoint::Endpoint;
pub use options::{ClientOptions, Text, authorization, duration, header_value, headers, merged};
pub use probing::{ask, greet, probe_server};
pub use proxy::Proxy;

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Route {
    /// How the server is verified, if the connection is encrypted.
    pub tls: Tls,
    /// The proxy, if there is one.
    pub proxy: Option<Proxy>,
}

impl From<Tls> for Route {
    /// Without a proxy.
    fn from(tls: Tls) -> Self {
        Self { tls, proxy: None }
    }
}

/// A client of one server. Requests are sent one after the other.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    route: Route,
    timeout: Duration,
    idle: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client of the server at `endpoint`; each request with its answer may take as long as `timeout`.
    #[must_use]
    pub fn new(endpoint: Endpoint, route: impl Into<Route>, timeout: Duration) -> Self {
        Self { endpoint, route: route.into(), timeout, idle: None }
    }

    /// Where requests go.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends `request`, whose address is a path, and reads the answer, of at most `limit` bytes.
    ///
    /// # Errors
    /// If there is no answer: transient, unless the certificate of the server was refused. An answer of any status is a success.
    pub async fn send(&mut self, request: Request<Full<Bytes>>, limit: usize) -> Result<Answer> {
        let timeout = self.timeout;
        let exchange = async {
            let response = self.open(request).await?;
            self.read(response, limit).await
        };
        let answered = tokio::time::timeout(timeout, exchange).await;
        let answered = answered.unwrap_or_else(|_| Err(self.timed_out()));
        if answered.is_err() {
            self.idle = None;
        }
        answered
    }

    /// Sends `request` and returns as soon as the status and the headers have come. The caller reads the body, and limits how long that takes.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn open(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        request.headers_mut().insert(HOST, self.endpoint.host_header()?);
        if let Some(proxy) = self.route.proxy.as_ref().filter(|_| Proxy::forwards(&self.endpoint)) {
            proxy.forward(&mut request, &self.endpoint)?;
        }
        if let Some(mut sender) = self.idle.take()
            && sender.ready().await.is_ok()
        {
            // The server may have closed it in the meantime, which is no failure.
            match sender.send_request(request.clone()).await {
                Err(error) if error.is_canceled() || error.is_incomplete_message() => {}
                answered => return self.opened(sender, answered),
            }
        }
        let mut sender = self.connected().await?;
        let answered = sender.send_request(request).await;
        self.opened(sender, answered)
    }

    /// Keeps the connection if there is an answer.
    fn opened(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        answered: hyper::Result<Response<Incoming>>,
    ) -> Result<Response<Incoming>> {
        let response = answered.map_err(|error| self.failed(&error))?;
        self.idle = Some(sender);
        Ok(response)
    }

    /// A new connection.
    async fn connected(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = connect(&self.endpoint, &self.route).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.failed(&error))?;
        // Ends with the connection: when the client is dropped, or the server closes it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn read(&self, response: Response<Incoming>, limit: usize) -> Result<Answer> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, limit).collect().await.map_err(|error| {
            match error.downcast::<hyper::Error>() {
                Ok(error) => self.failed(&error),
                Err(_) => Error::data(format!("{}: the answer is larger than {limit} bytes", self.endpoint)),
            }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    fn failed(&self, error: &hyper::Error) -> Error {
        let why = if error.is_incomplete_message() {
            "the connection was closed before the answer came".to_owned()
        } else {
            let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})"));
            format!("{error}{}", cause.unwrap_or_default())
        };
        Error::unavailable(format!("{}: {why}", self.endpoint)).transient()
    }

    fn timed_out(&self) -> Error {
        let seconds = self.timeout.as_secs_f64();
        Error::unavailable(format!("{}: no answer within {seconds} s", self.endpoint)).transient()
    }
}

/// A request with this body; `path` is that of the endpoint or another one of the server.
///
/// # Errors
/// An internal error if the path is none.
pub fn request(
    method: hyper::Method,
    path: &str,
    headers: &[(hyper::header::HeaderName, HeaderValue)],
    body: impl Into<Bytes>,
) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(body.into()))
        .map_err(|error| Error::internal(format!("a request cannot be made: {error}")))?;
    for (name, value) in headers {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    Ok(request)
}
