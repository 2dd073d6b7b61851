//! The HTTP server: its own loop of accepting, with limits on connections and on the time of each.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | observe | [`start`] | connections, requests | with the process |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::super::failure::Outcome;
use super::view::{self, Answer, View};
use tidemill_core::error::Error;

/// Connections at the same time; others wait until one is closed.
const CONNECTIONS: usize = 64;

/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(10);

/// How long a connection may last.
const CONNECTION: Duration = Duration::from_secs(30);

/// The most bytes of headers.
const MOST_HEADERS: usize = 16 << 10;

/// The pause after a connection that could not be accepted, such as for lack of descriptors.
const REST: Duration = Duration::from_millis(100);

/// Starts answering; returns the address.
pub(super) fn start(view: Arc<View>) -> Outcome<SocketAddr> {
    let wanted = view.access().address;
    let failed = |error: std::io::Error| Error::io("listen at", wanted, &error);
    let listener = std::net::TcpListener::bind(wanted).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let work = move || {
        runtime.block_on(async move {
            // It was bound before.
            if let Ok(listener) = TcpListener::from_std(listener) {
                accept(listener, view).await;
            }
        });
    };
    std::thread::Builder::new().name("observe".into()).spawn(work).map_err(failed)?;
    Ok(address)
}

async fn accept(listener: TcpListener, view: Arc<View>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let view = Arc::clone(&view);
                tokio::spawn(async move {
                    let _too_slow = tokio::time::timeout(CONNECTION, converse(stream, view)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

/// One request of one connection.
async fn converse(stream: TcpStream, view: Arc<View>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&view, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MOST_HEADERS).keep_alive(false);
    // Whoever sends no request gets no answer.
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(view: &View, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let answer = view.answer(&view::Request {
        method: request.method().as_str(),
        path: request.uri().path(),
        host: header(HOST),
        authorization: header(AUTHORIZATION),
    });
    let Answer { status, kind, body } = answer;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let mut set = |name, value: &'static str| {
        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value))
    };
    set(CONTENT_TYPE, kind);
    set(CACHE_CONTROL, "no-store");
    if status == 401 {
        set(WWW_AUTHENTICATE, "Bearer");
    }
    response
}
