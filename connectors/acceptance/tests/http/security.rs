//! The server in the hands of strangers: what they send is refused, and others are served.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use tidemill_acceptance::{Answer, HttpSink, Job};

use crate::common::{LIMIT, free_port, post, rows, send, start, to_file, until_open};

const NUMBERS: &str = "payload = 'number'\npath = '/in/{sensor}'";

const SECRET: &str = "planted-secret-4711";

#[test]
fn strangers_are_refused_and_others_are_served() {
    let port = free_port();
    let options =
        format!("{NUMBERS}\nmax_body = '64KiB'\nmax_decoded = '128KiB'\ntoken = {{ file = 'token' }}");
    let job = Job::new(&to_file(port, &options));
    job.write("token", SECRET);
    let run = start(&job, port);
    let token = format!("Bearer {SECRET}");
    let own = ("authorization", &*token);
    let status = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        send(port, method, path, headers, body).expect("an answer").status
    };
    // Connections that send their headers slowly, or nothing at all, hold nobody up.
    let mut slow: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection")).collect();
    slow.iter_mut()
        .for_each(|stream| stream.write_all(b"POST /in/slow HTTP/1.1\r\nhost: loc").expect("sent"));
    assert_eq!(status("POST", "/in/a", &[own], b"1"), 200);
    assert_eq!(status("POST", "/in/a", &[], b"1"), 401);
    assert_eq!(status("POST", "/in/a", &[("authorization", "Bearer wrong")], b"1"), 401);
    assert_eq!(status("POST", "/in/a", &[own, ("host", "evil.example")], b"1"), 421);
    assert_eq!(status("GET", "/in/a", &[own], b""), 405);
    assert_eq!(status("POST", "/other", &[own], b"1"), 404);
    assert_eq!(status("POST", "/in/a", &[own], &vec![b'1'; 65 << 10]), 413);
    assert_eq!(status("POST", "/in/a", &[own, ("content-encoding", "br")], b"1"), 415);
    let bomb = zstd::encode_all(&*vec![b' '; 64 << 20], 3).expect("packed");
    assert!(bomb.len() < 64 << 10);
    assert_eq!(status("POST", "/in/a", &[own, ("content-encoding", "zstd")], &bomb), 413);
    assert_eq!(status("POST", "/in/a", &[own, ("content-encoding", "gzip")], b"no gzip"), 400);
    assert!(run.memory() < 200 << 20, "{}", run.memory());
    assert_eq!(status("POST", "/in/b", &[own], b"2"), 200);
    // The slow ones are gone, without an answer or with a refusal.
    for stream in &mut slow {
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        let mut answer = String::new();
        let _reset = stream.read_to_string(&mut answer);
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    let said = run.stop().success();
    job.start_with(&["--state", "state", "--finish", "--report", "report.json"]).wait().success();
    assert_eq!(rows(&job, "out.csv").len(), 2);
    assert!(said.contains("requests were refused"), "{said}");
    let explained = job.tidemill().args(["explain", "pipeline.toml"]).output().expect("it runs");
    let shown = [explained.stdout, explained.stderr].concat();
    assert!(!String::from_utf8_lossy(&shown).contains(SECRET) && !said.contains(SECRET));
    fs::remove_file(job.path("token")).expect("removed");
    assert_eq!(files_with(job.folder(), SECRET), Vec::<String>::new());
}

/// The files below `folder` that contain `text`.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).expect("read").windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn an_address_that_others_reach_needs_a_token_and_tls() {
    let refused = |options: &str| {
        let pipeline = to_file(0, NUMBERS).replace("127.0.0.1:0", "0.0.0.0:8086");
        let job = Job::new(&pipeline.replace(NUMBERS, &format!("{NUMBERS}\n{options}")));
        job.command(&["validate", "pipeline.toml"]).failure()
    };
    assert!(refused("").contains("there is no `token`"));
    assert!(refused("token = 'x'").contains("nothing is encrypted"));
    assert!(refused("token = 'x'\ncertificate = 'a.pem'").contains("belong together"));
}

#[test]
fn a_pipeline_that_does_not_keep_up_tells_senders_to_come_later() {
    let hook = HttpSink::start();
    hook.answer(Answer::hang());
    let port = free_port();
    let source = format!(
        "[source]\ntype = 'http'\nlisten = '127.0.0.1:{port}'\npayload = 'csv'\nnames = ['s', 'v']\nsensor = 's'\nmeasurements = ['v']\nmax_body = '1MiB'\nqueue = '2MiB'\n"
    );
    let sink = format!("[[sink]]\ntype = 'webhook'\nurl = '{}'\nbatch = 1000\ntimeout = '10m'\n", hook.url());
    let job = Job::new(&(source + &sink));
    let run = job.start_with(&[]);
    until_open(port);
    let body = "sensor,1.5\n".repeat(90_000);
    let busy = (0..100).map(|_| post(port, "/ingest", &body)).find(|answered| answered.status != 200);
    let busy = busy.expect("no more room");
    assert_eq!(busy.status, 429, "{busy:?}");
    assert!(busy.head.to_ascii_lowercase().contains("retry-after: "), "{busy:?}");
    assert!(run.memory() < 300 << 20, "{}", run.memory());
    run.kill();
}
