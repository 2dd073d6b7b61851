//! Connections: their number, TLS, the time that they may take.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::certificates::Certificates;
use super::handle::Handler;
use super::pace::{HEADER, Late, Pace, Paced};
use tidemill_connect::http::Stream;

/// How long answers on their way may take at the end.
const LEAVE: Duration = Duration::from_secs(1);

/// Threads that decompress and decode bodies: each holds one of them in memory, and the pipeline decodes them too.
const DECODING: usize = 2;

/// How long to wait after a connection could not be accepted, because there are too many open files, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that listens.
pub(super) struct Server {
    pub(super) listener: TcpListener,
    pub(super) handler: Arc<Handler>,
    pub(super) tls: Option<Arc<Certificates>>,
    pub(super) connections: usize,
    pub(super) stopped: watch::Receiver<bool>,
}

/// The main loop of the thread `http`: until the server is to stop.
pub(super) fn serve(server: Server) {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(DECODING)
        .thread_name("http-decode")
        .build();
    // Without a runtime the listener is closed: clients see that nobody is there.
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async move {
        let Ok(listener) = tokio::net::TcpListener::from_std(server.listener) else { return };
        let slots = Arc::new(Semaphore::new(server.connections.min(Semaphore::MAX_PERMITS)));
        let mut stopped = server.stopped.clone();
        let accepting = async {
            loop {
                // The next connections wait in the queue of the system.
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, client)) => {
                        let tls = server.tls.as_ref().map(|tls| tls.config());
                        let handler = Arc::clone(&server.handler);
                        tokio::spawn(connection(stream, client, handler, tls, slot, server.stopped.clone()));
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = stopped.wait_for(|is_over| *is_over) => {}
        }
        drop(listener);
        let all = u32::try_from(server.connections).unwrap_or(u32::MAX);
        let _some_left = tokio::time::timeout(LEAVE, slots.acquire_many(all)).await;
    });
}

/// Serves one connection.
async fn connection(
    stream: tokio::net::TcpStream,
    client: SocketAddr,
    handler: Arc<Handler>,
    tls: Option<Arc<ServerConfig>>,
    _slot: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    // An answer is written in one piece.
    let _not_vital = stream.set_nodelay(true);
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(config) => match tokio::time::timeout(HEADER, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => Box::new(stream),
            _ => return handler.counts.broken(),
        },
    };
    let pace = Arc::new(Pace::new(Instant::now()));
    let service = service_fn(|request| {
        let (handler, pace) = (Arc::clone(&handler), Arc::clone(&pace));
        async move {
            pace.asked();
            let answer = handler.answer(request, client).await;
            pace.answered(Instant::now());
            answer
        }
    });
    let mut builder = http1::Builder::new();
    // Its own time for a header runs between requests too.
    builder.header_read_timeout(Option::<Duration>::None).max_headers(100);
    let paced = Paced { stream, pace: Arc::clone(&pace) };
    let served = builder.serve_connection(TokioIo::new(paced), service);
    let mut served = std::pin::pin!(served);
    let over = async { drop(stopped.wait_for(|is_over| *is_over).await) };
    let is_whole = tokio::select! {
        ended = served.as_mut() => ended.is_ok(),
        late = pace.until_late() => late == Late::Idle,
        () = over => {
            served.as_mut().graceful_shutdown();
            served.await.is_ok()
        }
    };
    if !is_whole {
        handler.counts.broken();
    }
}
