//! Logins, certificates, and what `tidemill doctor` finds.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tidemill_acceptance::server::MosquittoOptions;
use tidemill_acceptance::{Job, Mosquitto, Run};

use crate::broker::{LIMIT, doctor, echo, keep, kept, publish};

#[test]
fn a_login_that_is_refused_says_so() {
    let options =
        MosquittoOptions { user: Some(("plant".into(), "right".into())), ..MosquittoOptions::default() };
    let mosquitto = Mosquitto::start_with(&options);
    for version in ["5", "3.1.1"] {
        let login = format!("version = '{version}'\nuser = 'plant'\npassword = 'planted-secret'\n");
        let source = format!("{login}topic = 'plant/x'\npayload = 'number'");
        let job = Job::new(&echo(&mosquitto, &source, &format!("{login}topic = 'out'")));
        for said in [job.start().wait().failure(), doctor(&job)] {
            assert!(
                said.contains("the broker refuses the connection") && said.contains("`password`"),
                "{said}"
            );
            assert!(!said.contains("planted-secret"), "{said}");
        }
    }
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let source = format!(
        "[source]\ntype = 'mqtt'\nurl = 'mqtt://127.0.0.1:{port}'\ntopic = 'a'\npayload = 'number'\n"
    );
    let job = Job::new(&format!("{source}[[sink]]\ntype = 'null'\n"));
    let said = job.start_with(&[]).wait().failure();
    assert!(said.contains(&format!("mqtt://127.0.0.1:{port}")) && said.contains("refused"), "{said}");
}

#[test]
fn checkpoints_need_a_client_id() {
    let mosquitto = Mosquitto::start();
    let pipeline = echo(&mosquitto, "topic = 'a'\npayload = 'number'", "topic = 'out'");
    let job = Job::new(&pipeline.replace("client_id = 'in'\n", ""));
    let said = job.start().wait().failure();
    assert!(said.contains("`client_id`"), "{said}");
}

#[test]
fn certificates_are_verified_and_the_failed_check_is_named() {
    let mosquitto = Mosquitto::start();
    let other = Mosquitto::start();
    let expired = mosquitto.authority().expired_server();
    let stranger = mosquitto.authority().other_server();
    let port = || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let (first, second) = (port(), port());
    let listener = |port: u16, certificate: &std::path::Path, key: &std::path::Path| {
        let ca = mosquitto.authority().certificate();
        format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n",
            ca.display(),
            certificate.display(),
            key.display()
        )
    };
    let lines = listener(first, &expired.certificate, &expired.key)
        + &listener(second, &stranger.certificate, &stranger.key);
    let _third = Mosquitto::start_with(&MosquittoOptions { lines, ..MosquittoOptions::default() });
    let right = mosquitto.authority().certificate();
    let wrong = other.authority().certificate();
    for (url, ca, expected) in [
        (mosquitto.tls_url(), &wrong, "the server's certificate was refused"),
        (format!("mqtts://localhost:{first}"), &right, "it has expired"),
        (format!("mqtts://localhost:{second}"), &right, "it is not valid for this host name"),
        (mosquitto.url().replace("mqtt:", "mqtts:"), &right, "TLS"),
    ] {
        let source = format!(
            "[source]\ntype = 'mqtt'\nurl = '{url}'\ntopic = 'a'\npayload = 'number'\ntls = {{ ca = '{}' }}\n",
            ca.display()
        );
        let job = Job::new(&format!("{source}[[sink]]\ntype = 'null'\n"));
        let said = job.start_with(&[]).wait().failure();
        assert!(said.contains(expected), "{url}: {said}");
    }
}

#[test]
fn a_client_certificate_is_shown_to_a_broker_that_asks_for_one() {
    let mosquitto =
        Mosquitto::start_with(&MosquittoOptions { client_certificate: true, ..MosquittoOptions::default() });
    let ca = mosquitto.authority().certificate();
    let client = mosquitto.authority().client("tidemill");
    keep(&mosquitto, "in", "plant/x");
    keep(&mosquitto, "out", "out");
    publish(&mosquitto, "plant/x", "1.5");
    let with = format!(
        "tls = {{ ca = '{}', certificate = '{}', key = '{}' }}\n",
        ca.display(),
        client.certificate.display(),
        client.key.display()
    );
    let pipeline = echo(
        &mosquitto,
        &format!("{with}topic = 'plant/x'\npayload = 'number'"),
        &format!("{with}topic = 'out'\npayload = 'number'"),
    );
    let pipeline = pipeline.replace(&mosquitto.url(), &mosquitto.tls_url());
    let job = Job::new(&pipeline);
    let run = job.start();
    assert_eq!(kept(&mosquitto, "out", "out", 1), ["out 1.5"]);
    run.stop().success();
    let without = format!("tls = {{ ca = '{}' }}\n", ca.display());
    let said = Job::new(&pipeline.replace(&with, &without)).start().wait().failure();
    assert!(said.contains("`certificate`"), "{said}");
}

#[test]
fn doctor_looks_at_the_broker_without_disturbing_a_run() {
    let mosquitto = Mosquitto::start();
    keep(&mosquitto, "out", "out");
    let job = Job::new(&echo(
        &mosquitto,
        "topic = 'plant/x'\nshare = 'g'\npayload = 'number'",
        "topic = 'out'\npayload = 'number'",
    ));
    let run = job.start();
    let said = doctor(&job);
    assert!(said.contains("accepts a subscription to plant/x"), "{said}");
    let begun = Instant::now();
    // The run may not have subscribed yet.
    let got = std::thread::scope(|scope| {
        let got = scope.spawn(|| kept(&mosquitto, "out", "out", 1));
        while !got.is_finished() && begun.elapsed() < LIMIT {
            publish(&mosquitto, "plant/x", "1.5");
        }
        got.join().expect("messages")
    });
    assert_eq!(got, ["out 1.5"]);
    let said = run.stop().success();
    assert!(!said.contains("lost"), "{said}");
}

#[test]
fn a_password_that_is_changed_ends_the_run() {
    let user = Some(("plant".into(), "planted-old".into()));
    for version in ["5", "3.1.1"] {
        let options =
            MosquittoOptions { user: user.clone(), lines: LOUD.into(), ..MosquittoOptions::default() };
        let mut mosquitto = Mosquitto::start_with(&options);
        let job = Job::new(&format!(
            "[source]\ntype = 'mqtt'\nurl = '{}'\nversion = '{version}'\nuser = 'plant'\npassword = 'planted-old'\n\
             topic = 'plant/x'\npayload = 'number'\n[[sink]]\ntype = 'null'\n",
            mosquitto.url()
        ));
        let run = job.start_with(&[]);
        wait_for_subscriber(&mosquitto, &run);
        mosquitto.set_password("plant", "planted-new");
        mosquitto.restart();
        let said = run.wait().failure();
        assert!(said.contains("the broker refuses the connection") && said.contains("`password`"), "{said}");
        assert!(!said.contains("planted"), "{said}");
    }
}

#[test]
fn a_certificate_that_has_expired_meanwhile_ends_the_run() {
    for version in ["5", "3.1.1"] {
        let options = MosquittoOptions { lines: LOUD.into(), ..MosquittoOptions::default() };
        let mut mosquitto = Mosquitto::start_with(&options);
        let job = Job::new(&format!(
            "[source]\ntype = 'mqtt'\nurl = '{}'\nversion = '{version}'\ntopic = 'a'\npayload = 'number'\ntls = {{ ca = '{}' }}\n\
             [[sink]]\ntype = 'null'\n",
            mosquitto.tls_url(),
            mosquitto.authority().certificate().display()
        ));
        let run = job.start_with(&[]);
        wait_for_subscriber(&mosquitto, &run);
        mosquitto.authority().expire_server();
        mosquitto.restart();
        let said = run.wait().failure();
        assert!(said.contains("it has expired"), "{version}: {said}");
    }
}

/// The broker says what it receives and sends.
const LOUD: &str = "log_type all\n";

/// Waits until a [loud](LOUD) broker has a client with a subscription.
fn wait_for_subscriber(mosquitto: &Mosquitto, run: &Run) {
    let begun = Instant::now();
    while !mosquitto.log().text().contains("Sending SUBACK") {
        assert!(begun.elapsed() < LIMIT, "{}", run.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}
