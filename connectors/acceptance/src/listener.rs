//! Connections at a port, each served by a thread of its own: for servers that are a few lines of these tests.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Identity;
use crate::port::Port;

/// A connection, encrypted or not.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// Accepts connections and serves them, until killed or dropped.
pub(crate) struct Listener {
    port: Port,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    serve: Box<dyn Fn(TcpStream) + Send + Sync>,
    is_open: AtomicBool,
    accepted: AtomicUsize,
    /// Those that are served, by number.
    served: Mutex<HashMap<usize, TcpStream>>,
}

impl Listener {
    /// Accepts from now on, and serves each connection by `serve`.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let shared = Shared {
            serve: Box::new(serve),
            is_open: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            served: Mutex::default(),
        };
        let mut listener = Self { port: Port::claim(), shared: Arc::new(shared), thread: None };
        listener.open();
        listener
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Accepts again after [`Listener::kill`].
    pub(crate) fn open(&mut self) {
        assert!(self.thread.is_none(), "the listener is open already");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port())).expect("a port of our own");
        self.shared.is_open.store(true, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        // Ends when it is killed, which wakes it by a connection.
        let accept = move || {
            for stream in listener.incoming() {
                if !shared.is_open.load(Ordering::SeqCst) {
                    return;
                }
                shared.take(stream.expect("a connection"));
            }
        };
        self.thread = Some(Builder::new().name("accept".into()).spawn(accept).expect("a thread"));
    }

    /// Ends all connections.
    pub(crate) fn disconnect(&self) {
        for stream in lock(&self.shared.served).values() {
            // An error: the client was faster.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Refuses new connections, and ends those that exist.
    pub(crate) fn kill(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.is_open.store(false, Ordering::SeqCst);
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port())));
        thread.join().expect("the accepting thread");
        self.disconnect();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    /// Serves `stream` on a thread of its own, which ends with the connection: when a side closes it, or the listener is killed.
    fn take(self: &Arc<Self>, stream: TcpStream) {
        let number = self.accepted.fetch_add(1, Ordering::SeqCst);
        lock(&self.served).insert(number, stream.try_clone().expect("a descriptor"));
        let shared = Arc::clone(self);
        let serve = move || {
            (shared.serve)(stream);
            lock(&shared.served).remove(&number);
        };
        Builder::new().name("serve".into()).spawn(serve).expect("a thread");
    }
}

/// Locks, also after a thread has panicked meanwhile: its test fails anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What encrypts connections as a server with `identity`.
pub(crate) fn encryption(identity: &Identity) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(&identity.certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("protocol versions").with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![certificate], key).expect("an identity"))
}

/// `stream`, encrypted by `encryption` if there is one.
pub(crate) fn encrypted(stream: TcpStream, encryption: Option<&Arc<ServerConfig>>) -> Box<dyn Stream> {
    let Some(config) = encryption else { return Box::new(stream) };
    let connection = ServerConnection::new(Arc::clone(config)).expect("a TLS session");
    Box::new(StreamOwned::new(connection, stream))
}
