//! The server when much is sent, slowly, or at the wrong time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use tidemill_acceptance::{Answer, HttpSink, Job};

use crate::common::{LIMIT, free_port, post, rows, send, start, to_file, until, until_open};

const CSV: &str = "payload = 'csv'\nnames = ['s', 'v']\nsensor = 's'\nmeasurements = ['v']";

/// A connection that has sent this.
fn sent(port: u16, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    stream.write_all(text.as_bytes()).expect("sent");
    stream
}

/// The status of the next answer, which has no body or one of a few bytes; `None` if the connection ends.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes).expect("an answer");
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    (length > 0).then(|| text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"))
}

fn head(length: &str) -> String {
    format!("POST /ingest HTTP/1.1\r\nhost: localhost\r\n{length}\r\n\r\n")
}

#[test]
fn bodies_without_a_length_take_no_more_room_than_has_arrived() {
    let port = free_port();
    let job = Job::new(&to_file(port, CSV));
    let run = start(&job, port);
    // Each may have 16 MiB, of 32 MiB for all: in pieces without a length, and announced but not sent.
    let mut chunked: Vec<TcpStream> = (0..5)
        .map(|at| sent(port, &format!("{}4\r\n{at},1\n\r\n", head("transfer-encoding: chunked"))))
        .collect();
    let mut announced: Vec<TcpStream> =
        (0..5).map(|_| sent(port, &head(&format!("content-length: {}", 15 << 20)))).collect();
    assert_eq!(post(port, "/ingest", "x,2\n").status, 200, "others are served meanwhile");
    for stream in &mut chunked {
        stream.write_all(b"0\r\n\r\n").expect("sent");
        assert_eq!(status(stream), Some(200));
    }
    announced.iter_mut().for_each(|stream| stream.write_all(b"x,3\n").expect("nothing is refused"));
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    assert_eq!(rows(&job, "out.csv").len(), 6);
}

#[test]
fn a_pipeline_that_does_not_keep_up_says_so_in_the_way_that_each_client_understands() {
    let hook = HttpSink::start();
    hook.answer(Answer::hang());
    let port = free_port();
    let job = Job::new(&format!(
        "[source]\ntype = 'http'\nlisten = '127.0.0.1:{port}'\npayload = 'influx'\nmeasurements = ['v']\nsensor = 's'\nmax_body = '1MiB'\nqueue = '1MiB'\n\
         [[sink]]\ntype = 'webhook'\nurl = '{}'\nbatch = 1000\ntimeout = '10m'\n",
        hook.url()
    ));
    let run = job.start_with(&[]);
    until_open(port);
    let body = "m,s=a v=1.5\n".repeat(80_000);
    let busy = |path: &str| {
        let refused = (0..100).map(|_| post(port, path, &body)).find(|answered| answered.status != 204);
        let refused = refused.expect("no more room");
        assert!(refused.head.to_ascii_lowercase().contains("retry-after: "), "{refused:?}");
        refused.status
    };
    // Telegraf's output for version 1 drops what is answered with 429.
    assert_eq!((busy("/write"), busy("/api/v2/write")), (503, 429));
    run.kill();
}

#[test]
fn clients_of_version_1_create_a_database_by_a_form_and_have_their_precisions() {
    let port = free_port();
    let job = Job::new(&to_file(port, "payload = 'influx'\nmeasurements = ['v']\nsensor = 's'"));
    let run = start(&job, port);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let query =
        |body: &str| send(port, "POST", "/query", &[form], body.as_bytes()).expect("an answer").status;
    assert_eq!((query("q=CREATE+DATABASE+%22telegraf%22"), query("q=DROP+DATABASE+x")), (200, 404));
    for (precision, time) in [("h", 490_896_u64), ("m", 29_453_760), ("s", 1_767_225_600)] {
        let answered =
            post(port, &format!("/write?db=x&precision={precision}"), &format!("m,s=a v=1 {time}"));
        assert_eq!(answered.status, 204, "{answered:?}");
    }
    assert_eq!(post(port, "/write?precision=w", "m,s=a v=1 1").status, 400);
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let rows = rows(&job, "out.csv");
    assert!(rows.len() == 3 && rows.iter().all(|row| row.starts_with("1767225600000000000,")), "{rows:?}");
}

#[test]
fn who_is_slow_or_has_come_too_late_is_told() {
    let port = free_port();
    let job = Job::new(&to_file(port, &format!("{CSV}\ntimeout = '3s'\nconnections = 3")));
    let run = start(&job, port);
    let mut slow = sent(port, &head("content-length: 100"));
    assert_eq!(status(&mut slow), Some(408));
    drop(slow);
    // More connections than are served wait until others end.
    let held: Vec<TcpStream> = (0..3).map(|_| sent(port, &head("content-length: 4"))).collect();
    let mut waiting = sent(port, &(head("content-length: 4") + "a,1\n"));
    waiting.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
    assert!(waiting.read(&mut [0; 100]).is_err(), "nothing is answered yet");
    drop(held);
    waiting.set_read_timeout(Some(LIMIT)).expect("set");
    assert_eq!(status(&mut waiting), Some(200));
    // The end of the run closes what waits between requests, and tells who sends then.
    drop(waiting);
    let said = run.stop().success();
    assert!(said.contains("requests were refused"), "{said}");
}

#[test]
fn a_request_that_meets_the_end_of_the_run_is_told_to_come_again() {
    let port = free_port();
    let job = Job::new(&to_file(port, &format!("{CSV}\ntimeout = '30s'")));
    let run = start(&job, port);
    assert_eq!(post(port, "/ingest", "a,1\n").status, 200);
    let mut stream = sent(port, &(head("content-length: 4") + "a,"));
    let finish = thread::Builder::new().spawn(move || run.stop().success()).expect("a thread");
    // The server closes its door first; a connection that has begun may still be served for a second.
    until("nobody listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    let _too_late = stream.write_all(b"2\n");
    let mut answer = String::new();
    let _reset = stream.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"),
        "{answer}"
    );
    finish.join().expect("an end");
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    assert_eq!(rows(&job, "out.csv").len(), 1, "what was not answered with success was not taken");
}

#[test]
fn a_connection_that_is_kept_between_requests_is_not_closed_like_a_slow_one() {
    let port = free_port();
    let job = Job::new(&to_file(port, CSV));
    let run = start(&job, port);
    let mut stream = sent(port, &(head("content-length: 4") + "a,1\n"));
    assert_eq!(status(&mut stream), Some(200));
    // Telegraf writes every ten seconds.
    thread::sleep(Duration::from_secs(12));
    stream.write_all((head("content-length: 4") + "a,2\n").as_bytes()).expect("sent");
    assert_eq!(status(&mut stream), Some(200), "the same connection");
    drop(stream);
    let said = run.stop().success();
    assert!(!said.contains("ended in the middle of a request"), "{said}");
}

#[test]
fn a_small_request_that_would_take_much_memory_is_refused_and_others_are_served() {
    let port = free_port();
    let options = "payload = 'json'\nsensor = 's'\nmeasurements = ['v']\nfields = ['@header:x']";
    let job = Job::new(&to_file(port, options));
    let run = start(&job, port);
    let zeros = zstd::encode_all(format!("[{}0]", "0,".repeat(8 << 20)).as_bytes(), 1).expect("packed");
    let objects = zstd::encode_all(format!("[{}{{}}]", "{},".repeat(1 << 20)).as_bytes(), 1).expect("packed");
    let header = "x".repeat(1000);
    // Too many records that cannot be decoded; records that repeat the header, over a gigabyte in all.
    for (body, status) in [(&zeros, 413), (&objects, 400)] {
        assert!(body.len() < 100_000, "{}", body.len());
        let headers = [("content-encoding", "zstd"), ("x", &*header)];
        let answered = send(port, "POST", "/ingest", &headers, body).expect("an answer");
        assert_eq!(answered.status, status, "{answered:?}");
    }
    assert_eq!(post(port, "/ingest", "{\"s\":\"a\",\"v\":1}").status, 200);
    assert!(run.memory() < 700 << 20, "{}", run.memory());
    run.stop().success();
}
