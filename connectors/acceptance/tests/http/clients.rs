//! The sources `poll`, `sse` and `websocket`.

use std::net::TcpListener;
use std::thread;

use tidemill_acceptance::{Answer, HttpSink, Job};
use tungstenite::Message;

use crate::common::{rows, until};

/// A pipeline from such a source to a file.
fn to_file(kind: &str, options: &str) -> Job {
    Job::new(&format!(
        "[source]\ntype = '{kind}'\n{options}\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    ))
}

/// Ends the run, and the output.
fn finished(job: &Job, run: tidemill_acceptance::Run) -> (Vec<String>, String) {
    let said = run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    (rows(job, "out.csv"), said)
}

#[test]
fn an_address_is_polled_page_by_page_and_what_has_not_changed_is_not_read_again() {
    let server = HttpSink::start();
    server.answer_by(|request| {
        let is_known = request.header("if-none-match") == Some("\"1\"");
        match &*request.path {
            "/items" if is_known => Answer::status(304),
            "/items" => Answer::status(200)
                .with_header("etag", "\"1\"")
                .with_body("{\"data\":[{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"a\",\"v\":1}],\"next\":\"/items?page=2\"}"),
            "/items?page=2" => Answer::status(200)
                .with_header("link", "</items?page=3>; rel=\"next\"")
                .with_body("{\"data\":[{\"t\":\"2026-01-01T00:00:01Z\",\"s\":\"a\",\"v\":2},{\"t\":\"2026-01-01T00:00:02Z\",\"s\":\"b\",\"v\":3}]}"),
            "/items?page=3" => Answer::status(200).with_body("{\"data\":[]}"),
            _ => Answer::status(404),
        }
    });
    let options = format!(
        "urls = ['{}/items']\nevery = '20ms'\npayload = 'json'\nrecords = '/data'\nnext = '/next'\ntoken = 'planted-4711'",
        server.url()
    );
    let job = to_file("poll", &options);
    let run = job.start();
    server.wait_for(8);
    let (rows, said) = finished(&job, run);
    assert_eq!(rows, ["2026-01-01T00:00:00Z,a,1", "2026-01-01T00:00:01Z,a,2", "2026-01-01T00:00:02Z,b,3"]);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization") == Some("Bearer planted-4711"))
    );
    assert!(!said.contains("planted-4711"), "{said}");
}

#[test]
fn addresses_are_polled_beside_each_other_and_failures_are_repeated() {
    let (slow, good) = (HttpSink::start(), HttpSink::start());
    slow.answer(Answer::hang());
    let record = "[{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"a\",\"v\":1}]";
    good.answer_next(Answer::status(200).with_body(record));
    good.answer_next(Answer::status(503));
    good.answer_next(Answer::close());
    good.answer(Answer::status(204));
    let options = format!(
        "urls = ['{}/x', {{ url = '{}/y', every = '10ms' }}]\nevery = '1h'\ntimeout = '200ms'\npayload = 'json'",
        slow.url(),
        good.url()
    );
    let job = to_file("poll", &options);
    let run = job.start();
    good.wait_for(6);
    slow.wait_for(2);
    let (rows, said) = finished(&job, run);
    assert_eq!(rows, ["2026-01-01T00:00:00Z,a,1"]);
    assert!(said.contains("attempts failed and were repeated"), "{said}");
    good.answer(Answer::status(404));
    let said = to_file("poll", &options.replace("/x", "/y").replace(&slow.url(), &good.url()))
        .start()
        .wait()
        .failure();
    assert!(said.contains("answered 404"), "{said}");
}

#[test]
fn events_go_on_behind_the_last_one_after_a_lost_connection_and_after_a_restart() {
    let server = HttpSink::start();
    server.answer_by(|request| {
        let last: u32 = request.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or_default();
        let event = |id: u32| {
            format!("event: reading\nid: {id}\ndata: {{\"t\":\"2026-01-01T00:00:0{id}Z\",\ndata: \"s\":\"a\",\"v\":{id}}}\n\n")
        };
        // Two events per connection, then it is lost; another type of event is not read.
        let body = format!("retry: 1\n\n: comment\n\nevent: other\ndata: x\n\n{}{}", event(last + 1), event(last + 2));
        match last {
            4.. => Answer::status(200).as_stream(),
            _ => Answer::status(200).with_header("content-type", "text/event-stream").with_body(body),
        }
    });
    let options =
        format!("url = '{}/events'\nevents = ['reading']\npayload = 'json'\nsilence = '30s'", server.url());
    let job = to_file("sse", &options);
    let run = job.start();
    let is_last =
        |request: &tidemill_acceptance::Request, id: &str| request.header("last-event-id") == Some(id);
    until("all events are read", || server.requests().iter().any(|request| is_last(request, "4")));
    run.stop().success();
    let before = server.count();
    let run = job.start();
    let requests = server.wait_for(before + 1);
    assert!(is_last(&requests[before], "4"), "{:?}", requests[before]);
    let (rows, _) = finished(&job, run);
    let expected: Vec<String> = (1..=4).map(|id| format!("2026-01-01T00:00:0{id}Z,a,{id}")).collect();
    assert_eq!(rows, expected);
}

#[test]
fn a_websocket_is_read_and_opened_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serve = move || {
        for connection in 0..3 {
            let (stream, _) = listener.accept().expect("a client");
            let mut socket = tungstenite::accept(stream).expect("a handshake");
            assert_eq!(
                socket.read().expect("a subscription").into_text().expect("text").as_str(),
                "subscribe"
            );
            let text =
                format!("{{\"t\":\"2026-01-01T00:00:0{connection}Z\",\"s\":\"a\",\"v\":{connection}}}");
            let message =
                if connection == 1 { Message::binary(text.into_bytes()) } else { Message::text(text) };
            socket.send(message).expect("sent");
            socket.flush().expect("sent");
            // Lost without a word.
        }
        listener
    };
    let server = thread::Builder::new().spawn(serve).expect("a thread");
    let job = to_file(
        "websocket",
        &format!("url = 'ws://127.0.0.1:{port}/x'\nsend = ['subscribe']\npayload = 'json'"),
    );
    let run = job.start();
    let _listener = server.join().expect("three connections");
    until("the last message is read", || {
        let entries = std::fs::read_dir(job.folder()).expect("a folder").flatten();
        let parts = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".part-"));
        parts.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).any(|text| text.contains(",a,2"))
    });
    let (rows, _) = finished(&job, run);
    assert_eq!(rows, ["2026-01-01T00:00:00Z,a,0", "2026-01-01T00:00:01Z,a,1", "2026-01-01T00:00:02Z,a,2"]);
}
