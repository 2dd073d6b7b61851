//! Connections, with TLS or without.

use std::sync::Arc;
use std::time::Duration;

use crate::tls::{Tls, failed_check};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tidemill_engine::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Endpoint, Proxy, Route};

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(10);

/// Connects to `endpoint`, by the proxy if there is one.
///
/// # Errors
/// Transient if there is no connection; an error that says which check failed if the certificate of the server is refused.
pub async fn connect(endpoint: &Endpoint, route: &Route) -> Result<Box<dyn Stream>> {
    let opened = tokio::time::timeout(CONNECTING, open(endpoint, route)).await;
    opened.unwrap_or_else(|_| {
        let seconds = CONNECTING.as_secs();
        Err(Error::unavailable(format!("{endpoint}: no connection within {seconds} s")).transient())
    })
}

async fn open(endpoint: &Endpoint, route: &Route) -> Result<Box<dyn Stream>> {
    let stream: Box<dyn Stream> = match &route.proxy {
        None => Box::new(tcp(endpoint).await?),
        Some(proxy) if Proxy::forwards(endpoint) => Box::new(proxy.connect().await?),
        Some(proxy) => proxy.tunnel(endpoint).await?,
    };
    if endpoint.is_tls { encrypted(stream, endpoint, &route.tls).await } else { Ok(stream) }
}

/// A connection without TLS.
///
/// # Errors
/// Transient, if there is none.
pub(super) async fn tcp(endpoint: &Endpoint) -> Result<TcpStream> {
    let failed = |error: std::io::Error| {
        Error::unavailable(format!("{endpoint}: no connection: {}", plain(&error))).transient()
    };
    let stream = TcpStream::connect((&*endpoint.host, endpoint.port)).await.map_err(failed)?;
    // Requests are written in one piece: there is nothing to gather.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

async fn encrypted(stream: Box<dyn Stream>, endpoint: &Endpoint, tls: &Tls) -> Result<Box<dyn Stream>> {
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| Error::config(format!("{endpoint}: {:?} is not the name of a server", endpoint.host)))?;
    let config: Arc<ClientConfig> = tls.client()?;
    let secured = TlsConnector::from(config).connect(name, stream).await;
    let secured = secured.map_err(|error| match failed_check(&error) {
        Some(check) => Error::unavailable(format!("{endpoint}: {check}")),
        None => Error::unavailable(format!("{endpoint}: no TLS connection: {}", plain(&error))).transient(),
    })?;
    Ok(Box::new(secured))
}

/// The message of an error of the operating system without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
