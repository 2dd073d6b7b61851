//! A proxy between a client and its server.
//!
//! | address | how |
//! |---|---|
//! | http | the proxy is asked for the whole address |
//! | https, ws, wss | the proxy is asked for a tunnel (`CONNECT`), and sees nothing of what passes through it |

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::secret::Secret;
use tokio::net::TcpStream;

use super::connect::tcp;
use super::options::authorization;
use super::{Endpoint, Stream};

/// A proxy, and how to log in there.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub(super) endpoint: Endpoint,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy in the options `proxy`, `proxy_user` and `proxy_password`.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(super) fn new(url: &str, user: Option<&str>, password: Option<&Secret>) -> Result<Self> {
        let endpoint = Endpoint::parse("proxy", url, &["http"])?;
        let login = authorization(None, user, password);
        let authorization = login.map_err(|_| {
            Error::config("`proxy_user` and `proxy_password` belong together: one of them is missing, or has characters that no header may have")
        })?;
        Ok(Self { endpoint, authorization })
    }

    /// Whether it is asked for the whole address, not for a tunnel.
    pub(super) fn forwards(endpoint: &Endpoint) -> bool {
        endpoint.is_plain_http()
    }

    /// Lets it forward `request`, whose address is a path, to `endpoint`.
    ///
    /// # Errors
    /// An internal error if the path is none.
    pub(super) fn forward<B>(&self, request: &mut Request<B>, endpoint: &Endpoint) -> Result<()> {
        let whole = format!("{endpoint}{}", request.uri()).parse::<Uri>();
        *request.uri_mut() =
            whole.map_err(|error| Error::internal(format!("a request cannot be made: {error}")))?;
        if let Some(login) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, login.clone());
        }
        Ok(())
    }

    /// A connection to it.
    ///
    /// # Errors
    /// Transient, if there is none.
    pub(super) async fn connect(&self) -> Result<TcpStream> {
        tcp(&self.endpoint).await.map_err(|error| error.with_context("the proxy"))
    }

    /// A tunnel to `endpoint`.
    ///
    /// # Errors
    /// Transient, if it cannot be made now; a permanent one if the proxy refuses.
    pub(super) async fn tunnel(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>> {
        let proxy = &self.endpoint;
        let failed =
            |error: hyper::Error| Error::unavailable(format!("the proxy {proxy}: {error}")).transient();
        let (mut sender, connection) =
            handshake(TokioIo::new(self.connect().await?)).await.map_err(failed)?;
        // Ends with the tunnel.
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
        let answer = sender.send_request(self.connect_request(endpoint)?).await.map_err(failed)?;
        let status = answer.status();
        if !status.is_success() {
            let error =
                Error::unavailable(format!("the proxy {proxy} answers {status} to a tunnel to {endpoint}"));
            return Err(match status.as_u16() {
                407 => error.with_help("check `proxy_user` and `proxy_password`"),
                429 | 500..=599 => error.transient(),
                _ => error.with_help(
                    "check what the proxy allows: it must let tunnels (CONNECT) through to this port",
                ),
            });
        }
        let stream = hyper::upgrade::on(answer).await.map_err(failed)?;
        Ok(Box::new(TokioIo::new(stream)))
    }

    fn connect_request(&self, endpoint: &Endpoint) -> Result<Request<Empty<Bytes>>> {
        let authority = endpoint.authority();
        let request = Request::builder().method(Method::CONNECT).uri(&authority).header(HOST, &authority);
        let mut request = request
            .body(Empty::new())
            .map_err(|error| Error::internal(format!("a tunnel cannot be asked for: {error}")))?;
        if let Some(login) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, login.clone());
        }
        Ok(request)
    }
}
