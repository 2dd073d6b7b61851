//! The connector `nats` against nats-server.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run and the server are killed; 5 each if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "nats")]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tidemill_acceptance::proxy::{Fault, Proxy};
use tidemill_acceptance::server::{NatsClient, NatsOptions};
use tidemill_acceptance::{Job, Nats};

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

/// A server with the streams IN (`plant.>`) and OUT (`out.>`).
fn server() -> (Nats, NatsClient) {
    let server = Nats::start();
    let mut client = server.client();
    client.create_stream("IN", "plant.>").expect("a stream");
    client.create_stream("OUT", "out.>").expect("a stream");
    (server, client)
}

/// Publishes these numbers to `subject`, which is one of a stream.
fn publish(client: &mut NatsClient, subject: &str, numbers: std::ops::Range<usize>) {
    let payloads: Vec<String> = numbers.map(|number| number.to_string()).collect();
    client.publish_all(payloads.iter().map(|payload| (subject, payload.as_str()))).expect("stored");
}

/// How many messages a stream has.
fn messages(server: &Nats, stream: &str) -> usize {
    // The server may be starting.
    let Ok(mut client) = NatsClient::connect(server.port()) else { return 0 };
    let Ok(info) = client.request(&format!("$JS.API.STREAM.INFO.{stream}"), "") else { return 0 };
    let Some((_, rest)) = info.split_once("\"messages\":") else { return 0 };
    rest.split(|letter: char| !letter.is_ascii_digit())
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

fn wait_for_messages(server: &Nats, stream: &str, count: usize) {
    let begun = Instant::now();
    while messages(server, stream) < count {
        assert!(begun.elapsed() < LIMIT, "{} of {count} messages", messages(server, stream));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pipeline from the stream IN to the stream OUT, and to a file.
fn pipeline(server: &Nats, source: &str) -> String {
    let url = server.url();
    format!(
        "[source]\ntype = 'nats'\nurl = '{url}'\nstream = 'IN'\nsubject = 'plant.{{sensor}}'\npayload = 'number'\n{source}\n\
         [[sink]]\ntype = 'nats'\nurl = '{url}'\nsubject = 'out.{{sensor}}'\npayload = 'number'\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    )
}

/// Ends a run that was stopped, which publishes its file; returns the numbers in it.
fn finished(job: &Job) -> Vec<usize> {
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let number =
        |line: &str| line.split(',').find_map(|field| field.parse::<f64>().ok()).expect("a number") as usize;
    job.read("out.csv").lines().skip(1).map(number).collect()
}

#[test]
fn a_stream_is_read_once_whatever_consumer_is_used() {
    for source in ["", "consumer = 'tidemill'", "max_ack_pending = 20"] {
        let (server, mut client) = server();
        publish(&mut client, "plant.t1", 0..500);
        let job = Job::new(&pipeline(&server, source));
        let run = job.start();
        wait_for_messages(&server, "OUT", 500);
        let said = run.stop().success();
        assert!(said.contains("exactly once"), "{said}");
        // A second run goes on where the first one ended.
        publish(&mut client, "plant.t2", 500..700);
        let run = job.start();
        wait_for_messages(&server, "OUT", 700);
        run.stop().success();
        assert!(finished(&job).into_iter().eq(0..700), "{source}: each number once, in order");
        assert_eq!(messages(&server, "OUT"), 700);
    }
}

#[test]
fn starts_are_where_the_options_say() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..10);
    for (start, expected) in [("8", 7..10), ("last", 9..10), ("2020-01-01T00:00:00Z", 0..10)] {
        let text = pipeline(&server, &format!("start = '{start}'"));
        let before = messages(&server, "OUT");
        let job = Job::new(&text);
        let run = job.start();
        wait_for_messages(&server, "OUT", before + expected.len());
        run.stop().success();
        assert!(finished(&job).into_iter().eq(expected), "{start}");
    }
    let job = Job::new(&pipeline(&server, "start = 'soon'"));
    assert!(job.start().wait().failure().contains("`start`"));
}

#[test]
fn fields_of_messages_are_columns() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..1);
    let job = Job::new(&pipeline(&server, ""));
    let run = job.start();
    wait_for_messages(&server, "OUT", 1);
    run.stop().success();
    // The messages of the sink have an id in a header.
    let source = format!(
        "[source]\ntype = 'nats'\nurl = '{}'\nstream = 'OUT'\nsubject = 'out.{{sensor}}'\npayload = 'number'\ntime = '@stored'\nfields = ['@subject', '@sequence', '@header:Nats-Msg-Id']\n",
        server.url()
    );
    client.create_stream("LAST", "last.>").expect("a stream");
    let job = Job::new(&format!(
        "{source}[[sink]]\ntype = 'nats'\nurl = '{}'\nsubject = 'last.{{sensor}}'\n",
        server.url()
    ));
    let run = job.start();
    wait_for_messages(&server, "LAST", 1);
    run.stop().success();
    let got = client.request("$JS.API.STREAM.MSG.GET.LAST", "{\"seq\":1}").expect("a message");
    assert!(got.contains("last.t1"), "{got}");
}

#[test]
fn messages_without_a_stream_are_received_as_they_are_published() {
    let server = Nats::start();
    let mut client = server.client();
    client.create_stream("OUT", "out.>").expect("a stream");
    let url = server.url();
    let pipeline = format!(
        "[source]\ntype = 'nats'\nurl = '{url}'\nsubject = ['plant.{{line}}.{{sensor}}', 'lab.{{sensor}}']\nqueue = 'g'\npayload = 'json'\nmeasurements = ['v']\n\
         [[sink]]\ntype = 'nats'\nurl = '{url}'\nsubject = 'out.{{sensor}}'\n"
    );
    let job = Job::new(&pipeline);
    let run = job.start_with(&[]);
    let begun = Instant::now();
    // The run may not have subscribed yet; nobody answers.
    while messages(&server, "OUT") == 0 {
        assert!(begun.elapsed() < LIMIT);
        let mut client = server.client();
        // There is no stream: the message is published, and no answer comes.
        let _no_responder = client.request("plant.north.t1", "{\"v\":1.5}");
    }
    run.stop().success();
}

#[test]
fn what_is_refused_is_named() {
    let (server, _client) = server();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let text = pipeline(&server, "consumer = 'c'");
    let elsewhere = text.replace(&server.port().to_string(), &port.to_string());
    let no_stream = text.replace("'out.{sensor}'", "'nowhere.{sensor}'");
    for (text, expected) in [
        (text.replace("'IN'", "'NOWHERE'"), "the stream \"NOWHERE\" does not exist"),
        (elsewhere, "Connection refused"),
        (text.replace("'plant.{sensor}'", "'plant..x'"), "a token is empty"),
    ] {
        let said = Job::new(&text).start().wait().failure();
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let mut client = server.client();
    publish(&mut client, "plant.t1", 0..1);
    let said = Job::new(&no_stream).start().wait().failure();
    assert!(said.contains("no stream takes this subject"), "{said}");
    // The consumer was made for other subjects.
    let other = text.replace("'plant.{sensor}'", "'plant.x.{sensor}'");
    let said = Job::new(&other).start().wait().failure();
    assert!(said.contains("the consumer \"c\" is for plant.*"), "{said}");
}

#[test]
fn a_login_that_is_refused_says_so() {
    let options = NatsOptions { user: Some(("plant".into(), "right".into())), ..NatsOptions::default() };
    let server = Nats::start_with(&options);
    let login = "user = 'plant'\npassword = 'planted-secret'";
    let job = Job::new(&pipeline(&server, login));
    let doctor = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    let doctor = String::from_utf8_lossy(&[doctor.stdout, doctor.stderr].concat()).into_owned();
    for said in [job.start().wait().failure(), doctor] {
        assert!(said.contains("the server refuses the login"), "{said}");
        assert!(!said.contains("planted-secret"), "{said}");
    }
}

#[test]
fn certificates_are_verified_and_shown() {
    let options = NatsOptions { tls: true, client_certificate: true, ..NatsOptions::default() };
    let (server, other) = (Nats::start_with(&options), Nats::start_with(&options));
    let client = server.authority().client("tidemill");
    let identity =
        format!("certificate = '{}', key = '{}'", client.certificate.display(), client.key.display());
    let ca = |server: &Nats| format!("ca = '{}'", server.authority().certificate().display());
    for (tls, expected) in [
        (format!("{}, {identity}", ca(&server)), "the stream \"IN\" does not exist"),
        (format!("{}, {identity}", ca(&other)), "the server's certificate was refused"),
        (ca(&server), "`certificate`"),
    ] {
        let source = format!("tls = {{ {tls} }}");
        let text = format!(
            "[source]\ntype = 'nats'\nurl = '{}'\nstream = 'IN'\nsubject = 'plant.>'\npayload = 'number'\n{source}\n[[sink]]\ntype = 'null'\n",
            server.url()
        );
        let said = Job::new(&text).start().wait().failure();
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_stream_that_was_made_anew_ends_the_run() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..10);
    let job = Job::new(&pipeline(&server, ""));
    let run = job.start();
    wait_for_messages(&server, "OUT", 10);
    run.stop().success();
    client.request("$JS.API.STREAM.DELETE.IN", "").expect("deleted");
    client.create_stream("IN", "plant.>").expect("a stream");
    let said = job.start().wait().failure();
    assert!(said.contains("made anew"), "{said}");
}

#[test]
fn doctor_looks_at_streams() {
    let (server, _client) = server();
    let job = Job::new(&pipeline(&server, "").replace("'out.{sensor}'", "'out.all'"));
    let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("0 messages of plant.>") && said.contains("the stream \"OUT\" takes out.all"),
        "{said}"
    );
}

#[test]
fn faults_between_the_run_and_the_server_lose_and_repeat_nothing() {
    for fault in [Fault::Latency(Duration::from_millis(20)), Fault::Slice(7), Fault::Reset] {
        let (server, mut client) = server();
        let proxy = Proxy::start(server.port());
        publish(&mut client, "plant.t1", 0..1);
        let text = pipeline(&server, "").replace(&server.address(), &proxy.address());
        let job = Job::new(&text);
        let run = job.start();
        wait_for_messages(&server, "OUT", 1);
        proxy.set(fault);
        publish(&mut client, "plant.t1", 1..2000);
        std::thread::sleep(Duration::from_millis(500));
        proxy.set(Fault::None);
        wait_for_messages(&server, "OUT", 2000);
        run.stop().success();
        assert!(finished(&job).into_iter().eq(0..2000), "{fault:?}: each number once, in order");
        assert_eq!(messages(&server, "OUT"), 2000);
    }
}

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn kills_of_the_run_and_of_the_server_lose_and_repeat_nothing() {
    const MESSAGES: usize = 20_000;
    let kills = variable("TIDEMILL_KILLS").unwrap_or(5);
    let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("TIDEMILL_SEED={seed}, {kills} kills");
    let mut chance = seed | 1;
    let mut next = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    for source in ["max_ack_pending = 1000", "max_ack_pending = 1000\nconsumer = 'tidemill'"] {
        let (mut server, mut client) = server();
        publish(&mut client, "plant.t1", 0..MESSAGES);
        drop(client);
        let job = Job::new(&pipeline(&server, source));
        let (mut run, mut killed, begun) = (job.start(), 0, Instant::now());
        while messages(&server, "OUT") < MESSAGES || killed < kills {
            assert!(begun.elapsed() < LIMIT, "{} of {MESSAGES}, {}", messages(&server, "OUT"), run.said());
            std::thread::sleep(Duration::from_millis(next(300)));
            if killed < kills {
                killed += 1;
                run.kill();
                run = job.start();
                std::thread::sleep(Duration::from_millis(next(300)));
                server.restart();
            }
            // A run that meets no server when it begins ends.
            if !run.is_running() {
                run = job.start();
            }
        }
        run.stop().success();
        assert!(finished(&job).into_iter().eq(0..MESSAGES), "{source}: each number once, in order");
        // The ids of the messages: what is sent twice is stored once.
        assert_eq!(messages(&server, "OUT"), MESSAGES);
    }
}
