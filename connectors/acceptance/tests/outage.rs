//! The server of a sink is down for a while, at full load: nothing is lost, memory does not grow, and the server is called no more often than the
//! breaker and the pauses allow.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_OUTAGE` | for how many seconds; 2 if not given. From 10 on, memory and the time to catch up are judged too: run it alone, with a release build |

#![cfg(all(feature = "http", feature = "postgres"))]

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill_acceptance::chance::outage;
use tidemill_acceptance::{Answer, Fault, HttpSink, Job, Postgres, Proxy, Request, Run};

/// Records that are sent in a second: as many as a build without optimisation takes too, in a short outage.
fn rate() -> u64 {
    if outage(SHORT) >= LONG { 100_000 } else { 5_000 }
}

/// For how long the server is down, if the environment does not say.
const SHORT: Duration = Duration::from_secs(2);

/// An outage from here on is long enough to judge memory and the time to catch up.
const LONG: Duration = Duration::from_secs(10);

/// How much more memory a run may occupy than before the outage.
const GROWTH: u64 = 16 << 20;

/// The fewest calls that open the breaker, and for how many seconds it is open the first time.
const CALLS: u64 = 3;
const OPEN: u64 = 5;

/// A job whose source is a port that it listens at, with this sink.
fn job(port: u16, sink: &str) -> Job {
    Job::new(&format!(
        "[source]\ntype = 'csv'\npath = 'tcp-listen://127.0.0.1:{port}'\nheader = false\nnames = ['time', 'sensor', 'value']\ntime = 'time'\ntime_format = 'ms'\nsensor = 'sensor'\nmeasurements = ['value']\n\
         [[sink]]\n{sink}\nbreaker = {{ calls = {CALLS}, open = '{OPEN}s' }}\n"
    ))
}

/// Sends readings at a steady rate until it is told to stop; the value of each is its number.
struct Load {
    sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    fn start(port: u16) -> Self {
        let (sent, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (Arc::clone(&sent), Arc::clone(&is_over));
        let thread = std::thread::Builder::new().spawn(move || {
            let mut stream = connect(port);
            let begun = Instant::now();
            let (mut lines, batch) = (String::new(), rate() / 100);
            while !stop.load(Ordering::SeqCst) {
                let first = count.load(Ordering::SeqCst);
                lines.clear();
                for at in first..first + batch {
                    writeln!(lines, "{},s{},{at}", 1_767_225_600_000 + at, at % 100).expect("room");
                }
                stream.write_all(lines.as_bytes()).expect("written");
                let due = begun + Duration::from_nanos((first + batch) * 1_000_000_000 / rate());
                count.store(first + batch, Ordering::SeqCst);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        let thread = thread.expect("a thread");
        Self { sent, is_over, thread }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Ends it; returns how many readings it has sent.
    fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().expect("it sends");
        self.sent.load(Ordering::SeqCst)
    }
}

fn connect(port: u16) -> TcpStream {
    for _ in 0..500 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            return stream;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody listens")
}

/// The probes that a breaker lets through while the target is down for this long behind its opening: it is open for twice as long each time.
fn probes(outage: Duration) -> u64 {
    (0..).take_while(|opened| OPEN * ((1 << (opened + 1)) - 1) <= outage.as_secs()).count() as u64
}

/// Lets a server be down under load. `set_down` ends it and brings it back, `calls` counts what has reached it, and `delivered` the records that it has.
fn through_an_outage(
    name: &str,
    job: &Job,
    port: u16,
    set_down: impl Fn(bool),
    calls: impl Fn() -> u64,
    mut delivered: impl FnMut() -> u64,
) -> u64 {
    let outage = outage(SHORT);
    let run = job.start_with(&["--state", "state"]);
    let load = Load::start(port);
    watch(&run, outage.min(Duration::from_secs(20)));
    let before = watch(&run, Duration::from_secs(1));
    set_down(true);
    let begun = Instant::now();
    run.wait_for("its target is down");
    // One that was under way.
    std::thread::sleep(Duration::from_millis(100));
    let (opened, had) = (begun.elapsed(), calls());
    let during = watch(&run, outage.saturating_sub(opened));
    let made = calls() - had;
    set_down(false);
    let permitted = probes(begun.elapsed() - opened + Duration::from_secs(1));
    let (back, mut after) = (Instant::now(), 0);
    // A second of load is always under way.
    while delivered() + 2 * rate() < load.sent() {
        after = after.max(watch(&run, Duration::from_millis(100)));
        assert!(back.elapsed() < 3 * outage.max(4 * LONG), "it does not catch up: {}", run.said());
    }
    let caught_up = back.elapsed();
    let sent = load.stop();
    while delivered() < sent {
        assert!(back.elapsed() < 5 * outage.max(4 * LONG), "{} of {sent}: {}", delivered(), run.said());
        std::thread::sleep(Duration::from_millis(100));
    }
    run.stop().success();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{name}: down for {outage:?} at {} records/s: breaker open after {opened:.1?}, then {made} probes ({permitted} permitted), caught up after {caught_up:.1?}; \
         memory {:.1} MiB before, {:.1} during, {:.1} after",
        rate(),
        mib(before),
        mib(during),
        mib(after)
    );
    assert!(made <= permitted, "{made} calls, {permitted} permitted");
    if outage >= LONG {
        assert!(during.max(after) <= before + GROWTH, "memory");
        assert!(caught_up < 2 * outage, "{caught_up:?}");
    }
    sent
}

/// The most memory that a run occupies in this time.
fn watch(run: &Run, time: Duration) -> u64 {
    let begun = Instant::now();
    let mut most = 0;
    while most == 0 || begun.elapsed() < time {
        most = most.max(run.memory());
        std::thread::sleep(Duration::from_millis(20));
    }
    most
}

#[test]
fn a_database_that_is_down_gets_everything_once() {
    let postgres = Postgres::start();
    let proxy = Proxy::start(postgres.port());
    let port = tidemill_acceptance::Port::claim();
    let url = postgres.url().replace(&postgres.address(), &proxy.address());
    postgres.sql("CREATE TABLE t (time timestamptz, sensor text, value float8)");
    let job = job(port.number(), &format!("type = 'postgres'\nurl = '{url}'\ntable = 't'"));
    let set_down = |is_down| proxy.set(if is_down { Fault::Reset } else { Fault::None });
    let delivered = || postgres.sql("SELECT count(*) FROM t").trim().parse().expect("a number");
    let sent = through_an_outage(
        "postgres",
        &job,
        port.number(),
        set_down,
        || proxy.connections() as u64,
        delivered,
    );
    let expected = format!("{sent}|{}", sent * (sent - 1) / 2);
    assert_eq!(postgres.sql("SELECT count(*), sum(value)::numeric FROM t").trim(), expected);
}

/// The readings that a server has, by their numbers.
#[derive(Default)]
struct Readings {
    seen: Vec<bool>,
    different: u64,
    repeated: u64,
}

impl Readings {
    /// Takes those of a request with line protocol.
    fn take(&mut self, request: &Request) {
        let mut lines = String::new();
        flate2::read::GzDecoder::new(&request.body[..]).read_to_string(&mut lines).expect("gzip");
        for line in lines.lines() {
            let number = line.split_once("value=").and_then(|(_, rest)| rest.split([' ', ',']).next());
            let number: f64 = number.and_then(|number| number.parse().ok()).expect("a value");
            let at = number as usize;
            self.seen.resize(self.seen.len().max(at + 1), false);
            match std::mem::replace(&mut self.seen[at], true) {
                false => self.different += 1,
                true => self.repeated += 1,
            }
        }
    }
}

#[test]
fn a_server_that_answers_503_gets_everything() {
    let server = HttpSink::start();
    let port = tidemill_acceptance::Port::claim();
    let (readings, is_down) = (Arc::new(Mutex::new(Readings::default())), Arc::new(AtomicBool::new(false)));
    let (taken, down, calls) = (Arc::clone(&readings), Arc::clone(&is_down), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&calls);
    server.answer_by(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        if down.load(Ordering::SeqCst) {
            return Answer::status(503);
        }
        taken.lock().expect("no panic").take(request);
        Answer::status(204)
    });
    let sink = format!("type = 'influxdb'\nurl = '{}'\nbucket = 'b'", server.url());
    let delivered = || {
        server.clear();
        readings.lock().expect("no panic").different
    };
    through_an_outage(
        "influxdb",
        &job(port.number(), &sink),
        port.number(),
        |is| is_down.store(is, Ordering::SeqCst),
        || calls.load(Ordering::SeqCst),
        delivered,
    );
    println!("repeated: {}", readings.lock().expect("no panic").repeated);
}
