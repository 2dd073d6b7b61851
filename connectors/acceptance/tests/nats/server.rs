//! Servers with streams, and pipelines from one to the other.

use std::time::{Duration, Instant};

use tidemill_acceptance::server::NatsClient;
use tidemill_acceptance::{Job, Nats};

/// A longer wait will not succeed.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A server with the streams IN (`plant.>`) and OUT (`out.>`).
pub(crate) fn server() -> (Nats, NatsClient) {
    let server = Nats::start();
    let mut client = server.client();
    client.create_stream("IN", "plant.>").expect("a stream");
    client.create_stream("OUT", "out.>").expect("a stream");
    (server, client)
}

/// Publishes these numbers to `subject`, which is one of a stream.
pub(crate) fn publish(client: &mut NatsClient, subject: &str, numbers: std::ops::Range<usize>) {
    let payloads: Vec<String> = numbers.map(|number| number.to_string()).collect();
    client.publish_all(payloads.iter().map(|payload| (subject, payload.as_str()))).expect("stored");
}

/// How many messages a stream has.
pub(crate) fn messages(server: &Nats, stream: &str) -> usize {
    // The server may be starting.
    let Ok(mut client) = NatsClient::connect(server.port()) else { return 0 };
    let Ok(info) = client.request(&format!("$JS.API.STREAM.INFO.{stream}"), "") else { return 0 };
    let Some((_, rest)) = info.split_once("\"messages\":") else { return 0 };
    rest.split(|letter: char| !letter.is_ascii_digit())
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

/// Waits until a stream has so many.
pub(crate) fn wait_for_messages(server: &Nats, stream: &str, count: usize) {
    let begun = Instant::now();
    while messages(server, stream) < count {
        assert!(begun.elapsed() < LIMIT, "{} of {count} messages", messages(server, stream));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until all that the consumer of the stream IN has given was acknowledged.
pub(crate) fn wait_for_acknowledgements(client: &mut NatsClient, consumer: &str) {
    let begun = Instant::now();
    loop {
        let info = client.request(&format!("$JS.API.CONSUMER.INFO.IN.{consumer}"), "").expect("an answer");
        if info.contains("\"num_ack_pending\":0") {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{info}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pipeline from the stream IN to the stream OUT, and to a file.
pub(crate) fn pipeline(server: &Nats, source: &str) -> String {
    let url = server.url();
    format!(
        "[source]\ntype = 'nats'\nurl = '{url}'\nstream = 'IN'\nsubject = 'plant.{{sensor}}'\npayload = 'number'\n{source}\n\
         [[sink]]\ntype = 'nats'\nurl = '{url}'\nsubject = 'out.{{sensor}}'\npayload = 'number'\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    )
}

/// Ends a run that was stopped, which publishes its file; returns the numbers in it.
pub(crate) fn finished(job: &Job) -> Vec<usize> {
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let number =
        |line: &str| line.split(',').find_map(|field| field.parse::<f64>().ok()).expect("a number") as usize;
    job.read("out.csv").lines().skip(1).map(number).collect()
}

/// The same pipeline, whose source connects to this address.
pub(crate) fn source_at(pipeline: &str, server: &Nats, address: &str) -> String {
    pipeline.replacen(&server.address(), address, 1)
}
