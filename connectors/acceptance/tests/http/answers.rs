//! What answers of servers lead to, in sources and sinks that ask them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill_acceptance::{Answer, Authority, HttpSink, Job};

use crate::common::{from_file, readings, rows, until};

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
    let job = polled(&server, "/x", "every = '50ms'");
    let run = job.start();
    server.wait_for(2);
    run.stop().success();
    assert!(waited(&asked) >= Duration::from_secs(2), "{:?}", waited(&asked));
}

#[test]
fn pages_behind_one_that_fails_are_not_lost() {
    let server = HttpSink::start();
    let page = |at: u32, next: u32| {
        let record = format!("[{{\"t\":\"2026-01-01T00:00:0{at}Z\",\"s\":\"a\",\"v\":{at}}}]");
        let answer = Answer::status(200).with_body(record);
        if next > 0 { answer.with_header("link", &format!("</x?page={next}>; rel=\"next\"")) } else { answer }
    };
    let mut failures = 2;
    server.answer_by(move |request| match &*request.path {
        "/x" if request.header("if-none-match") == Some("\"1\"") => Answer::status(304),
        "/x" => page(1, 2).with_header("etag", "\"1\""),
        "/x?page=2" if failures > 0 => {
            failures -= 1;
            Answer::status(503)
        }
        "/x?page=2" => page(2, 3),
        _ => page(3, 0),
    });
    let job = polled(&server, "/x", "every = '20ms'");
    let run = job.start();
    until("nothing is new", || {
        server.requests().last().is_some_and(|last| last.header("if-none-match").is_some())
    });
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let asked: Vec<String> = server.requests().iter().take(6).map(|request| request.path.clone()).collect();
    assert_eq!(asked, ["/x", "/x?page=2", "/x?page=2", "/x?page=2", "/x?page=3", "/x"]);
    let expected: Vec<String> = (1..4).map(|at| format!("2026-01-01T00:00:0{at}Z,a,{at}")).collect();
    assert_eq!(rows(&job, "out.csv"), expected, "each record once");
}

#[test]
fn a_page_with_an_error_in_place_of_its_records_is_an_error() {
    let server = HttpSink::start();
    let failed =
        Answer::status(200).with_header("etag", "\"9\"").with_body("{\"error\":\"the quota is used up\"}");
    server.answer(failed.clone());
    let job = polled(&server, "/x", "every = '20ms'\nrecords = '/data'");
    let said = job.start().wait().failure();
    assert!(said.contains("no records at /data: the quota is used up"), "{said}");
    // Later it is counted, its ETag is not kept, and what comes then is read.
    let server = HttpSink::start();
    let good = Answer::status(200).with_body(format!("{{\"data\":{RECORD}}}"));
    [good.clone(), failed].into_iter().for_each(|answer| server.answer_next(answer));
    server.answer(good);
    let job = polled(&server, "/x", "every = '20ms'\nrecords = '/data'");
    let run = job.start();
    server.wait_for(4);
    let said = run.stop().success();
    assert!(said.contains("1 attempts failed") && said.contains("the quota is used up"), "{said}");
    assert!(server.requests().iter().all(|request| request.header("if-none-match").is_none()));
}

#[test]
fn a_token_that_is_no_longer_accepted_is_counted_and_tried_again() {
    let server = HttpSink::start();
    let good = Answer::status(200).with_body(RECORD);
    [good.clone(), Answer::status(401)].into_iter().for_each(|answer| server.answer_next(answer));
    server.answer(good);
    let job = polled(&server, "/x", "every = '20ms'\ntoken = 'planted-4711'");
    let run = job.start();
    server.wait_for(4);
    let said = run.stop().success();
    assert!(said.contains("1 attempts failed") && said.contains("answered 401"), "{said}");
    assert!(said.contains("1 attempts failed") && !said.contains("planted-4711"), "{said}");
    // At the first time it is an error, which says what to check.
    let server = HttpSink::start();
    server.answer(Answer::status(401));
    let said = polled(&server, "/x", "every = '20ms'\ntoken = 'planted-4711'").start().wait().failure();
    assert!(said.contains("answered 401") && said.contains("check the token"), "{said}");
}

#[test]
fn a_certificate_that_has_expired_and_a_redirect_are_errors_that_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let expired = HttpSink::start_tls(&authority.expired_server());
    let ca = format!("every = '1s'\ntls = {{ ca = '{}' }}", authority.certificate().display());
    let said = polled(&expired, "/x", &ca).start().wait().failure();
    assert!(said.contains("it has expired"), "{said}");
    assert_eq!(expired.count(), 0, "nothing was asked");
    let moved = HttpSink::start();
    moved.answer(
        Answer::status(301).with_header("location", "https://other.example:8443/secret-path?key=4711"),
    );
    let said = polled(&moved, "/x", "every = '1s'").start().wait().failure();
    assert!(said.contains("answered 301") && said.contains("redirects are not followed"), "{said}");
    assert!(said.contains("https://other.example:8443") && !said.contains("secret-path"), "{said}");
}
