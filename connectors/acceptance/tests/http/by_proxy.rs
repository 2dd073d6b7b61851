//! Clients that reach their servers by a proxy, and a circuit breaker before a server that fails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use tidemill_acceptance::{Answer, Authority, HttpSink, Job};

use crate::common::until;

/// `plant` and `planted-4711`.
const LOGIN: &str = "proxy-authorization: Basic cGxhbnQ6cGxhbnRlZC00NzEx";

/// A proxy that makes tunnels to this machine for who logs in: its port, and the targets so far. It ends with the process of the tests.
fn tunnels() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let targets = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&targets);
    let serve = move || {
        for stream in listener.incoming() {
            let noted = Arc::clone(&noted);
            let work = move || drop(tunnel(stream.expect("a connection"), &noted));
            Builder::new().name("tunnel".into()).spawn(work).expect("a thread");
        }
    };
    Builder::new().name("proxy".into()).spawn(serve).expect("a thread");
    (port, targets)
}

fn tunnel(client: TcpStream, noted: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (mut reader, mut client) = (BufReader::new(client.try_clone()?), client);
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        head.push(std::mem::take(&mut line).trim_end().to_owned());
    }
    let target = head.first().and_then(|first| first.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1"));
    let is_known =
        head.iter().any(|line| line.replacen("Proxy-Authorization", "proxy-authorization", 1) == LOGIN);
    let (Some(target), true) = (target, is_known) else {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    };
    noted.lock().expect("no panic").push(target.to_owned());
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut down) = (reader.into_inner(), server.try_clone()?);
    let back = Builder::new().name("down".into()).spawn(move || std::io::copy(&mut down, &mut client))?;
    std::io::copy(&mut up, &mut server)?;
    server.shutdown(std::net::Shutdown::Write)?;
    drop(back.join());
    Ok(())
}

#[test]
fn addresses_without_encryption_are_forwarded_by_the_proxy() {
    let proxy = HttpSink::start();
    proxy.answer_by(|request| match &*request.path {
        "http://plant.example:8080/items?a=b" => {
            Answer::status(200).with_body("[{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"a\",\"v\":1}]")
        }
        _ => Answer::status(502),
    });
    let job = Job::new(&format!(
        "[source]\ntype = 'poll'\nurls = ['http://plant.example:8080/items?a=b']\nevery = '20ms'\nproxy = '{}'\nproxy_user = 'plant'\nproxy_password = 'planted-4711'\n\
         payload = 'json'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n",
        proxy.url()
    ));
    let run = job.start();
    proxy.wait_for(2);
    let said = run.stop().success();
    assert!(!said.contains("planted-4711"), "{said}");
    for request in proxy.requests() {
        assert_eq!(request.header("host"), Some("plant.example:8080"));
        assert_eq!(
            request.header("proxy-authorization").map(|value| format!("proxy-authorization: {value}")),
            Some(LOGIN.to_owned())
        );
    }
    proxy.answer(Answer::status(407));
    let said = job.start_with(&[]).wait().failure();
    assert!(said.contains("answered 407") && said.contains("proxy_password"), "{said}");
}

#[test]
fn encrypted_connections_are_tunnels_through_the_proxy() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let (server, (port, targets)) = (HttpSink::start_tls(&authority.server()), tunnels());
    let sink = |password: &str| {
        format!(
            "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\nsensor = 's'\n[[sink]]\ntype = 'webhook'\nurl = 'https://localhost:{}/hook'\ntls = {{ ca = '{}' }}\n\
             proxy = 'http://127.0.0.1:{port}'\nproxy_user = 'plant'\nproxy_password = '{password}'\n",
            server.port(),
            authority.certificate().display()
        )
    };
    let job = Job::new(&sink("planted-4711"));
    job.write("in.csv", "t,s,v\n2026-01-01T00:00:00Z,a,1.5\n");
    job.start().wait().success();
    assert!(server.requests()[0].text().contains("1.5"));
    assert!(
        server.requests().iter().all(|request| request.header("proxy-authorization").is_none()),
        "it is for the proxy alone"
    );
    let target = format!("localhost:{}", server.port());
    assert!(targets.lock().expect("no panic").iter().all(|found| *found == target));
    let doctor = |job: &Job| {
        let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(doctor(&job).contains("the proxy leads to https://localhost"), "{}", doctor(&job));
    let wrong = Job::new(&sink("planted-wrong"));
    wrong.write("in.csv", "t,s,v\n2026-01-01T00:00:00Z,a,1.5\n");
    for said in [wrong.start_with(&[]).wait().failure(), doctor(&wrong)] {
        assert!(said.contains("answers 407") && said.contains("`proxy_user`"), "{said}");
        assert!(!said.contains("planted-wrong"), "{said}");
    }
}

#[test]
fn options_of_a_proxy_that_do_not_fit_are_named() {
    for (options, expected) in [
        ("proxy = 'socks5://a'", "`proxy` must begin with http://"),
        ("proxy = 'http://u:p@a'", "`proxy` contains a user or a password"),
        ("proxy = 'http://a'\nproxy_user = 'u'", "`proxy_user` and `proxy_password` belong together"),
        ("proxy_user = 'u'", "and none is named"),
    ] {
        let job = Job::new(&format!(
            "[source]\ntype = 'poll'\nurls = ['http://plant.example/']\n{options}\npayload = 'number'\n[[sink]]\ntype = 'null'\n"
        ));
        let said = job.start_with(&[]).wait().failure();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_server_that_fails_is_asked_by_single_requests_until_it_works() {
    let server = HttpSink::start();
    for _ in 0..20 {
        server.answer_next(Answer::status(503));
    }
    server.answer(Answer::status(200).with_body("1.5"));
    let job = Job::new(&format!(
        "[source]\ntype = 'poll'\nurls = ['{0}/a', '{0}/b']\nevery = '10ms'\npayload = 'number'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n",
        server.url()
    ));
    let run = job.start();
    until("it is asked again", || server.count() > 30);
    let said = run.stop().success();
    assert!(said.contains("held back by a circuit breaker"), "{said}");
}
