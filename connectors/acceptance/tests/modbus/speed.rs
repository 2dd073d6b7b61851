//! How fast a million registers are polled, beside the plain loop of the client library.

use std::time::{Duration, Instant};

use serde_json::json;
use tidemill_acceptance::{Job, Modbus};
use tidemill_modbus::tokio_modbus::client::{Reader as _, tcp};

use crate::common::{pipeline, rows, value};

const DEVICES: usize = 20;
const REGISTERS: u16 = 125;
const EVERY: Duration = Duration::from_millis(10);

/// Polls in which a million registers are read.
const POLLS: usize = 1_000_000 / REGISTERS as usize;

/// How long a loop takes that polls as often, and does nothing with the values.
fn by_loop(server: &Modbus) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let poll = |address: String| async move {
        let mut context = tcp::connect(address.parse().expect("an address")).await.expect("a connection");
        let mut ticks = tokio::time::interval(EVERY);
        for _ in 0..POLLS / DEVICES {
            ticks.tick().await;
            let words = context.read_holding_registers(0, REGISTERS).await;
            assert_eq!(words.expect("an answer").expect("no exception").len(), usize::from(REGISTERS));
        }
    };
    let all: Vec<_> = server.addresses().map(|address| runtime.spawn(poll(address))).collect();
    runtime.block_on(async {
        for one in all {
            one.await.expect("no panic");
        }
    });
    begun.elapsed()
}

/// How many lines have been written so far.
fn lines(job: &Job) -> usize {
    let files = std::fs::read_dir(job.folder()).expect("a folder").flatten();
    let own = files.filter(|file| file.file_name().to_string_lossy().contains("out.csv"));
    let bytes = own.flat_map(|file| std::fs::read(file.path()).unwrap_or_default());
    bytes.filter(|byte| *byte == b'\n').count()
}

#[test]
#[ignore = "figures, with a release build"]
fn a_million_registers_beside_a_plain_loop() {
    let values: Vec<_> = (0..REGISTERS).map(|at| value("holding", at.into(), "u16", json!(at))).collect();
    let server = Modbus::start_together(&json!([{ "unit": 1, "values": values }]), DEVICES);
    let rate = |what: &str, took: Duration| {
        let rate = (POLLS * usize::from(REGISTERS)) as f64 / took.as_secs_f64();
        println!("{what}: {rate:.0} registers/s");
        rate
    };
    let plain = rate("a loop that polls", by_loop(&server));
    let addresses: Vec<String> = server.addresses().collect();
    let names: Vec<String> = (0..DEVICES).map(|at| format!("d{at}")).collect();
    let devices: Vec<_> =
        names.iter().zip(&addresses).map(|(name, at)| (name.as_str(), at.as_str(), "")).collect();
    let registers: Vec<String> = (0..REGISTERS).map(|at| format!("name = 'r{at}'\naddress = {at}")).collect();
    let registers: Vec<&str> = registers.iter().map(String::as_str).collect();
    let job = Job::new(&pipeline("every = '10ms'\ntimeout = '20s'", &devices, &registers));
    let begun = Instant::now();
    let run = job.start();
    while lines(&job) <= POLLS {
        std::thread::sleep(Duration::from_millis(50));
    }
    let own = rate("the source, to a file", begun.elapsed());
    let said = run.stop().success();
    println!("ratio: {:.2}\n{said}", own / plain);
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    for row in rows(&job) {
        assert!((0..REGISTERS).all(|at| row[&format!("r{at}")] == at.to_string()), "{row:?}");
    }
}
