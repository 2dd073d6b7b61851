//! 1 million messages of QoS 1 through mosquitto: this source beside the plain loop of the client library, in the same run. Prints both.
//!
//! `cargo test --release -p tidemill-mqtt --test throughput -- --ignored --nocapture`

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rumqttc_v5::{AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS};
use tidemill_connect::message::{Messages, Payload};
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::sensor::Sensors;
use tidemill_engine::source::{Input, OpenOptions, SourceSpec};
use tidemill_mqtt::{Connection, Mqtt};

const MESSAGES: usize = 1_000_000;

/// A broker without limits, which ends with the test.
struct Mosquitto {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mosquitto.conf");
        let limits = "max_inflight_messages 0\nmax_queued_messages 0\nmemory_limit 0\n";
        std::fs::write(
            &file,
            format!("user root\nallow_anonymous true\n{limits}listener {port} 127.0.0.1\n"),
        )
        .expect("written");
        let child =
            Command::new("mosquitto").arg("-c").arg(&file).stderr(Stdio::null()).spawn().expect("mosquitto");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, _folder: folder }
    }

    /// Lets the broker keep the messages for this client, and publishes them.
    fn fill(&self, id: &str) {
        let port = self.port.to_string();
        let session =
            ["-p", &port, "-V", "5", "-x", "3600", "-i", id, "-c", "-q", "1", "-t", "plant/+", "-E"];
        assert!(Command::new("mosquitto_sub").args(session).status().expect("it runs").success());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.publish());
    }

    async fn publish(&self) {
        let mut options = MqttOptions::new("filler", ("127.0.0.1", self.port));
        // The library looks through all messages under way for each that it sends.
        options.set_outgoing_inflight_upper_limit(100);
        let (client, mut events) = AsyncClient::builder(options).capacity(1000).build();
        let publish = async {
            for number in 0..MESSAGES {
                let payload = format!("{number}.5").into_bytes();
                let options = PublishOptions::new(QoS::AtLeastOnce);
                client.publish("plant/t1", payload, options).await.expect("queued");
            }
        };
        let acknowledged = async {
            let mut left = MESSAGES;
            while left > 0 {
                if let Event::Incoming(Packet::PubAck(_)) = events.poll().await.expect("an event") {
                    left -= 1;
                }
            }
        };
        tokio::join!(publish, acknowledged);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The client library's own loop, which acknowledges each message.
fn plain(mosquitto: &Mosquitto) -> Duration {
    mosquitto.fill("plain");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    runtime.block_on(async {
        let mut options = MqttOptions::new("plain", ("127.0.0.1", mosquitto.port));
        options
            .set_clean_start(false)
            .set_session_expiry_interval(Some(3600))
            .set_receive_maximum(Some(u16::MAX));
        options.set_broker_session_resume_policy(rumqttc_v5::BrokerSessionResumePolicy::AllowBrokerOnly);
        let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
        let (mut received, mut bytes) = (0, 0);
        while received < MESSAGES {
            if let Event::Incoming(Packet::Publish(message)) = events.poll().await.expect("an event") {
                received += 1;
                bytes += message.payload.len();
            }
        }
        drop(client);
        assert!(bytes > MESSAGES);
    });
    begun.elapsed()
}

/// This source, with checkpoints or without.
fn own(mosquitto: &Mosquitto, keeps_place: bool) -> Duration {
    mosquitto.fill("own");
    let url = format!("mqtt://127.0.0.1:{}", mosquitto.port);
    let mut mqtt =
        Mqtt::new(&url, "plant/{sensor}", Messages::new(Payload::Number, ColumnOptions::default()));
    mqtt.connection = Connection { client_id: Some("own".into()), ..Connection::new(&url) };
    let begun = Instant::now();
    let mut source = mqtt.open(&OpenOptions { keeps_place, ..OpenOptions::default() }).expect("opened");
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
    let mosquitto = Mosquitto::start();
    let rate = |time: Duration| MESSAGES as f64 / time.as_secs_f64();
    let plain = rate(plain(&mosquitto));
    println!("plain loop: {plain:.0} messages/s");
    for keeps_place in [false, true] {
        let own = rate(own(&mosquitto, keeps_place));
        println!("source, checkpoints {keeps_place}: {own:.0} messages/s, {:.2} of it", own / plain);
        assert!(own >= 0.7 * plain);
    }
}
