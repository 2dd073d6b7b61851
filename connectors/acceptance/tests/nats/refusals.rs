//! What the server refuses, when a run begins and later.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tidemill_acceptance::server::NatsOptions;
use tidemill_acceptance::{Job, Nats};

use crate::server::{LIMIT, pipeline, publish, server, wait_for_messages};

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
fn a_password_that_is_changed_ends_the_run() {
    // Clients without a login are the user `tests`.
    let lines = "authorization { users = [ { user: plant, password: planted-old }, { user: tests, password: any } ] }\nno_auth_user: tests\n";
    for is_reloaded in [true, false] {
        let mut server = Nats::start_with(&NatsOptions { lines: lines.into(), ..NatsOptions::default() });
        let mut client = server.client();
        client.create_stream("IN", "plant.>").expect("a stream");
        client.create_stream("OUT", "out.>").expect("a stream");
        publish(&mut client, "plant.t1", 0..10);
        let login = "user = 'plant'\npassword = 'planted-old'";
        let job = Job::new(&pipeline(&server, login));
        let run = job.start();
        wait_for_messages(&server, "OUT", 10);
        server.replace_in_configuration("planted-old", "planted-new");
        if is_reloaded {
            server.reload()
        } else {
            server.restart()
        }
        let said = run.wait().failure();
        assert!(said.contains("the server refuses the login"), "{is_reloaded}: {said}");
        assert!(!said.contains("planted"), "{said}");
    }
}

#[test]
fn a_certificate_that_has_expired_meanwhile_ends_the_run() {
    let lines = "debug: true\ntrace: true\n".into();
    let mut server = Nats::start_with(&NatsOptions { tls: true, lines, ..NatsOptions::default() });
    let ca = server.authority().certificate();
    let job = Job::new(&format!(
        "[source]\ntype = 'nats'\nurl = '{}'\nsubject = 'plant.>'\npayload = 'number'\ntls = {{ ca = '{}' }}\n[[sink]]\ntype = 'null'\n",
        server.url(),
        ca.display()
    ));
    let (run, begun) = (job.start_with(&[]), Instant::now());
    while !server.log().text().contains("SUB plant") {
        assert!(begun.elapsed() < LIMIT, "{}", run.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.authority().expire_server();
    server.restart();
    let said = run.wait().failure();
    assert!(said.contains("the server's certificate was refused"), "{said}");
}
