//! 50 devices with 125 registers each, polled every 10 ms: this source beside the plain loop of the client library, in the same run. Prints both.
//!
//! `cargo test --release -p tidemill-modbus --test throughput -- --ignored --nocapture`

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidemill_engine::sensor::Sensors;
use tidemill_engine::source::{Input, OpenOptions, SourceSpec};
use tidemill_modbus::Modbus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_modbus::client::{Reader as _, tcp};

const DEVICES: usize = 50;
const REGISTERS: u16 = 125;
const TIME: Duration = Duration::from_secs(5);

/// Answers every request with as many registers as it asks for.
async fn device(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move { while answer(&mut stream).await.is_ok() {} });
    }
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = [0; 12];
    stream.read_exact(&mut request).await?;
    let bytes = 2 * request[11];
    let mut frame = vec![request[0], request[1], 0, 0, 0, bytes + 3, request[6], request[7], bytes];
    frame.resize(9 + usize::from(bytes), 7);
    stream.write_all(&frame).await
}

/// Starts the devices on a thread that ends with the test.
fn devices() -> Vec<SocketAddr> {
    let (sender, addresses) = std::sync::mpsc::channel();
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            for _ in 0..DEVICES {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                sender.send(listener.local_addr().expect("an address")).expect("a receiver");
                tokio::spawn(device(listener));
            }
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name("devices".into()).spawn(serve).expect("a thread");
    addresses.iter().take(DEVICES).collect()
}

/// The records that the source makes.
fn by_source(addresses: &[SocketAddr]) -> usize {
    let mut toml = "every = '10ms'\n".to_owned();
    for (at, address) in addresses.iter().enumerate() {
        toml += &format!("[[device]]\nname = 'd{at}'\naddress = '{address}'\n");
    }
    for at in 0..REGISTERS {
        toml += &format!("[[register]]\nname = 'r{at}'\naddress = {at}\nscale = 0.1\n");
    }
    let modbus: Modbus = toml::from_str(&toml).expect("options");
    let mut source = modbus.open(&OpenOptions::default()).expect("a source");
    source.begin().expect("begun");
    let (begun, mut sensors, mut records) = (Instant::now(), Sensors::default(), 0);
    while begun.elapsed() < TIME {
        if let Some(Input::Records(decoded)) = source.next(&mut sensors).expect("input") {
            records += decoded.batch.len();
        }
    }
    println!("{:?}", source.remarks());
    records
}

/// The polls of a loop that does nothing with the values.
fn by_loop(addresses: &[SocketAddr]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let mut running = JoinSet::new();
        for &address in addresses {
            running.spawn(async move {
                let mut context = tcp::connect(address).await.expect("a connection");
                let (begun, mut polls) = (Instant::now(), 0);
                let mut ticks = tokio::time::interval(Duration::from_millis(10));
                while begun.elapsed() < TIME {
                    ticks.tick().await;
                    let words = context.read_holding_registers(0, REGISTERS).await;
                    assert_eq!(
                        words.expect("an answer").expect("no exception").len(),
                        usize::from(REGISTERS)
                    );
                    polls += 1;
                }
                polls
            });
        }
        running.join_all().await.into_iter().sum()
    })
}

#[test]
#[ignore = "figures, with a release build"]
fn polls_of_many_devices() {
    let addresses = devices();
    let (plain, own) = (by_loop(&addresses), by_source(&addresses));
    let rate = |polls: usize| polls as f64 / TIME.as_secs_f64();
    println!(
        "loop alone {:.0} polls/s, source {:.0} records/s, ratio {:.2}",
        rate(plain),
        rate(own),
        own as f64 / plain as f64
    );
    assert!(own > 0);
}
