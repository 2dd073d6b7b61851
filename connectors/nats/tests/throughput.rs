//! 1 million messages of a stream: this source beside the plain loop of the client library, in the same run. Prints both.
//!
//! `cargo test --release -p tidemill-nats --test throughput -- --ignored --nocapture`

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use tidemill_connect::message::{Messages, Payload};
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::sensor::Sensors;
use tidemill_engine::source::{Input, OpenOptions, SourceSpec};
use tidemill_nats::{Nats, Subscription};

const MESSAGES: usize = 1_000_000;

/// A server, which ends with the test.
struct Server {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(folder.path());
        let child = command.stderr(Stdio::null()).spawn().expect("nats-server");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, _folder: folder }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn fill(server: &Server) {
    let client = async_nats::connect(server.url()).await.expect("a connection");
    let context = jetstream::new(client.clone());
    let config =
        stream::Config { name: "S".into(), subjects: vec!["plant.>".into()], ..stream::Config::default() };
    let mut stream = context.create_stream(config).await.expect("a stream");
    for number in 0..MESSAGES {
        client.publish("plant.t1", format!("{number}.5").into()).await.expect("published");
        // The server would drop what it cannot store in time.
        if number % 10_000 == 0 {
            while stream.info().await.expect("the stream").state.messages + 20_000 < number as u64 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    client.flush().await.expect("flushed");
    while stream.info().await.expect("the stream").state.messages < MESSAGES as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The client library's own loop, which acknowledges each message.
async fn plain(server: &Server) -> Duration {
    let client = async_nats::connect(server.url()).await.expect("a connection");
    let stream = jetstream::new(client).get_stream("S").await.expect("the stream");
    let config = pull::Config { max_ack_pending: 65_536, ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let begun = Instant::now();
    let mut messages = consumer.stream().max_messages_per_batch(10_000).messages().await.expect("messages");
    let mut bytes = 0;
    for _ in 0..MESSAGES {
        let message = messages.next().await.expect("no end").expect("a message");
        bytes += message.payload.len();
        message.ack().await.expect("acknowledged");
    }
    assert!(bytes > MESSAGES);
    begun.elapsed()
}

/// This source, with checkpoints or without.
fn own(server: &Server, keeps_place: bool) -> Duration {
    let mut nats =
        Nats::new(server.url(), "plant.{sensor}", Messages::new(Payload::Number, ColumnOptions::default()));
    nats.subscription = Subscription { stream: Some("S".into()), ..nats.subscription };
    let begun = Instant::now();
    let mut source = nats.open(&OpenOptions { keeps_place, ..OpenOptions::default() }).expect("opened");
    source.begin().expect("begun");
    let (mut sensors, mut records, mut cut) = (Sensors::default(), 0, Instant::now());
    while records < MESSAGES {
        match source.next(&mut sensors).expect("input").expect("no end") {
            Input::Chunk(chunk) => records += chunk.decode(&mut sensors).expect("decoded").batch.len(),
            Input::Records(decoded) => records += decoded.batch.len(),
            _ => {}
        }
        if keeps_place && cut.elapsed() > Duration::from_millis(50) {
            let position = source.save().expect("saved").expect("a position");
            source.durable(1, &position).expect("durable");
            cut = Instant::now();
        }
    }
    begun.elapsed()
}

#[test]
#[ignore = "takes minutes, and needs a quiet machine"]
fn throughput_beside_the_plain_loop() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(fill(&server));
    let rate = |time: Duration| MESSAGES as f64 / time.as_secs_f64();
    let plain = rate(runtime.block_on(plain(&server)));
    println!("plain loop: {plain:.0} messages/s");
    for keeps_place in [false, true] {
        let own = rate(own(&server, keeps_place));
        println!("source, checkpoints {keeps_place}: {own:.0} messages/s, {:.2} of it", own / plain);
        assert!(own >= 0.7 * plain);
    }
}
