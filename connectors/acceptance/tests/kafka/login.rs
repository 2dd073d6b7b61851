//! Logins and encrypted connections.

use tidemill_acceptance::server::KafkaOptions;
use tidemill_acceptance::{Job, Kafka};

use crate::broker::{check_means, means, numbered, send, topic, wait_for};

const SECRET: &str = "planted-secret";

/// A pipeline whose source and sink have these options too.
fn with(pipeline: &str, more: &str) -> String {
    pipeline.replace("type = 'kafka'", &format!("type = 'kafka'\n{more}"))
}

#[test]
fn a_login_is_needed_a_wrong_one_is_an_error_and_the_password_is_nowhere() {
    let options = KafkaOptions { user: Some(("plant".into(), SECRET.into())), ..KafkaOptions::default() };
    let broker = Kafka::start_with(&options);
    let (from, to) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let pipeline = means(&broker.sasl_address(), &from, &to, "");
    let sasl = |password: &str| {
        with(&pipeline, &format!("sasl = {{ mechanism = 'plain', user = 'plant', password = '{password}' }}"))
    };
    let wrong = Job::new(&sasl("not-the-password")).start().wait().failure();
    assert!(wrong.to_lowercase().contains("authentication"), "{wrong}");
    assert!(!wrong.contains("not-the-password"), "{wrong}");
    send(&broker, &from, &numbered(2, 0, 50), &[]);
    let job = Job::new(&sasl(SECRET));
    let run = job.start();
    let messages = wait_for(&broker, &to, 100, &[&run]);
    let said = run.stop().success();
    check_means(&messages, 2, 50);
    assert!(!said.contains(SECRET), "{said}");
    let found =
        std::process::Command::new("grep").args(["-rlF", SECRET, "."]).current_dir(job.folder()).output();
    let found = String::from_utf8(found.expect("grep runs").stdout).expect("UTF-8");
    assert_eq!(found, "./pipeline.toml\n");
}

#[test]
#[cfg(feature = "kafka-tls")]
fn a_broker_is_verified() {
    let broker = Kafka::start_with(&KafkaOptions { tls: true, ..KafkaOptions::default() });
    let (from, to) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let pipeline = means(&broker.tls_address(), &from, &to, "");
    let untrusted = Job::new(&with(&pipeline, "tls = {}")).start().wait().failure();
    assert!(untrusted.contains("verify failed") && untrusted.contains("tls.ca"), "{untrusted}");
    send(&broker, &from, &numbered(2, 0, 50), &[]);
    let ca = broker.authority().certificate();
    let job = Job::new(&with(&pipeline, &format!("tls = {{ ca = '{}' }}", ca.display())));
    let run = job.start();
    let messages = wait_for(&broker, &to, 100, &[&run]);
    run.stop().success();
    check_means(&messages, 2, 50);
}

#[test]
#[cfg(not(feature = "kafka-tls"))]
fn a_program_without_tls_says_so() {
    let job = Job::new(&with(&means("127.0.0.1:9", "in", "out", ""), "tls = {}"));
    let said = job.command(&["validate", "pipeline.toml"]).failure();
    assert!(said.contains("OpenSSL") || said.contains("kafka-tls"), "{said}");
}
