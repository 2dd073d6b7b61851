//! What answers of servers lead to, in sources and sinks that ask them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill_acceptance::{Answer, HttpSink, Job};

use crate::common::{from_file, readings};

/// A record as a page of JSON.
const RECORD: &str = "[{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"a\",\"v\":1}]";

/// A pipeline that polls `server` at this path, into a file.
fn polled(server: &HttpSink, path: &str, options: &str) -> Job {
    Job::new(&format!(
        "[source]\ntype = 'poll'\nurls = ['{}{path}']\npayload = 'json'\n{options}\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n",
        server.url()
    ))
}

/// A server that asks to wait for 2 s at first, and when it was asked.
fn busy(then: Answer) -> (HttpSink, Arc<Mutex<Vec<Instant>>>) {
    let (server, asked) = (HttpSink::start(), Arc::new(Mutex::new(Vec::new())));
    let times = Arc::clone(&asked);
    server.answer_by(move |_| {
        let mut times = times.lock().expect("no panic");
        times.push(Instant::now());
        match times.len() {
            1 => Answer::status(503).with_header("retry-after", "2"),
            _ => then.clone(),
        }
    });
    (server, asked)
}

/// How long after the first request the second one came.
fn waited(asked: &Mutex<Vec<Instant>>) -> Duration {
    let asked = asked.lock().expect("no panic");
    asked[1] - asked[0]
}

#[test]
fn a_server_that_asks_to_wait_is_not_asked_before() {
    let jobs = [
        "type = 'webhook'\nurl = 'ADDRESS/hook'\nbatch = 10",
        "type = 'influxdb'\nurl = 'ADDRESS'\ndatabase = 'x'",
    ];
    for sink in jobs {
        let (server, asked) = busy(Answer::status(204));
        let job = Job::new(&from_file(&sink.replace("ADDRESS", &server.url())));
        job.write("in.csv", &readings(5));
        job.start().wait().success();
        assert!(waited(&asked) >= Duration::from_secs(2), "{sink}: {:?}", waited(&asked));
    }
    let (server, asked) = busy(Answer::status(200).with_body(RECORD));
    let run = polled(&server, "/x", "every = '50ms'").start();
    server.wait_for(2);
    run.stop().success();
    assert!(waited(&asked) >= Duration::from_secs(2), "{:?}", waited(&asked));
}
